import sys

import pytest

from spacy_semivae.analysis.curve import plot
from spacy_semivae.analysis.curve.summary import summarize

pytest.importorskip("matplotlib")


@pytest.fixture
def draw(make_curve, tmp_path, monkeypatch):
    """Draw a curve; gives what stands in each panel."""
    from matplotlib.figure import Figure

    figures = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda f, path: (figures.append(f), save(f, path)))

    def draw(means, **settings):
        summary = summarize(make_curve(means, **settings))
        data = plot.draw_curve(summary, tmp_path).read_bytes()
        assert data.startswith(b"\x89PNG")
        return summary, figures[-1]

    return draw


def lines(axes):
    handles, labels = axes.get_legend_handles_labels()
    return {label: handle.lines[0].get_ydata().tolist() for handle, label in zip(handles, labels)}


def test_both_panels(draw):
    means = {(n, m): 0.5 + n / 1000 + m / 9000 for n in (50, 100, 1000) for m in (0, 90, 900)}
    summary, figure = draw(means)
    left, right = figure.axes
    assert list(lines(left)) == ["none (supervised)", "90", "900"]
    assert list(lines(right)) == ["50", "100", "1,000"]
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["50", "100", "1,000"]
    twins = [cell.mean for cell in summary.cells if cell.raw == 0]
    assert lines(left)["none (supervised)"] == twins
    assert lines(right)["50"] == [cell.mean for cell in summary.cells if cell.labeled == 50]
    assert figure.get_suptitle().replace("\n", " ") == summary.verdict


def test_panels_that_say_nothing_are_left_out(draw):
    _, figure = draw({(n, m): 0.5 for n in (50, 100) for m in (0, 90)})
    assert [axes.get_xlabel() for axes in figure.axes] == ["labelled Docs"]
    _, figure = draw({(50, m): 0.5 for m in (0, 90, 900)})
    assert [axes.get_xlabel() for axes in figure.axes] == ["raw Docs (0: the supervised twin)"]
    _, figure = draw({(50, 0): 0.5}, seeds=1)
    assert lines(figure.axes[0])["50"] != []


def test_without_matplotlib(monkeypatch):
    plot.check_matplotlib()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ValueError, match=r"pip install \"spacy-semivae\[report\]\", or --no-plot"):
        plot.check_matplotlib()
