"""The tables of docs/results.md that the CRF-VAE alone has, and the reliability plot."""

from pathlib import Path

import numpy
import srsly
from matplotlib import rcParams
from matplotlib.figure import Figure
from result_files import RESULTS, read_results

CORPORA = ("btc10", "btc100", "psl", "wnut")
LEAST_SPANS = 20  # a bin of fewer is not drawn
PLOT = Path(__file__).parent.parent / "docs" / "reliability.svg"


def make_calibration_table() -> str:
    """Make the table of the expected calibration error, and draw the reliability plot."""
    lines = [
        "| corpus | row | runs | spans of best paths | ECE | all above .05 | ECE |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    drawn: dict[str, numpy.ndarray] = {}
    for corpus in CORPORA:
        for row, runs in read_results(corpus).items():
            found = [run["calibration"] for run in runs if "calibration" in run]
            if not found:
                continue
            cells = [corpus, row, str(len(found))]
            for kind in ("path", "all"):
                bins = numpy.sum([run[kind] for run in found], axis=0)
                cells += [f"{bins[:, 0].sum():.0f}", f"{100 * calibration_error(bins):.1f} %"]
            lines.append(f"| {' | '.join(cells)} |")
            drawn[f"{corpus} {row}"] = bins
    draw_reliability(drawn)
    return "\n".join(lines)


def calibration_error(bins: numpy.ndarray) -> float:
    """Give the mean distance of probability and share of right spans, weighted by spans.

    bins (ndarray): Spans, sum of their probabilities, right ones, (10, 3).
    RETURNS (float): The error.
    """
    return float(abs(bins[:, 1] - bins[:, 2]).sum() / max(1, bins[:, 0].sum()))


def draw_reliability(drawn: dict[str, numpy.ndarray]) -> None:
    """Plot the share of right spans over their probability, next to the page."""
    rcParams["svg.hashsalt"] = PLOT.stem  # the same file each time
    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    for name, bins in drawn.items():
        bins = bins[bins[:, 0] >= LEAST_SPANS]
        axes.plot(bins[:, 1] / bins[:, 0], bins[:, 2] / bins[:, 0], marker=".", label=name)
    axes.set(xlabel="probability of a span", ylabel="share of right ones", title="Test, P > .05")
    axes.legend(fontsize="x-small")
    figure.savefig(PLOT, metadata={"Date": None})


def make_crf_speed_table() -> str:
    """Make the table of the CRF beside its peers."""
    lines = [
        "| B, N, C | task | ours, ms | pytorch-crf / ours | torch-struct / ours | bytes a score |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for row in srsly.read_jsonl(RESULTS / "speed-crf.jsonl"):
        if "ours_ms" not in row:
            continue
        ratios = [row.get(f"{peer}_ratio", "-") for peer in ("pytorch_crf", "torch_struct")]
        cells = [", ".join(map(str, row["shape"])), row["what"], row["ours_ms"], *ratios]
        lines.append(f"| {' | '.join(map(str, [*cells, row['bytes_per_score']]))} |")
    return "\n".join(lines)
