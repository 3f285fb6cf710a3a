import os
import random
import subprocess
import sys

import numpy
import pytest
import spacy
from numpy.testing import assert_allclose, assert_array_equal
from spacy.training.initialize import load_vectors_into_model

from spacy_semivae.analysis.vectors import (
    SpooledSentences,
    VectorSettings,
    make_vectors,
    read_words,
    set_vectors,
    train_vectors,
)

ANIMALS = ["cat", "dog", "cow", "hen"]
NUMBERS = ["one", "two", "three", "four"]
SCRIPT = """
import random, sys
from spacy_semivae.analysis.vectors import train_vectors
rng = random.Random(0)
texts = [[rng.choice("abcdef") for _ in range(9)] for _ in range(50)]
keys, data = train_vectors(texts, dim=8, min_count=1, seed=5)
sys.stdout.write("".join(keys) + data.tobytes().hex())
"""


@pytest.fixture(scope="module")
def sentences():
    rng = random.Random(0)
    return [[rng.choice(topic) for _ in range(8)] for topic in [ANIMALS, NUMBERS] * 300]


def test_words_of_one_context_are_near(sentences):
    keys, data = train_vectors(sentences, dim=16, epochs=20, window=3)
    assert sorted(keys) == sorted(ANIMALS + NUMBERS)
    assert data.shape == (8, 16)
    assert data.dtype == "float32"
    unit = data / numpy.linalg.norm(data, axis=1, keepdims=True)
    vector = dict(zip(keys, unit))
    within = vector["cat"] @ vector["dog"], vector["one"] @ vector["four"]
    across = vector["cat"] @ vector["one"], vector["dog"] @ vector["four"]
    assert min(within) > max(across) + 0.2


def test_keys_are_the_frequent_words():
    texts = [["a"] * 6, ["b", "a", "b", "b"], ["b", "c", "c"]]
    assert train_vectors(texts, dim=2, min_count=4)[0] == ["a", "b"]
    with pytest.raises(ValueError, match=r"must occur 8 times or more .*\(got none\)"):
        train_vectors(texts, dim=2, min_count=8)


def test_no_word_of_a_long_sentence_is_lost():
    long = ["a"] * 10_000 + ["b", "c"] * 5_000
    _, cut = train_vectors([long], dim=4, epochs=1, min_count=1)
    _, whole = train_vectors([long[:10_000], long[10_000:]], dim=4, epochs=1, min_count=1)
    assert_array_equal(cut, whole)


def test_a_generator_is_refused():
    with pytest.raises(ValueError, match="iterable more than once"):
        train_vectors(iter([["a"]]), dim=2)


def test_a_seed_gives_the_same_vectors_in_any_process(monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", str(1 + (os.environ.get("PYTHONHASHSEED") == "1")))
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=True)
    rng = random.Random(0)
    texts = [[rng.choice("abcdef") for _ in range(9)] for _ in range(50)]
    keys, data = train_vectors(texts, dim=8, min_count=1, seed=5)
    assert len(keys) == 6
    assert done.stdout.decode() == "".join(keys) + data.tobytes().hex()


def test_another_seed_gives_other_vectors(sentences):
    first, second = (train_vectors(sentences[:50], dim=4, seed=seed)[1] for seed in (0, 1))
    assert not numpy.allclose(first, second)


def test_words_are_tokenized_normalized_and_lowered(tmp_path):
    raw = tmp_path / "raw.txt"
    raw.write_text("Don't go, @Ann!  12 Cats\n\nsee https://x.org/1\n", encoding="utf8")
    nlp = spacy.blank("en")
    plain = list(read_words(nlp, raw, lower=False, normalize=[]))
    assert plain == [
        ["Do", "n't", "go", ",", "@Ann", "!", "12", "Cats"],
        ["see", "https://x.org/1"],
    ]
    rules = ["digits", "users", "urls"]
    assert list(read_words(nlp, raw, lower=True, normalize=rules)) == [
        ["do", "n't", "go", ",", "@user", "!", "00", "cats"],
        ["see", "<url>"],
    ]


def test_spooled_sentences_can_be_read_again(tmp_path):
    texts = [["a b", "\u2028", "c"], [], ["d"]]
    spooled = SpooledSentences(iter(texts), tmp_path / "words.jsonl")
    assert list(spooled) == texts
    assert list(spooled) == texts
    assert (spooled.n_sentences, spooled.n_words) == (3, 4)


def test_make_vectors_gives_a_package_for_initialize(tmp_path):
    raw = tmp_path / "raw.txt"
    raw.write_text("The cat sat. The dog sat.\n" * 20, encoding="utf8")
    nlp = spacy.blank("en")
    assert make_vectors(nlp, raw, VectorSettings(dim=6, seed=1)) == 160
    nlp.to_disk(tmp_path / "package")
    loaded = spacy.blank("en")
    load_vectors_into_model(loaded, tmp_path / "package")
    assert loaded.vocab.vectors.shape == (5, 6)
    assert loaded.vocab.has_vector("the")
    assert not loaded.vocab.has_vector("bird")
    doc = loaded("the bird")
    assert_array_equal(doc[0].vector, nlp.vocab.get_vector("the"))
    assert [token.vector.any() for token in doc] == [True, False]


def test_set_vectors_replaces_the_table():
    nlp = spacy.blank("en")
    for keys in (["old"], ["new", "newer"]):
        data = numpy.arange(3.0 * len(keys), dtype="f").reshape(len(keys), 3)
        set_vectors(nlp, keys, data)
    assert [nlp.vocab.has_vector(word) for word in ("old", "new", "newer")] == [False, True, True]
    assert_allclose(nlp.vocab.get_vector("newer"), [3, 4, 5])
    with pytest.raises(ValueError, match=r"data must be \(1, dim\) for as many keys"):
        set_vectors(nlp, ["a"], data)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"mode": "glove"}, "mode must be one of gensim, floret .*'glove'"),
        ({"dim": 0}, r"dim must be 1 or more \(got 0\)"),
        ({"epochs": -1}, r"epochs must be 1 or more \(got -1\)"),
        ({"mode": "floret", "seed": 3}, r"floret's seed is fixed to 0 \(got 3\)"),
        ({"normalize": ("digit",)}, "digit"),
    ],
)
def test_wrong_settings_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        VectorSettings(**setting)
