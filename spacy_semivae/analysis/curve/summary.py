"""From the results of a curve to its table, its verdict, and files of both."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy
import srsly

from ...training.files import replacing
from ..doc_counts import METRICS
from ..paired import Difference, compare_runs
from .curve import Curve
from .estimate import Estimate, extrapolate
from .plan import Point

TABLE, SUMMARY = "curve.csv", "summary.json"
COLUMNS = ("labeled", "raw", "seeds", "mean", "deviation", "gain", "low", "high")


@dataclass(frozen=True)
class Cell:
    """The runs of one labelled and one raw amount.

    labeled (int): Labelled Docs.
    raw (int): Raw Docs; 0 is the supervised twin.
    scores (dict[int, float]): Score in per cent by seed.
    gain (Difference | None): What it is above the twin, over the seeds that both have; None for
        the twin, and where there is no such seed.
    gains (list[float]): The same of each of these seeds.
    """

    labeled: int
    raw: int
    scores: dict[int, float]
    gain: Difference | None
    gains: list[float]

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return float(numpy.mean(list(self.scores.values())))

    @property
    def deviation(self) -> float | None:
        """The standard deviation over seeds, None of a single one."""
        values = list(self.scores.values())
        return float(numpy.std(values, ddof=1)) if len(values) > 1 else None


@dataclass(frozen=True)
class Summary:
    """What a curve says.

    metric (str): What was measured.
    cells (list[Cell]): The amounts that have a result, rising.
    verdict (str): Whether raw text helps, in a sentence.
    estimates (list[Estimate]): What more labels would give without and with raw text; none where
        the points are too few.
    outlook (str): The same in a sentence, or why there is no estimate.
    failed (dict[str, str]): What went wrong with other points.
    """

    metric: str
    cells: list[Cell]
    verdict: str
    estimates: list[Estimate]
    outlook: str
    failed: dict[str, str]

    @property
    def unit(self) -> str:
        """What a point of the metric is called."""
        return METRICS[self.metric].unit


def summarize(curve: Curve, *, more: int = 100) -> Summary:
    """Compare the points of a curve.

    curve (Curve): The curve.
    more (int): Labels for which the curve is continued.
    RETURNS (Summary): What it says.
    """
    unit = METRICS[curve.metric].unit
    cells = [
        cell for n in curve.labeled for m in curve.raw if (cell := make_cell(curve, n, m)).scores
    ]
    estimates, problem = make_estimates(cells, more)
    outlook = problem or describe_estimates(estimates, unit)
    failed = {str(point): error for point, error in curve.failed.items()}
    return Summary(curve.metric, cells, make_verdict(cells, unit), estimates, outlook, failed)


def make_cell(curve: Curve, labeled: int, raw: int) -> Cell:
    """Collect the runs of one labelled and one raw amount, and test them against their twins.

    curve (Curve): The curve.
    labeled (int): Labelled Docs.
    raw (int): Raw Docs.
    RETURNS (Cell): The runs.
    """
    found = {p.seed: r for p, r in curve.results.items() if (p.labeled, p.raw) == (labeled, raw)}
    scores = {seed: 100 * float(result["score"]) for seed, result in found.items()}
    if raw == 0:
        return Cell(labeled, raw, scores, None, [])
    twins = {seed: curve.results.get(Point(seed, labeled, 0)) for seed in found}
    pairs = [(found[seed], twin) for seed, twin in twins.items() if twin is not None]
    gains = [100 * float(run["score"] - twin["score"]) for run, twin in pairs]
    first, second = ([numpy.array(pair[i]["counts"]) for pair in pairs] for i in (0, 1))
    test = METRICS[curve.metric].score
    return Cell(
        labeled, raw, scores, compare_runs(first, second, score=test) if pairs else None, gains
    )


def make_verdict(cells: Sequence[Cell], unit: str) -> str:
    """Say whether raw text helps, at the most labelled and the most raw Docs that were compared.

    A gain is one where the interval is above 0 and so is every seed: the interval of a paired test
    over Docs alone does not say how far seeds differ.

    cells (Sequence[Cell]): The amounts, rising.
    unit (str): What a point is called.
    RETURNS (str): A sentence.
    """
    compared = [cell for cell in cells if cell.gain is not None]
    if not compared:
        return "No comparison: no amount has a result both with and without raw text."
    cell = compared[-1]
    gain: Any = cell.gain
    seeds = f"seeds {min(cell.gains):+.1f} to {max(cell.gains):+.1f}"
    sure = f"(95 % {interval(gain)}; {seeds if len(cell.gains) > 1 else 'one seed'})"
    at = f"at {cell.labeled:,} labels with {cell.raw:,} raw texts"
    if gain.low > 0 and min(cell.gains) > 0:
        return f"Raw text adds +{gain.mean:.1f} {unit} {sure} {at}."
    if gain.high < 0 and max(cell.gains) < 0:
        return f"Raw text lowers the score: {gain.mean:.1f} {unit} {sure} {at}."
    return f"No gain seen: {gain.mean:+.1f} {unit} {sure} {at}."


def make_estimates(cells: Sequence[Cell], more: int) -> tuple[list[Estimate], str]:
    """Continue the curves without raw text and with the most of it, each seed for itself.

    cells (Sequence[Cell]): The amounts, rising.
    more (int): Labels beyond the most.
    RETURNS (tuple[list[Estimate], str]): The estimates, or why there is none.
    """
    estimates = []
    try:
        for raw in sorted({0, max((cell.raw for cell in cells), default=0)}):
            row = [cell for cell in cells if cell.raw == raw]
            labeled = [cell.labeled for cell in row]
            seeds = set.intersection(*(set(cell.scores) for cell in row)) if row else set()
            scores = {seed: [cell.scores[seed] for cell in row] for seed in sorted(seeds)}
            gains = [extrapolate(labeled, found, more) for found in scores.values() or [[]]]
            estimates.append(Estimate(raw, labeled, more, gains))
    except ValueError as error:
        return [], f"No estimate of what more labels would give: {error}."
    return estimates, ""


def describe_estimates(estimates: Sequence[Estimate], unit: str) -> str:
    """Say what more labels would give.

    estimates (Sequence[Estimate]): The estimates, at least one.
    unit (str): What a point is called.
    RETURNS (str): A sentence that calls it an extrapolation.
    """
    parts = []
    for estimate in estimates:
        spread = f" (seeds {min(estimate.gains):+.1f} to {max(estimate.gains):+.1f})"
        raw = f"with {estimate.raw:,} raw texts" if estimate.raw else "without raw text"
        parts.append(
            f"{estimate.mean:+.1f} {unit}{spread if len(estimate.gains) > 1 else ''} {raw}"
        )
    first = estimates[0]
    far = ", far beyond the curve" if first.more > first.labeled[-1] else ""
    amounts = ", ".join(f"{n:,}" for n in first.labeled)
    return (
        f"Extrapolation, not a measurement{far}: {first.more:,} more labels would give about "
        f"{' and '.join(parts)}, by a power law of the error at {amounts} labels."
    )


def make_rows(summary: Summary) -> list[dict[str, Any]]:
    """Make the rows of the table, with the columns `COLUMNS`.

    summary (Summary): What the curve says.
    RETURNS (list[dict[str, Any]]): A row for each cell.
    """
    return [
        {
            "labeled": cell.labeled,
            "raw": cell.raw,
            "seeds": len(cell.scores),
            "mean": cell.mean,
            "deviation": cell.deviation,
            "gain": cell.gain and cell.gain.mean,
            "low": cell.gain and cell.gain.low,
            "high": cell.gain and cell.gain.high,
        }
        for cell in summary.cells
    ]


def write_summary(summary: Summary, output: Path) -> None:
    """Write the table as CSV, and all as JSON.

    summary (Summary): What the curve says.
    output (Path): The curve's folder.
    """
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, COLUMNS)
    writer.writeheader()
    writer.writerows(make_rows(summary))
    text = srsly.json_dumps({**asdict(summary), "rows": make_rows(summary)}, indent=2)
    for name, content in ((TABLE, table.getvalue()), (SUMMARY, text)):
        with replacing(output / name) as stream:
            stream.write(content.encode())


def interval(gain: Difference) -> str:
    """RETURNS (str): The interval of a difference in words."""
    return f"{gain.low:.1f} to {gain.high:.1f}"
