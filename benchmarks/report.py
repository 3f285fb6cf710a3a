"""Write the tables of docs/results.md and docs/curve.md from benchmarks/results/.

    pip install matplotlib scipy
    python benchmarks/report.py

Each table stands between `<!-- begin NAME -->` and `<!-- end NAME -->`; nothing in it is typed by
hand. Differences are between means over seeds, with a 95 % interval from a paired bootstrap over
the test set's Docs.
"""

from pathlib import Path
from typing import Any

import numpy
import report_crf
import report_decide
import report_ssvae
import srsly
from result_files import RESULTS, make_probe_table, read_results
from rows import ROWS as VSL_ROWS
from rows_crf import ROWS as CRF_ROWS
from rows_ssvae import ROWS as SSVAE_ROWS

from spacy_semivae.analysis.paired import compare_runs

ROWS = [*VSL_ROWS, *CRF_ROWS, *SSVAE_ROWS]
DOCS = Path(__file__).parent.parent / "docs"
DEMO_RUNS = ("raw", "twin", "standard-raw", "standard-twin", "dropout-twin")
COMPARED = [
    ("hier", "baseline"),
    ("hier-raw", "baseline"),
    ("hier", "stock"),
    ("hier-raw", "hier-raw-alpha0"),
    ("hier-raw", "stock"),
    ("s", "stock"),
    ("mt", "s"),
    ("mt-simple", "s"),
    ("mf", "s"),
    ("ae-exact", "s"),
    ("ae-approx", "s"),
    ("mt-imdb", "s"),
    ("s-trained", "s"),
    ("mt-trained", "s-trained"),
    ("s", "stock-transformer"),
    ("ratio", "naive"),
    ("s-prior", "naive"),
    ("mt-prior", "s-prior"),
    ("ratio-trained", "rival"),
    ("s-prior-trained", "rival"),
    ("s-prior-trained", "rival-annotated"),
    ("s-prior-minilm", "rival-annotated"),
    ("s-prior", "rival-annotated"),
    ("mt-prior-trained", "s-prior-trained"),
    ("ii", "lstm"),
    ("ii", "ii-labeled"),
    ("ii", "tfidf-lr"),
    ("ii-s2", "ii"),
    ("ii-s2-long", "ii"),
    ("ii-s1", "ii"),
    ("ii", "vanilla"),
    ("ii", "i"),
    ("ii-lm", "ii"),
    ("ii-lm", "lm-lstm"),
    ("ii-long", "lstm-long"),
    ("ii-lm-long", "ii-long"),
    ("ii-lm-long", "lm-lstm-long"),
    ("ii-lm", "tfidf-lr"),
    ("ii-s2-lm", "lm-lstm"),
    ("ii-s2-lm", "tfidf-lr"),
    ("ii-minilm", "minilm"),
    ("ii-minilm", "minilm-lr"),
    ("ii", "stock-bow"),
]


def spread(values: list[float]) -> str:
    """Format a mean and, from two values on, the standard deviation, in points."""
    mean = f"{100 * numpy.mean(values):.2f}"
    return mean if len(values) < 2 else f"{mean} ± {100 * numpy.std(values, ddof=1):.2f}"


def mean_term(runs: list[dict[str, Any]], when: str, term: str, sign: int) -> str:
    """Format a loss term of held-out raw text, averaged over seeds."""
    terms = [
        {k.removeprefix("unlabeled_"): v for k, v in run.get(when, {}).items()} for run in runs
    ]
    values = [found[term] for found in terms if term in found]
    return f"{sign * numpy.mean(values):.2f}" if values else "-"


