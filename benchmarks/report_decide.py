"""The tables of docs/results.md about what to label next, word lists, and probabilities."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy
import srsly
from result_files import RESULTS


def make_active_tables(folder: Path = RESULTS) -> str:
    """Make the tables of active.py: scores by labels, and the labels needed.

    folder (Path): The result files.
    RETURNS (str): Two tables a corpus, means over seeds.
    """
    curves: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(folder.glob("active-*.json")):
        run = srsly.read_json(path)
        curves[run["corpus"]][run["strategy"]].append(run["curve"])
    lines = []
    for corpus, strategies in curves.items():
        means = {}
        for strategy in sorted(strategies, key=lambda name: name != "random"):
            points = [
                (point[0], [p["score"] for p in point]) for point in zip(*strategies[strategy])
            ]
            means[strategy] = {p["labels"]: float(numpy.mean(scores)) for p, scores in points}
        if "random" in means:
            lines += [*make_score_rows(corpus, means), "", *make_needed_rows(corpus, means), ""]
    return "\n".join(lines)


def make_score_rows(corpus: str, means: dict[str, dict[int, float]]) -> list[str]:
    """Give the lines of the table of scores."""
    sizes = list(means["random"])
    lines = [f"| {corpus}, texts labelled | {' | '.join(map(str, sizes))} |"]
    lines.append("|---|" + "--:|" * len(sizes))
    for strategy, curve in means.items():
        cells = " | ".join(f"{100 * curve[size]:.1f}" for size in sizes)
        lines.append(f"| {strategy} | {cells} |")
    return lines


def make_needed_rows(corpus: str, means: dict[str, dict[int, float]]) -> list[str]:
    """Give the lines of the table of the labels that a strategy needs for a score."""
    doubled = [2 * size for size in means["random"] if 2 * size in means["random"]]
    head = " | ".join(f"random at {size}" for size in doubled)
    lines = [f"| {corpus}, labels needed to reach | {head} |", "|---|" + "--:|" * len(doubled)]
    for strategy, curve in means.items():
        if strategy != "random":
            found = [labels_needed(curve, means["random"][size]) for size in doubled]
            cells = " | ".join("not reached" if x is None else f"{x:.0f}" for x in found)
            lines.append(f"| {strategy} | {cells} |")
    return lines


def labels_needed(curve: dict[int, float], goal: float) -> float | None:
    """Give where a curve first reaches a score, by straight lines between its points."""
    before: tuple[int, float] | None = None
    for size, score in curve.items():
        if score >= goal:
            if before is None:
                return float(size)
            step = (goal - before[1]) / (score - before[1])
            return before[0] + step * (size - before[0])
        before = (size, score)
    return None


def make_bootstrap_table() -> str:
    """Make the table of bootstrap.py: the list itself and the recognizer, means over seeds."""
    groups = defaultdict(list)
    for path in sorted(
        [*RESULTS.glob("bootstrap-*.json"), *RESULTS.glob("probe-bootstrap-*.json")]
    ):
        groups[path.stem.rpartition("-")[0]].append(srsly.read_json(path))
    names = ("precision", "recall", "ents_f", "new_recall")
    lines = ["| run | seeds | who | precision | recall | F1 | recall off the list |"]
    lines.append("|---|--:|---|--:|--:|--:|--:|")
    for name, runs in groups.items():
        for who in ("ruler", "model"):
            cells = [spread([run[who][key] for run in runs]) for key in names]
            lines.append(f"| {name} | {len(runs)} | {who} | {' | '.join(cells)} |")
    return "\n".join(lines)


def make_curve_table() -> str:
    """Make the table of the curve over raw tweets, and give its sentence."""
    curve = srsly.read_json(RESULTS / "curve-twitter.json")
    lines = ["| raw tweets | seeds | accuracy | ± | gain | 95 % |", "|--:|--:|--:|--:|--:|--:|"]
    for row in curve["rows"]:
        cells = [f"{row['raw']:,}", str(row["seeds"])]
        cells += [f"{row['mean']:.2f}", f"{row['deviation']:.2f}"]
        if row["gain"] is None:
            cells += ["", ""]
        else:
            cells += [f"{row['gain']:+.2f}", f"{row['low']:+.2f} to {row['high']:+.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"> {curve['verdict']}"])


def make_calibrated_table() -> str:
    """Make the table of calibration.py: temperature, ECE and Brier score, before and after."""
    lines = ["| row | component | T | of | n | ECE | after | Brier | after |"]
    lines.append("|---|---|--:|---|--:|--:|--:|--:|--:|")
    for run in read_calibrations():
        for what, before in run["before"].items():
            after = run["after"][what]
            cells = [f"{run['corpus']} {run['row']}", run["component"], f"{run['temperature']:.2f}"]
            cells += [what, str(before["n"])]
            cells += [f"{100 * x:.1f} %" for x in (before["ece"], after["ece"])]
            cells += [f"{x:.3f}" for x in (before["brier"], after["brier"])]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def make_threshold_table() -> str:
    """Make the table of the thresholds of calibration.py on test."""
    lines = ["| row | label | threshold | predicted | precision | kept | precision |"]
    lines.append("|---|---|--:|--:|--:|--:|--:|")
    for run in read_calibrations():
        for label, found in run["thresholds"].items():
            cells = [f"{run['corpus']} {run['row']}", label]
            cells += [f"{found['threshold']:.2f}" if found["reached"] else "not reached"]
            cells += [str(found["predicted"]), share(found["right"], found["predicted"])]
            cells += [str(found["kept"]), share(found["right_kept"], found["kept"])]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def read_calibrations() -> Iterable[dict[str, Any]]:
    """Read the results of calibration.py."""
    return [srsly.read_json(path) for path in sorted(RESULTS.glob("calibration-*.json"))]


def share(part: int, whole: int) -> str:
    """Format a share in per cent."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def spread(values: list[float]) -> str:
    """Format a mean and, from two values on that differ, the standard deviation, in points."""
    mean = f"{100 * numpy.mean(values):.1f}"
    return f"{mean} ± {100 * numpy.std(values, ddof=1):.1f}" if len({*values}) > 1 else mean
