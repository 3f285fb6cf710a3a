import pytest
import torch
from torch import nn

from spacy_semivae.modules.classes import (
    UNBALANCED,
    Balance,
    enlarge,
    enlarge_linear,
    log_prior,
)


def test_new_entries_are_zero():
    values = torch.arange(1.0, 5.0).view(2, 2)
    rows = enlarge(values, 3)
    assert rows.tolist() == [[1, 2], [3, 4], [0, 0]]
    assert enlarge(values, 3, square=True).tolist() == [[1, 2, 0], [3, 4, 0], [0, 0, 0]]
    assert enlarge(values > 2, 3).tolist() == [[False, False], [True, True], [False, False]]


def test_new_outputs_are_zero():
    old = nn.Linear(3, 2).double()
    new, X = enlarge_linear(old, 4), torch.randn(5, 3, dtype=torch.float64)
    assert torch.equal(new(X)[:, :2], old(X))
    assert not new(X)[:, 2:].any()
    assert all(p.requires_grad and p.is_leaf for p in new.parameters())
    assert new.out_features == 4


def test_a_prior_is_positive():
    prior = torch.tensor([0.25, 0.75])
    torch.testing.assert_close(log_prior(prior).exp(), prior)
    with pytest.raises(ValueError, match="every entry of the prior must be positive"):
        log_prior(torch.tensor([1.0, 0.0]))


def test_a_shift_is_added_to_every_score():
    scores = torch.randn(2, 3, 4)
    assert UNBALANCED.adjust(scores) is scores
    shift = torch.arange(4.0)
    assert torch.equal(Balance(shift=shift).adjust(scores), scores + shift)
