"""Gaussians against torch.distributions, sampling and finite moments."""

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from spacy_semivae.modules.gaussian import Gaussian


def random_gaussian(*shape, dtype=torch.float64):
    return Gaussian(torch.randn(shape, dtype=dtype), torch.randn(shape, dtype=dtype))


def as_torch(gaussian):
    return Independent(Normal(gaussian.mean, torch.exp(0.5 * gaussian.log_var)), 1)


@pytest.mark.parametrize("shape", [(5, 3), (2, 4, 3), (1, 1)])
def test_kl_equals_torch(shape):
    q, p = random_gaussian(*shape), random_gaussian(*shape)
    torch.testing.assert_close(q.unit_kl(p).sum(-1), kl_divergence(as_torch(q), as_torch(p)))


def test_kl_broadcasts_the_prior():
    q, p = random_gaussian(5, 3), random_gaussian(1, 3)
    expected = kl_divergence(as_torch(q), as_torch(Gaussian(p.mean.expand(5, 3), p.log_var)))
    torch.testing.assert_close(q.unit_kl(p).sum(-1), expected)


def test_kl_is_the_mean_log_ratio_of_samples():
    q, p = random_gaussian(2), random_gaussian(2)
    draws = as_torch(q).sample((200_000,))
    ratio = as_torch(q).log_prob(draws) - as_torch(p).log_prob(draws)
    error = float(ratio.std() / len(draws) ** 0.5)
    assert float(q.unit_kl(p).sum(-1)) == pytest.approx(float(ratio.mean()), abs=5 * error)
    assert error < 0.05 * float(q.unit_kl(p).sum(-1))


def test_kl_to_itself_is_zero():
    q = random_gaussian(4, 3)
    assert not q.unit_kl(q).any()


def test_rsample_moments():
    q = random_gaussian(3)
    wide = Gaussian(q.mean.expand(100_000, 3), q.log_var.expand(100_000, 3))
    draws = wide.rsample()
    variance = q.log_var.exp()
    error = (variance / len(draws)).sqrt()
    assert bool(((draws.mean(0) - q.mean).abs() < 5 * error).all())
    torch.testing.assert_close(draws.var(0), variance, rtol=0.03, atol=0)


def test_rsample_gradient():
    mean, log_var = (torch.randn(4, 3, dtype=torch.float64, requires_grad=True) for _ in "ab")
    noise_seed = 7

    def draw(mean, log_var):
        torch.manual_seed(noise_seed)
        return Gaussian(mean, log_var).rsample()

    assert torch.autograd.gradcheck(draw, (mean, log_var))
    sample = draw(mean, log_var)
    by_mean, by_log_var = torch.autograd.grad(sample.sum(), (mean, log_var))
    assert torch.equal(by_mean, torch.ones_like(mean))
    torch.testing.assert_close(by_log_var, 0.5 * (sample - mean).detach())


def test_pack_and_unpack():
    q = random_gaussian(2, 4, 3)
    packed = q.pack()
    assert packed.shape == (2, 4, 6)
    assert torch.equal(packed[..., :3], q.mean)
    back = Gaussian.unpack(packed)
    assert torch.equal(back.mean, q.mean)
    assert torch.equal(back.log_var, q.log_var)


def test_standard_is_the_unit_gaussian():
    like = torch.randn(5, 3, dtype=torch.float64)
    p = Gaussian.standard(like)
    assert p.mean.dtype == torch.float64
    q = random_gaussian(5, 3)
    unit = Independent(Normal(torch.zeros_like(like), torch.ones_like(like)), 1)
    torch.testing.assert_close(q.unit_kl(p).sum(-1), kl_divergence(as_torch(q), unit))


def test_detach_cuts_the_graph():
    mean = torch.zeros(2, requires_grad=True)
    q = Gaussian(mean, mean + 1).detach()
    assert not q.mean.requires_grad
    assert not q.log_var.requires_grad
    assert torch.equal(q.log_var, torch.ones(2))
