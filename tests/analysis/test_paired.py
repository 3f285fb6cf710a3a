import numpy
import pytest

from spacy_semivae.analysis.paired import compare_runs, f1, mean_score, precision, recall


def runs(rng, n, docs=40, *groups):
    gold = rng.integers(1, 6, size=(n, docs, *groups))
    right = rng.integers(0, gold + 1)
    return list(numpy.stack([right, right + rng.integers(0, 3, size=gold.shape), gold], axis=-1))


def test_scores_of_sums():
    assert f1(numpy.array([3, 4])) == 0.75
    assert f1(numpy.array([3, 4, 6])) == pytest.approx(2 * (3 / 4) * (3 / 6) / (3 / 4 + 3 / 6))
    assert precision(numpy.array([3, 4, 6])) == 0.75
    assert recall(numpy.array([3, 4, 6])) == 0.5
    assert f1(numpy.array([0, 0, 0])) == precision(numpy.array([0, 0, 0])) == 0


@pytest.mark.parametrize("groups", [(), (3,)])
def test_the_interval_is_that_of_resampled_docs(groups):
    rng = numpy.random.default_rng(3)
    first, second = runs(rng, 2, 40, *groups), runs(rng, 3, 40, *groups)
    found = compare_runs(first, second, resamples=4000)

    def difference(docs):
        means = [
            numpy.mean([f1(run[docs].sum(0)).mean() for run in group]) for group in (first, second)
        ]
        return 100 * (means[0] - means[1])

    assert found.mean == pytest.approx(difference(numpy.arange(40)))
    drawn = [difference(rng.integers(0, 40, size=40)) for _ in range(4000)]
    low, high = numpy.percentile(drawn, [2.5, 97.5])
    width = high - low
    assert found.low == pytest.approx(low, abs=0.07 * width)
    assert found.high == pytest.approx(high, abs=0.07 * width)


def test_docs_are_paired():
    rng = numpy.random.default_rng(0)
    first = runs(rng, 1)
    better = [run + 1 for run in first]
    paired = compare_runs(better, first)
    shuffled = compare_runs([run[rng.permutation(40)] for run in better], first)
    assert paired.high - paired.low < shuffled.high - shuffled.low
    assert 0 < paired.low < paired.mean < paired.high
    same = compare_runs(first, first)
    assert (same.mean, same.low, same.high) == (0, 0, 0)


def test_blocks_change_nothing(monkeypatch):
    rng = numpy.random.default_rng(1)
    first, second = runs(rng, 2), runs(rng, 2)
    whole = compare_runs(first, second, resamples=100)
    monkeypatch.setattr("spacy_semivae.analysis.paired.BLOCK", 7 * 40)
    assert compare_runs(first, second, resamples=100) == whole
    assert compare_runs(first, second, resamples=100, seed=1) != whole


def test_runs_may_have_groups_of_their_own():
    rng = numpy.random.default_rng(1)
    two, three = runs(rng, 1, 40, 2), runs(rng, 1, 40, 3)
    (mean,) = mean_score([*two, *three], numpy.ones((1, 40)))
    assert mean == pytest.approx((f1(two[0].sum(0)).mean() + f1(three[0].sum(0)).mean()) / 2)


@pytest.mark.parametrize(("first", "second"), [([], [5]), ([5], []), ([5], [6]), ([0], [0])])
def test_runs_on_other_docs_are_refused(first, second):
    groups = [[numpy.ones((docs, 3)) for docs in sizes] for sizes in (first, second)]
    with pytest.raises(ValueError, match="same Docs"):
        compare_runs(*groups)
