"""What a generator tells apart: words and word pieces, their ids and output vectors."""

import copy
import pickle
from collections import Counter

import numpy
import pytest
import torch
from spacy.tokens import Doc
from spacy.vectors import Vectors
from spacy.vocab import Vocab
from thinc.api import Model

from spacy_semivae.layers.targets import (
    PieceTargets,
    TargetWords,
    get_target_words,
    set_vocabulary,
)

CPU = torch.device("cpu")


def build(*, max_targets=100, normalize=(), use_vectors=True):
    attrs = {
        "targets": [],
        "static": False,
        "use_vectors": use_vectors,
        "max_targets": max_targets,
        "normalize": list(normalize),
        "target_words": None,
    }
    return Model("any", lambda model, X, is_train: (X, lambda dY: dY), attrs=attrs)


def test_targets_are_the_words_with_a_vector(vector_vocab):
    model = build()
    counts = Counter({"the": 1, "Cat": 2, "cat": 1, "zzz": 9, "1999": 5, "paris": 9})
    set_vocabulary(model, counts, vector_vocab)
    assert model.attrs["targets"] == ["cat", "the"]
    assert model.attrs["static"]
    model = build(normalize=["digits"])
    set_vocabulary(model, counts, vector_vocab)
    assert model.attrs["targets"] == ["0000", "cat", "the"]


def test_targets_without_vectors_are_seen_twice(vocab):
    model = build(max_targets=2)
    set_vocabulary(model, Counter({"The": 1, "the": 1, "cat": 7, "b": 2, "a": 1, "D": 3}), vocab)
    assert model.attrs["targets"] == ["cat", "d"]  # by count
    assert not model.attrs["static"]
    set_vocabulary(model, Counter({"b": 2, "a": 2}), vocab)
    assert model.attrs["targets"] == ["a", "b"]  # ties by form


def test_vectors_can_be_left_alone(vector_vocab):
    model = build(use_vectors=False, normalize=["digits"])
    set_vocabulary(model, Counter({"the": 1, "zzz": 2, "1999": 1, "2024": 1}), vector_vocab)
    assert model.attrs["targets"] == ["0000", "zzz"]
    assert not model.attrs["static"]


def test_targets_are_encoded(vocab, make_docs):
    targets = TargetWords(("cat", "Cat", "0000", "dog"), ["digits"], static=False)
    docs = [Doc(vocab), *make_docs(vocab, ["Cat cat CAT 1999 199 DOG", "zzz cat"])]
    for _ in range(2):
        assert targets.encode(docs).tolist() == [2, 1, 1, 3, 0, 4, 0, 1]
    assert targets.encode([Doc(vocab)]).shape == (0,)
    targets.cache.update(dict.fromkeys(range(200_000), 0))
    assert targets.encode(docs).tolist() == [2, 1, 1, 3, 0, 4, 0, 1]
    assert len(targets.cache) == 7  # it started anew


def test_the_unknown_target_is_the_mean_vector(vector_vocab):
    targets = TargetWords(("dog", "the"), [], static=True)
    rows = [vector_vocab.get_vector(word) for word in ("dog", "the")]
    table = targets.table(vector_vocab, CPU)
    numpy.testing.assert_allclose(table, [(rows[0] + rows[1]) / 2, *rows], rtol=1e-6)
    assert targets.table(vector_vocab, CPU) is table
    data = numpy.arange(4, dtype="f").reshape(2, 2)
    vector_vocab.vectors = Vectors(strings=vector_vocab.strings, data=data, keys=["dog", "the"])
    assert targets.table(vector_vocab, CPU).tolist() == [[1, 2], [0, 1], [2, 3]]
    assert TargetWords(("dog",), [], static=False).table(vector_vocab, CPU) is None
    with pytest.raises(ValueError, match="load the vectors it was initialized with"):
        TargetWords(("dog",), [], static=True).table(Vocab(), CPU)


def test_target_words_follow_the_attribute():
    model = build()
    model.attrs["targets"] = ["cat", "dog"]
    first = get_target_words(model)
    assert get_target_words(model) is first
    assert get_target_words(model.copy()) is first  # copies need no vocabulary of their own
    model.attrs["targets"] = ["dog"]
    assert get_target_words(model).ids == {"dog": 1}


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_encode_alike(duplicate, vocab, make_docs):
    targets = TargetWords(("cat", "0000"), ["digits"], static=False)
    docs = make_docs(vocab, ["the cat 1999"])
    assert duplicate(targets).encode(docs).tolist() == [0, 1, 2]


# Word pieces


def test_pieces_are_encoded():
    targets = PieceTargets([7, 2])
    found = targets.encode(numpy.array([2, 7, 0, 3, 8, 1000]))
    assert found.tolist() == [2, 1, 0, 0, 0, 0]
    assert found.dtype == "int64"
    assert targets.encode(numpy.zeros(0, dtype="int64")).shape == (0,)


def test_the_unknown_piece_has_the_mean_embedding():
    targets, embeddings = PieceTargets([3, 1]), torch.randn(5, 4)
    expected = torch.stack(((embeddings[3] + embeddings[1]) / 2, embeddings[3], embeddings[1]))
    torch.testing.assert_close(targets.table(embeddings), expected)
    assert targets.table(embeddings) is targets.table(embeddings)
    other = torch.randn(5, 4)
    torch.testing.assert_close(targets.table(other)[1:], other[[3, 1]])


def test_no_piece_is_a_target():
    targets, embeddings = PieceTargets([]), torch.randn(5, 4)
    assert targets.encode(numpy.array([0, 3])).tolist() == [0, 0]
    table = targets.table(embeddings)
    assert table.shape == (1, 4)
    assert table.isfinite().all()
