"""The state of an optimizer, saved and loaded."""

import numpy
import pytest
from thinc.api import Adam, RAdam

from spacy_semivae.training.checkpoint import load_optimizer, save_optimizer


@pytest.mark.parametrize("create", [Adam, RAdam])
def test_an_optimizer_goes_on_as_it_would_have(create, tmp_path):
    def make():
        rates = iter([0.1, 0.2, 0.3, 0.4, 0.5])
        return create(rates, use_averages=False)

    def step(optimizer, weights, n):
        for i in range(n):
            optimizer((7, "a.b"), weights, numpy.full(3, i + 1.0, dtype="f"))
            optimizer.step_schedules()

    optimizer, weights = make(), numpy.ones(3, dtype="f")
    step(optimizer, weights, 2)
    optimizer((8, "other"), numpy.ones(2, dtype="f"), numpy.ones(2, dtype="f"))
    save_optimizer(optimizer, {(7, "a.b"): "tagger/0/a.b"}, tmp_path)
    other, copied = make(), weights.copy()
    load_optimizer(other, {(9, "a.b"): "tagger/0/a.b"}, tmp_path, steps=2)
    assert set(other.nr_update) == {(9, "a.b")}
    step(optimizer, weights, 2)
    for i in range(2):
        other((9, "a.b"), copied, numpy.full(3, i + 1.0, dtype="f"))
        other.step_schedules()
    assert numpy.array_equal(weights, copied)
    assert other.learn_rate == optimizer.learn_rate
