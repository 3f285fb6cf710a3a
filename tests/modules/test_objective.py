"""The mean over chosen tokens."""

import math

import pytest
import torch

from spacy_semivae.modules.objective import mean_where


@pytest.mark.parametrize("chosen", [[1, 0, 1, 0], [1, 1, 1, 1], [0, 0, 0, 1]])
def test_mean_of_the_chosen(chosen):
    losses = torch.tensor([1.5, -2.0, 4.0, 0.25], dtype=torch.float64, requires_grad=True)
    picked = [loss for loss, here in zip(losses.tolist(), chosen) if here]
    found = mean_where(losses, torch.tensor(chosen, dtype=torch.bool))
    assert found.item() == pytest.approx(sum(picked) / len(picked))
    found.backward()
    assert losses.grad.tolist() == pytest.approx([here / sum(chosen) for here in chosen])


@pytest.mark.parametrize("size", [0, 3])
def test_mean_over_none_is_zero(size):
    losses = torch.randn(size, requires_grad=True)
    found = mean_where(losses, torch.zeros(size, dtype=torch.bool))
    found.backward()
    assert found.item() == 0
    assert not losses.grad.any()


def test_what_is_not_chosen_may_be_anything():
    losses = torch.tensor([2.0, math.nan, math.inf])
    assert mean_where(losses, torch.tensor([True, False, False])).item() == 2
