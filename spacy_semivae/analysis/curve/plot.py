"""A picture of a curve: the score over labelled Docs, and over raw Docs."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from .summary import Cell, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURE = "curve.png"
TWIN_COLOR = "0.35"
SHADES = (0.08, 0.85)  # of the colour map: the lightest cannot be seen on white
DODGE = 0.06  # of the distance between amounts, so that bars do not cover each other


def check_matplotlib() -> None:
    """Refuse early where the picture could not be drawn.

    RAISES (ValueError): Without matplotlib.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ValueError(
            'a picture needs matplotlib: pip install "spacy-semivae[report]", or --no-plot'
        ) from error


def draw_curve(summary: Summary, output: Path) -> Path:
    """Draw the scores with their standard deviations over seeds.

    summary (Summary): What the curve says, with at least a cell.
    output (Path): The curve's folder.
    RETURNS (Path): The picture.
    """
    from matplotlib.figure import Figure

    labeled = sorted({cell.labeled for cell in summary.cells})
    raw = sorted({cell.raw for cell in summary.cells})
    panels = []
    if len(labeled) > 1:
        panels.append(("labeled", "raw", labeled, raw, "labelled Docs"))
    if len(raw) > 2 or not panels:  # with two amounts the other panel shows it all
        panels.append(("raw", "labeled", raw, labeled, "raw Docs (0: the supervised twin)"))
    figure = Figure(figsize=(1 + 5 * len(panels), 4.6), layout="constrained", dpi=150)
    drawn = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (x, line, places, lines, title) in zip(drawn, panels):
        _draw_panel(axes, summary.cells, x=x, line=line, places=places, lines=lines)
        axes.set_xlabel(title)
    drawn[0].set_ylabel(f"{summary.metric}, %, mean ± standard deviation of seeds")
    figure.suptitle(fill(summary.verdict, 60 * len(panels)), fontsize="medium")
    figure.savefig(output / PICTURE)
    return output / PICTURE


def _draw_panel(
    axes: "Axes",
    cells: Sequence[Cell],
    *,
    x: str,
    line: str,
    places: Sequence[int],
    lines: Sequence[int],
) -> None:
    from matplotlib import colormaps

    low, high = SHADES
    for i, value in enumerate(lines):
        row = [cell for cell in cells if getattr(cell, line) == value]
        shift = DODGE * (i - (len(lines) - 1) / 2)
        color: Any = colormaps["viridis"](low + (high - low) * i / max(1, len(lines) - 1))
        is_twin = line == "raw" and value == 0
        axes.errorbar(
            [places.index(getattr(cell, x)) + shift for cell in row],
            [cell.mean for cell in row],
            yerr=[cell.deviation or 0 for cell in row],
            label="none (supervised)" if is_twin else f"{value:,}",
            color=TWIN_COLOR if is_twin else color,
            linestyle="--" if is_twin else "-",
            marker="s" if is_twin else "o",
            markersize=4,
            capsize=3,
        )
    axes.set_xticks(range(len(places)), [f"{place:,}" for place in places])
    axes.grid(axis="y", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(title="raw Docs" if line == "raw" else "labelled Docs", fontsize="small")
