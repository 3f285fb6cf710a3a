"""Figures as Plotly draws them, without colours of text and paper: those are the page's."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from ..reliability import Reliability

# Okabe and Ito's colours, told apart by the colour-blind on light and dark paper alike
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star")
DASHES = ("solid", "dash", "dot", "dashdot")
FLAT = 1e-3  # share of a value below which a change is none
REST = "#888888"
MARGIN = {"l": 44, "r": 8, "t": 8, "b": 40}
SMALL = {"l": 44, "r": 8, "t": 4, "b": 28}

Lines = Mapping[str, tuple[Sequence[int], Sequence[float | None]]]


def draw_lines(lines: Lines, *, unit: str, small: bool = False, zero: bool = False) -> go.Figure:
    """Draw values over steps.

    lines (Mapping): Steps and values by name.
    unit (str): Of the values.
    small (bool): Whether the figure is one of a row.
    zero (bool): Whether the axis begins at zero.
    RETURNS (Figure): The figure.
    """
    figure = make_figure(170 if small else 300, margin=SMALL if small else MARGIN)
    mode = "lines" if max((len(steps) for steps, _ in lines.values()), default=0) > 30 else None
    for i, (name, (steps, values)) in enumerate(lines.items()):
        figure.add_scatter(
            x=list(steps),
            y=list(values),
            name=escape(name),
            mode=mode or "lines+markers",
            line={"color": COLORS[i % len(COLORS)], "dash": DASHES[i % len(DASHES)], "width": 2},
            hovertemplate="step %{x}: %{y:.4~g}<extra></extra>" if small else None,
        )
    figure.update_layout(showlegend=len(lines) > 1, hovermode="x unified")
    known = [value for _, values in lines.values() for value in values if value is not None]
    if known and max(known) - min(known) < FLAT * abs(max(known)):  # not a picture of rounding
        figure.update_yaxes(range=sorted((0.9 * max(known), 1.1 * max(known))))
    figure.update_xaxes(title=None if small else "step", nticks=5 if small else None)
    figure.update_yaxes(title=None if small else unit, rangemode="tozero" if zero else None)
    return figure


def draw_units(steps: Sequence[int], kl: NDArray[np.float64]) -> go.Figure:
    """Draw the KL of latent units over steps.

    steps (Sequence[int]): The steps.
    kl (ndarray): Nats of each unit at each step, (steps, Z); the order of units is kept.
    RETURNS (Figure): A heat map.
    """
    figure = make_figure(max(240, min(560, 60 + 12 * kl.shape[1])))
    figure.add_heatmap(
        x=[str(step) for step in steps],
        z=np.round(kl.T, 4).tolist(),
        colorbar=color_bar("nats"),
        hovertemplate="step %{x}, unit %{y}: %{z:.3f} nats<extra></extra>",
    )
    figure.update_xaxes(title="step", type="category", nticks=8, showgrid=False)
    dtick = max(1, kl.shape[1] // 8)
    figure.update_yaxes(
        title="unit, most KL at the top", dtick=dtick, showgrid=False, zeroline=False
    )
    return figure


def draw_points(
    points: NDArray[np.float64], labels: Sequence[str], words: Sequence[str], order: Sequence[str]
) -> go.Figure:
    """Draw points in the plane, each a colour and a sign by its label.

    points (ndarray): Where they are, (n, 2).
    labels (Sequence[str]): Their labels.
    words (Sequence[str]): What is shown under the pointer.
    order (Sequence[str]): The labels that have a colour; others are the rest.
    RETURNS (Figure): A scatter plot.
    """
    figure = make_figure(460, margin={"l": 8, "r": 8, "t": 8, "b": 8})
    known = set(order)
    for i, label in enumerate([*order, None]):
        chosen = [j for j, y in enumerate(labels) if (y == label if label else y not in known)]
        if not chosen:
            continue
        figure.add_scatter(
            x=np.round(points[chosen, 0], 3).tolist(),
            y=np.round(points[chosen, 1], 3).tolist(),
            mode="markers",
            name=escape(label or "other"),
            text=[f"{escape(words[j])} · {escape(labels[j])}" for j in chosen],
            hovertemplate="%{text}<extra></extra>",
            marker={
                "color": COLORS[i % len(COLORS)] if label else REST,
                "symbol": SYMBOLS[i % len(SYMBOLS)],
                "size": 6,
                "opacity": 0.8,
            },
        )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure


def draw_confusion(counts: NDArray[np.int64], names: Sequence[str]) -> go.Figure:
    """Draw what is taken for what.

    counts (ndarray): Of each class in its row how often each was predicted, (C, C).
    names (Sequence[str]): The classes.
    RETURNS (Figure): A heat map of shares of the rows, with counts in its cells if these are few.
    """
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    few, shown = len(names) <= 8, [escape(shorten(name)) for name in names]
    figure = make_figure(min(640, 190 + 22 * len(names)), margin={"l": 8, "r": 8, "t": 8, "b": 8})
    figure.add_heatmap(
        x=list(range(len(names))),
        y=list(range(len(names))),
        z=np.round(shares, 4).tolist(),
        text=counts.tolist(),
        customdata=[[f"{escape(gold)} as {escape(found)}" for found in names] for gold in names],
        texttemplate="%{text}" if few else None,
        zmin=0,
        zmax=1,
        colorbar=color_bar("share"),
        hovertemplate="%{customdata}: %{text} (%{z:.1%})<extra></extra>",
    )
    ticks = {
        "tickvals": list(range(len(names))),
        "ticktext": shown,
        "automargin": True,
        "showgrid": False,
    }
    figure.update_xaxes(title="predicted", tickangle=-90 if len(names) > 4 else 0, **ticks)
    figure.update_yaxes(title="annotated", autorange="reversed", **ticks)
    return figure


def draw_reliability(found: Mapping[str, Reliability]) -> go.Figure:
    """Draw accuracy over probability; the closer to the diagonal, the better.

    found (Mapping[str, Reliability]): The bins by name.
    RETURNS (Figure): A line each, and the predictions of the last one's bins below.
    """
    figure = make_figure(420, margin={**MARGIN, "l": 60})
    line = {"color": REST, "dash": "dot", "width": 1}
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line=line,
        name="right as often as it says",
        hoverinfo="skip",
    )
    for i, (name, bins) in enumerate(found.items()):
        full = bins.counts > 0
        figure.add_scatter(
            x=np.round(bins.confidence[full], 4).tolist(),
            y=np.round(bins.accuracy[full], 4).tolist(),
            customdata=bins.counts[full].tolist(),
            mode="lines+markers",
            name=escape(name),
            line={"color": COLORS[i], "dash": DASHES[i]},
            marker={"symbol": SYMBOLS[i], "size": 8},
            hovertemplate="P %{x:.2f}: %{y:.1%} right of %{customdata}<extra></extra>",
        )
        width = 1 / len(bins.counts)
        figure.add_bar(
            x=((np.arange(len(bins.counts)) + 0.5) * width).tolist(),
            y=bins.counts.tolist(),
            yaxis="y2",
            showlegend=False,
            marker={"color": COLORS[i]},
            hovertemplate="P %{x:.2f}: %{y} predictions<extra></extra>",
        )
    figure.update_layout(
        xaxis={"title": "probability", "range": [0, 1], "anchor": "y2"},
        yaxis={"title": "share that is right", "range": [0, 1.02], "domain": [0.28, 1]},
        yaxis2={"title": "times", "domain": [0, 0.18], "nticks": 3, "anchor": "x"},
        bargap=0.15,
    )
    return figure


def make_figure(height: int, *, margin: Mapping[str, int] = MARGIN) -> go.Figure:
    """Begin a figure.

    height (int): In pixels; the width is the page's.
    margin (Mapping[str, int]): Around the axes, in pixels.
    RETURNS (Figure): Without data.
    """
    return go.Figure(
        layout={
            "template": go.layout.Template(),  # Plotly's own would be in the page once a figure
            "height": height,
            "margin": dict(margin),
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
            "dragmode": False,
        }
    )


def color_bar(title: str) -> dict[str, Any]:
    """RETURNS (dict): A narrow scale of colours."""
    return {"title": {"text": title}, "thickness": 10, "outlinewidth": 0, "xpad": 4}


def shorten(name: str, size: int = 16) -> str:
    """RETURNS (str): At most this many characters of a name."""
    return name if len(name) <= size else f"{name[: size - 1]}…"
