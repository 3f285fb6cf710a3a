import pytest

from spacy_semivae.analysis.curve.plan import Point, plan_points, read_labeled, read_raw


def test_a_twin_is_there_once():
    points = plan_points([10, 20], [5, 50], [0, 1])
    assert len(points) == len({point.name for point in points}) == 2 * 2 * 3
    assert [p.raw for p in points if (p.seed, p.labeled) == (1, 20)] == [0, 5, 50]
    assert [point.seed for point in points] == [0] * 6 + [1] * 6
    assert str(Point(2, 1000, 0)) == "1,000 labelled, 0 raw, seed 2"


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("25%,50%,75%,100%", [50, 100, 150, 200]),
        ("200, 50,100", [50, 100, 200]),
        ("all,100%,200,1", [1, 200]),
        ("0.6%", [1]),
    ],
)
def test_labelled_amounts(text, amounts):
    assert read_labeled(text, 200) == amounts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("201", r"must not exceed the 200 that the config reads \(got '201'\)"),
        ("50,101%", "must not exceed the 200"),
        ("0", r"must be at least 1 \(got '0' of 200 Docs\)"),
        ("0.1%", "must be at least 1"),
        ("-5", r"must not be negative \(got '-5'\)"),
        ("many", r"a number, a share such as 25%, or all \(got 'many'\)"),
        ("50,", r"a share such as 25%, or all \(got ''\)"),
        ("1.5", r"\(got '1.5'\)"),
        ("nan%", r"\(got 'nan%'\)"),
        ("inf%", r"\(got 'inf%'\)"),
    ],
)
def test_wrong_labelled_amounts(text, message):
    with pytest.raises(ValueError, match=message):
        read_labeled(text, 200)


def test_raw_amounts():
    assert read_raw("0,1000,all", 5000, labeled=200) == [1000, 5000]
    assert read_raw("10%", 5000, labeled=200) == [500]
    assert read_raw(None, 5000, labeled=200) == [200, 400, 5000]
    assert read_raw(None, 300, labeled=200) == [200, 300]
    assert read_raw(None, 50, labeled=200) == [50]
    assert read_raw(None, 400, labeled=200) == [200, 400]


def test_wrong_raw_amounts():
    with pytest.raises(ValueError, match=r"above 0 \(got '0'\)"):
        read_raw("0", 5000, labeled=200)
    with pytest.raises(ValueError, match=r"amount of raw Docs must not exceed the 5,000"):
        read_raw("0,30000", 5000, labeled=200)
