"""Linear chains step by step in log space: slow, safe for any scores, plain autograd.

What `chain` cannot do within the range of floating point is done here, and its tests compare with
this. -inf becomes `FORBIDDEN`, since the gradient of logsumexp over nothing but -inf is NaN.
"""

import torch
from torch import Tensor

from .chain import Potentials
from .chain_gradients import Expectations

FORBIDDEN = -1e30


def forward_messages(potentials: Potentials) -> Tensor:
    """Run the forward recursion in log space: slow, safe, and differentiable twice.

    potentials (Potentials): The scores.
    RETURNS (Tensor): Logarithms of the forward messages with their emissions, those of the last
        token repeated beyond it, below `FORBIDDEN / 2` where there is no path, (B, N, C).
    """
    emissions = potentials.emissions.clamp(min=FORBIDDEN)
    pair, inside = potentials.pair.clamp(min=FORBIDDEN), potentials.inside()
    alpha = [potentials.start.clamp(min=FORBIDDEN) + emissions[:, 0]]  # N times (B, C)
    for i in range(1, emissions.shape[1]):
        step = (alpha[-1][:, :, None] + pair).logsumexp(1) + emissions[:, i]
        alpha.append(torch.where(inside[:, i, None], step, alpha[-1]))
    return torch.stack(alpha, 1)


def log_partition(potentials: Potentials) -> Tensor:
    """Give log Z from the recursion in log space.

    potentials (Potentials): The scores.
    RETURNS (Tensor): Nats, below `FORBIDDEN / 2` where no path is allowed, (B,).
    """
    last = forward_messages(potentials)[:, -1]
    return (last + potentials.end.clamp(min=FORBIDDEN)).logsumexp(1)


def backward_messages(potentials: Potentials) -> Tensor:
    """Run the backward recursion.

    potentials (Potentials): The scores.
    RETURNS (Tensor): Logarithms of the backward messages without the position's emission; beyond a
        document the end scores, (B, N, C).
    """
    emissions = potentials.emissions.clamp(min=FORBIDDEN)
    pair, inside = potentials.pair.clamp(min=FORBIDDEN), potentials.inside()
    end = potentials.end.clamp(min=FORBIDDEN).expand(emissions[:, 0].shape)
    beta = [end]
    for i in range(emissions.shape[1] - 1, 0, -1):
        step = ((beta[-1] + emissions[:, i])[:, None] + pair).logsumexp(2)
        beta.append(torch.where(inside[:, i, None], step, end))
    return torch.stack(beta[::-1], 1)


def expectations(potentials: Potentials) -> Expectations:
    """Give log Z and what q expects, as derivatives of log Z.

    potentials (Potentials): The scores.
    RETURNS (Expectations): Differentiable where gradients are enabled.
    """
    keep = torch.is_grad_enabled()
    with torch.enable_grad():
        emissions = potentials.emissions
        emissions = emissions if emissions.requires_grad else emissions.detach().requires_grad_()
        # at t = 0 the derivative by the scale 1 + t of a document's transitions is their mean
        t = emissions.new_zeros(len(emissions), 1, requires_grad=True)
        start, end = (x + t * _finite(x) for x in (potentials.start, potentials.end))
        pair = potentials.pair + t[..., None] * _finite(potentials.pair)
        log_Z = log_partition(Potentials(emissions, start, pair, end, potentials.lengths))
        mu, mean = torch.autograd.grad(log_Z.sum(), (emissions, t), create_graph=keep)
    log_Z = log_Z if keep else log_Z.detach()
    return Expectations(log_Z, mu, mean[:, 0])


def _finite(scores: Tensor) -> Tensor:
    return torch.where(scores.isfinite(), scores, 0.0)
