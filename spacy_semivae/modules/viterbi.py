"""Linear-chain CRF over emission, start, transition and end scores.

The score of a path y is `start[y_1] + sum_i emissions[i, y_i] + sum_i pair[y_i, y_{i+1}] +
end[y_N]`; `pair` is indexed [from, to], and a score of -inf forbids.
"""

from typing import Any

import torch
from torch import Tensor

NEVER = float("-inf")


def transition_scores(mask: Any) -> Tensor:
    """Turn a mask of allowed transitions into scores.

    mask (Any): A boolean array or tensor of any shape.
    RETURNS (Tensor): 0 where it is True and -inf where it is False, float32.
    RAISES: ValueError for a mask that is not boolean.
    """
    allowed = torch.as_tensor(mask)
    if allowed.dtype != torch.bool:
        raise ValueError(f"a transition mask must be boolean, got {allowed.dtype}")
    return torch.zeros(allowed.shape, device=allowed.device).masked_fill(~allowed, NEVER)


@torch.no_grad()
def viterbi(
    emissions: Tensor, lengths: Tensor, *, start: Tensor, pair: Tensor, end: Tensor
) -> Tensor:
    """Find the path of the highest score of each document.

    emissions (Tensor): Scores of the tags, (B, N, C).
    lengths (Tensor): Tokens of each document, from 0 to N, integers, (B,).
    start (Tensor): Scores of the first tag, (C,).
    pair (Tensor): Scores of a tag and its successor, indexed [from, to], (C, C).
    end (Tensor): Scores of the last tag, (C,).
    RETURNS (Tensor): The tags, 0 beyond a document's length, int64, (B, N).
    RAISES: ValueError for a wrong shape or length, for NaN, and where no path is allowed.
    """
    _check_shapes(emissions, lengths, start=start, pair=pair, end=end)
    if emissions.dtype in (torch.float16, torch.bfloat16):
        emissions = emissions.float()  # sums over long documents need the digits
    start, pair, end = (scores.to(emissions) for scores in (start, pair, end))
    lengths = lengths.to(emissions.device)
    if emissions.shape[1] == 0:
        path, score = lengths.new_zeros((len(lengths), 0)).long(), emissions.new_zeros(len(lengths))
    else:
        path, score = _best_path(emissions, lengths, start, pair, end)
    _check_paths(score, lengths, emissions.shape[1])
    return path


def _best_path(
    emissions: Tensor, lengths: Tensor, start: Tensor, pair: Tensor, end: Tensor
) -> tuple[Tensor, Tensor]:
    """RETURNS (tuple[Tensor, Tensor]): Best paths, (B, N), and their scores, (B,). N > 0."""
    steps = emissions.shape[1]
    inside = length_mask(lengths, steps)
    arrive = pair.T.contiguous()  # (to, from): the maximum runs over neighbours in memory
    best = [start + emissions[:, 0]]  # N times (B, C): score of the best path to each tag
    for i in range(1, steps):
        score = (best[-1][:, None] + arrive).amax(dim=2) + emissions[:, i]  # (B, to, from) first
        best.append(torch.where(inside[:, i, None], score, best[-1]))
    score, tag = (best[-1] + end).max(dim=1)  # (B,)
    path = [tag]
    # Finding the origins again on the best path alone is far cheaper than the argmax of each step.
    for i in range(steps - 1, 0, -1):
        origin = (best[i - 1] + arrive[path[-1]]).argmax(dim=1)
        path.append(torch.where(inside[:, i], origin, path[-1]))
    return torch.stack(path[::-1], dim=1).masked_fill(~inside, 0), score


def length_mask(lengths: Tensor, steps: int) -> Tensor:
    """Mark the positions inside each document.

    lengths (Tensor): Tokens of each document, (B,).
    steps (int): The padded length N.
    RETURNS (Tensor): Boolean, (B, N).
    """
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def _check_shapes(emissions: Tensor, lengths: Tensor, **scores: Tensor) -> None:
    if emissions.dim() != 3 or emissions.shape[2] == 0:
        raise ValueError(f"emissions must be (B, N, C) with C > 0, got {tuple(emissions.shape)}")
    if not emissions.is_floating_point():
        raise ValueError(f"emissions must be floating point, got {emissions.dtype}")
    docs, _, tags = emissions.shape
    if lengths.shape != (docs,) or lengths.is_floating_point():
        got = f"{tuple(lengths.shape)} of {lengths.dtype}"
        raise ValueError(f"lengths must be integers of shape ({docs},), got {got}")
    for name, value in scores.items():
        expected = (tags, tags) if name == "pair" else (tags,)
        if value.shape != expected:
            raise ValueError(f"{name} must have shape {expected}, got {tuple(value.shape)}")


def _check_paths(score: Tensor, lengths: Tensor, steps: int) -> None:
    # One comparison on the host for the whole batch; which document it was matters only after it.
    short = (lengths < 0) | (lengths > steps)
    failed = short | ((lengths > 0) & ~(score > NEVER))  # not score <= NEVER: NaN fails too
    if not failed.any():
        return
    doc = int(failed.nonzero()[0])
    if short[doc]:
        raise ValueError(f"lengths must lie in 0 to {steps}, got {lengths[doc]} for Doc {doc}")
    if score[doc].isnan():
        raise ValueError(f"Doc {doc} of the batch has NaN among its scores")
    raise ValueError(f"no path of Doc {doc} of the batch is allowed: all have a score of -inf")
