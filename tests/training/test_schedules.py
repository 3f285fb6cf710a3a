"""Schedules against their formulas, as functions and as generators."""

import math
import pickle

import pytest
from spacy.util import registry
from thinc.api import Adam

from spacy_semivae.training.schedules import (
    StepSchedule,
    create_kl_exponential,
    create_linear,
    create_noam,
    linear,
)

SCHEDULES = [
    create_kl_exponential(0.1),
    create_linear(1.0, 0.25, 4),
    create_noam(width=16, warmup=3, factor=2.0),
]


def test_kl_exponential_reaches_one():
    schedule = create_kl_exponential()
    assert schedule(0) == 0
    assert schedule(100) == pytest.approx(math.exp(0.01) - 1)
    assert schedule(5000) == pytest.approx(math.exp(0.5) - 1)
    assert schedule(6930) < schedule(6931) == pytest.approx(0.9999, abs=1e-4)
    assert schedule(6931) < 1  # ln 2 is 0.693147...
    assert schedule(6932) == schedule(10**9) == 1
    assert create_kl_exponential(1e-2)(70) == 1 > create_kl_exponential(1e-2)(69)


@pytest.mark.parametrize(
    ("step", "value"), [(0, 1.0), (1, 0.8), (2, 0.6), (5, 0.0), (6, 0.0), (1000, 0.0)]
)
def test_linear(step, value):
    assert create_linear(1.0, 0.0, 5)(step) == pytest.approx(value)


def test_linear_defaults():
    schedule = create_linear()
    assert [schedule(step) for step in (0, 250, 1000, 2000)] == [0, 0.25, 1, 1]


@pytest.mark.parametrize("steps", [0, -3])
def test_linear_needs_steps(steps):
    with pytest.raises(ValueError, match=f"steps >= 1, but got {steps}"):
        create_linear(0.0, 1.0, steps)


def test_noam_rises_then_falls():
    schedule = create_noam(width=300, warmup=100, factor=2.0)
    rates = [schedule(step) for step in range(1000)]
    assert rates.index(max(rates)) == 99
    assert rates[99] == pytest.approx(2 * (300 * 100) ** -0.5)
    assert rates[9] == pytest.approx(rates[99] / 10)
    assert rates[399] == pytest.approx(rates[99] / 2)
    assert create_noam()(15999) == pytest.approx((300 * 16000) ** -0.5)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_generator_face_equals_the_function(schedule):
    fresh = StepSchedule(schedule.function)
    assert [next(fresh) for _ in range(8)] == [schedule(step) for step in range(8)]
    assert fresh(0) == schedule(0)  # a call does not depend on what was drawn
    assert iter(fresh) is fresh
    assert len({schedule(step) for step in range(5)}) == 5


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_pickled_schedules_go_on(schedule):
    fresh = StepSchedule(schedule.function)
    next(fresh)
    other = pickle.loads(pickle.dumps(fresh))
    assert [next(other) for _ in range(3)] == [schedule(step) for step in (1, 2, 3)]
    assert next(fresh) == schedule(1)


def test_an_optimizer_takes_a_schedule():
    optimizer = Adam(create_linear(0.5, 0.1, 4))
    rates = []
    for _ in range(4):
        optimizer.step_schedules()
        rates.append(optimizer.learn_rate)
    start = rates[0]
    assert rates == pytest.approx([start - 0.1 * i for i in range(4)])


@pytest.mark.parametrize(
    ("name", "settings", "step"),
    [
        ("semivae.kl_exponential.v1", {"rate": 0.01}, 20),
        ("semivae.linear.v1", {"start": 2.0, "end": 3.0, "steps": 8}, 3),
        ("semivae.noam.v1", {"width": 16, "warmup": 4, "factor": 3.0}, 2),
    ],
)
def test_registered_with_every_setting(name, settings, step):
    create = registry.schedules.get(name)
    resolved = registry.resolve({"s": {"@schedules": name, **settings}})["s"]
    assert resolved(step) == create(**settings)(step)
    for setting in settings:
        rest = {key: value for key, value in settings.items() if key != setting}
        assert create(**rest)(step) != pytest.approx(resolved(step), rel=1e-3)


def test_linear_is_exact_at_its_ends():
    assert linear(0.1, 0.7, 3, 0) == 0.1
    assert linear(0.1, 0.7, 3, 3) == pytest.approx(0.7)
