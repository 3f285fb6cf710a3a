"""Tests for the demo corpus: the files are what the generator makes, and fit each other."""

import importlib.util
from collections import defaultdict
from pathlib import Path

import pytest
import spacy
from spacy.tokens import DocBin

DEMO = Path(__file__).parent.parent / "assets" / "demo"
LABELED = ("train", "dev", "test")


def load_generator():
    spec = importlib.util.spec_from_file_location("demo_generate", DEMO / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def nlp():
    return spacy.blank("en")


@pytest.fixture(scope="module")
def corpus(nlp):
    read = {}
    for name in LABELED:
        read[name] = list(DocBin().from_disk(DEMO / f"{name}.spacy").get_docs(nlp.vocab))
    return read


@pytest.fixture(scope="module")
def raw():
    return (DEMO / "unlabeled.txt").read_text(encoding="utf8").splitlines()


@pytest.fixture(scope="module")
def generated():
    return load_generator().generate(0)


def annotation(doc):
    ents = [(ent.start, ent.end, ent.label_) for ent in doc.ents]
    tokens = [(t.text, t.whitespace_, t.tag_, t.pos_, t.ent_iob_) for t in doc]
    return tokens, ents, doc.cats


def words(doc):
    return [token.text for token in doc]


@pytest.mark.parametrize("name", LABELED)
def test_seed_0_reproduces_the_labeled_files(corpus, generated, name):
    assert [annotation(doc) for doc in corpus[name]] == [annotation(d) for d in generated[name]]


def test_seed_0_reproduces_the_raw_text(raw, generated):
    assert raw == [" ".join(words(doc)) for doc in generated["unlabeled"]]


def test_other_seed_differs(raw):
    other = load_generator().generate(1)
    assert not set(raw) & {" ".join(words(doc)) for doc in other["unlabeled"]}


def test_sizes(corpus, raw):
    assert {name: len(docs) for name, docs in corpus.items()} == {
        "train": 60,
        "dev": 300,
        "test": 300,
    }
    assert len(raw) == 2000
    assert sum(path.stat().st_size for path in DEMO.iterdir() if path.is_file()) < 1_000_000


def test_no_text_occurs_twice(corpus, raw):
    texts = [doc.text.strip().lower() for docs in corpus.values() for doc in docs]
    texts += [line.lower() for line in raw]
    assert len(set(texts)) == len(texts) == 2660


def test_tokenizer_agrees_on_every_text(corpus, raw, nlp):
    for line in raw:
        assert words(nlp.make_doc(line)) == line.split(" ")
    for docs in corpus.values():
        for doc in docs:
            assert words(nlp.make_doc(doc.text)) == words(doc)


def test_annotation_is_complete(corpus):
    docs = [doc for docs in corpus.values() for doc in docs]
    for doc in docs:
        assert all(token.tag_ and token.tag_ == token.pos_ for token in doc)
        assert all(token.ent_iob_ in ("B", "I", "O") for token in doc)
        assert all((token.ent_iob_ == "O") == (token.tag_ != "PROPN") for token in doc)
        assert sorted(doc.cats.values()) == [0.0, 0.0, 0.0, 1.0]
    assert {ent.label_ for doc in docs for ent in doc.ents} == {"PERSON", "PLACE", "ORG"}
    assert 10 <= len({token.tag_ for doc in docs for token in doc}) <= 12


def test_every_topic_and_tag_is_in_train(corpus):
    train, test = corpus["train"], corpus["test"]
    topics = [max(doc.cats, key=doc.cats.get) for doc in train]
    assert {topics.count(topic) for topic in train[0].cats} == {15}
    assert {t.tag_ for doc in test for t in doc} <= {t.tag_ for doc in train for t in doc}


def test_raw_text_covers_the_test_words_and_train_does_not(corpus, raw):
    tested = [token.lower_ for doc in corpus["test"] for token in doc]
    in_train = {token.lower_ for doc in corpus["train"] for token in doc}
    in_raw = {word for line in raw for word in line.lower().split()}
    assert 0.6 < sum(word in in_train for word in tested) / len(tested) < 0.7
    assert sum(word in in_raw for word in tested) / len(tested) > 0.95


def test_ambiguous_words_exist(corpus):
    tags = defaultdict(set)
    for doc in (doc for docs in corpus.values() for doc in docs):
        for token in doc:
            tags[token.lower_].add(token.tag_)
    assert sum({"NOUN", "VERB"} <= found for found in tags.values()) >= 10
    assert {"DET", "PRON"} <= tags["this"]
