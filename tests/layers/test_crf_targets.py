"""The word pieces that the generator of a CRF-VAE tells apart: counted, limited, made anew."""

from collections import Counter
from types import SimpleNamespace

import pytest
from spacy.tokens import Doc
from thinc.api import Model

from spacy_semivae.layers.crf_targets import (
    choose_targets,
    count_pieces,
    get_lm,
    get_piece_targets,
    set_piece_targets,
    uses_pieces,
)
from spacy_semivae.layers.language_model import get_vocabulary


@pytest.fixture
def build(tiny_gpt2):
    """Make a model that has only what targets need."""

    def make(*, max_targets=100):
        attrs = {"targets": [], "target_words": None, "target_counts": None, "normalize": []}
        attrs |= {"static": False, "use_vectors": True, "max_targets": max_targets}
        attrs |= {"pieces": {}, "vocabulary": None, "name": tiny_gpt2}
        shim = SimpleNamespace(cfg={"pieces": True})
        return Model("any", lambda model, X, is_train: (X, None), attrs=attrs, shims=[shim])

    return make


def test_pieces_that_are_seen_twice_by_count(build):
    model = build(max_targets=2)
    set_piece_targets(model, Counter({7: 2, 5: 9, 3: 2, 1: 1}))
    assert model.attrs["targets"] == [5, 3]  # ties by number
    assert model.attrs["target_counts"] == [3, 9, 2]  # first all others
    set_piece_targets(model, Counter())
    assert (model.attrs["targets"], model.attrs["target_counts"]) == ([], [0])


def test_piece_targets_follow_the_attribute(build):
    model = build(max_targets=4)
    set_piece_targets(model, Counter({i: 10 - i for i in range(6)}))
    first = get_piece_targets(model)
    assert get_piece_targets(model) is first
    assert first.pieces == [0, 1, 2, 3]
    model.attrs["targets"] = [1, 2]
    assert get_piece_targets(model).pieces == [1, 2]


def test_words_are_counted_in_their_pieces(build, vocab):
    model, words = build(), Doc(vocab, words=[".", "Ann", "Ann", "saw"])
    assert uses_pieces(model)
    assert get_lm(model) is None
    choose_targets(model, Counter({"Ann": 2, "saw": 1, "": 5}), vocab)
    found = get_vocabulary(model).encode([words])
    assert count_pieces(model, [words]) == Counter(found.ids.tolist())
    assert count_pieces(model, []) == Counter()
    expected = Counter(found.ids[found.lengths[0] :].tolist())  # each after a space
    assert sum(model.attrs["target_counts"]) == sum(expected.values())
    assert set(model.attrs["targets"]) == {piece for piece, n in expected.items() if n > 1}
