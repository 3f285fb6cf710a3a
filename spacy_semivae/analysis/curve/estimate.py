"""What more labels would give: an extrapolation of the curve, and no more than that.

The error (100 minus the score) is taken to fall as a power of the labelled Docs, error = a n^-b,
fitted by least squares of the logarithms to one run of each amount.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy

LEAST_AMOUNTS = 3
LEAST_ERROR = 0.01  # points; the logarithm needs one


@dataclass(frozen=True)
class Estimate:
    """What more labels would give.

    raw (int): Raw Docs of the model; 0 is the supervised twin.
    labeled (list[int]): Amounts of labelled Docs that the curve was fitted to.
    more (int): Labelled Docs beyond the largest amount.
    gains (list[float]): Points gained by the curve of each seed.
    """

    raw: int
    labeled: list[int]
    more: int
    gains: list[float]

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return float(numpy.mean(self.gains))


def extrapolate(labeled: Sequence[int], scores: Sequence[float], more: int) -> float:
    """Continue the curve of one seed.

    labeled (Sequence[int]): Amounts of labelled Docs, rising.
    scores (Sequence[float]): Their scores in per cent.
    more (int): Labelled Docs beyond the largest amount.
    RETURNS (float): By how many points the fitted curve rises.
    RAISES (ValueError): When there are too few amounts for a fit that says anything.
    """
    if len(labeled) < LEAST_AMOUNTS:
        raise ValueError(
            f"an extrapolation needs results of at least {LEAST_AMOUNTS} labelled amounts "
            f"(got {len(labeled)})"
        )
    errors = numpy.maximum(100 - numpy.array(scores), LEAST_ERROR)
    slope, intercept = numpy.polyfit(numpy.log(labeled), numpy.log(errors), 1)
    last = labeled[-1]
    before, after = numpy.exp(intercept + slope * numpy.log([last, last + more]))
    return float(before - after)
