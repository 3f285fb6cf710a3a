"""Weights of loss terms: a number, a function of the step, or one of Thinc's generators."""

from collections.abc import Callable, Iterator
from typing import Any

WeightSetting = float | Callable[[int], float] | Iterator[float]


class Weight:
    """The value of a loss term's weight at every step.

    name (str): The setting, for messages.
    setting (WeightSetting): A number, a schedule of ours, or a generator (Thinc's schedules).
    RAISES (ValueError): For anything else.
    """

    def __init__(self, name: str, setting: WeightSetting) -> None:
        is_number = isinstance(setting, int | float) and not isinstance(setting, bool)
        if not (is_number or callable(setting) or isinstance(setting, Iterator)):
            raise ValueError(f"{name} must be a number or a schedule, but got {setting!r}")
        self.setting = setting
        self.drawn: list[float] = []

    def at(self, step: int) -> float:
        """Give the weight.

        step (int): Updates finished before.
        RETURNS (float): The weight; a generator that has ended keeps its last value.
        """
        if isinstance(self.setting, int | float):
            return float(self.setting)
        if callable(self.setting):
            return float(self.setting(step))
        while len(self.drawn) <= step:
            last = self.drawn[-1] if self.drawn else 0.0
            self.drawn.append(float(next(self.setting, last)))
        return self.drawn[step]

    def __getstate__(self) -> dict[str, Any]:
        # a generator cannot be copied or pickled: the copy keeps what was drawn, then is constant
        state = dict(self.__dict__)
        if isinstance(self.setting, Iterator) and not callable(self.setting):
            state["setting"] = iter(())
        return state
