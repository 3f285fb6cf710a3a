"""Units of a tagger, tokens or word pieces, and how they stand in documents."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from .chain import length_mask

OUTSIDE = 0  # the tag O, where the tags are those of spans
# What a unit is in its token; the only unit of a token is both its first and its last.
INNER, FIRST, LAST, ONLY = 0, 1, 2, 3  # bits: begins its token, ends it


@dataclass(frozen=True)
class Units:
    """Where the T units of B documents stand."""

    lengths: Tensor  # units of each document, int64, (B,)
    docs: Tensor  # the document of each unit, int64, (T,)
    positions: Tensor  # its place in the document, int64, (T,)
    steps: int  # units of the longest document, N
    kinds: Tensor | None = None  # FIRST, LAST and so on; None: all units are whole tokens, (T,)

    @classmethod
    def of(cls, lengths: Sequence[int], device: Any = None, kinds: Any = None) -> "Units":
        """Lay out documents.

        lengths (Sequence[int]): Units of each document.
        device (torch.device | None): Where the tensors are wanted.
        kinds (ndarray | None): What each unit is in its token, (T,).
        RETURNS (Units): The layout.
        """
        sizes = torch.as_tensor(lengths, dtype=torch.int64)
        steps = int(sizes.max()) if len(sizes) else 0
        docs = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
        positions = torch.arange(len(docs)) - torch.repeat_interleave(
            sizes.cumsum(0) - sizes, sizes
        )
        kinds = None if kinds is None else torch.as_tensor(kinds).to(device)
        return cls(sizes.to(device), docs.to(device), positions.to(device), steps, kinds)

    @cached_property
    def inside(self) -> Tensor:
        """The positions of padded documents that are units, bool, (B, N)."""
        return length_mask(self.lengths, self.steps)

    def pad(self, X: Tensor, value: float = 0.0) -> Tensor:
        """Bring rows of units into padded documents.

        X (Tensor): (T, ...).
        value (float): What stands beyond a document.
        RETURNS (Tensor): (B, N, ...).
        """
        padded = X.new_full((len(self.lengths), self.steps, *X.shape[1:]), value)
        return padded.index_put((self.docs, self.positions), X)

    def unpad(self, X: Tensor) -> Tensor:
        """Take rows of units out of padded documents.

        X (Tensor): (B, N, ...).
        RETURNS (Tensor): (T, ...).
        """
        return X[self.docs, self.positions]


def allowed_in_token(kinds: Tensor, nO: int) -> Tensor:
    """Forbid entities that begin or end within a token.

    kinds (Tensor): What each unit is in its token, (T,).
    nO (int): Tags: O, then B, I, L and U of each type.
    RETURNS (Tensor): Bool, (T, C).
    """
    begins, ends = _edges(torch.arange(nO, device=kinds.device))
    return (((kinds & FIRST) > 0)[:, None] | ~begins) & (((kinds & LAST) > 0)[:, None] | ~ends)


def kinds_of(lengths: Tensor) -> Tensor:
    """Tell what each unit is in its token.

    lengths (Tensor): Units of each token, 1 at least, (tokens,).
    RETURNS (Tensor): INNER, FIRST, LAST or ONLY, int64, (T,).
    """
    ends = lengths.cumsum(0)
    kinds = lengths.new_full((int(lengths.sum()),), INNER)
    kinds[ends - lengths] += FIRST
    kinds[ends - 1] += LAST
    return kinds


def spread_tags(tags: Tensor, lengths: Tensor, *, spans: bool) -> Tensor:
    """Give each unit its tag: of B on two pieces the first is B and the second I.

    tags (Tensor): A tag of each token, negative where it is missing, (tokens,).
    lengths (Tensor): Units of each token, (tokens,).
    spans (bool): Whether the tags are O, then B, I, L and U of each type; else they repeat.
    RETURNS (Tensor): (T,).
    """
    spread = tags.repeat_interleave(lengths)
    if not spans:
        return spread
    begins, ends = _edges(spread)
    kinds = kinds_of(lengths)
    return _compose(spread, begins & ((kinds & FIRST) > 0), ends & ((kinds & LAST) > 0))


def merge_tags(tags: Tensor, lengths: Tensor, *, spans: bool) -> Tensor:
    """Read the tags of tokens from those of their units.

    tags (Tensor): A tag of each unit, (T,).
    lengths (Tensor): Units of each token, (tokens,).
    spans (bool): As for `spread_tags`; else the first unit speaks for its token.
    RETURNS (Tensor): (tokens,).
    """
    ends = lengths.cumsum(0)
    first, last = tags[ends - lengths], tags[ends - 1]
    return _compose(first, _edges(first)[0], _edges(last)[1]) if spans else first


def _edges(tags: Tensor) -> tuple[Tensor, Tensor]:
    """RETURNS (tuple[Tensor, Tensor]): Whether an entity begins and whether one ends at a tag."""
    letter = (tags - 1) % 4  # B, I, L, U
    entity = tags > OUTSIDE
    return entity & ((letter == 0) | (letter == 3)), entity & (letter >= 2)


def _compose(tags: Tensor, begins: Tensor, ends: Tensor) -> Tensor:
    """RETURNS (Tensor): The tags of the same types with other edges; O and missing stay."""
    letter = torch.where(begins, torch.where(ends, 3, 0), torch.where(ends, 2, 1))
    return torch.where(tags > OUTSIDE, (tags - 1) // 4 * 4 + 1 + letter, tags)


def spread_spans(rows: Tensor, lengths: Tensor) -> Tensor:
    """Bring spans over tokens to units.

    rows (Tensor): Token, tag and span number of each token of a span, in order, (3, R).
    lengths (Tensor): Units of each token, (tokens,).
    RETURNS (Tensor): Unit, tag and span number of each unit, (3, units).
    """
    token, tag, span = rows
    sizes = lengths[token]
    ends = sizes.cumsum(0)
    offsets = torch.arange(int(sizes.sum())) - (ends - sizes).repeat_interleave(sizes)
    unit = (lengths.cumsum(0) - lengths)[token].repeat_interleave(sizes) + offsets
    tags = spread_tags(tag, sizes, spans=True)
    return torch.stack((unit, tags, span.repeat_interleave(sizes)))
