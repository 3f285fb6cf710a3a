"""Scores that are far apart: each document is computed in a way that is right for it."""

import pytest
import torch

from spacy_semivae.modules import log_space
from spacy_semivae.modules.chain import Potentials, length_mask
from spacy_semivae.modules.crf import LinearChainCRF

NEVER = float("-inf")
NAMES = ("start", "pair", "end")


def weigh(log_Z, marginals, lengths):
    """A function in which no two documents, positions or tags weigh the same."""
    generator = torch.Generator().manual_seed(3)
    inside = length_mask(lengths, marginals.shape[1])[..., None]
    weights = torch.randn(marginals.shape, generator=generator, dtype=torch.float64) * inside
    own = torch.arange(1.0, len(log_Z) + 1, dtype=torch.float64)
    return (own * log_Z).sum() + (weights * marginals).sum()


def compare(emissions, lengths, scores, *, rtol=1e-5, atol=1e-5):
    """Check values and gradients against log space in double precision; gives the CRF."""
    leaves = [x.detach().requires_grad_() for x in (emissions, *scores)]
    crf = LinearChainCRF(leaves[0], lengths, **dict(zip(NAMES, leaves[1:])))
    exact = [x.detach().double().requires_grad_() for x in leaves]
    expected = log_space.expectations(Potentials(*exact, lengths))
    q = crf.expectations()
    log_Z, mu = crf.log_partition(), q.marginals
    torch.testing.assert_close(log_Z.double(), expected.log_Z, rtol=rtol, atol=atol)
    torch.testing.assert_close(mu.double(), expected.marginals, rtol=0, atol=1e-5)
    size = exact[0].detach()[exact[0].isfinite()].abs().max().item()
    scored = torch.where(exact[0].isfinite(), exact[0], 0.0)
    H = expected.log_Z - (expected.marginals * scored).sum((1, 2)) - expected.transitions
    torch.testing.assert_close(crf.entropy().double(), H, rtol=0, atol=1e-5 + 5e-7 * size)
    total = weigh(log_Z.double(), mu.double(), lengths)
    got = torch.autograd.grad(total, leaves, materialize_grads=True)
    total = weigh(expected.log_Z, expected.marginals, lengths)
    # half precision rounds the gradients as well
    limit = 1e-4 if emissions.dtype.itemsize > 2 else 1e-2
    for grad, wanted in zip(got, torch.autograd.grad(total, exact, materialize_grads=True)):
        torch.testing.assert_close(grad.double(), wanted, rtol=limit, atol=limit)
    return crf


def draw(*shape, scale=1.0, forbid=0.0, dtype=torch.float32):
    scores = torch.randn(shape) * scale
    hidden = torch.rand(shape) < forbid
    hidden[..., 0] = False  # so that one path is always allowed
    return scores.masked_fill(hidden, NEVER).to(dtype)


def draw_ends(tags, *, scale=1.0, forbid=0.0, dtype=torch.float32):
    pair = draw(tags, tags, scale=scale, forbid=forbid, dtype=dtype)
    return [draw(tags, scale=scale, dtype=dtype), pair, draw(tags, scale=scale, dtype=dtype)]


