"""The best path of a linear chain, how far ahead it is, and what is wrong with scores without one.

The score of a path y is `start[y_1] + sum_i emissions[i, y_i] + sum_i pair[y_i, y_{i+1}] +
end[y_N]`; `pair` is indexed [from, to], and a score of -inf forbids.
"""

from typing import Any

import torch
from torch import Tensor

from .chain import length_mask

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
    check_shapes(emissions, lengths, start=start, pair=pair, end=end)
    if emissions.dtype in (torch.float16, torch.bfloat16):
        emissions = emissions.float()  # sums over long documents need the digits
    start, pair, end = (scores.to(emissions) for scores in (start, pair, end))
    lengths = lengths.to(emissions.device)
    if emissions.shape[1] == 0:
        path, score = lengths.new_zeros((len(lengths), 0)).long(), emissions.new_zeros(len(lengths))
    else:
        path, score = _best_path(emissions, lengths, start, pair, end)
    failed = (lengths > 0) & ~score.isfinite()
    if bool(failed.any()):
        doc = int(failed.nonzero()[0])
        raise path_error(emissions, lengths, doc, start=start, pair=pair, end=end)
    return path


@torch.no_grad()
def best_margin(
    emissions: Tensor, lengths: Tensor, *, start: Tensor, pair: Tensor, end: Tensor
) -> Tensor:
    """Give how far the best path of each document is ahead of the second best.

    The arguments are those of `viterbi`.
    RETURNS (Tensor): The difference of their scores, infinite without a second path, float64, (B,).
    RAISES (ValueError): As `viterbi` does.
    """
    path = viterbi(emissions, lengths, start=start, pair=pair, end=end)  # checks the arguments
    scores = emissions.double()  # a small difference of large sums
    start, pair, end = (x.to(scores) for x in (start, pair, end))
    if not path.shape[1]:
        return scores.new_full((len(path),), torch.inf)
    lengths = lengths.to(scores.device)
    best = torch.stack((start + scores[:, 0], torch.full_like(scores[:, 0], NEVER)), 2)  # (B, C, 2)
    for i in range(1, scores.shape[1]):
        every = best[:, None] + pair.T[..., None]  # (B, to, from, 2)
        found = every.flatten(2).topk(2).values + scores[:, i, :, None]
        best = torch.where((i < lengths)[:, None, None], found, best)
    first, second = (best + end[:, None]).flatten(1).topk(2).values.T
    return torch.where(lengths > 0, first - second, torch.inf)


def _best_path(
    emissions: Tensor, lengths: Tensor, start: Tensor, pair: Tensor, end: Tensor
) -> tuple[Tensor, Tensor]:
    """RETURNS (tuple[Tensor, Tensor]): Best paths, (B, N), and their scores, (B,). N > 0."""
    docs, steps, tags = emissions.shape
    best = _best_scores(emissions, start, pair)
    last = (lengths - 1).clamp(min=0)
    stop = best.gather(0, last[None, :, None].expand(1, docs, tags))[0]
    score, final = (stop + end).max(dim=1)  # (B,)
    over = length_mask(last, steps).logical_not().T.unbind()  # the last token and those beyond
    arrive = pair.T.contiguous()  # (to, from)
    path = [final]
    # Finding the origins again on the best path alone is far cheaper than the argmax of each step.
    for i in range(steps - 2, -1, -1):
        origin = arrive.index_select(0, path[-1]).add_(best[i]).argmax(dim=1)
        path.append(torch.where(over[i], final, origin))
    return torch.stack(path[::-1], dim=1).masked_fill(~length_mask(lengths, steps), 0), score


def _best_scores(emissions: Tensor, start: Tensor, pair: Tensor) -> Tensor:
    """RETURNS (Tensor): Scores of the best paths to each tag, any beyond a document, (N, B, C)."""
    docs, _, tags = emissions.shape
    emissions = emissions.transpose(0, 1).contiguous()
    best = torch.empty_like(emissions)
    torch.add(start, emissions[0], out=best[0])
    # The maximum over the slowest axis runs over whole rows of (document, to) at a time.
    every, origins = emissions.new_empty(tags, docs, tags), pair[:, None]
    for previous, emission, found in zip(best, emissions[1:], best[1:], strict=False):
        torch.add(previous.T.contiguous()[..., None], origins, out=every)  # (from, B, to)
        torch.amax(every, dim=0, out=found).add_(emission)
    return best


def check_shapes(emissions: Tensor, lengths: Tensor, **scores: Tensor) -> None:
    """Refuse what is no batch of chains.

    emissions (Tensor): Scores of the tags, (B, N, C).
    lengths (Tensor): Tokens of each document, (B,).
    scores (Tensor): `start` (C,), `pair` (C, C) and `end` (C,).
    RAISES (ValueError): For a wrong shape or type, and on the CPU for a length beyond N.
    """
    if emissions.dim() != 3 or emissions.shape[2] == 0:
        raise ValueError(f"emissions must be (B, N, C) with C > 0, got {tuple(emissions.shape)}")
    if not emissions.is_floating_point():
        raise ValueError(f"emissions must be floating point, got {emissions.dtype}")
    docs, steps, tags = emissions.shape
    if lengths.shape != (docs,) or lengths.is_floating_point():
        got = f"{tuple(lengths.shape)} of {lengths.dtype}"
        raise ValueError(f"lengths must be integers of shape ({docs},), got {got}")
    for name, value in scores.items():
        expected = (tags, tags) if name == "pair" else (tags,)
        if value.shape != expected:
            raise ValueError(f"{name} must have shape {expected}, got {tuple(value.shape)}")
    wrong = (lengths < 0) | (lengths > steps)
    if wrong.is_cpu and bool(wrong.any()):  # a GPU would be waited for
        doc = int(wrong.nonzero()[0])
        raise ValueError(f"lengths must lie in 0 to {steps}, got {lengths[doc]} for Doc {doc}")


def path_error(
    emissions: Tensor, lengths: Tensor, doc: int, *, start: Tensor, pair: Tensor, end: Tensor
) -> ValueError:
    """Explain why a document has no path.

    emissions (Tensor): Scores of the tags, (B, N, C).
    lengths (Tensor): Tokens of each document, (B,).
    doc (int): The document.
    start (Tensor): Scores of the first tag, (C,).
    pair (Tensor): Scores of a tag and its successor, (C, C).
    end (Tensor): Scores of the last tag, (C,).
    RETURNS (ValueError): Names the token that no path can reach, or cannot end at.
    """
    scores = emissions[doc, : int(lengths[doc])]
    if not all(bool((x < torch.inf).all()) for x in (scores, start, pair, end)):
        return ValueError(f"Doc {doc} of the batch has NaN or infinity among its scores")
    where = f"no path of Doc {doc} of the batch is allowed"
    reached = start > NEVER
    for i, allowed in enumerate(scores > NEVER):
        if i:
            reached = (reached[:, None] & (pair > NEVER)).any(0)
        if not bool(allowed.any()):
            return ValueError(f"{where}: token {i} has no allowed tag")
        reached = reached & allowed
        if not bool(reached.any()):
            return ValueError(f"{where}: no allowed tag of token {i} may follow those before it")
    return ValueError(f"{where}: no tag of its last token, {len(scores) - 1}, may end it")
