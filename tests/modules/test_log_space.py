"""Log space against the enumeration of all paths, for scores of any size."""

import pytest
import torch

from spacy_semivae.modules import log_space
from spacy_semivae.modules.chain import Potentials
from spacy_semivae.modules.log_space import FORBIDDEN

NEVER = float("-inf")
LENGTHS = (3, 5, 1, 2, 4)


def fill(messages):
    """Messages from nowhere, as -inf."""
    return messages.masked_fill(messages < FORBIDDEN / 2, NEVER)


@pytest.fixture
def make_potentials(make_batch):
    """Gives a function to potentials that take gradients, and start, pair and end by name."""

    def make(tags, **settings):
        emissions, lengths, scores = make_batch(tags, **{"lengths": LENGTHS, **settings})
        scores = {name: x.requires_grad_() for name, x in scores.items()}
        return Potentials(emissions.requires_grad_(), lengths=lengths, **scores), scores

    return make


@pytest.mark.parametrize("scale", [1.0, 60.0, 1e4])
@pytest.mark.parametrize(("tags", "forbid"), [(1, 0.0), (2, 0.5), (4, 0.0), (4, 0.5)])
def test_values_and_gradients_equal_enumeration(tags, forbid, scale, make_potentials, all_paths):
    potentials, scores = make_potentials(tags, forbid=forbid, masked=0.3, scale=scale, seed=tags)
    leaves = [potentials.emissions, *scores.values()]
    weights = torch.arange(1.0, 6.0, dtype=torch.float64)
    found = all_paths(potentials.emissions, potentials.lengths, scores)
    expected = torch.stack([paths.log_Z for paths in found])
    log_Z = log_space.log_partition(potentials)
    torch.testing.assert_close(log_Z, expected)
    grads = torch.autograd.grad(log_Z, leaves, weights)
    for got, wanted in zip(grads, torch.autograd.grad(expected, leaves, weights)):
        torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_messages_equal_enumeration(scale, make_potentials, enumerate_paths):
    potentials, scores = make_potentials(3, forbid=0.4, masked=0.3, scale=scale)
    with torch.no_grad():
        forward = fill(log_space.forward_messages(potentials))
        backward = fill(log_space.backward_messages(potentials))
    nothing = torch.zeros(3, dtype=torch.float64)
    for doc, length in enumerate(potentials.lengths.tolist()):
        rows = potentials.emissions[doc, :length].detach()
        for i in range(length):
            paths = enumerate_paths(rows[: i + 1], **{**scores, "end": nothing})
            at = [paths.scores[paths.tags[:, -1] == tag].logsumexp(0) for tag in range(3)]
            torch.testing.assert_close(forward[doc, i], torch.stack(at).detach())
            rest = torch.cat((nothing[None], rows[i + 1 :]))
            paths = enumerate_paths(rest, **{**scores, "start": nothing})
            at = [paths.scores[paths.tags[:, 0] == tag].logsumexp(0) for tag in range(3)]
            torch.testing.assert_close(backward[doc, i], torch.stack(at).detach())
        assert torch.equal(forward[doc, length:], forward[doc, length - 1].expand(5 - length, 3))
        assert torch.equal(backward[doc, length:], fill(scores["end"]).expand(5 - length, 3))


@pytest.mark.parametrize("enabled", [False, True])
@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_expectations_equal_enumeration(scale, enabled, make_potentials, all_paths):
    potentials, scores = make_potentials(3, forbid=0.4, masked=0.3, scale=scale)
    with torch.set_grad_enabled(enabled):
        found = log_space.expectations(potentials)
    assert all(x.requires_grad == enabled for x in found)
    paths_of_docs = all_paths(potentials.emissions, potentials.lengths, scores)
    for doc, paths in enumerate(paths_of_docs):
        length = paths.tags.shape[1]
        rows = potentials.emissions[doc, :length]
        transitions = paths.scores - rows[torch.arange(length), paths.tags].sum(1)
        torch.testing.assert_close(found.log_Z[doc].detach(), paths.log_Z.detach())
        torch.testing.assert_close(found.marginals[doc, :length].detach(), paths.marginals.detach())
        assert not found.marginals[doc, length:].any()
        mean = paths.mean(transitions).detach()
        torch.testing.assert_close(found.transitions[doc].detach(), mean)


@pytest.mark.parametrize("forbid", [0.0, 0.4])
def test_gradcheck(forbid, make_potentials):
    potentials, scores = make_potentials(2, forbid=forbid, masked=forbid, lengths=(2, 3, 1))

    def compute(function):
        return lambda *x: function(Potentials(*x, potentials.lengths))

    leaves = (potentials.emissions, *scores.values())
    assert torch.autograd.gradcheck(compute(lambda p: tuple(log_space.expectations(p))), leaves)
    assert torch.autograd.gradgradcheck(compute(log_space.log_partition), leaves)


def test_scores_without_gradients_may_be_fixed(make_potentials):
    potentials, scores = make_potentials(3)
    (expected,) = torch.autograd.grad(
        log_space.expectations(potentials).marginals[:, 0, 0].sum(), scores["pair"]
    )
    fixed = Potentials(potentials.emissions.detach(), lengths=potentials.lengths, **scores)
    (got,) = torch.autograd.grad(
        log_space.expectations(fixed).marginals[:, 0, 0].sum(), scores["pair"]
    )
    torch.testing.assert_close(got, expected)
    assert not fixed.emissions.requires_grad  # the caller's tensor is left alone


@pytest.mark.parametrize("steps", [1, 4])
def test_no_path_is_far_below_the_mark(steps):
    # Nothing is NaN, neither the value nor its gradient.
    pair = torch.full((2, 2), NEVER).fill_diagonal_(0)
    start, end = torch.tensor([0.0, NEVER]), torch.tensor([NEVER, 0.0])
    leaves = [x.requires_grad_() for x in (torch.zeros(1, steps, 2), start, pair, end)]
    log_Z = log_space.log_partition(Potentials(*leaves, torch.tensor([steps])))
    assert log_Z.item() < FORBIDDEN / 2
    for grad in torch.autograd.grad(log_Z, leaves, allow_unused=True):
        assert grad is None or grad.isfinite().all()
