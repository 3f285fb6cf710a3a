"""Which tokens of a Doc are read, by which numbers, and how encoded tokens are pooled."""

import numpy
import pytest
import torch
from spacy.tokens import Doc
from thinc.api import Model

from spacy_semivae.layers.texts import NO_TOKEN, cut, make_texts, take_excerpts
from spacy_semivae.modules.text_words import END, UNKNOWN

WORDS = ["the", "cat", "dog"]  # 2, 3, 4


def build(max_length=0, truncation="first"):
    attrs = {"targets": WORDS, "normalize": [], "static": False, "target_words": None}
    attrs |= {"max_length": max_length, "truncation": truncation}
    return Model("words", lambda *args: None, attrs=attrs)


@pytest.fixture
def docs(vocab, make_docs):
    texts = ["the Cat saw the dog", "dog", "dog cat the dog cat the dog cat"]
    some = make_docs(vocab, texts)
    return [Doc(vocab), some[0], some[1], Doc(vocab), some[2], Doc(vocab)]


@pytest.mark.parametrize(
    ("length", "limit", "rule", "expected"),
    [
        (0, 4, "first", []),
        (4, 4, "first", [0, 1, 2, 3, 4]),
        (6, 0, "first", [0, 1, 2, 3, 4, 5, 6]),
        (6, 4, "first", [0, 1, 2, 3]),
        (6, 4, "first_last", [0, 1, 4, 5, 6]),
        (6, 5, "first_last", [0, 1, 2, 4, 5, 6]),
        (6, 1, "first_last", [0, 6]),
        (6, 4, "random_crop", [0, 1, 2, 3]),
    ],
)
def test_what_is_read(length, limit, rule, expected):
    found = [i for part in cut(length, limit, rule, False) for i in part]
    assert found == expected  # the end is the token behind the last
    if rule != "random_crop":
        assert found == [i for part in cut(length, limit, rule, True) for i in part]


def test_random_crops_reach_every_place():
    found = {tuple(*cut(6, 4, "random_crop", True)) for _ in range(200)}
    assert found == {(0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5, 6)}


def test_words_by_number(docs):
    excerpts = take_excerpts(build(), docs, False)
    assert excerpts.lengths.tolist() == [0, 6, 2, 0, 9, 0]
    first, second, third = [2, 3, UNKNOWN, 2, 4, END], [4, END], [4, 3, 2] * 2 + [4, 3, END]
    assert excerpts.words.tolist() == first + second + third
    assert excerpts.words.dtype == "int64"


def test_tokens_by_place(docs):
    excerpts = take_excerpts(build(4, "first_last"), docs, False)
    assert excerpts.lengths.tolist() == [0, 5, 2, 0, 5, 0]
    orths = [token.text.lower() for doc in docs for token in doc]
    for word, place in zip(excerpts.words.tolist(), excerpts.tokens.tolist()):
        if word == END:
            assert place == NO_TOKEN
        else:
            assert orths[place] == ([*WORDS, "saw"][word - 2] if word else "saw")
    assert excerpts.tokens.tolist() == [0, 1, 3, 4, -1, 5, -1, 6, 7, 12, 13, -1]


def test_only_empty_docs(vocab):
    excerpts = take_excerpts(build(), [Doc(vocab), Doc(vocab)], True)
    assert excerpts.lengths.tolist() == [0, 0]
    assert excerpts.words.shape == excerpts.tokens.shape == (0,)
    texts = make_texts(excerpts, torch.zeros((0, 3)))
    assert texts.vectors.tolist() == [[0, 0, 0]] * 2


@pytest.mark.parametrize("limit", [0, 4])
def test_vectors_are_means_over_the_tokens_read(limit, docs):
    H = torch.randn(sum(map(len, docs)), 3, dtype=torch.float64, requires_grad=True)
    texts = make_texts(take_excerpts(build(limit), docs, False), H)
    ends = numpy.cumsum([len(doc) for doc in docs])
    for doc, end, vector in zip(docs, ends, texts.vectors):
        start = end - len(doc)
        rows = H[start:end][: limit or None]
        assert torch.allclose(vector, rows.mean(0) if len(doc) else torch.zeros(3).double())
    texts.vectors.sum().backward()
    read = limit or 100
    expected = [i < read for doc in docs for i in range(len(doc))]
    assert (H.grad[:, 0] != 0).tolist() == expected


def test_no_encoder_no_vectors(docs):
    texts = make_texts(take_excerpts(build(), docs, False), torch.zeros((14, 0)))
    assert texts.vectors is None
    assert texts.lengths.dtype == torch.int64
