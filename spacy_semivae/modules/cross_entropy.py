"""Softmax cross-entropy over a large vocabulary without the full table of logits.

The backward pass is written by hand: with `P` the softmax and `g` the incoming gradient,
`dX = g * (P @ W - W[target])` and `dW = (g * (P - onehot))^T @ X`. The unscaled `dX` comes out of
the forward pass, so a fixed output matrix (static vectors) needs every logit only once. A fixed
summand `H @ Z^T` of the logits (a frozen language model) is computed in the same blocks. Where `g`
is known beforehand but for a factor, `dW` comes out of the forward pass too.
"""

from typing import Any

import torch
from torch import Tensor

from .precision import at_least_float32
from .products import FixedMatrix, count_spare_rows, fill_rows, product

CHUNK_BYTES = 2**24  # of one block of logits: it should stay in a CPU's cache hierarchy


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        X: Tensor,
        W: Tensor,
        targets: Tensor,
        rows: int,
        H: Tensor | None,
        Z: Tensor | None,
        weights: Tensor | None,
    ) -> Tensor:
        losses = X.new_empty(len(X))
        log_Z = X.new_empty(len(X))
        unit_dX = torch.empty_like(X) if ctx.needs_input_grad[0] else None
        unit_dW = torch.zeros_like(W) if ctx.needs_input_grad[1] and weights is not None else None
        W_T, fixed_W = FixedMatrix(W.T, rows), FixedMatrix(W, rows)
        for start in range(0, len(X), rows):
            block = slice(start, start + rows)
            logits = _logits(X, W_T, H, Z, block)  # (rows, V)
            chosen = logits.gather(1, targets[block, None])[:, 0]
            peak = logits.amax(1, keepdim=True)
            P = logits.sub_(peak).exp_()  # unnormalised: one pass of exp serves loss and gradient
            total = P.sum(1, keepdim=True)
            log_Z[block] = (total.log() + peak)[:, 0]
            losses[block] = total.log()[:, 0] + (peak[:, 0] - chosen)  # log_Z has fewer digits left
            if unit_dX is not None:
                unit_dX[block] = fixed_W.product(P).div_(total) - W.index_select(0, targets[block])
            if unit_dW is not None and weights is not None:
                unit_dW.add_(product(P.mul_(weights[block, None] / total).T, X[block]))
        if unit_dW is not None and weights is not None:
            unit_dW.index_add_(0, targets, X * -weights[:, None])
        ctx.rows = rows
        ctx.save_for_backward(X, W, targets, log_Z, unit_dX, H, Z, weights, unit_dW)
        return losses

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # once_differentiable is silent where g needs no gradient
            raise RuntimeError("cross_entropy has no second derivative, but create_graph is set")
        (g,) = grads
        X, W, targets, log_Z, unit_dX, H, Z, weights, unit_dW = ctx.saved_tensors
        dX = None if unit_dX is None else unit_dX * g[:, None]
        dW = None
        if unit_dW is not None:
            dW = unit_dW.mul(_find_factor(g, weights))
        elif ctx.needs_input_grad[1]:
            dW, W_T = torch.zeros_like(W), FixedMatrix(W.T, ctx.rows)
            for start in range(0, len(X), ctx.rows):
                block = slice(start, start + ctx.rows)
                P = _logits(X, W_T, H, Z, block).sub_(log_Z[block, None]).exp_()
                dW.add_(product(P.mul_(g[block, None]).T, X[block]))
            dW.index_add_(0, targets, X * -g[:, None])
        return dX, dW, None, None, None, None, None


def _find_factor(g: Tensor, weights: Tensor) -> Tensor:
    """RETURNS (Tensor): The f of g = f * weights, ()."""
    factor = g @ weights / (weights @ weights).clamp(min=torch.finfo(g.dtype).tiny)
    # a GPU would have to be waited for
    if g.is_cpu and (g - factor * weights).abs().max() > 1e-3 * g.abs().max():
        raise RuntimeError("cross_entropy was told other weights than its losses are given")
    return factor


def _logits(
    X: Tensor, W_T: FixedMatrix, H: Tensor | None, Z: Tensor | None, block: slice
) -> Tensor:
    """RETURNS (Tensor): X W^T, and H Z^T where there is one, of a block, (rows, V)."""
    logits = W_T.product(X[block])
    return logits if H is None or Z is None else logits.addmm_(H[block], Z.T)


def cross_entropy(
    X: Tensor,
    W: Tensor,
    targets: Tensor,
    rows: int | None = None,
    fixed: tuple[Tensor, Tensor] | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """Give -log softmax(X W^T + H Z^T)[target] for each token; without `fixed` there is no H Z^T.

    X (Tensor): Predicted embeddings, float, (T, E).
    W (Tensor): Output matrix, fixed or trained (tied or not), (V, E).
    targets (Tensor): Word ids, int64, (T,).
    rows (int | None): Tokens whose logits are held at once; None chooses by memory.
    fixed (tuple[Tensor, Tensor] | None): H (T, F) and Z (V, F), such as the states and output
        embeddings of a frozen language model. Neither gets a gradient.
    weights (Tensor | None): What each loss will count in a sum, but for a common factor, where that
        is known: it saves the backward pass the logits. Without gradient, (T,).
    RETURNS (Tensor): Nats per token, (T,). Second derivatives raise.
    RAISES (ValueError): When the shapes do not fit.
    """
    if X.ndim != 2 or W.ndim != 2 or X.shape[1] != W.shape[1] or targets.shape != X.shape[:1]:
        raise ValueError(
            "cross_entropy needs X (T, E), W (V, E) and targets (T,), but got "
            f"{tuple(X.shape)}, {tuple(W.shape)} and {tuple(targets.shape)}"
        )
    H, Z = (None, None) if fixed is None else _check_fixed(X, W, *fixed)
    rows = rows or max(1, CHUNK_BYTES // (W.shape[0] * W.element_size()))
    X, W = at_least_float32(X), at_least_float32(W)
    T, spare = len(X), count_spare_rows(X)
    X, targets = fill_rows(X, spare), fill_rows(targets, spare)
    H, weights = (None if part is None else fill_rows(part, spare) for part in (H, weights))
    return _CrossEntropy.apply(X, W, targets, rows, H, Z, weights)[:T]


def _check_fixed(X: Tensor, W: Tensor, H: Tensor, Z: Tensor) -> tuple[Tensor, Tensor]:
    width = H.shape[-1:]
    if H.ndim != 2 or H.shape != X.shape[:1] + width or Z.shape != W.shape[:1] + width:
        raise ValueError(
            f"cross_entropy needs fixed H ({len(X)}, F) and Z ({len(W)}, F), but got "
            f"{tuple(H.shape)} and {tuple(Z.shape)}"
        )
    return H, Z
