"""What is set after training: a temperature for the probabilities, and thresholds of labels."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from .adaptive import round_digits
from .labeled import LabeledPipe

DIGITS = 12


class CalibratedPipe(LabeledPipe):
    """A component whose probabilities can be calibrated, and whose labels can have thresholds.

    has_thresholds (bool): Whether the latter have a meaning for what it predicts.
    """

    has_thresholds = False

    def reset_trust(self) -> None:
        """Forget temperature and thresholds: new weights need new ones."""
        self.cfg.update(calibration_temperature=1.0, thresholds={})

    @property
    def calibration_temperature(self) -> float:
        """What scores are divided by where probabilities are given; it changes no label."""
        return round_digits(self.cfg["calibration_temperature"], DIGITS)

    def calibrate(self, temperature: float) -> None:
        """Set the temperature.

        temperature (float): Above 0; above 1 it makes probabilities less sure.
        RAISES (ValueError): For another value, and where thresholds are set.
        """
        if not 0 < temperature < math.inf:
            raise ValueError(f"a calibration temperature is above 0, but got {temperature}")
        if self.thresholds:
            raise ValueError(
                f"Component '{self.name}' has thresholds, which were chosen for its present "
                "probabilities: take them off (a precision of 0), calibrate, and choose them anew"
            )
        self.cfg["calibration_temperature"] = temperature

    @contextmanager
    def tempered(self, temperature: float) -> Iterator[None]:
        """Let probabilities have another temperature for a while.

        temperature (float): Above 0.
        """
        present = self.cfg["calibration_temperature"]
        self.cfg["calibration_temperature"] = temperature
        try:
            yield
        finally:
            self.cfg["calibration_temperature"] = present

    @property
    def thresholds(self) -> dict[str, float]:
        """The probability that a prediction of a label must exceed, by label; 0 for the others."""
        return {k: round_digits(v, DIGITS) for k, v in self.cfg["thresholds"].items()}

    def set_thresholds(self, thresholds: Mapping[str, float]) -> None:
        """Set the thresholds.

        thresholds (Mapping[str, float]): From 0, every prediction, to 1, none, by label.
        RAISES (ValueError): For an unknown label, another value, and where they have no meaning.
        """
        wrong = {k: v for k, v in thresholds.items() if k not in self.labels or not 0 <= v <= 1}
        if wrong:
            raise ValueError(
                f"Component '{self.name}': a threshold of a label is from 0 to 1, but got {wrong}; "
                f"the labels are {list(self.labels)}"
            )
        if thresholds and not self.has_thresholds:
            raise ValueError(f"Component '{self.name}': only entities and cats have thresholds")
        self.cfg["thresholds"] = {k: float(v) for k, v in thresholds.items() if v > 0}