def test_a_document_that_underflows_without_a_trace():
    emissions = torch.tensor([[[0.0, -120.0], [-70.0, 0.0], [-70.0, 0.0]]])
    pair = torch.tensor([[0.0, NEVER], [NEVER, 0.0]])
    crf = compare(emissions, torch.tensor([3]), [torch.zeros(2), pair, torch.zeros(2)])
    assert crf.log_partition().item() == pytest.approx(-120)
    assert crf.viterbi().tolist() == crf.sample().tolist() == [[1, 1, 1]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale", [1.0, 10.0, 60.0])
def test_forbidden_transitions_and_large_scores(scale, dtype):
    lengths = torch.tensor([20, 1, 0, 7, 2, 13])
    emissions = draw(6, 20, 5, scale=scale, forbid=0.2, dtype=dtype)
    crf = compare(emissions, lengths.clamp(min=1), draw_ends(5, forbid=0.4, dtype=dtype))
    assert crf.log_partition().dtype == torch.float32
    compare(emissions, lengths.clamp(min=1), draw_ends(5, scale=scale, forbid=0.4, dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scores_that_differ_by_ten_thousand(dtype):
    emissions = 1e4 * torch.randint(-1, 2, (4, 9, 4)).to(dtype) + torch.randn(4, 9, 4).to(dtype)
    compare(emissions, torch.tensor([9, 1, 4, 2]), draw_ends(4, forbid=0.4, dtype=dtype))
    # what all tags of a position have in common costs no digits
    shift = 1e4 * torch.randint(-1, 2, (4, 9, 1)).to(dtype)
    emissions = shift + draw(4, 9, 4, dtype=dtype)
    crf = compare(emissions, torch.tensor([9, 1, 4, 2]), draw_ends(4), rtol=1e-4)
    assert crf.log_space_share() == 0


def test_common_shifts_leave_log_probabilities_their_digits():
    emissions, lengths, ends = draw(3, 50, 4), torch.tensor([50, 20, 1]), draw_ends(4)
    shifted = emissions + 2.0**14  # both sums are exact to 2**-9
    tags = torch.randint(4, (3, 50))
    expected, got = (
        LinearChainCRF(x, lengths, **dict(zip(NAMES, ends)))
        for x in ((shifted - 2.0**14).double(), shifted)
    )
    torch.testing.assert_close(got.log_prob(tags), expected.log_prob(tags).float())
    torch.testing.assert_close(got.entropy(), expected.entropy().float())


def make_mixed():
    """Gives documents of all three ways in turn, padded and in no order, and transitions."""
    emissions, lengths = draw(9, 12, 4), torch.tensor([12, 3, 7, 1, 12, 5, 2, 9, 11])
    for doc in range(9):
        emissions[doc] *= (1.0, 60.0, 2000.0)[(doc * 2) % 3]
    pair = torch.zeros(4, 4)
    pair[1:, 0] = NEVER
    return emissions, lengths, [torch.zeros(4), pair, torch.zeros(4)]


def test_documents_of_all_three_ways_keep_their_order():
    emissions, lengths, scores = make_mixed()
    crf = compare(emissions, lengths, scores, rtol=1e-6)
    ways = {(part.dtype, part.messages is None) for part in crf._parts}
    assert ways == {(torch.float32, False), (torch.float64, False), (torch.float64, True)}
    in_log_space = sum(len(part.docs) for part in crf._parts if part.messages is None)
    assert crf.log_space_share() == pytest.approx(in_log_space / 9)
    assert 0 < in_log_space < 7
    best = crf.viterbi()
    for doc, length in enumerate(lengths.tolist()):
        alone = LinearChainCRF(
            emissions[doc : doc + 1, :length], lengths[doc : doc + 1], **dict(zip(NAMES, scores))
        )
        tags = best[doc : doc + 1, :length]
        torch.testing.assert_close(crf.log_prob(best)[doc], alone.log_prob(tags)[0])
        torch.testing.assert_close(crf.log_forward()[doc, :length], alone.log_forward()[0])
        torch.testing.assert_close(crf.log_backward()[doc, :length], alone.log_backward()[0])
        assert torch.equal(alone.viterbi(), tags)


def test_samples_of_all_three_ways_are_of_their_documents():
    emissions, lengths, scores = make_mixed()
    crf = LinearChainCRF(emissions, lengths, **dict(zip(NAMES, scores)))
    torch.manual_seed(0)
    mean = torch.zeros(9, 12, 4)
    for _ in range(200):
        mean += torch.nn.functional.one_hot(crf.sample(), 4) * crf.inside[..., None] / 200
    torch.testing.assert_close(mean, crf.marginals(), rtol=0, atol=0.15)


@pytest.mark.parametrize("scale", [1.0, 60.0, 1e4])
def test_single_tokens(scale):
    compare(draw(5, 1, 4, scale=scale), torch.ones(5).long(), [*draw_ends(4)])
