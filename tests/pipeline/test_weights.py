"""Weights of loss terms: numbers, schedules, generators."""

import copy
import pickle

import pytest
from thinc.api import compounding, constant

from spacy_semivae.pipeline.weights import Weight
from spacy_semivae.training.schedules import create_linear


@pytest.mark.parametrize("number", [0.5, 2, 0])
def test_number(number):
    weight = Weight("alpha", number)
    assert weight.at(0) == weight.at(1000) == number
    assert isinstance(weight.at(0), float)


def test_schedule_is_read_at_the_step():
    weight = Weight("alpha", create_linear(0.0, 1.0, 4))
    assert [weight.at(step) for step in (0, 3, 1, 1, 9)] == [0, 0.75, 0.25, 0.25, 1]


def test_function():
    assert Weight("alpha", lambda step: 2 * step).at(21) == 42.0


def test_constant_generator():
    assert [Weight("alpha", constant(0.3)).at(step) for step in (0, 5)] == [0.3, 0.3]


def test_generator_is_read_at_the_step():
    weight = Weight("alpha", compounding(1.0, 100.0, 2.0))
    assert [weight.at(step) for step in (0, 0, 3, 1, 4)] == [1, 1, 8, 2, 16]


def test_a_generator_that_ends_keeps_its_last_value():
    weight = Weight("alpha", iter([0.1, 0.2]))
    assert [weight.at(step) for step in (0, 1, 2, 9)] == [0.1, 0.2, 0.2, 0.2]
    assert Weight("alpha", iter(())).at(3) == 0


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda w: pickle.loads(pickle.dumps(w))])
def test_copies_of_a_drawn_generator(clone):
    weight = Weight("alpha", compounding(1.0, 100.0, 2.0))
    weight.at(2)
    other = clone(weight)
    assert [other.at(step) for step in (0, 2, 3, 7)] == [1, 4, 4, 4]
    assert weight.at(3) == 8  # the original goes on
    assert clone(other).at(1) == 2


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda w: pickle.loads(pickle.dumps(w))])
def test_copies_of_numbers_and_schedules(clone):
    assert clone(Weight("alpha", 0.5)).at(3) == 0.5
    weight = Weight("alpha", create_linear(0.0, 1.0, 4))
    assert [clone(weight).at(step) for step in (0, 2, 9)] == [0, 0.5, 1]


@pytest.mark.parametrize("setting", ["0.1", None, [0.1], True, {"rate": 1}])
def test_wrong_type(setting):
    with pytest.raises(ValueError, match="alpha must be a number or a schedule, but got") as error:
        Weight("alpha", setting)
    assert repr(setting) in str(error.value)
