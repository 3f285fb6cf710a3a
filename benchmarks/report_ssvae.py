"""The tables of docs/results.md that the SSVAE alone has."""

import re
from collections.abc import Iterable
from typing import Any

import srsly
from result_files import RESULTS, read_results
from scipy.stats import spearmanr

CORPORA = ("news200", "news800", "imdb")


def make_discrimination_table() -> str:
    """Make the table of D and its rank correlation with the dev score over evaluations."""
    lines = [
        "| corpus | row | seed | evaluations | D, first | D, last | highest KL of a unit "
        "| Spearman of D and dev score |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for corpus in CORPORA:
        for row, runs in read_results(corpus).items():
            for run in runs:
                history = list(read_log(run.get("log", [])))
                found = [(h["CATS_DISCRIMINATION"], h["CATS_SCORE"]) for h in history if "KL" in h]
                if len(found) < 3:
                    continue
                D, scores = zip(*found)
                cells = [corpus, row, str(run["seed"]), str(len(found)), f"{D[0]:.1f}"]
                cells += [f"{D[-1]:.1f}", f"{history[-1]['UNIT KL']:.3f}"]
                cells.append(f"{spearmanr(D, scores).statistic:.2f}")
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def read_log(lines: list[str]) -> Iterable[dict[str, float]]:
    """Read the rows of a training log by the names of their columns.

    lines (list[str]): The head and the rows.
    YIELDS (dict[str, float]): The columns of a row.
    """
    names: list[str] = []
    for line in lines:
        if line.split()[0] == "E":
            names = re.split(r"\s{2,}", line.strip())  # some names hold a space
        else:
            yield dict(zip(names, map(float, line.split())))


def make_speed_tables() -> str:
    """Make a table of each part of speed_ssvae.py."""
    parts: dict[str, list[dict[str, Any]]] = {}
    for row in srsly.read_jsonl(RESULTS / "speed-ssvae.jsonl"):
        parts.setdefault(row.pop("what"), []).append(row)
    return "\n\n".join(f"{part}:\n\n{make_rows(rows)}" for part, rows in parts.items())


def make_rows(rows: list[dict[str, Any]]) -> str:
    """Make a table of rows; columns are the keys of all."""
    names = [n for n in dict.fromkeys(key for row in rows for key in row) if n != "device"]
    lines = [f"| {' | '.join(n.replace('_', ' ') for n in names)} |", f"|{'--:|' * len(names)}"]
    lines += [f"| {' | '.join(show(row.get(name, '-')) for name in names)} |" for row in rows]
    return "\n".join(lines)


def show(value: Any) -> str:
    """Format a cell."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
