"""Schedules as pure functions of the step, with the generator face that Thinc 8.3 expects."""

import math
from collections.abc import Callable, Iterator
from functools import partial

from spacy.util import registry


class StepSchedule(Iterator[float]):
    """A function of the step that can also be drawn from with `next`.

    function (Callable): Value at a step, counted from 0; a top-level function or a partial of one.
    """

    def __init__(self, function: Callable[[int], float]) -> None:
        self.function = function
        self.step = 0

    def __call__(self, step: int) -> float:
        """Give the value at a step.

        step (int): Steps taken before.
        RETURNS (float): The value.
        """
        return self.function(step)

    def __next__(self) -> float:
        self.step += 1
        return self.function(self.step - 1)


@registry.schedules("semivae.kl_exponential.v1")
def create_kl_exponential(rate: float = 1e-4) -> StepSchedule:
    """Create min(1, exp(rate * step) - 1), the VSL authors' weight of the KL.

    rate (float): Growth a step; with 1e-4 the weight is 1 from step 6,932 on.
    RETURNS (StepSchedule): The schedule.
    """
    return StepSchedule(partial(kl_exponential, rate))


@registry.schedules("semivae.linear.v1")
def create_linear(start: float = 0.0, end: float = 1.0, steps: int = 1000) -> StepSchedule:
    """Create a straight line from one value to another, constant after that.

    start (float): Value at step 0.
    end (float): Value from `steps` on.
    steps (int): Length of the line.
    RETURNS (StepSchedule): The schedule.
    RAISES (ValueError): When `steps` is not positive.
    """
    if steps < 1:
        raise ValueError(f"semivae.linear.v1 needs steps >= 1, but got {steps}")
    return StepSchedule(partial(linear, start, end, steps))


@registry.schedules("semivae.noam.v1")
def create_noam(width: int = 300, warmup: int = 16000, factor: float = 1.0) -> StepSchedule:
    """Create the transformer's learning rate (Vaswani et al. 2017, section 5.3).

    width (int): Width of the model.
    warmup (int): Steps of linear growth.
    factor (float): Multiplies the rate.
    RETURNS (StepSchedule): The schedule.
    """
    return StepSchedule(partial(noam, width, warmup, factor))


def kl_exponential(rate: float, step: int) -> float:
    """Compute min(1, exp(rate * step) - 1).

    rate (float): Growth a step.
    step (int): The step.
    RETURNS (float): The weight.
    """
    return min(1.0, math.expm1(min(rate * step, 1.0)))


def linear(start: float, end: float, steps: int, step: int) -> float:
    """Compute a point of a line.

    start (float): Value at step 0.
    end (float): Value at `steps`.
    steps (int): Length of the line.
    step (int): The step.
    RETURNS (float): The value.
    """
    return start + (end - start) * min(1.0, step / steps)


def noam(width: int, warmup: int, factor: float, step: int) -> float:
    """Compute factor * width^-0.5 * min((step + 1)^-0.5, (step + 1) * warmup^-1.5).

    width (int): Width of the model.
    warmup (int): Steps of linear growth.
    factor (float): Multiplies the rate.
    step (int): The step, counted from 0.
    RETURNS (float): The learning rate.
    """
    return factor * width**-0.5 * min((step + 1) ** -0.5, (step + 1) * warmup**-1.5)
