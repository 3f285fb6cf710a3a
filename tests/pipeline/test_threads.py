"""One pipeline shared by several threads predicts as it does for one."""

import importlib
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy
import pytest
import spacy
from numpy.testing import assert_allclose
from tiny import CONVOLUTION

THREADS, ROUNDS = 8, 2
FACTORIES = ("vsl_tagger", "vsl_ner", "crf_vae_tagger", "crf_vae_ner", "ssvae_textcat")
WORDS = [f"{a}{b}{c}" for a in "Abc" for b in "aeiou" for c in "dnrst123"]
TEXTS = [*(" ".join(WORDS[i::15][: 3 + i % 4]) for i in range(9)), "", "Ann saw Bob Lee in Rome !"]


@pytest.fixture(autouse=True)
def _switch_often():
    """Let threads take turns far more often than they would, so that they meet in short places."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def _small_caches(monkeypatch):
    """Caches that are full after a few words, so that they start anew while others read them."""
    for module, name in (("words", "MAX_WORDS"), ("pieces", "MAX_FORMS")):
        monkeypatch.setattr(importlib.import_module(f"spacy_semivae.layers.{module}"), name, 20)


def predict(nlp, factory, texts):
    """What is written and how sure it is, by text."""
    found = {}
    for text in texts:
        doc = nlp(text)
        found[text] = (
            [t.tag_ for t in doc],
            [(e.start, e.end, e.label_) for e in doc.ents],
            numpy.array(nlp.get_pipe(factory).predict_probabilities([doc])[0]),
        )
    return found


def predict_at_once(nlp, factory):
    """The same in threads that begin together, each with another text."""
    barrier = Barrier(THREADS)

    def work(number):
        turned = TEXTS[number:] + TEXTS[:number]
        barrier.wait(timeout=60)
        return predict(nlp, factory, turned)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, range(THREADS)))


def check(nlp, factory, rounds=ROUNDS):
    """Compare; every round begins with a pipeline that has read nothing yet."""
    data, expected = nlp.to_bytes(), predict(nlp, factory, TEXTS)
    for _ in range(rounds):
        shared = spacy.blank("en").from_config(nlp.config).from_bytes(data)
        for found in predict_at_once(shared, factory):
            for text, (*annotation, P) in expected.items():
                assert [*found[text][:2]] == annotation
                assert_allclose(found[text][2], P, atol=1e-5)


@pytest.mark.parametrize("factory", FACTORIES)
def test_every_component(factory, make_nlp):
    check(make_nlp(factory), factory)


@pytest.mark.usefixtures("_small_caches")
@pytest.mark.parametrize("embeddings", ["fixed", "tuned", "learned"])
def test_the_index_of_words_starts_anew(embeddings, make_nlp):
    encoder = {"embeddings": embeddings}
    check(make_nlp(vectors=embeddings != "learned", encoder=encoder), "vsl_tagger")


@pytest.mark.usefixtures("_small_caches")
def test_word_pieces(make_nlp, crf_model):
    check(make_nlp("crf_vae_ner", model=crf_model(None, "piece")), "crf_vae_ner")


@pytest.mark.parametrize("cache", ["memory", "none", "folder"])
def test_a_frozen_transformer(cache, make_nlp, tiny_bert, tmp_path):
    encoder = {
        "@architectures": "semivae.FrozenTransformer.v1",
        "name": str(tiny_bert),
        "cache": str(tmp_path / "cache") if cache == "folder" else cache,
        "cache_mb": 0.001 if cache == "memory" else 1,
    }
    model = {"tok2vec": encoder}
    check(make_nlp(model=model), "vsl_tagger")


def test_encoders_side_by_side(make_nlp):
    first = {"@architectures": "semivae.CharWordBiGRU.v1", "width": 8, "char_width": 6}
    encoder = {
        "@architectures": "semivae.ConcatEncoders.v1",
        "encoders": {"first": first, "second": CONVOLUTION},
    }
    check(make_nlp(model={"tok2vec": encoder}), "vsl_tagger")
