"""Sampled expectations against the exact one, with costs that are known."""

import math

import pytest
import torch

from spacy_semivae.modules.label_samples import BASELINES, LabelSampler, draw_labels

LOGITS = torch.tensor([1.0, -0.5, 0.3, -2.0], dtype=torch.float64)
COSTS = torch.tensor([5.0, 9.0, 6.0, 20.0], dtype=torch.float64)
MANY = 40_000
USUAL = 7.0


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def make(**changes):
    cfg = {"marginal": "sample", "samples": 2, "replacement": True, "baseline": "none"}
    return LabelSampler(**{**cfg, "usual": -USUAL, **changes}).train()


def slopes(sampler, copies=MANY):
    """Estimates and gradients for the logits, a row a copy; and gradients for the costs."""
    logits = LOGITS.repeat(copies, 1).requires_grad_()
    costs = COSTS.repeat(copies, 1).requires_grad_()
    draws = sampler(logits.log_softmax(1))
    usual = sampler.usual_cost(torch.ones(copies).double())
    expected = draws.expect(costs.gather(1, draws.labels), usual)
    return expected.detach(), *torch.autograd.grad(expected.sum(), [logits, costs])


def exact():
    q = LOGITS.softmax(0)
    mean = q @ COSTS
    return mean, q * (COSTS - mean), q


def test_all_classes_are_exact():
    found = slopes(make(marginal="exact"), 3)
    for values, expected in zip(found, exact()):
        torch.testing.assert_close(values, expected.expand(values.shape))


@pytest.mark.parametrize("samples", [4, 9])
def test_all_classes_without_replacement_are_exact(samples):
    found = slopes(make(samples=samples, replacement=False), 3)
    for values, expected in zip(found, exact()):
        torch.testing.assert_close(values, expected.expand(values.shape))


def test_evaluation_looks_at_every_class():
    draws = make(samples=1).eval()(LOGITS.expand(2, 4).log_softmax(1))
    assert draws.labels.tolist() == [[0, 1, 2, 3]] * 2
    torch.testing.assert_close(draws.shares, LOGITS.softmax(0).expand(2, 4))


@pytest.mark.parametrize(
    ("baseline", "samples", "factor"),
    [
        ("none", 1, 1.0),
        ("none", 3, 1.0),
        ("length", 1, 1.0),
        ("mean", 2, 1 / 2),
        ("mean", 4, 3 / 4),
        ("leave_one_out", 2, 1.0),
        ("leave_one_out", 3, 1.0),
    ],
)
def test_expectations_of_independent_draws(baseline, samples, factor):
    found = slopes(make(baseline=baseline, samples=samples))
    for values, expected, scale in zip(found, exact(), (1, factor, 1)):
        error = 4.5 * values.std(0) / math.sqrt(MANY)
        assert ((values.mean(0) - scale * expected).abs() < error).all()
        assert (error < 0.1 * (0.2 + expected.abs())).any()  # it could tell 1/2 from 1


@pytest.mark.parametrize("baseline", ["length", "mean", "leave_one_out"])
@pytest.mark.parametrize("samples", [2, 5])
def test_baselines_lower_the_variance(baseline, samples):
    variances = [
        slopes(make(baseline=name, samples=samples), 5000)[1].var(0).sum()
        for name in (baseline, "none")
    ]
    assert variances[0] < 0.7 * variances[1]


def test_draws_follow_q():
    labels = draw_labels(LOGITS.expand(MANY, 4), 2, replacement=True)
    shares = torch.bincount(labels.flatten(), minlength=4) / labels.numel()
    torch.testing.assert_close(shares, LOGITS.softmax(0).float(), atol=0.01, rtol=0)
    twice = (labels[:, 0] == labels[:, 1]).double().mean()
    torch.testing.assert_close(twice, LOGITS.softmax(0).square().sum(), atol=0.02, rtol=0)


def test_distinct_draws():
    labels = draw_labels(LOGITS.expand(MANY, 4), 2, replacement=False)
    assert (labels[:, 0] != labels[:, 1]).all()
    q = LOGITS.softmax(0)
    first = sum(q[i] * q[0] / (1 - q[i]) for i in range(1, 4)) + q[0]  # that class 0 is drawn
    found = (labels == 0).any(1).double().mean()
    torch.testing.assert_close(found, first, atol=0.01, rtol=0)
    draws = make(replacement=False)(LOGITS.expand(5, 4).log_softmax(1))
    expected = LOGITS[draws.labels].exp()
    torch.testing.assert_close(draws.shares, expected / expected.sum(1, keepdim=True))


def test_draws_are_repeatable():
    def draw(seed):
        generator = torch.Generator().manual_seed(seed)
        return draw_labels(LOGITS.expand(20, 4), 2, replacement=True, generator=generator).tolist()

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_no_texts():
    for changes in ({}, {"replacement": False}, {"marginal": "exact"}):
        draws = make(**changes)(torch.zeros(0, 4))
        assert draws.expect(torch.zeros(draws.labels.shape)).shape == (0,)


def test_usual_cost_is_fitted_in_training():
    sampler = make(baseline="length")
    for _ in range(300):
        sampler.fit(torch.tensor([6.0, 20.0]), torch.tensor([2, 4]))
    assert sampler.usual.item() == pytest.approx(-4.0, rel=1e-3)
    torch.testing.assert_close(sampler.usual_cost(torch.tensor([3.0])), torch.tensor([[12.0]]))
    sampler.fit(torch.zeros(0), torch.zeros(0))
    sampler.eval().fit(torch.tensor([100.0]), torch.tensor([1]))
    assert sampler.usual.item() == pytest.approx(-4.0, rel=1e-3)
    other = make()
    other.fit(torch.tensor([100.0]), torch.tensor([1]))
    assert other.usual.item() == -USUAL
    assert other.usual_cost(torch.ones(2)) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"marginal": "some"}, "'some'"),
        ({"baseline": "best"}, "'best'"),
        ({"baseline": "mean", "samples": 1}, "samples >= 2, but got 1"),
        ({"baseline": "leave_one_out", "samples": 1}, "samples >= 2, but got 1"),
        ({"samples": 0}, "samples >= 1, but got 0"),
        ({"replacement": False, "samples": 1}, "samples >= 2, but got 1"),
        ({"replacement": False, "baseline": "mean"}, "but got 'mean'"),
    ],
)
def test_settings_that_do_not_fit(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_exact_takes_any_other_setting():
    assert all(make(marginal="exact", samples=1, baseline=name).exact for name in BASELINES)
