"""A weight of the KL that finds itself."""

import math
from dataclasses import dataclass

from spacy.util import registry


@dataclass(frozen=True)
class AdaptiveBeta:
    """Raise beta while the best paths have too little of O, lower it while they have too much.

    The KL works in a narrow band: too little and a tagger that never saw O forgets it, too much
    and everything becomes O. What the band is depends on corpus and encoder; the share of O that
    the text should have does not. The expected share would be no guide: it meets the prior's also
    where the KL is so strong that the text has no say.

    start (float): The first value.
    rate (float): Change of log beta at each update, times the gap of the shares.
    target (float | None): The share of O wanted; None takes that of the fully annotated Docs, or
        what `entity_ratio_target` leaves.
    low (float): The smallest value.
    high (float): The largest value.
    """

    start: float
    rate: float
    target: float | None
    low: float
    high: float

    def step(self, beta: float, decoded: float, target: float) -> float:
        """Give the next value.

        beta (float): The present one.
        decoded (float): The share of O in the best paths.
        target (float): The share wanted.
        RETURNS (float): The next one.
        """
        moved = beta * math.exp(self.rate * (target - decoded))
        return round_digits(min(self.high, max(self.low, moved)))


def round_digits(value: float, digits: int = 6) -> float:
    """Keep what survives as JSON, so that a run that is resumed goes on as if it never stopped.

    value (float): A number.
    digits (int): How many are kept; at most 12, as its readers err in the last ones.
    RETURNS (float): The same to these digits.
    """
    return float(f"{value:.{digits}g}")


@registry.misc("semivae.AdaptiveBeta.v1")
def create_adaptive_beta(
    start: float = 0.3,
    rate: float = 0.1,
    target: float | None = None,
    low: float = 1e-4,
    high: float = 10.0,
) -> AdaptiveBeta:
    """Create a beta that adapts until the share of O in the best paths meets its target.

    start (float): The first value.
    rate (float): Change of log beta at each update, times the gap of the shares.
    target (float | None): The share of O wanted; None takes that of the fully annotated Docs, or
        what `entity_ratio_target` leaves.
    low (float): The smallest value.
    high (float): The largest value.
    RETURNS (AdaptiveBeta): The setting.
    RAISES (ValueError): When the values do not fit.
    """
    if not 0 < low <= start <= high:
        raise ValueError(f"need 0 < low <= start <= high, but got {low}, {start} and {high}")
    if target is not None and not 0 < target < 1:
        raise ValueError(f"target is a share between 0 and 1, but got {target}")
    return AdaptiveBeta(float(start), float(rate), target, float(low), float(high))
