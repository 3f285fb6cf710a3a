"""Words of texts as flat ids: what is embedded, what a decoder reads before each word.

Words are ids: 0 is any unknown word, 1 the end of a text. A text that is complete has END as its
last word, one that was cut off has not; as an input END also stands before the first word.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

UNKNOWN, END = 0, 1


@dataclass(frozen=True)
class Texts:
    """B texts of T words in all, one after the other."""

    words: Tensor  # word ids, int64, (T,)
    lengths: Tensor  # words of each text, zeros allowed, int64, on the CPU, (B,)
    vectors: Tensor | None = None  # what a classifier without an LSTM of its own reads, (B, nI)

    def select(self, chosen: Tensor) -> "Texts":
        """Keep some texts, all that have words among them.

        chosen (Tensor): Their numbers, rising, int64, on the CPU, (n,).
        RETURNS (Texts): n texts.
        """
        vectors = self.vectors
        if vectors is not None:
            vectors = vectors.index_select(0, chosen.to(vectors.device))
        return Texts(self.words, self.lengths[chosen], vectors)


def build_embedding(nV: int, width: int) -> nn.Embedding:
    """Build an embedding table.

    nV (int): Rows.
    width (int): Width of a row, of unit length at the start.
    RETURNS (nn.Embedding): Ids to rows.
    """
    return nn.Embedding(nV, width, _weight=torch.randn(nV, width) * width**-0.5)


def shift(words: Tensor, lengths: Tensor, word_dropout: float) -> Tensor:
    """Give the word before each word, END before the first.

    words (Tensor): Words of all texts, int64, (T,).
    lengths (Tensor): Words of each text, int64 on the CPU, each at least 1, (n,).
    word_dropout (float): Share of the words that are replaced by UNKNOWN.
    RETURNS (Tensor): int64, (T,).
    """
    before = torch.cat((words.new_full((1,), END), words))[: len(words)]
    if word_dropout:
        hidden = torch.rand(before.shape, device=words.device) < word_dropout
        before = before.masked_fill(hidden, UNKNOWN)
    starts = (lengths.cumsum(0) - lengths).to(words.device)
    return before.index_fill(0, starts, END)


def token_index(lengths: Tensor, owners: Tensor) -> Tensor:
    """Give the words of chosen texts, one text after the other.

    lengths (Tensor): Words of each text, int64 on the CPU, (n,).
    owners (Tensor): The chosen texts, in any order and number, int64 on the CPU, (P,).
    RETURNS (Tensor): Flat positions, int64 on the CPU, (words of the chosen texts,).
    """
    sizes = lengths[owners]
    moved = (lengths.cumsum(0) - lengths)[owners] - (sizes.cumsum(0) - sizes)
    return torch.arange(int(sizes.sum())) + torch.repeat_interleave(moved, sizes)
