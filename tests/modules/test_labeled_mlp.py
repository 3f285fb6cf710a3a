"""Batch norm over rows, and the hidden layer that reads a label."""

import pytest
import torch

from spacy_semivae.modules.labeled_mlp import FlatBatchNorm, LabeledMLP, norm_and_drop


def make_norm():
    norm = FlatBatchNorm(3).double()
    norm.running_mean.copy_(torch.tensor([1.0, -2.0, 0.5]))
    norm.running_var.copy_(torch.tensor([4.0, 0.25, 1.0]))
    norm.weight.data.copy_(torch.tensor([1.0, 2.0, 3.0]))
    return norm


def by_hand(norm, X, mean, var):
    return (X - mean) / (var + norm.eps).sqrt() * norm.weight + norm.bias


def test_rows_are_normalised_and_remembered():
    norm, X = make_norm(), torch.randn(6, 3).double()
    before = norm.running_mean.clone()
    expected = by_hand(norm, X, X.mean(0), X.var(0, unbiased=False))
    torch.testing.assert_close(norm(X), expected)
    torch.testing.assert_close(norm.running_mean, 0.9 * before + 0.1 * X.mean(0))
    saved = norm.state_dict()
    assert {"running_mean", "running_var"} < set(saved)


@pytest.mark.parametrize("rows", [0, 1])
def test_fewer_than_two_rows_meet_the_running_statistics(rows):
    norm, X = make_norm(), torch.randn(rows, 3).double()
    expected = by_hand(norm, X, norm.running_mean, norm.running_var)
    kept = norm.running_mean.clone()
    torch.testing.assert_close(norm.train()(X), expected)
    torch.testing.assert_close(norm.eval()(X), expected)
    assert torch.equal(norm.running_mean, kept)


def test_evaluation_is_free_of_mates_and_noise():
    layer, X = norm_and_drop(3, 0.5).double(), torch.randn(5, 3).double()
    assert (layer(X) == 0).any()
    layer.eval()
    torch.testing.assert_close(layer(X)[2:3], layer(X[2:3]))


def test_pairs_read_their_vector_and_label():
    mlp = LabeledMLP(nI=3, nY=2, hidden=4, nO=2, dropout=0.0).double().eval()
    X, Y, owners = (
        torch.randn(2, 3).double(),
        torch.randn(4, 2).double(),
        torch.tensor([1, 0, 1, 1]),
    )
    expected = [mlp(X[b : b + 1], None, Y[p : p + 1])[0] for p, b in enumerate(owners.tolist())]
    torch.testing.assert_close(mlp(X, owners, Y), torch.stack(expected))
    hidden = torch.relu(mlp.hidden(torch.cat((mlp.vector(X)[1], Y[0]))))
    torch.testing.assert_close(expected[0], mlp.output(mlp.features(hidden[None]))[0])


def test_a_batch_of_one_label_still_hears_it():
    mlp = LabeledMLP(nI=3, nY=2, hidden=4, nO=2, dropout=0.0).double()
    X, Y = torch.randn(5, 3).double(), torch.ones(5, 2).double().requires_grad_()
    mlp.features[0].eval()
    mlp(X, None, Y).sum().backward()
    assert Y.grad.abs().sum() > 0
