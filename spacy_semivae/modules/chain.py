"""Forward-backward over linear chains, in probability space, one matrix product a step.

With `E = exp(pair)` and `S_i = exp(emissions_i)` the forward message is
`alpha_i = (alpha_{i-1} @ E) * S_i`. Both directions run as one recursion: the backward message is
the forward one of the reversed document under `E^T`. Every step is rescaled to sum to one, and
every potential is divided by the largest one beforehand, so nothing overflows.

Underflow is another matter: a tag whose message was flushed to zero may be the one that counts in
the end, and nothing shows it. So a document in which any entry comes near to that is computed
again, first in double precision, then in log space (`log_space.py`).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .precision import without_autocast

# The natural logarithms of the smallest entry of a message, the smallest transition and the
# smallest emission (each beside a largest of 0) with which no product of the three is flushed, and
# of the smallest sum to divide by: below it the summands have lost digits, or the quotients
# overflow.
SAFE = {
    torch.float32: (-55.0, -25.0, -80.0, -25.0),
    torch.float64: (-550.0, -120.0, -700.0, -150.0),
}


@dataclass(frozen=True)
class Potentials:
    """Scores of B documents, N tokens and C tags; -inf forbids, lengths are 1 or more."""

    emissions: Tensor  # the largest of each position 0, zero beyond a document, (B, N, C)
    start: Tensor  # (C,)
    pair: Tensor  # from, to, (C, C)
    end: Tensor  # (C,)
    lengths: Tensor  # int64, (B,)

    def inside(self) -> Tensor:
        """RETURNS (Tensor): The positions inside each document, bool, (B, N)."""
        return length_mask(self.lengths, self.emissions.shape[1])


@dataclass(frozen=True)
class Messages:
    """What the recursion gives, forward (0) and over the reversed documents (1)."""

    before: Tensor  # without the position's emission, (N, 2, B, C)
    after: Tensor  # with it, and normalised, (N, 2, B, C)
    scale: Tensor  # the sums by which the latter was divided, (N, 2, B, 1)
    S: Tensor  # exp(emissions), the largest of each position 1, (N, 2, B, C)
    E: Tensor  # exp(pair), the largest 1, and its transpose, (2, C, C)
    leave: Tensor  # `after` of the backward direction in the documents' order, (N, B, C)
    norm: Tensor  # sums over the tags of `arrive * leave`, (N, B, 1)
    back: Tensor  # the position that stands at each one of the reversed documents, (N, B, 1)
    inside: Tensor  # the positions inside each document, (N, B, 1)
    log_scale: Tensor  # logarithm of what `alpha` was divided by, (N, B)
    log_Z: Tensor  # (B,)
    safe: Tensor  # whether nothing was lost, bool, (B,)

    @property
    def alpha(self) -> Tensor:
        """The forward message with the position's emission, normalised, (N, B, C)."""
        return self.after[:, 0]

    @property
    def arrive(self) -> Tensor:
        """The forward message without the position's emission, (N, B, C)."""
        return self.before[:, 0]

    @property
    def beta(self) -> Tensor:
        """The backward message without the position's emission, in order, (N, B, C)."""
        return reorder(self.before[:, 1], self.back)

    def log_forward(self) -> Tensor:
        """RETURNS (Tensor): Log forward messages with the position's emission, (B, N, C)."""
        return (self.alpha.log() + self.log_scale[..., None]).transpose(0, 1)

    def log_backward(self) -> Tensor:
        """RETURNS (Tensor): Log backward messages without the emission, (B, N, C)."""
        # at every position the products of both messages add up to Z
        beta = self.beta
        rest = self.log_Z - self.log_scale - (self.alpha * beta).sum(2).log()
        return (beta.log() + rest[..., None]).transpose(0, 1)


def length_mask(lengths: Tensor, steps: int) -> Tensor:
    """Mark the positions inside each document.

    lengths (Tensor): Tokens of each document, (B,).
    steps (int): The padded length N.
    RETURNS (Tensor): Boolean, (B, N).
    """
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


@without_autocast
def pass_messages(potentials: Potentials) -> Messages:
    """Run the recursion in both directions.

    potentials (Potentials): The scores; no gradient is kept.
    RETURNS (Messages): The messages; those of documents that are not `safe` may be wrong.
    """
    inside = potentials.inside().T
    low = potentials.emissions.transpose(0, 1)  # (N, B, C)
    back = _reversal(potentials.lengths, len(low))
    S = low.new_empty(len(low), 2, *low.shape[1:])
    torch.exp(low, out=S[:, 0])
    S[:, 1] = reorder(S[:, 0], back)
    ends = torch.stack((potentials.start, potentials.end))
    end_peaks, pair_peak = _peak(ends.amax(1)), _peak(potentials.pair.amax())
    low_ends, low_pair = ends - end_peaks[:, None], potentials.pair - pair_peak
    first, E = low_ends.exp(), low_pair.exp()
    E = torch.stack((E, E.T))
    before, after, scale = _scan(S, first[:, None], E)
    steps = scale[:, 0, :, 0].log() + pair_peak
    log_scale = steps.masked_fill(~inside, 0.0).cumsum(0) + (end_peaks[0] - pair_peak)
    stop = (at_end(after[:, 0], potentials.lengths) @ first[1]).log() + end_peaks[1]
    leave = reorder(after[:, 1], back)
    norm = torch.einsum("nbc,nbc->nb", before[:, 0], leave)
    safe = _is_safe(before, after, S, low) & _may_divide(scale, norm, inside)
    safe &= _is_narrow(torch.cat((low_ends.flatten(), low_pair.flatten())))
    return Messages(
        before=before,
        after=after,
        scale=scale,
        S=S,
        E=E,
        leave=leave,
        norm=norm[..., None],
        back=back,
        inside=inside[..., None],
        log_scale=log_scale,
        log_Z=log_scale[-1] + stop,
        safe=safe,
    )


