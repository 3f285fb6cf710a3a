"""The steps of an LSTM over packed items, with a summand of the cell, forward and backward.

    c_t = f * c_{t-1} + i * g + push,   h_t = o * tanh(c_t)

Written by hand: a step is one matrix product and a few operations in place; the products of
inputs and of the weights' gradients are done for all steps at once.

As tanh(x) = 1 - 2 s(-2x) with s the logistic function, one call of it serves all four gates, the
weights of the new content being taken times -2. On a CPU it takes a quarter of the time of tanh.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from .precision import at_least_float32
from .products import FixedMatrix, count_spare_rows, fill_rows, product

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
    X, h, push = (at_least_float32(part) for part in (X, h, push))
    return _Steps.apply(X, W, b, U, h, push, sizes)


class _Steps(torch.autograd.Function):
    """LSTM steps over packed items with a summand of the cell that stays the same.

    In packed order the sequences still running at a step are the first ones. The gates of an item
    stand in PyTorch's order: input, forget, new content g, output. Kept of g and of tanh(c) are the
    shares s = s(-2x) in `gates` and `shares`, with g = 1 - 2 s.
    """

    @staticmethod
    def forward(
        ctx: Any, X: Tensor, W: Tensor, b: Tensor, U: Tensor, h: Tensor, push: Tensor, sizes: Sizes
    ) -> Tensor:
        nH = h.shape[1]
        spare = count_spare_rows(X)
        gates = product(fill_rows(X, spare), _for_shares(W).T, _for_shares(b))[: len(X)]
        C, shares, H = (X.new_empty((len(X), nH)) for _ in range(3))
        ctx.save_for_backward(X, W, U, h, gates, C, shares, H)
        ctx.sizes = sizes
        U_T = FixedMatrix(_for_shares(U).T, len(h))
        c = torch.zeros_like(h)
        parts = (gates, *gates.chunk(4, 1), C, shares, H)
        for n, gate, i, f, s_g, o, c_t, s_c, h_t in _each(sizes, *parts):
            U_T.add_product(_first(h, n), out=gate)
            gate.sigmoid_()
            c = torch.addcmul(_first(push, n), f, _first(c, n), out=c_t)
            c.add_(i).addcmul_(i, s_g, value=-2)  # i * g
            torch.mul(c, -2, out=s_c).sigmoid_()
            h = torch.addcmul(o, o, s_c, value=-2, out=h_t)  # o * tanh(c)
        return H

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("an LSTM step has no second derivative, but create_graph is set")
        (dH,) = grads
        X, W, U, h, gates, C, shares, H = ctx.saved_tensors
        sizes, nH = ctx.sizes, h.shape[1]
        dc, dpush, dh = (torch.zeros_like(h) for _ in range(3))
        dG = _slopes(gates, _before(C, dc, sizes), shares)
        _, forget, _, o = gates.chunk(4, 1)
        through_h = (o - H).addcmul_(H, shares, value=2)  # o (1 - tanh(c)^2), as h = o tanh(c)
        fixed_U = FixedMatrix(U, len(h))
        dH = dH.clone()  # it also gathers what comes from the step after
        parts = (dG, dG[:, : 3 * nH].unflatten(1, (3, nH)), dG[:, 3 * nH :], through_h, forget)
        rows = dH.split(sizes)
        steps = zip((dh, *rows), rows, _each(sizes, *parts))
        for dh_before, dh_t, (n, dg, di_f_g, do, through, f) in reversed(list(steps)):
            dc_n = _first(dc, n).addcmul_(dh_t, through)
            di_f_g.mul_(dc_n[:, None])
            do.mul_(dh_t)
            _first(dpush, n).add_(dc_n)
            dc_n.mul_(f)
            fixed_U.add_product(dg, out=_first(dh_before, n))
        spare = count_spare_rows(X)
        inputs = fill_rows(torch.cat((X, _before(H, h, sizes)), 1), spare)
        dG = fill_rows(dG, spare)
        dW, dU = product(inputs.T, dG).split((X.shape[1], nH))  # a copy of dG.T would be larger
        return product(dG, W)[: len(X)], dW.T, dG.sum(0), dU.T, dh, dpush, None


def _for_shares(W: Tensor) -> Tensor:
    """RETURNS (Tensor): Weights or bias with those of the new content times -2, (4 * nH, ...)."""
    W = W.clone()
    W.chunk(4)[2].mul_(-2)
    return W


def _first(values: Tensor, n: int) -> Tensor:
    """RETURNS (Tensor): The first rows; a view costs as much as a small operation."""
    return values if len(values) == n else values[:n]


def _each(sizes: Sizes, *packed: Tensor) -> Iterator[tuple[Any, ...]]:
    """RETURNS (Iterator[tuple]): Size and rows of each step."""
    return zip(sizes, *(values.split(sizes) for values in packed))


def _before(values: Tensor, first: Tensor, sizes: Sizes) -> Tensor:
    """RETURNS (Tensor): What stood one step before each packed item, (T, nH)."""
    earlier = (first, *values.split(sizes))
    return torch.cat([_first(step, n) for step, n in zip(earlier, sizes)])


def _slopes(gates: Tensor, earlier: Tensor, shares: Tensor) -> Tensor:
    """Give what takes the gradients of cell and state to what enters the gates.

    gates (Tensor): Open shares of the gates, and the share for the new content, (T, 4 * nH).
    earlier (Tensor): Cells before each step, (T, nH).
    shares (Tensor): The shares for tanh of the cells after it, (T, nH).
    RETURNS (Tensor): From the cell to input, forget and new content, from the state to the output
        gate, (T, 4 * nH).
    """
    i, _, s_g, _ = gates.chunk(4, 1)
    slopes = torch.addcmul(gates, gates, gates, value=-1)  # s (1 - s)
    into_i, into_f, into_g, into_o = slopes.chunk(4, 1)
    into_i.addcmul_(into_i, s_g, value=-2)
    into_f.mul_(earlier)
    into_g.mul_(i).mul_(4)  # i (1 - g^2) = 4 i s (1 - s)
    into_o.addcmul_(into_o, shares, value=-2)
    return slopes