def make_table(corpus: str) -> str:
    """Make the table of a corpus, rows in the order of the queue, unfinished ones named."""
    found = read_results(corpus)
    lines = [
        "| row | seeds | dev | test | best update | held-out raw: log p(x) before | after | KL |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    missing = []
    wanted = {row.name: len(row.seeds) for row in ROWS if row.corpus.name == corpus}
    for name in dict.fromkeys([*wanted, *found]):  # peers have scripts of their own
        runs = found.get(name, [])
        if len(runs) < wanted.get(name, 0):
            missing.append(f"{name} ({len(runs)} of {wanted[name]})")
        if not runs:
            continue
        steps = ", ".join(str(run.get("best_step", "-")) for run in runs)
        cells = [
            name,
            str(len(runs)),
            spread([run["dev"] for run in runs]),
            spread([run["test"] for run in runs]),
            steps,
            mean_term(runs, "heldout_before", "reconstruction", -1),
            mean_term(runs, "heldout_after", "reconstruction", -1),
            mean_term(runs, "heldout_after", "kl", 1),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *compare(found)]
    times = [
        f"{name} {minutes(runs)}"
        for name, runs in found.items()
        if name.endswith(("-trained", "-minilm"))
    ]
    peers = [f"{name} {minutes(runs)}" for name, runs in found.items() if "rival" in name]
    if times + peers:
        lines += ["", f"Minutes on one core, probes included: {', '.join(times + peers)}."]
    if missing:
        lines += ["", f"Runs not (all) made: {', '.join(missing)}."]
    return "\n".join(lines)


def minutes(runs: list[dict[str, Any]]) -> str:
    """Give the mean CPU time of runs, or `-` where only wall time was taken."""
    taken = [run["cpu_seconds"] / 60 for run in runs if "cpu_seconds" in run]
    return f"{numpy.mean(taken):.1f}" if taken else "-"


def compare(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """List the differences between rows that are to be compared."""
    lines = []
    for first, second in COMPARED:
        if first in found and second in found:
            runs = ([numpy.array(run["counts"]) for run in found[name]] for name in (first, second))
            gain = compare_runs(*runs)
            lines.append(
                f"- {first} against {second}: {gain.mean:+.2f} points on test "
                f"(95 % {gain.low:+.2f} to {gain.high:+.2f})"
            )
    return lines


def make_vsl_probe_table() -> str:
    """Make the table of the VSL's probes: where each stood at 1,000 updates and at its best."""
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
        cells = [f"{x:.2f}" if isinstance(x, float) else str(x) for x in row.values()]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Replace every table."""
    fill("curve.md", {"curve-twitter": report_decide.make_curve_table()})
    tables = {corpus: make_table(corpus) for corpus in dict.fromkeys(r.corpus.name for r in ROWS)}
    tables["probes"] = make_vsl_probe_table()
    tables["demo"] = make_demo_table()
    tables["speed"] = make_speed_table()
    tables["probes-crf"] = make_probe_table(report_crf.CORPORA)
    tables["calibration"] = report_crf.make_calibration_table()
    tables["speed-crf"] = report_crf.make_crf_speed_table()
    tables["probes-ssvae"] = make_probe_table(report_ssvae.CORPORA)
    tables["discrimination"] = report_ssvae.make_discrimination_table()
    tables["speed-ssvae"] = report_ssvae.make_speed_tables()
    tables["active"] = report_decide.make_active_tables()
    tables["bootstrap"] = report_decide.make_bootstrap_table()
    tables["calibrated"] = report_decide.make_calibrated_table()
    tables["thresholds"] = report_decide.make_threshold_table()
    fill("results.md", tables)


def fill(page: str, tables: dict[str, str]) -> None:
    """Replace tables of a page.

    page (str): Its name.
    tables (dict): The tables by their name.
    """
    path = DOCS / page
    text = path.read_text(encoding="utf8")
    for name, table in tables.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        if begin not in text:
            raise ValueError(f"{page} has no line '{begin}'")
        start, stop = text.index(begin), text.index(end)
        text = f"{text[:start]}{begin}\n{table}\n{text[stop:]}"
    path.write_text(text, encoding="utf8")
    print(f"Wrote {page}")


if __name__ == "__main__":
    main()
