import csv

import pytest
import srsly

from spacy_semivae.analysis.curve.plan import Point
from spacy_semivae.analysis.curve.summary import summarize, write_summary

RISING = {(50, 0): 0.6, (100, 0): 0.7, (200, 0): 0.75, (50, 90): 0.7}
RISING |= {(100, 90): 0.75, (200, 90): 0.85}


def test_a_gain(make_curve):
    summary = summarize(make_curve(RISING))
    assert summary.unit == "points of accuracy"
    last = summary.cells[-1]
    assert (last.labeled, last.raw, len(last.scores)) == (200, 90, 3)
    twin = next(cell for cell in summary.cells if (cell.labeled, cell.raw) == (200, 0))
    assert (twin.gain, twin.gains) == (None, [])
    assert last.gain.mean == pytest.approx(last.mean - twin.mean)
    assert last.gain.low < last.gain.mean < last.gain.high
    gains = [last.scores[seed] - twin.scores[seed] for seed in range(3)]
    assert last.gains == pytest.approx(gains)
    expected = (
        f"Raw text adds +{last.gain.mean:.1f} points of accuracy "
        f"(95 % {last.gain.low:.1f} to {last.gain.high:.1f}; seeds {min(last.gains):+.1f} to "
        f"{max(last.gains):+.1f}) at 200 labels with 90 raw texts."
    )
    assert summary.verdict == expected


def test_no_gain(make_curve):
    verdict = summarize(make_curve({(200, 0): 0.75, (200, 90): 0.752})).verdict
    assert verdict.startswith("No gain seen: +")
    assert verdict.endswith("at 200 labels with 90 raw texts.")
    worse = summarize(make_curve({(200, 0): 0.85, (200, 90): 0.7})).verdict
    assert worse.startswith("Raw text lowers the score: -1")
    assert "; one seed)" in summarize(make_curve({(9, 0): 0.5, (9, 90): 0.7}, seeds=1)).verdict


def test_a_gain_that_not_every_seed_has(make_curve):
    curve = make_curve({(200, 0): 0.75, (200, 90): 0.85})
    results = curve.results
    for raw in (0, 90):  # in seed 0 the other way round
        results[Point(3, 200, raw)] = results[Point(0, 200, 90 - raw)]
    summary = summarize(curve)
    assert summary.cells[-1].gain.low > 0
    assert summary.verdict.startswith("No gain seen")


def test_points_that_failed(make_curve):
    curve = make_curve(RISING, failed={Point(1, 200, 90): "ValueError: bad"})
    del curve.results[Point(1, 200, 90)], curve.results[Point(2, 200, 0)]
    summary = summarize(curve)
    assert summary.failed == {"200 labelled, 90 raw, seed 1": "ValueError: bad"}
    last = summary.cells[-1]
    assert sorted(last.scores) == [0, 2]
    assert len(last.gains) == 1  # of the seed that has a twin
    nothing = summarize(make_curve({(50, 0): 0.6}, failed={Point(0, 50, 90): "x"}))
    assert nothing.verdict.startswith("No comparison")
    assert summarize(make_curve({})).cells == []


def test_more_labels_are_an_extrapolation(make_curve):
    summary = summarize(make_curve(RISING), more=50)
    assert [estimate.raw for estimate in summary.estimates] == [0, 90]
    assert all(len(estimate.gains) == 3 for estimate in summary.estimates)
    mean = summary.estimates[1].mean
    assert summary.outlook.startswith("Extrapolation, not a measurement: 50 more labels would give")
    assert f"{mean:+.1f} points of accuracy (seeds" in summary.outlook
    assert "with 90 raw texts, by a power law of the error at 50, 100, 200 labels." in (
        summary.outlook
    )
    assert "far beyond the curve" in summarize(make_curve(RISING), more=201).outlook
    few = summarize(make_curve({key: v for key, v in RISING.items() if key[0] > 50}))
    assert few.estimates == []
    assert few.outlook == (
        "No estimate of what more labels would give: an extrapolation needs results of at least 3 "
        "labelled amounts (got 2)."
    )


def test_files(make_curve, tmp_path):
    summary = summarize(make_curve(RISING))
    write_summary(summary, tmp_path)
    with (tmp_path / "curve.csv").open(encoding="utf8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 6
    assert (rows[0]["labeled"], rows[0]["raw"], rows[0]["gain"]) == ("50", "0", "")
    assert float(rows[-1]["low"]) == summary.cells[-1].gain.low
    found = srsly.read_json(tmp_path / "summary.json")
    assert found["verdict"] == summary.verdict
    assert found["rows"][-1]["mean"] == pytest.approx(summary.cells[-1].mean)
    assert found["cells"][-1]["scores"].keys() == {"0", "1", "2"}
    assert found["estimates"][0]["labeled"] == [50, 100, 200]
