"""p(x | y, z): a conditional LSTM that is told the label and starts from latent and label.

Paper: Xu et al. (AAAI 2017), section "Conditional LSTM Structures". A text is predicted word by
word from the words before it, some of which are hidden in training (word dropout).
"""

import torch
from torch import Tensor, nn

from .conditional import ConditionalLSTM
from .cross_entropy import cross_entropy
from .labeled_mlp import LabeledMLP, norm_and_drop


class TextDecoder(nn.Module):
    """The decoder; it reads the embedding table of its owner.

    variant (str): "vanilla", "clstm1" or "clstm2".
    nV (int): Words.
    width (int): Width of a word embedding.
    hidden (int): Units.
    nZ (int): Width of the latent.
    nY (int): Width of a label's embedding.
    dropout (float): Dropout on embedded words and in the network before the first state.
    """

    def __init__(
        self, *, variant: str, nV: int, width: int, hidden: int, nZ: int, nY: int, dropout: float
    ) -> None:
        super().__init__()
        self.start = LabeledMLP(nI=nZ, nY=nY, hidden=hidden, nO=hidden, dropout=dropout)
        # its own statistics: these inputs have words hidden
        self.words = norm_and_drop(width, dropout)
        self.lstm = ConditionalLSTM(variant=variant, nI=width, nY=nY, nH=hidden)
        self.output = nn.Parameter(torch.randn(nV, hidden) * hidden**-0.5)

    def first_state(self, z: Tensor, Y: Tensor) -> Tensor:
        """Give h_0.

        z (Tensor): Latents, (P, nZ).
        Y (Tensor): Embedded labels, (P, nY).
        RETURNS (Tensor): (P, hidden).
        """
        return torch.tanh(self.start(z, None, Y))

    def forward(
        self,
        inputs: Tensor,
        words: Tensor,
        sizes: Tensor,
        index: Tensor,
        z: Tensor,
        Y: Tensor,
        weights: Tensor | None = None,
    ) -> Tensor:
        """Give -log p(x | y, z) of pairs of a text and a label.

        inputs (Tensor): Embedded word before each word of the texts, (T, width).
        words (Tensor): The words, int64, (T,).
        sizes (Tensor): Words of each pair, int64 on the CPU, each at least 1, (P,).
        index (Tensor): The word of the texts at each word of the pairs, one pair after the other,
            (words of the pairs,).
        z (Tensor): Latents, (P, nZ).
        Y (Tensor): Embedded labels, (P, nY).
        weights (Tensor | None): What each pair will count, where known, see `cross_entropy`, (P,).
        RETURNS (Tensor): Nats, (P,).
        """
        X = self.words(inputs).index_select(0, index)
        states = self.lstm(X, sizes, self.first_state(z, Y), Y)
        owners = torch.repeat_interleave(torch.arange(len(sizes)), sizes).to(states.device)
        of_words = None if weights is None else weights.index_select(0, owners)
        targets = words.index_select(0, index)
        losses = cross_entropy(states, self.output, targets, weights=of_words)
        return losses.new_zeros(len(sizes)).index_add(0, owners, losses)

    def advance(
        self, inputs: Tensor, h: Tensor, c: Tensor, Y: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Score the next word.

        inputs (Tensor): Embedded last words, (n, width).
        h (Tensor): States, (n, hidden).
        c (Tensor): Cells, (n, hidden).
        Y (Tensor): Embedded labels, (n, nY).
        RETURNS (tuple): Log-probabilities (n, nV), states and cells.
        """
        h, c = self.lstm.step(self.words(inputs), h, c, Y)
        return (h @ self.output.T).log_softmax(1), h, c
