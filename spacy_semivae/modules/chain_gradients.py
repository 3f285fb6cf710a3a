"""Gradients of chains by hand: marginals for log Z, one tangent pass for functions of them.

The gradient of log Z is the vector of marginals, and that of a function of the marginals is the
Hessian of log Z times the function's own gradient. The Hessian is symmetric, so the product is the
change of the marginals along that direction: one more pass through the recursion.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .chain import Messages, Potentials, at_end, reorder
from .precision import without_autocast


class Expectations(NamedTuple):
    """What q expects of B documents."""

    log_Z: Tensor  # (B,)
    marginals: Tensor  # q(y_i = c), zero beyond a document, (B, N, C)
    transitions: Tensor  # the mean score of start, pairs and end, (B,)


def log_partition(potentials: Potentials, messages: Messages) -> Tensor:
    """Give log Z.

    potentials (Potentials): The scores.
    messages (Messages): Their messages, all safe.
    RETURNS (Tensor): Nats, (B,). Second derivatives raise.
    """
    p = potentials
    return _LogPartition.apply(p.emissions, p.start, p.pair, p.end, p.lengths, messages)


def expectations(potentials: Potentials, messages: Messages) -> Expectations:
    """Give log Z, the marginals and the mean score of the transitions.

    potentials (Potentials): The scores.
    messages (Messages): Their messages, all safe.
    RETURNS (Expectations): All differentiable; second derivatives raise.
    """
    p = potentials
    found = _Expectations.apply(p.emissions, p.start, p.pair, p.end, p.lengths, messages)
    return Expectations(*found)


class _LogPartition(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        *_, ctx.lengths, ctx.messages = inputs
        return ctx.messages.log_Z.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        _refuse_second_derivative()
        (g,) = grads  # (B,)
        mu = posterior(ctx.messages, g)
        pair = ctx.messages.E[0] * _sum_pairs(ctx.messages, g)
        end = at_end(mu, ctx.lengths).sum(0)
        return mu.transpose(0, 1), mu[0].sum(0), pair, end, None, None


class _Expectations(torch.autograd.Function):
    @staticmethod
    @without_autocast
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
        _, start, pair, end, lengths, messages = inputs
        ctx.messages, ctx.lengths = messages, lengths
        ctx.scores = [torch.where(x.isfinite(), x, 0.0) for x in (start, pair, end)]
        mu = ctx.mu = posterior(messages)
        start, pair, end = ctx.scores
        joint = ((messages.alpha[:-1] @ (messages.E[0] * pair)) * messages.leave[1:]).sum(
            2, keepdim=True
        )
        mean = torch.where(messages.inside[1:], joint / messages.norm[1:], 0.0)[..., 0].sum(0)
        mean = mean + mu[0] @ start + at_end(mu, lengths) @ end
        return messages.log_Z.clone(), mu.transpose(0, 1).contiguous(), mean

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        _refuse_second_derivative()
        g_Z, g_mu, g_mean = grads
        mu, (start, pair, end), messages = ctx.mu, ctx.scores, ctx.messages
        direction = g_mu.transpose(0, 1)
        d_mu, d_pair = tangent(
            messages, mu, direction, g_mean, torch.stack((start, end)), pair, ctx.lengths
        )
        d_pair += messages.E[0] * _sum_pairs(messages, g_Z + g_mean)
        # log Z moves the transitions by their marginals, and so does their mean score
        both = d_mu + mu * (g_Z + g_mean)[:, None]
        d_ends = both[0].sum(0), at_end(both, ctx.lengths).sum(0)
        d_emissions = (d_mu + mu * g_Z[:, None]).transpose(0, 1)
        return d_emissions, d_ends[0], d_pair, d_ends[1], None, None


def posterior(messages: Messages, weights: Tensor | None = None) -> Tensor:
    """Give the marginals.

    messages (Messages): The messages.
    weights (Tensor | None): What each document's are multiplied by, (B,).
    RETURNS (Tensor): Zero beyond a document, (N, B, C).
    """
    weights = messages.norm.new_ones(()) if weights is None else weights[:, None]
    scaled = torch.where(messages.inside, weights / messages.norm, 0.0)
    return (messages.arrive * messages.leave).mul_(scaled)


def _sum_pairs(messages: Messages, weights: Tensor) -> Tensor:
    """Sum the marginals of neighbours, but for the factor `E`, over positions and documents.

    messages (Messages): The messages.
    weights (Tensor): The weight of each document, (B,).
    RETURNS (Tensor): From, to, (C, C).
    """
    leave = messages.leave[1:]
    scaled = torch.where(messages.inside[1:], weights[:, None] / messages.norm[1:], 0.0)
    return (messages.alpha[:-1] * scaled).flatten(0, 1).T @ leave.flatten(0, 1)


def tangent(
    messages: Messages,
    mu: Tensor,
    direction: Tensor,
    weights: Tensor,
    ends: Tensor,
    pair: Tensor,
    lengths: Tensor,
) -> tuple[Tensor, Tensor]:
    """Give the change of the marginals when the potentials move along a direction.

    messages (Messages): The messages.
    mu (Tensor): The marginals, (N, B, C).
    direction (Tensor): Direction of the emissions, (N, B, C).
    weights (Tensor): How far each document's transitions move along `ends` and `pair`, (B,).
    ends (Tensor): Direction of the start and of the end scores, (2, C).
    pair (Tensor): Direction of the pair scores, (C, C).
    RETURNS (tuple[Tensor, Tensor]): Change of the marginals, (N, B, C), and of the sums over
        neighbours, (C, C).
    """
    # a constant added to all tags of a position changes nothing: less of it, more digits
    direction = (direction - (mu * direction).sum(2, keepdim=True)) * messages.inside
    K = messages.E * torch.stack((pair, pair.T))
    before, after = _scan_tangent(messages, direction, weights, ends, K)
    d_alpha, d_arrive = after[:, 0], before[:, 0]
    d_leave = reorder(after[:, 1], messages.back)
    d_joint = d_arrive * messages.leave + messages.arrive * d_leave
    d_norm = d_joint.sum(2, keepdim=True)
    d_mu = ((d_joint - mu * d_norm) / messages.norm).masked_fill(~messages.inside, 0.0)
    # the sums over neighbours, by the product rule
    inside = messages.inside[1:]
    alpha, leave, d_leave = messages.alpha[:-1], messages.leave[1:], d_leave[1:]
    scaled = torch.where(inside, 1 / messages.norm[1:], 0.0)
    left = (alpha * scaled).flatten(0, 1)
    d_left = ((d_alpha[:-1] - alpha * (d_norm[1:] * scaled)) * scaled).flatten(0, 1)
    d_right = torch.where(inside, d_leave, 0.0).flatten(0, 1)
    change = d_left.T @ leave.flatten(0, 1) + left.T @ d_right
    return d_mu, messages.E[0] * change + K[0] * _sum_pairs(messages, weights)


def _scan_tangent(
    messages: Messages, direction: Tensor, weights: Tensor, ends: Tensor, K: Tensor
) -> tuple[Tensor, Tensor]:
    """RETURNS (tuple[Tensor, Tensor]): Changes of `before` and `after`, (N, 2, B, C)."""
    both = torch.stack((direction, reorder(direction, messages.back)), 1)
    grow = messages.after * both
    step = messages.S / messages.scale
    push = [messages.after[:-1, k] @ K[k] for k in (0, 1)]  # each (N-1, B, C)
    pushed = torch.stack(push, 1) * weights[:, None]
    before, after = torch.empty_like(grow), torch.empty_like(grow)
    torch.mul(messages.before[0], ends[:, None] * weights[:, None], out=before[0])
    torch.addcmul(grow[0], before[0], step[0], out=after[0])
    for i in range(1, len(grow)):
        torch.baddbmm(pushed[i - 1], after[i - 1], messages.E, out=before[i])
        torch.addcmul(grow[i], before[i], step[i], out=after[i])
    return before, after


def _refuse_second_derivative() -> None:
    if torch.is_grad_enabled():  # once_differentiable is silent where no gradient is needed
        raise RuntimeError("a chain has no second derivative, but create_graph is set")
