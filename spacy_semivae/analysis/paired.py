"""Differences between runs that were measured on the same Docs: a paired bootstrap over the Docs.

A run is described by its counts of each Doc, so that the score of any choice of Docs is a function
of sums. Columns are (right, all), or (right, predicted, gold).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

CountsT = NDArray[Any]
ScoreT = Callable[[CountsT], NDArray[numpy.float64]]
RESAMPLES = 10_000
BLOCK = 5_000_000  # weights held at once


@dataclass(frozen=True)
class Difference:
    """The difference of two mean scores with its 95 % interval, in points (per cent).

    mean (float): The difference.
    low (float): Lower end of the interval.
    high (float): Upper end of the interval.
    """

    mean: float
    low: float
    high: float


def f1(counts: CountsT) -> NDArray[numpy.float64]:
    """Give the F1 of (right, predicted, gold), or the accuracy of (right, all).

    counts (ndarray): Sums over Docs, (..., 2 or 3).
    RETURNS (ndarray): The scores from 0 to 1, (...).
    """
    if counts.shape[-1] == 2:
        return counts[..., 0] / numpy.maximum(1, counts[..., 1])
    return 2 * counts[..., 0] / numpy.maximum(1, counts[..., 1] + counts[..., 2])


def precision(counts: CountsT) -> NDArray[numpy.float64]:
    """Give the precision of (right, predicted, gold).

    counts (ndarray): Sums over Docs, (..., 3).
    RETURNS (ndarray): The scores from 0 to 1, (...).
    """
    return counts[..., 0] / numpy.maximum(1, counts[..., 1])


def recall(counts: CountsT) -> NDArray[numpy.float64]:
    """Give the recall of (right, predicted, gold).

    counts (ndarray): Sums over Docs, (..., 3).
    RETURNS (ndarray): The scores from 0 to 1, (...).
    """
    return counts[..., 0] / numpy.maximum(1, counts[..., 2])


def compare_runs(
    first: Sequence[CountsT],
    second: Sequence[CountsT],
    *,
    score: ScoreT = f1,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """Compare the mean scores of two groups of runs, for example of one seed each.

    Docs are drawn with replacement, the same ones for every run. The interval says how far other
    Docs of this kind could move the difference; how far other seeds could is not in it.

    first (Sequence[ndarray]): Counts of each run, (Docs, ..., columns). The mean is taken over axes
        in between, such as classes.
    second (Sequence[ndarray]): Those of the runs that the first are compared with.
    score (Callable): Sums over Docs to scores.
    resamples (int): Draws.
    seed (int): Seed of the draws.
    RETURNS (Difference): First minus second.
    RAISES (ValueError): Without runs, or when they were not measured on as many Docs.
    """
    sizes = {len(run) for run in (*first, *second)}
    if not first or not second or len(sizes) != 1 or 0 in sizes:
        raise ValueError(
            "a paired test needs runs of both kinds on the same Docs: got "
            f"{[len(run) for run in first]} and {[len(run) for run in second]} Docs"
        )
    (docs,) = sizes
    drawn = numpy.concatenate(
        [
            mean_score(first, weights, score) - mean_score(second, weights, score)
            for weights in _draw(docs, resamples, seed)
        ]
    )
    low, high = 100 * numpy.percentile(drawn, [2.5, 97.5])
    whole = numpy.ones((1, docs))
    (observed,) = 100 * (mean_score(first, whole, score) - mean_score(second, whole, score))
    return Difference(float(observed), float(low), float(high))


def mean_score(
    runs: Sequence[CountsT], weights: NDArray[numpy.float64], score: ScoreT = f1
) -> NDArray[numpy.float64]:
    """Give the mean score of runs under several weightings of the Docs.

    runs (Sequence[ndarray]): Counts of each run, (Docs, ..., columns).
    weights (ndarray): How often each Doc counts, (weightings, Docs).
    score (Callable): Sums over Docs to scores.
    RETURNS (ndarray): Scores from 0 to 1, (weightings,).
    """
    scores = [score(numpy.tensordot(weights, run.astype("float64"), axes=1)) for run in runs]
    return numpy.mean([each.reshape(len(weights), -1).mean(1) for each in scores], axis=0)


def _draw(docs: int, resamples: int, seed: int) -> Iterator[NDArray[numpy.float64]]:
    rng = numpy.random.default_rng(seed)
    size = max(1, BLOCK // docs)
    for start in range(0, resamples, size):
        picks = rng.multinomial(docs, [1 / docs] * docs, size=min(size, resamples - start))
        yield picks.astype("float64")
