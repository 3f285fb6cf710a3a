"""What a page is made of."""

import json

import numpy as np
import pytest

from spacy_semivae.analysis.report.blocks import Plot, percent
from spacy_semivae.analysis.report.plots import draw_points


def test_a_figure_cannot_end_its_script():
    evil = "</script><script>alert(1)</script>"
    figure = draw_points(np.zeros((3, 2)), [evil, "a", "b"], [evil] * 3, [evil, "a"])
    text = Plot(figure, "").json
    assert "<" not in text
    names = [trace["name"] for trace in json.loads(text)["data"]]
    assert names == ["&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;", "a", "other"]


@pytest.mark.parametrize(("share", "text"), [(0.5, "50.0"), (1, "100.0"), (0, "0.0"), (None, "-")])
def test_shares_are_in_percent(share, text):
    assert percent(share) == text
