"""Conditional LSTM decoders: an LSTM that is told a condition, such as a label, at every step.

Paper: Xu et al. (AAAI 2017), section "Conditional LSTM Structures". With y the condition's vector:

    vanilla   a plain LSTM: y reaches it by its first state alone
    clstm1    y stands beside each input
    clstm2    c_t = f * c_{t-1} + i * c~ + tanh(W y), not gated                        (eq. 15)

All start from a given h_0, with c_0 = 0.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from .lstm import run_lstm, start_lstm

VARIANTS = ("vanilla", "clstm1", "clstm2")


class ConditionalLSTM(nn.Module):
    """One LSTM layer over flat sequences that share nothing but the weights.

    variant (str): "vanilla", "clstm1" or "clstm2".
    nI (int): Width of an item.
    nY (int): Width of a condition.
    nH (int): Units.
    """

    def __init__(self, *, variant: str, nI: int, nY: int, nH: int) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"a decoder is one of {list(VARIANTS)}, but got '{variant}'")
        self.beside = variant == "clstm1"
        self.lstm = nn.LSTM(nI + nY if self.beside else nI, nH)
        start_lstm(self.lstm)
        self.push = nn.Linear(nY, nH, bias=False) if variant == "clstm2" else None

    def forward(self, X: Tensor, lengths: Tensor, h: Tensor, condition: Tensor) -> Tensor:
        """Run every sequence.

        X (Tensor): Items of all sequences, one after the other, (T, nI).
        lengths (Tensor): Items of each sequence, int64 on the CPU, each at least 1, (S,).
        h (Tensor): First states, (S, nH).
        condition (Tensor): Condition of each sequence, (S, nY).
        RETURNS (Tensor): State after each item, (T, nH).
        """
        push = None if self.push is None else torch.tanh(self.push(condition))
        if self.beside:
            owners = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
            X = torch.cat((X, condition.index_select(0, owners.to(X.device))), 1)
        return run_lstm(self.lstm, X, lengths, h, push)

    def step(self, x: Tensor, h: Tensor, c: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Run one step, as in writing a text.

        x (Tensor): One item of each sequence, (S, nI).
        h (Tensor): States before it, (S, nH).
        c (Tensor): Cells before it, zeros at first, (S, nH).
        condition (Tensor): Condition of each sequence, (S, nY).
        RETURNS (tuple[Tensor, Tensor]): States and cells after it, (S, nH).
        """
        x = torch.cat((x, condition), 1) if self.beside else x
        W, U, b_x, b_h = self.lstm.all_weights[0]
        gates = linear(x, W, b_x) + linear(h, U, b_h)
        i, f, g, o = gates.chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        if self.push is not None:
            c = c + torch.tanh(self.push(condition))
        return torch.sigmoid(o) * torch.tanh(c), c
