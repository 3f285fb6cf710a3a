"""Bidirectional GRUs over flat, unpadded sequences: characters of words, words of Docs.

Paper: Chen et al. (EMNLP 2018), section 3.3: a word is its embedding beside the last states of a
character BiGRU; a word BiGRU reads the sentence.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence


@dataclass(frozen=True)
class Packing:
    """Where the items of flat sequences (lengths 3, 1: a0 a1 a2 b0) stand in packed order.

    A packed sequence holds all first items, then all second items, longest sequence first, so
    that a recurrence needs neither padding nor a mask.
    """

    order: Tensor  # flat position of each packed item, (T,)
    inverse: Tensor  # packed position of each flat item, (T,)
    batch_sizes: Tensor  # sequences still running at each step, on the CPU, (longest,)
    last: Tensor  # sequence numbers by falling length, (sequences,)

    @classmethod
    def from_lengths(cls, lengths: Tensor, device: torch.device) -> "Packing":
        """Work out the packed order; the arithmetic is done on the CPU.

        lengths (Tensor): Items of each sequence, int64 on the CPU, each at least 1, (sequences,).
        device (torch.device): Where the index tensors are wanted.
        RETURNS (Packing): The order.
        """
        by_length = torch.argsort(lengths, descending=True, stable=True)
        starts = torch.cumsum(lengths, 0) - lengths
        steps = torch.arange(int(lengths.max()))
        running = steps[:, None] < lengths[by_length][None, :]  # (longest, sequences)
        flat = starts[by_length][None, :] + steps[:, None]
        order = flat[running]
        inverse = torch.empty_like(order)
        inverse[order] = torch.arange(len(order))
        return cls(
            order.to(device, non_blocking=True),
            inverse.to(device, non_blocking=True),
            running.sum(1),
            by_length.to(device, non_blocking=True),
        )

    def pack(self, X: Tensor) -> PackedSequence:
        """Bring flat items into packed order.

        X (Tensor): Items, (T, H).
        RETURNS (PackedSequence): The same items.
        """
        return PackedSequence(X.index_select(0, self.order), self.batch_sizes)


class BiGRU(nn.Module):
    """One bidirectional GRU layer over flat sequences.

    nI (int): Width of an item.
    nH (int): Units in each direction.
    """

    def __init__(self, *, nI: int, nH: int) -> None:
        super().__init__()
        self.gru = nn.GRU(nI, nH, bidirectional=True)
        for name, weight in self.gru.named_parameters():
            if name.startswith("weight_hh"):
                for gate in weight.data.chunk(3):
                    nn.init.orthogonal_(gate)
            elif name.startswith("weight_ih"):
                nn.init.xavier_uniform_(weight)
            else:
                nn.init.zeros_(weight)

    def forward(self, X: Tensor, lengths: Tensor) -> Tensor:
        """Read every sequence in both directions.

        X (Tensor): Items of all sequences, one after the other, (T, nI).
        lengths (Tensor): Items of each sequence, int64 on the CPU, zeros allowed, (sequences,).
        RETURNS (Tensor): States of each item, forward then backward, (T, 2 * nH).
        """
        if not len(X):
            return X.new_zeros((0, 2 * self.gru.hidden_size))
        packing = Packing.from_lengths(lengths[lengths > 0], X.device)
        states, _ = self.gru(packing.pack(X))
        return states.data.index_select(0, packing.inverse)

    def last_states(self, X: Tensor, lengths: Tensor) -> Tensor:
        """Read every sequence and keep the last state of each direction.

        X (Tensor): Items, (T, nI).
        lengths (Tensor): Items of each sequence, int64 on the CPU, each at least 1, (sequences,).
        RETURNS (Tensor): One vector a sequence, (sequences, 2 * nH).
        """
        if not len(lengths):
            return X.new_zeros((0, 2 * self.gru.hidden_size))
        packing = Packing.from_lengths(lengths, X.device)
        _, last = self.gru(packing.pack(X))  # (2, sequences, nH), by falling length
        by_length = torch.cat((last[0], last[1]), 1)
        return torch.empty_like(by_length).index_copy(0, packing.last, by_length)


class CharWordBiGRU(nn.Module):
    """Words as embedding beside character states, read by a word BiGRU.

    A word's vector is its static vector (zeros where there is none) plus its row of `embedding`.
    Row 0 is always zero and never trained: words that are their static vector alone. Row 1 is
    shared by unknown words. So one table serves fixed vectors (2 rows), tuned vectors (learned
    offsets, starting at zero) and learned embeddings (no static vector).

    nC (int): Characters, padding and unknown included.
    nW (int): Rows of the embedding table.
    width (int): Width of a word vector.
    char_width (int): Width of a character embedding.
    char_hidden (int): Units of the character GRU in each direction.
    hidden (int): Units of the word GRU in each direction.
    learned (bool): Start the table's rows at random (learned embeddings) or at zero (offsets).
    """

    def __init__(
        self,
        *,
        nC: int,
        nW: int,
        width: int,
        char_width: int,
        char_hidden: int,
        hidden: int,
        learned: bool,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(nW, width, padding_idx=0)
        self.char_embedding = nn.Embedding(nC, char_width, padding_idx=0)
        self.char_gru = BiGRU(nI=char_width, nH=char_hidden)
        self.word_gru = BiGRU(nI=width + 2 * char_hidden, nH=hidden)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        nn.init.normal_(self.char_embedding.weight, std=char_width**-0.5)
        with torch.no_grad():
            self.char_embedding.weight[0] = 0.0
            self.embedding.weight[0] = 0.0
            if not learned:
                self.embedding.weight[2:] = 0.0

    def spell(self, chars: Tensor, lengths: Tensor) -> Tensor:
        """Encode the spelling of distinct words.

        chars (Tensor): Character ids of all words, one word after the other, (characters,).
        lengths (Tensor): Characters of each word, int64 on the CPU, each at least 1, (words,).
        RETURNS (Tensor): Last states in both directions, (words, 2 * char_hidden).
        """
        return self.char_gru.last_states(self.char_embedding(chars), lengths)

    def forward(
        self,
        spelling: Tensor,
        rows: Tensor,
        static: Tensor | None,
        positions: Tensor,
        lengths: Tensor,
        dropout: float,
    ) -> Tensor:
        """Encode the tokens of a batch in context.

        spelling (Tensor): What `spell` gave for the distinct words, (words, 2 * char_hidden).
        rows (Tensor): Row of the embedding table for each distinct word, (words,).
        static (Tensor | None): Static vector of each distinct word, (words, width).
        positions (Tensor): The distinct word that stands at each token, (T,).
        lengths (Tensor): Tokens of each Doc, int64 on the CPU, (B,).
        dropout (float): Share of inputs and outputs of the word GRU set to zero, in training.
        RETURNS (Tensor): Encoded tokens, (T, 2 * hidden).
        """
        words = self.embedding(rows)
        words = words if static is None else words + static
        X = torch.cat((words, spelling), 1).index_select(0, positions)  # (T, width + chars)
        X = nn.functional.dropout(X, dropout, training=self.training)
        H = self.word_gru(X, lengths)
        return nn.functional.dropout(H, dropout, training=self.training)
