"""LSTMs over flat, unpadded sequences: how they start, and one that reads texts to a vector.

Paper: Xu et al. (AAAI 2017), section "Sequential Variational Autoencoder": the encoder and the
classifier are LSTMs, of which the last state is kept.
"""

import torch
from torch import Tensor, nn

from .lstm_steps import run_steps
from .recurrent import Packing


def start_lstm(lstm: nn.LSTM) -> None:
    """Set the starting weights of a one-layer LSTM.

    Recurrent gates are orthogonal, so that a gradient keeps its norm over the first steps. The
    forget gate starts open (bias 1), so that the start of a text reaches its end.

    lstm (nn.LSTM): The module, changed in place.
    """
    W, U, b_x, b_h = lstm.all_weights[0]
    with torch.no_grad():
        nn.init.xavier_uniform_(W)
        for gate in U.chunk(4):
            nn.init.orthogonal_(gate)
        b_x.zero_()
        b_h.zero_()
        b_x.chunk(4)[1].fill_(1.0)  # the order is input, forget, new content, output


def run_lstm(
    lstm: nn.LSTM, X: Tensor, lengths: Tensor, h: Tensor, push: Tensor | None = None
) -> Tensor:
    """Run a one-layer LSTM from given states and empty cells.

    PyTorch's own is the fastest on a GPU and for sequences of one length; on a CPU its loop over
    others takes up to four times as long as ours in training.

    lstm (nn.LSTM): The weights.
    X (Tensor): Items of all sequences, one after the other, (T, nI).
    lengths (Tensor): Items of each sequence, int64 on the CPU, each at least 1, (S,).
    h (Tensor): First states, (S, nH).
    push (Tensor | None): What is added to the cell at every step, not gated, (S, nH).
    RETURNS (Tensor): State after each item, (T, nH).
    """
    if not len(X):
        return X.new_zeros((0, lstm.hidden_size))
    packing = Packing.from_lengths(lengths, X.device)
    packed, h = packing.pack(X), h.index_select(0, packing.last)
    sizes = packing.batch_sizes.tolist()
    if push is None and (X.is_cuda or sizes[0] == sizes[-1]):
        states = lstm(packed, (h[None], torch.zeros_like(h)[None]))[0].data
    else:
        W, U, b_x, b_h = lstm.all_weights[0]
        push = torch.zeros_like(h) if push is None else push.index_select(0, packing.last)
        states = run_steps(packed.data, W, b_x + b_h, U, h, push, sizes)
    return states.index_select(0, packing.inverse)


class TextLSTM(nn.Module):
    """A text is the last state of an LSTM over its words, or zeros where it has none.

    nI (int): Width of a word.
    nH (int): Units.
    """

    def __init__(self, *, nI: int, nH: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(nI, nH)
        start_lstm(self.lstm)

    def forward(self, X: Tensor, lengths: Tensor) -> Tensor:
        """Read every text.

        X (Tensor): Words of all texts, one after the other, (T, nI).
        lengths (Tensor): Words of each text, int64 on the CPU, zeros allowed, (B,).
        RETURNS (Tensor): Last states, (B, nH).
        """
        some = lengths.nonzero()[:, 0]
        states = self.states(X, lengths[some], X.new_zeros((len(some), self.lstm.hidden_size)))
        ends = (lengths[some].cumsum(0) - 1).to(X.device)
        last = states.index_select(0, ends)
        return last.new_zeros((len(lengths), last.shape[1])).index_copy(0, some.to(X.device), last)

    def states(self, X: Tensor, lengths: Tensor, h: Tensor) -> Tensor:
        """Read every text from a given state on.

        X (Tensor): Words of all texts, (T, nI).
        lengths (Tensor): Words of each text, int64 on the CPU, each at least 1, (B,).
        h (Tensor): First states, (B, nH).
        RETURNS (Tensor): State after each word, (T, nH).
        """
        return run_lstm(self.lstm, X, lengths, h)
