"""When the warnings about O are given, and what they say."""

import warnings

import pytest

from spacy_semivae.pipeline.collapse import PATIENCE, UNTAUGHT, CollapseWatch

WEIGHTS = {"kl": 0.02, "entity_ratio": 0.0}
NOTHING = {"kl": 0.0, "entity_ratio": 0.0}


def note(watch, times, *, decoded=0.5, expected=0.4, weights=WEIGHTS, entities=True, outside=False):
    shares = {} if decoded is None else {"expected": expected, "decoded": decoded}
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for step in range(times):
            watch.note(step, entities=entities, outside=outside, shares=shares, weights=weights)
    return [str(warning.message) for warning in found]


@pytest.mark.parametrize(
    ("decoded", "what", "advice"),
    [
        (1.0, "O everywhere", "lower beta"),
        (0.0, "entities nearly everywhere", "raise beta"),
        (0.01, "entities nearly everywhere", "set entity_ratio"),
    ],
)
def test_a_collapse_is_reported_once(decoded, what, advice):
    watch = CollapseWatch("ner")
    (message,) = note(watch, 3 * PATIENCE, decoded=decoded, expected=0.25)
    assert f"'ner', step {PATIENCE - 1}: for {PATIENCE} updates" in message
    assert what in message
    assert advice in message
    for text in ("expected share of O 0.250", f"decoded {decoded:.3f}", "KL weight 0.02"):
        assert text in message


def test_only_a_collapse_without_a_break_is_reported():
    watch = CollapseWatch("ner")
    assert not note(watch, PATIENCE - 1, decoded=1.0)
    assert not note(watch, 1, decoded=0.9)
    assert not note(watch, PATIENCE - 1, decoded=1.0)
    assert not note(watch, 10, decoded=None)  # batches with full annotation tell nothing
    assert len(note(watch, 1, decoded=1.0)) == 1


def test_nothing_that_teaches_o_is_reported_once():
    (message,) = note(CollapseWatch("ner"), 3 * UNTAUGHT, weights=NOTHING, expected=0.125)
    assert f"'ner', step {UNTAUGHT - 1}: in {UNTAUGHT} updates no token was annotated" in message
    assert "expected share of O 0.125" in message


@pytest.mark.parametrize(
    "settings",
    [
        {"weights": {"kl": 0.1, "entity_ratio": 0.0}},
        {"weights": {"kl": 0.0, "entity_ratio": 1.0}},
        {"weights": NOTHING, "outside": True},
        {"weights": NOTHING, "entities": False},  # raw text alone
        {"weights": NOTHING, "decoded": None},
    ],
)
def test_something_teaches_o(settings):
    assert not note(CollapseWatch("ner"), 2 * UNTAUGHT, **settings)


def test_o_was_taught_before():
    watch = CollapseWatch("ner")
    note(watch, 1, outside=True, decoded=None)
    assert not note(watch, 2 * UNTAUGHT, weights=NOTHING)
