"""Pairs of texts and labels."""

import pytest
import torch

from spacy_semivae.modules.label_pairs import every_pair, pair_up
from spacy_semivae.modules.label_samples import LabelSampler

LENGTHS = torch.tensor([2, 5, 1, 4])
WEIGHTS = torch.tensor([0.1, 0.2, 0.3, 0.4]).double()


def make(labels, **changes):
    torch.manual_seed(0)
    cfg = {"marginal": "exact", "samples": 2, "replacement": True, "baseline": "none"}
    sampler = LabelSampler(**{**cfg, "usual": -3.0, **changes}).train()
    log_q = torch.randn(len(labels), 3).double().log_softmax(1)
    return pair_up(LENGTHS, torch.tensor(labels), log_q, WEIGHTS, sampler), log_q.exp()


def test_pairs_of_labeled_and_raw_texts():
    pairs, q = make([-1, 2, 0, -1])
    assert pairs.owners.tolist() == [1, 2, 0, 0, 0, 3, 3, 3]
    assert pairs.labels.tolist() == [2, 0, 0, 1, 2, 0, 1, 2]
    costs = torch.randn(8).double()
    expected = 0.2 * costs[0] + 0.3 * costs[1]
    expected = expected + 0.1 * q[0] @ costs[2:5] + 0.4 * q[3] @ costs[5:]
    torch.testing.assert_close(pairs.expect(costs), expected)
    torch.testing.assert_close(pairs.shares, torch.cat((torch.ones(2), q[0], q[3])))


@pytest.mark.parametrize(("labels", "count"), [([-1] * 4, 8), ([1] * 4, 4)])
def test_pairs_of_one_kind(labels, count):
    pairs, _ = make(labels, marginal="sample")
    assert len(pairs.owners) == len(pairs.labels) == len(pairs.shares) == count
    torch.testing.assert_close(pairs.expect(torch.ones(count).double()), WEIGHTS.sum())
    assert pairs.shares.sum() == 4


def test_the_usual_cost_is_weighed():
    pairs, _ = make([-1, 2, 0, -1], marginal="sample", baseline="length")
    torch.testing.assert_close(
        pairs.usual, torch.tensor([[3.0 * 2 * 0.1], [3.0 * 4 * 0.4]]).double()
    )
    assert make([-1, 2, 0, -1])[0].usual is None


def test_every_pair():
    owners, labels = every_pair(2, 3)
    assert list(zip(owners.tolist(), labels.tolist())) == [(b, y) for b in (0, 1) for y in range(3)]
    assert [len(part) for part in every_pair(0, 3)] == [0, 0]
