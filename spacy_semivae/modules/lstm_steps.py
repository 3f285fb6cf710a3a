"""The steps of an LSTM over packed items, with a summand of the cell, forward and backward.

    c_t = f * c_{t-1} + i * g + push,   h_t = o * tanh(c_t)

Written by hand: a step is one matrix product and a few operations in place; the products of
inputs and of the weights' gradients are done for all steps at once.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from .products import FixedMatrix, product

Sizes = list[int]  # sequences that run at each step


def run_steps(
    X: Tensor, W: Tensor, b: Tensor, U: Tensor, h: Tensor, push: Tensor, sizes: Sizes
) -> Tensor:
    """Run an LSTM from given states and empty cells.

    X (Tensor): Packed items: of all sequences the first, then the second, longest first, (T, nI).
    W (Tensor): Weights of the items: input, forget, new content, output gate, (4 * nH, nI).
    b (Tensor): Bias, (4 * nH,).
    U (Tensor): Weights of the state, (4 * nH, nH).
    h (Tensor): First states, (S, nH).
    push (Tensor): What is added to the cell at every step, (S, nH).
    sizes (list[int]): Sequences that run at each step, falling.
    RETURNS (Tensor): State after each item, (T, nH). Second derivatives raise.
    """
    return _Steps.apply(X, W, b, U, h, push, sizes)


class _Steps(torch.autograd.Function):
    """LSTM steps over packed items with a summand of the cell that stays the same.

    In packed order the sequences still running at a step are the first ones. The gates of an item
    stand in PyTorch's order: input, forget, new content, output.
    """

    @staticmethod
    def forward(
        ctx: Any, X: Tensor, W: Tensor, b: Tensor, U: Tensor, h: Tensor, push: Tensor, sizes: Sizes
    ) -> Tensor:
        nH = h.shape[1]
        gates = product(X, W.T).add_(b)
        C, tanh_C, H = (X.new_empty((len(X), nH)) for _ in range(3))
        ctx.save_for_backward(X, W, U, h, gates, C, tanh_C, H)
        ctx.sizes = sizes
        U_T = FixedMatrix(U.T, len(h))
        c = torch.zeros_like(h)
        parts = (gates, gates[:, : 2 * nH], *gates.chunk(4, 1), C, tanh_C, H)
        for n, gate, i_f, i, f, g, o, c_t, tanh_c, h_t in _each(sizes, *parts):
            U_T.add_product(h[:n], out=gate)
            i_f.sigmoid_()
            g.tanh_()
            o.sigmoid_()
            c = torch.addcmul(push[:n], f, c[:n], out=c_t).addcmul_(i, g)
            h = torch.mul(o, torch.tanh(c, out=tanh_c), out=h_t)
        return H

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("an LSTM step has no second derivative, but create_graph is set")
        (dH,) = grads
        X, W, U, h, gates, C, tanh_C, H = ctx.saved_tensors
        sizes, nH = ctx.sizes, h.shape[1]
        dc, dpush, dh = (torch.zeros_like(h) for _ in range(3))
        dG = _slopes(gates, _before(C, dc, sizes), tanh_C)
        _, forget, _, o = gates.chunk(4, 1)
        through_h = torch.addcmul(o, H, tanh_C, value=-1)  # o (1 - tanh(c)^2), as h = o tanh(c)
        fixed_U = FixedMatrix(U, len(h))
        dH = dH.clone()  # it also gathers what comes from the step after
        parts = (dG, dG[:, : 3 * nH].unflatten(1, (3, nH)), dG[:, 3 * nH :], through_h, forget)
        steps = zip((dh, *dH.split(sizes)), dH.split(sizes), _each(sizes, *parts))
        for dh_before, dh_t, (n, dg, di_f_g, do, through, f) in reversed(list(steps)):
            dc_n = dc[:n].addcmul_(dh_t, through)
            di_f_g.mul_(dc_n[:, None])
            do.mul_(dh_t)
            dpush[:n].add_(dc_n)
            dc_n.mul_(f)
            fixed_U.add_product(dg, out=dh_before[:n])
        inputs = torch.cat((X, _before(H, h, sizes)), 1)
        dW, dU = product(dG.T, inputs).split((X.shape[1], nH), 1)  # dG is laid out anew only once
        return product(dG, W), dW, dG.sum(0), dU, dh, dpush, None


def _each(sizes: Sizes, *packed: Tensor) -> Iterator[tuple[Any, ...]]:
    """RETURNS (Iterator[tuple]): Size and rows of each step."""
    return zip(sizes, *(values.split(sizes) for values in packed))


def _before(values: Tensor, first: Tensor, sizes: Sizes) -> Tensor:
    """RETURNS (Tensor): What stood one step before each packed item, (T, nH)."""
    earlier = (first, *values.split(sizes))
    return torch.cat([step[:n] for step, n in zip(earlier, sizes)])


def _slopes(gates: Tensor, earlier: Tensor, tanh_C: Tensor) -> Tensor:
    """Give what takes the gradients of cell and state to what enters the gates.

    gates (Tensor): Open shares of the gates and the new content, (T, 4 * nH).
    earlier (Tensor): Cells before each step, (T, nH).
    tanh_C (Tensor): tanh of the cells after it, (T, nH).
    RETURNS (Tensor): From the cell to input, forget and new content, from the state to the output
        gate, (T, 4 * nH).
    """
    i, _, g, _ = gates.chunk(4, 1)
    slopes = torch.addcmul(gates, gates, gates, value=-1)  # s (1 - s)
    into_i, into_f, into_g, into_o = slopes.chunk(4, 1)
    into_i.mul_(g)
    into_f.mul_(earlier)
    torch.mul(i, g, out=into_g)
    torch.addcmul(i, into_g, g, value=-1, out=into_g)  # i (1 - g^2)
    into_o.mul_(tanh_C)
    return slopes
