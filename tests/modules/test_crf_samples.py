"""Samples of the CRF: their frequencies, and relaxed ones as marginals of perturbed scores."""

import math

import pytest
import torch

from spacy_semivae.modules import chain
from spacy_semivae.modules.crf import LinearChainCRF, gumbel

DRAWS = 6000
NEVER = float("-inf")


def assert_frequencies(drawn, paths):
    """Compare drawn paths with q: no forbidden one, and a chi-square within five deviations."""
    powers = paths.tag_count ** torch.arange(paths.tags.shape[1])
    order = (paths.tags * powers).sum(1).argsort()
    counts = torch.bincount((drawn * powers).sum(1), minlength=len(order)).double()
    expected = paths.q[order].double() * len(drawn)
    assert len(counts) == len(order)
    assert not counts[expected == 0].any()
    often = expected >= 5
    observed = torch.cat((counts[often], counts[~often].sum()[None]))
    expected = torch.cat((expected[often], expected[~often].sum()[None]))
    chi = ((observed - expected) ** 2 / expected.clamp(min=1)).sum().item()
    freedom = max(int(often.sum()), 1)
    assert chi < freedom + 5 * math.sqrt(2 * freedom)


@pytest.fixture
def draw_many(make_batch, all_paths):
    """Gives a function to a CRF in which each of four documents stands DRAWS times."""

    def draw(tags, **settings):
        emissions, lengths, scores = make_batch(tags, lengths=(3, 0, 1, 4), **settings)
        found = all_paths(emissions, lengths, scores)
        docs = torch.arange(4).repeat(DRAWS)  # neighbours differ in length
        crf = LinearChainCRF(emissions[docs], lengths[docs], **scores)
        return crf, found

    return draw


@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize(("tags", "forbid"), [(2, 0.0), (3, 0.5)])
def test_frequencies_of_samples_are_q(tags, forbid, forced, draw_many, monkeypatch):
    if forced:
        monkeypatch.setattr(chain, "SAFE", dict.fromkeys(chain.SAFE, (0.0, 0.0, 0.0, 0.0)))
    crf, found = draw_many(tags, forbid=forbid, masked=0.2)
    assert crf.log_space_share() == forced
    sample = crf.sample(torch.Generator().manual_seed(5))
    assert sample.shape == (4 * DRAWS, 4)
    assert sample.dtype == torch.int64
    for doc, paths in enumerate(found):
        length = paths.tags.shape[1]
        assert_frequencies(sample[doc::4, :length], paths)
        assert not sample[doc::4, length:].any()


def test_the_bound_on_frequencies_finds_another_distribution(draw_many, enumerate_paths):
    crf, found = draw_many(2)
    sample = crf.sample(torch.Generator().manual_seed(5))
    found[0].scores = found[0].scores + 0.4 * found[0].tags[:, 1]
    with pytest.raises(AssertionError):
        assert_frequencies(sample[::4, :3], found[0])


def test_samples_repeat_with_the_generator(make_batch):
    emissions, lengths, scores = make_batch(4)
    crf = LinearChainCRF(emissions, lengths, **scores)
    draws = [crf.sample(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    relaxed = [
        crf.relaxed_sample(0.5, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    ]
    assert torch.equal(relaxed[0], relaxed[1])
    assert not torch.equal(relaxed[0], relaxed[2])


@pytest.mark.parametrize("forbid", [0.0, 0.5])
@pytest.mark.parametrize("temperature", [0.1, 0.66, 3.0])
def test_relaxed_sample_equals_enumeration(temperature, forbid, make_batch, all_paths):
    emissions, lengths, scores = make_batch(3, forbid=forbid, masked=forbid / 2)
    noise = torch.randn(emissions.shape, dtype=torch.float64)
    crf = LinearChainCRF(emissions, lengths, **scores)
    got = crf.relaxed_sample(temperature, noise=noise)
    cold = {name: x / temperature for name, x in scores.items()}
    found = all_paths((emissions + noise) / temperature, lengths, cold)
    for doc, paths in enumerate(found):
        length = paths.tags.shape[1]
        torch.testing.assert_close(got[doc, :length], paths.marginals)
        assert not got[doc, length:].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("forbid", [0.0, 0.5])
def test_cold_samples_are_the_best_path_of_perturbed_scores(forbid, dtype, make_batch, all_paths):
    emissions, lengths, scores = make_batch(3, forbid=forbid, masked=0.2)
    noise = gumbel(emissions)
    found = all_paths(emissions + noise, lengths, scores)
    scores = {name: x.to(dtype).requires_grad_() for name, x in scores.items()}
    crf = LinearChainCRF(emissions.to(dtype), lengths, **scores)
    cold = crf.relaxed_sample(1e-4, noise=noise.to(dtype))
    for doc, paths in enumerate(found):
        best = paths.tags[paths.scores.argmax()]
        one_hot = torch.nn.functional.one_hot(best, 3).to(dtype)
        torch.testing.assert_close(cold[doc, : len(best)], one_hot)
    for grad in torch.autograd.grad(cold[..., 0].sum(), list(scores.values())):
        assert grad.isfinite().all()


def test_without_transitions_relaxed_samples_are_exact(make_batch, all_paths):
    emissions, lengths, scores = make_batch(3, masked=0.2, lengths=(3, 0, 1, 2))
    scores = {name: torch.zeros_like(x) for name, x in scores.items()}
    docs = torch.arange(4).repeat(DRAWS)
    crf = LinearChainCRF(emissions[docs], lengths[docs], **scores)
    drawn = crf.relaxed_sample(0.66, generator=torch.Generator().manual_seed(2)).argmax(2)
    for doc, paths in enumerate(all_paths(emissions, lengths, scores)):
        assert_frequencies(drawn[doc::4, : paths.tags.shape[1]], paths)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_wrong_temperature_is_an_error(temperature, make_batch):
    emissions, lengths, scores = make_batch(2)
    crf = LinearChainCRF(emissions, lengths, **scores)
    with pytest.raises(ValueError, match=f"temperature must be above 0, but got {temperature}"):
        crf.relaxed_sample(temperature)


def test_gumbel_noise():
    noise = gumbel(torch.empty(40000), torch.Generator().manual_seed(0))
    assert noise.isfinite().all()
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.03)  # Euler's constant
    assert noise.var().item() == pytest.approx(math.pi**2 / 6, abs=0.06)
    assert gumbel(torch.empty(2, 3, dtype=torch.float64)).dtype == torch.float64
