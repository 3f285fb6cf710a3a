"""LSTM steps over packed items against a loop over the equations."""

import pytest
import torch

from spacy_semivae.modules.lstm_steps import run_steps

SIZES = [[3, 2, 2, 1], [1], [2, 2], [4]]
NI, NH = 3, 4


def make(sizes):
    torch.manual_seed(sum(sizes))
    shapes = (
        (sum(sizes), NI),
        (4 * NH, NI),
        (4 * NH,),
        (4 * NH, NH),
        (sizes[0], NH),
        (sizes[0], NH),
    )
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


def loop(X, W, b, U, h, push, sizes):
    c, states = torch.zeros_like(h), []
    for items, n in zip(X.split(sizes), sizes):
        i, f, g, o = (items @ W.T + h[:n] @ U.T + b).chunk(4, 1)
        c = f.sigmoid() * c[:n] + i.sigmoid() * g.tanh() + push[:n]
        h = o.sigmoid() * c.tanh()
        states.append(h)
    return torch.cat(states)


@pytest.mark.parametrize("sizes", SIZES)
def test_states_and_gradients_equal_a_loop(sizes):
    inputs = make(sizes)
    found, expected = run_steps(*inputs, sizes), loop(*inputs, sizes)
    torch.testing.assert_close(found, expected)
    mix = torch.randn_like(found)
    torch.testing.assert_close(
        torch.autograd.grad((found * mix).sum(), inputs),
        torch.autograd.grad((expected * mix).sum(), inputs),
    )


@pytest.mark.parametrize("sizes", SIZES[:2])
def test_gradcheck(sizes):
    assert torch.autograd.gradcheck(lambda *inputs: run_steps(*inputs, sizes), make(sizes))


def test_a_second_backward_pass_finds_the_same():
    inputs = make([3, 2])
    total = run_steps(*inputs, [3, 2]).square().sum()
    first = torch.autograd.grad(total, inputs, retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(total, inputs), first)


def test_second_derivative_raises():
    inputs = make([2, 1])
    with pytest.raises(RuntimeError, match="second derivative"):
        torch.autograd.grad(run_steps(*inputs, [2, 1]).sum(), inputs, create_graph=True)
