"""Write the tables of docs/results.md from benchmarks/results/.

    python benchmarks/report.py

Each table stands between `<!-- begin NAME -->` and `<!-- end NAME -->`; nothing in it is typed by
hand. Differences are between means over seeds, with a 95 % interval from a paired bootstrap over
the test set's Docs.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy
import srsly
from rows import ROWS

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parent.parent / "docs" / "results.md"
DEMO_RUNS = ("raw", "twin", "standard-raw", "standard-twin", "dropout-twin")
COMPARED = [
    ("hier", "baseline"),
    ("hier-raw", "baseline"),
    ("hier", "stock"),
    ("hier-raw", "hier-raw-alpha0"),
    ("hier-raw", "stock"),
]
RESAMPLES = 10_000


def read_results(corpus: str) -> dict[str, list[dict[str, Any]]]:
    """Read the finished runs of a corpus by row."""
    found = defaultdict(list)
    for path in sorted(RESULTS.glob(f"{corpus}-*.json")):
        result = srsly.read_json(path)
        found[result["row"]].append(result)
    return found


def score(counts: numpy.ndarray) -> numpy.ndarray:
    """Give accuracy (right, all) or F1 (right, predicted, gold) of sums, (..., columns)."""
    if counts.shape[-1] == 2:
        return counts[..., 0] / numpy.maximum(1, counts[..., 1])
    return 2 * counts[..., 0] / numpy.maximum(1, counts[..., 1] + counts[..., 2])


def bootstrap(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> tuple[float, float, float]:
    """Give the difference of mean scores in points and its 95 % interval."""
    runs_a, runs_b = (numpy.array([run["counts"] for run in runs]) for runs in (a, b))
    rng = numpy.random.default_rng(0)
    docs = runs_a.shape[1]
    picks = rng.multinomial(docs, [1 / docs] * docs, size=RESAMPLES)  # (resamples, docs)

    def mean_score(runs: numpy.ndarray, weights: numpy.ndarray) -> numpy.ndarray:
        return score(numpy.einsum("wd,rdc->wrc", weights, runs)).mean(1)

    drawn = 100 * (mean_score(runs_a, picks) - mean_score(runs_b, picks))
    whole = numpy.ones((1, docs), dtype="int64")
    observed = 100 * (mean_score(runs_a, whole) - mean_score(runs_b, whole))[0]
    low, high = numpy.percentile(drawn, [2.5, 97.5])
    return float(observed), float(low), float(high)


def spread(values: list[float]) -> str:
    """Format a mean and, from two values on, the standard deviation, in points."""
    mean = f"{100 * numpy.mean(values):.2f}"
    return mean if len(values) < 2 else f"{mean} ± {100 * numpy.std(values, ddof=1):.2f}"


def mean_term(runs: list[dict[str, Any]], when: str, term: str, sign: int) -> str:
    """Format a loss term of held-out raw text, averaged over seeds."""
    values = [run[when][term] for run in runs if term in run.get(when, {})]
    return f"{sign * numpy.mean(values):.2f}" if values else "-"


def make_table(corpus: str) -> str:
    """Make the table of a corpus, rows in the order of the queue, unfinished ones named."""
    found = read_results(corpus)
    lines = [
        "| row | seeds | dev | test | best update | held-out raw: log p(x) before | after | KL |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    missing = []
    for row in [row for row in ROWS if row.corpus.name == corpus]:
        runs = found.get(row.name, [])
        if len(runs) < len(row.seeds):
            missing.append(f"{row.name} ({len(runs)} of {len(row.seeds)})")
        if not runs:
            continue
        steps = ", ".join(str(run.get("best_step", "-")) for run in runs)
        cells = [
            row.name,
            str(len(runs)),
            spread([run["dev"] for run in runs]),
            spread([run["test"] for run in runs]),
            steps,
            mean_term(runs, "heldout_before", "unlabeled_reconstruction", -1),
            mean_term(runs, "heldout_after", "unlabeled_reconstruction", -1),
            mean_term(runs, "heldout_after", "unlabeled_kl", 1),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *compare(found)]
    if missing:
        lines += ["", f"Runs not (all) made: {', '.join(missing)}."]
    return "\n".join(lines)


def compare(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """List the differences between rows that are to be compared."""
    lines = []
    for first, second in COMPARED:
        if first in found and second in found:
            difference, low, high = bootstrap(found[first], found[second])
            lines.append(
                f"- {first} against {second}: {difference:+.2f} points on test "
                f"(95 % {low:+.2f} to {high:+.2f})"
            )
    return lines


def make_probe_table() -> str:
    """Make the table of the probes: where each stood at 1,000 updates and at its best."""
    lines = [
        "| settings | raw text | dev at 1,000 | SUP | KL | best dev | at update |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for probe in srsly.read_json(RESULTS / "probes.json"):
        at = next(row for row in probe["history"] if row["step"] == 1000)
        best = max(probe["history"], key=lambda row: row["dev"])
        settings = ", ".join(f"{k.split('.')[-1]} {v}" for k, v in probe["settings"].items())
        cells = [settings, probe["raw"], f"{at['dev']:.2f}", f"{at['supervised']:.2f}"]
        cells += [f"{at['kl']:.1f}", f"{best['dev']:.2f}", str(best["step"])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def make_demo_table() -> str:
    """Make the table of the demo with several settings on three grammars."""
    lines = [f"| grammar seed | {' | '.join(DEMO_RUNS)} | raw - twin |", f"|--:{'|--:' * 6}|"]
    for grammar in range(3):
        paths = [RESULTS / f"demo-{grammar}-{name}.json" for name in DEMO_RUNS]
        scores = [100 * srsly.read_json(path)["test"] if path.exists() else None for path in paths]
        cells = ["not run" if score is None else f"{score:.2f}" for score in scores]
        raw, twin = scores[:2]
        cells.append("-" if raw is None or twin is None else f"{raw - twin:+.2f}")
        lines.append(f"| {grammar} | {' | '.join(cells)} |")
    return "\n".join(lines)


def make_speed_table() -> str:
    """Make the table of words a second."""
    lines = [
        "| | threads | ours, words/s | stock, words/s | ratio | lowest | highest |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in srsly.read_jsonl(RESULTS / "speed-vsl-twitter.jsonl"):
        lines.append(f"| {' | '.join(str(value) for value in row.values())} |")
    return "\n".join(lines)


def main() -> None:
    """Replace every table of the page."""
    page = PAGE.read_text(encoding="utf8")
    tables = {corpus: make_table(corpus) for corpus in dict.fromkeys(r.corpus.name for r in ROWS)}
    tables["probes"] = make_probe_table()
    tables["demo"] = make_demo_table()
    tables["speed"] = make_speed_table()
    for name, table in tables.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        if begin not in page:
            raise ValueError(f"{PAGE.name} has no line '{begin}'")
        start, stop = page.index(begin), page.index(end)
        page = f"{page[:start]}{begin}\n{table}\n{page[stop:]}"
    PAGE.write_text(page, encoding="utf8")
    print(f"Wrote {PAGE.name}")


if __name__ == "__main__":
    main()
