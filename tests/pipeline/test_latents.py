"""What is said about the units of the latent, and when its collapse is reported."""

import warnings

import pytest

from spacy_semivae.pipeline.latents import PATIENCE, LatentWatch, summarize_units

DEAD, ALIVE = [0.03, 0.0, 0.02], [0.2, 0.0, 0.3]


def note(watch, times, unit_kl, kl_weight=1.0):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for step in range(times):
            watch.note(step, unit_kl, kl_weight)
    return [str(warning.message) for warning in found]


def test_active_units():
    found = summarize_units([0.5, 0.009, 0.011, 0.0])
    assert found == {"active_units": 2.0, "largest_unit_kl": 0.5}


def test_a_collapse_is_reported_once():
    (message,) = note(LatentWatch("cats"), 3 * PATIENCE, DEAD)
    assert f"'cats', step {PATIENCE - 1}: for {PATIENCE} updates" in message
    assert "(now 0.05, KL weight 1)" in message
    assert "raise word_dropout" in message


@pytest.mark.parametrize(("unit_kl", "kl_weight"), [(ALIVE, 1.0), (DEAD, 0.4), (DEAD, 0.0)])
def test_no_collapse(unit_kl, kl_weight):
    assert not note(LatentWatch("cats"), 2 * PATIENCE, unit_kl, kl_weight)


def test_only_a_collapse_without_a_break_is_reported():
    watch = LatentWatch("cats")
    assert not note(watch, PATIENCE - 1, DEAD)
    assert not note(watch, 1, ALIVE)
    assert not note(watch, PATIENCE - 1, DEAD)
    assert len(note(watch, 1, DEAD)) == 1
