import pytest

from spacy_semivae.analysis.curve.estimate import extrapolate


def test_a_power_law_is_continued_exactly():
    labeled = [50, 100, 200]
    scores = [100 - 80 * n**-0.3 for n in labeled]
    assert extrapolate(labeled, scores, 100) == pytest.approx(80 * (200**-0.3 - 300**-0.3))


def test_a_curve_that_falls_or_is_perfect():
    assert extrapolate([50, 100, 200], [90, 85, 80], 100) < 0
    assert extrapolate([50, 100, 200], [100, 100, 100], 100) == pytest.approx(0)


@pytest.mark.parametrize("labeled", [[], [50], [50, 100]])
def test_too_few_points(labeled):
    with pytest.raises(ValueError, match=rf"at least 3 labelled amounts \(got {len(labeled)}\)"):
        extrapolate(labeled, [80.0] * len(labeled), 100)
