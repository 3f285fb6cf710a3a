"""Linear chains by brute force: every path of one document and its score."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

NEVER = float("-inf")


@dataclass
class Paths:
    """All paths of a document, P of them, in the order of their digits."""

    tags: Tensor  # (P, N)
    scores: Tensor  # differentiable, (P,)
    tag_count: int

    @property
    def log_Z(self):
        return self.scores.logsumexp(0)

    @property
    def q(self):
        return (self.scores - self.log_Z).exp()

    @property
    def marginals(self):
        one_hot = torch.nn.functional.one_hot(self.tags, self.tag_count).to(self.q)
        return torch.einsum("p,pnc->nc", self.q, one_hot)

    @property
    def pairs(self):
        """Marginals of neighbours, added up, (C, C)."""
        one_hot = torch.nn.functional.one_hot(self.tags, self.tag_count).to(self.q)
        return torch.einsum("p,pna,pnb->ab", self.q, one_hot[:, :-1], one_hot[:, 1:])

    @property
    def entropy(self):
        return self.mean(self.log_Z - self.scores)

    def mean(self, values):
        """What q expects of a value of each path, which may be infinite where q is 0."""
        possible = self.scores > NEVER
        return (self.q[possible] * values[possible]).sum()


def enumerate_paths(emissions, start, pair, end):
    """Gives the paths of one document, emissions (N, C); without tokens there is one, empty."""
    steps, count = emissions.shape
    if not steps:
        return Paths(torch.zeros(1, 0).long(), emissions.new_zeros(1), count)
    tags = torch.cartesian_prod(*[torch.arange(count)] * steps).view(-1, steps)
    scores = emissions[torch.arange(steps), tags].sum(1) + start[tags[:, 0]] + end[tags[:, -1]]
    return Paths(tags, scores + pair[tags[:, :-1], tags[:, 1:]].sum(1), count)


def random_scores(tags, *, forbid, generator, dtype=torch.float64):
    """Gives start, pair and end scores; the path of zeros is allowed."""

    def draw(*shape):
        scores = torch.randn(shape, generator=generator, dtype=dtype)
        return scores.masked_fill(torch.rand(shape, generator=generator) < forbid, NEVER)

    start, pair, end = draw(tags), draw(tags, tags), draw(tags)
    start[0] = end[0] = pair[0, 0] = 0.5
    return {"start": start, "pair": pair, "end": end}


@pytest.fixture(name="enumerate_paths")
def _enumerate_paths():
    return enumerate_paths


@pytest.fixture(name="random_scores")
def _random_scores():
    return random_scores


@pytest.fixture
def make_batch():
    """Gives a function to emissions of six documents of up to five tokens, lengths and scores."""

    def make(tags, *, forbid=0.0, masked=0.0, scale=1.0, seed=0, lengths=(3, 0, 5, 1, 2, 4)):
        generator = torch.Generator().manual_seed(seed)
        scores = random_scores(tags, forbid=forbid, generator=generator)
        shape = (len(lengths), max(lengths), tags)
        emissions = torch.randn(shape, generator=generator, dtype=torch.float64) * scale
        hidden = torch.rand(shape, generator=generator) < masked
        hidden[..., 0] = False  # so that one path is always allowed
        return emissions.masked_fill(hidden, NEVER), torch.tensor(lengths), scores

    return make


@pytest.fixture
def all_paths():
    """Gives a function from a batch to the paths of each document."""

    def enumerate_all(emissions, lengths, scores):
        return [
            enumerate_paths(emissions[doc, :length], **scores)
            for doc, length in enumerate(lengths.tolist())
        ]

    return enumerate_all
