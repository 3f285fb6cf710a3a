"""Figures."""

import numpy as np
import pytest

from spacy_semivae.analysis.reliability import Judged, measure
from spacy_semivae.analysis.report import plots


def test_each_label_has_a_look_of_its_own():
    labels = [f"L{i}" for i in range(14)]
    figure = plots.draw_points(np.zeros((14, 2)), labels, labels, labels[:12])
    looks = {(trace.marker.color, trace.marker.symbol) for trace in figure.data[:12]}
    assert len(looks) == 12
    assert figure.data[-1].name == "other"
    assert len(figure.data[-1].x) == 2


def test_shares_are_those_of_the_row():
    figure = plots.draw_confusion(np.array([[3, 1], [0, 0]]), ["a", "b"])
    assert [list(row) for row in figure.data[0].z] == [[0.75, 0.25], [0, 0]]


def test_reliability_leaves_out_empty_bins():
    bins = measure(Judged(np.array([0.95, 0.96]), np.array([True, False])))
    figure = plots.draw_reliability({"now": bins})
    assert list(figure.data[1].x) == pytest.approx([0.955])
    assert list(figure.data[1].y) == [0.5]


def test_rounding_is_not_drawn_as_change():
    flat = plots.draw_lines({"a": ([1, 2], [1.38629, 1.38630])}, unit="")
    assert flat.layout.yaxis.range[0] < 1.3
    steep = plots.draw_lines({"a": ([1, 2], [1.0, 2.0])}, unit="")
    assert steep.layout.yaxis.range is None
    gaps = plots.draw_lines({"a": ([1, 2, 3], [None, 1.0, None])}, unit="")
    assert list(gaps.data[0].y) == [None, 1.0, None]
    assert not plots.draw_lines({}, unit="").data


def test_long_names_are_cut_before_they_are_escaped():
    figure = plots.draw_confusion(np.array([[1, 0], [0, 1]]), ["<" * 30, "a"])
    assert figure.data[0].x == (0, 1)
    assert figure.layout.xaxis.ticktext == ("&lt;" * 15 + "…", "a")