def _scan(S: Tensor, first: Tensor, E: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Step through K recursions at once.

    S (Tensor): Emissions, (N, K, B, C).
    first (Tensor): The message that arrives at the first position, (K, B, C).
    E (Tensor): Transitions, (K, C, C).
    RETURNS (tuple): Messages before and after the emissions, (N, K, B, C), and the sums that the
        latter were divided by, (N, K, B, 1).
    """
    before, after, scale = torch.empty_like(S), torch.empty_like(S), S.new_empty(*S.shape[:3], 1)
    before[0] = first
    rows = zip(before.unbind(), after.unbind(), scale.unbind(), S.unbind())
    previous = None
    for arrive, leave, total, emission in rows:
        if previous is not None:
            torch.bmm(previous, E, out=arrive)
        torch.mul(arrive, emission, out=leave)
        torch.sum(leave, 2, keepdim=True, out=total)
        previous = leave.div_(total)
    return before, after, scale


def _peak(largest: Tensor) -> Tensor:
    return largest.masked_fill(largest == -torch.inf, 0.0)  # where all are forbidden


def _reversal(lengths: Tensor, steps: int) -> Tensor:
    """RETURNS (Tensor): The position that comes to stand at each one, (N, B, 1)."""
    forward = torch.arange(steps, device=lengths.device)[:, None]
    mirrored = lengths[None] - 1 - forward
    return torch.where(mirrored < 0, forward, mirrored)[..., None]


def reorder(X: Tensor, positions: Tensor) -> Tensor:
    """Reverse documents, or bring reversed ones back.

    X (Tensor): Values, (N, B, C).
    positions (Tensor): `Messages.back`, (N, B, 1).
    RETURNS (Tensor): The values in the other order, (N, B, C).
    """
    steps, docs, width = X.shape
    # whole rows are copied far faster than single entries are gathered
    step = X.stride(0) // width if X.stride(1) == width and X.stride(2) == 1 else 0
    if not X.numel() or not step:
        return X.gather(0, positions.expand(X.shape))
    rows = X.as_strided(((steps - 1) * step + docs, width), (width, 1), X.storage_offset())
    wanted = positions[..., 0] * step + torch.arange(docs, device=X.device)
    return rows.index_select(0, wanted.flatten()).view(X.shape)


def at_end(X: Tensor, lengths: Tensor) -> Tensor:
    """Give the row of each document's last token.

    X (Tensor): Values, (N, B, C).
    lengths (Tensor): Tokens of each document, (B,).
    RETURNS (Tensor): (B, C).
    """
    return X.gather(0, (lengths - 1)[None, :, None].expand(1, -1, X.shape[2]))[0]


def _is_safe(before: Tensor, after: Tensor, S: Tensor, low: Tensor) -> Tensor:
    """Look for entries that were flushed to zero, or may make a later product vanish.

    before (Tensor): Messages without emissions, (N, 2, B, C).
    after (Tensor): Normalised messages, (N, 2, B, C).
    S (Tensor): Emissions in probability space, (N, 2, B, C).
    low (Tensor): Emissions, (N, B, C).
    RETURNS (Tensor): Bool, (B,).
    """
    message, _, emission, _ = SAFE[after.dtype]
    # A look at the smallest entries is enough for most batches, where it has not to wait for a GPU.
    # Zeros are right at the edges, where some tags may not begin or end a document, so these are
    # always looked at one by one.
    inner = after[1:]
    edge = slice(None)
    if not inner.numel() or (inner.is_cpu and bool(inner.amin() >= math.exp(message))):
        edge = slice(1)
    lost = (after[edge] < math.exp(message)) & (before[edge] > 0) & (S[edge] > 0)
    safe = ~lost.any(3).any(1).any(0)
    if not low.numel() or (low.is_cpu and bool(low.amin() >= emission)):
        return safe
    return safe & ~((low < emission) & (low > -torch.inf)).any(2).any(0)


def _is_narrow(low: Tensor) -> Tensor:
    """Look for transitions far below the largest one, and for those that are not numbers.

    low (Tensor): Scores less the largest.
    RETURNS (Tensor): Bool, ().
    """
    return ((low < SAFE[low.dtype][1]) != (low > -torch.inf)).all()


def _may_divide(scale: Tensor, norm: Tensor, inside: Tensor) -> Tensor:
    """Look for sums that are too small, as where each direction favours what the other forbids.

    scale (Tensor): Sums by which messages were divided, (N, 2, B, 1).
    norm (Tensor): Sums of the products of both directions, 0 where there is no path, (N, B).
    inside (Tensor): The positions inside each document, (N, B).
    RETURNS (Tensor): Bool, (B,).
    """
    least = math.exp(SAFE[scale.dtype][3])
    smallest = torch.minimum(scale[..., 0].amin((0, 1)), torch.where(inside, norm, 1.0).amin(0))
    return smallest > least  # False for NaN
