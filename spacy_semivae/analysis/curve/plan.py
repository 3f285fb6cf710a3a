"""Which runs make up a curve: amounts of labelled Docs, each without and with raw ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

LABELED = "25%,50%,75%,100%"


@dataclass(frozen=True, order=True)
class Point:
    """One training run of a curve.

    seed (int): Seed of weights, of the noise and of the choice of labelled Docs.
    labeled (int): Labelled Docs.
    raw (int): Raw Docs; 0 is the supervised twin.
    """

    seed: int
    labeled: int
    raw: int

    @property
    def name(self) -> str:
        """The name of the point's folder."""
        return f"labeled-{self.labeled}-raw-{self.raw}-seed-{self.seed}"

    def __str__(self) -> str:
        return f"{self.labeled:,} labelled, {self.raw:,} raw, seed {self.seed}"


def plan_points(labeled: Sequence[int], raw: Sequence[int], seeds: Sequence[int]) -> list[Point]:
    """List the runs of a curve; the twin of a labelled amount is there once for all raw amounts.

    labeled (Sequence[int]): Amounts of labelled Docs.
    raw (Sequence[int]): Amounts of raw Docs.
    seeds (Sequence[int]): The seeds.
    RETURNS (list[Point]): The runs; all of a seed before those of the next.
    """
    return [Point(seed, n, m) for seed, n, m in product(seeds, labeled, sorted({0, *raw}))]


def read_labeled(text: str, available: int) -> list[int]:
    """Read amounts of labelled Docs.

    text (str): Amounts with commas: a number, a share such as 25%, or all.
    available (int): How many there are.
    RETURNS (list[int]): The amounts, rising.
    RAISES (ValueError): For an amount that is not one, is 0, or is more than there are.
    """
    amounts = _read_amounts(text, available, "labelled")
    if 0 in amounts:
        raise ValueError(
            f"an amount of labelled Docs must be at least 1 (got {text!r} of {available} Docs)"
        )
    return amounts


def read_raw(text: str | None, available: int, *, labeled: int) -> list[int]:
    """Read amounts of raw Docs.

    text (str | None): Amounts as of labelled Docs. None is as many as there are labelled Docs,
        twice as many, and all, as far as there are so many.
    available (int): How many there are.
    labeled (int): How many labelled Docs there are.
    RETURNS (list[int]): The amounts, rising, without 0, which is there anyhow.
    RAISES (ValueError): For an amount that is not one or is more than there are, and where nothing
        but 0 is asked for.
    """
    if text is None:
        return sorted(n for n in {labeled, 2 * labeled, available} if n <= available)
    amounts = [n for n in _read_amounts(text, available, "raw") if n]
    if not amounts:
        raise ValueError(f"a curve needs at least one amount of raw Docs above 0 (got {text!r})")
    return amounts


def _read_amounts(text: str, available: int, what: str) -> list[int]:
    return sorted({_read_amount(part.strip(), available, what) for part in text.split(",")})


def _read_amount(text: str, available: int, what: str) -> int:
    try:
        if text == "all":
            amount = available
        elif text.endswith("%"):
            amount = round(available * float(text[:-1]) / 100)
        else:
            amount = int(text)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"an amount of {what} Docs must be a number, a share such as 25%, or all (got {text!r})"
        ) from error
    if amount < 0:
        raise ValueError(f"an amount of {what} Docs must not be negative (got {text!r})")
    if amount > available:
        raise ValueError(
            f"an amount of {what} Docs must not exceed the {available:,} that the config reads "
            f"(got {text!r})"
        )
    return amount
