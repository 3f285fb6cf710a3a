"""The variational autoencoder of texts whose label is known or assumed: q(z | x, y), p(x | y, z).

Paper: Xu et al. (AAAI 2017), section "Sequential Variational Autoencoder".
"""

from dataclasses import dataclass

from torch import Tensor, nn

from .classes import enlarge
from .gaussian import Gaussian
from .labeled_mlp import LabeledMLP
from .lstm import TextLSTM
from .text_decoder import TextDecoder
from .text_words import Texts, build_embedding, token_index
from .vsl import LOG_VAR_BOUND


@dataclass(frozen=True)
class Costs:
    """What pairs of a text and a label cost, in nats."""

    reconstruction: Tensor  # -log p(x | y, z), (P,)
    unit_kl: Tensor  # KL(q(z | x, y) || N(0, I)) of each unit of z, (P, Z)


class TextVAE(nn.Module):
    """Encoder, posterior and conditional decoder; they read the embedding table of their owner.

    nV (int): Words.
    nO (int): Classes, C.
    width (int): Width of a word embedding.
    hidden (int): Units of both LSTMs and of hidden layers.
    width_z (int): Width of the latent.
    width_y (int): Width of a label's embedding.
    decoder (str): "vanilla", "clstm1" or "clstm2".
    dropout (float): Dropout, in training.
    """

    def __init__(
        self,
        *,
        nV: int,
        nO: int,
        width: int,
        hidden: int,
        width_z: int,
        width_y: int,
        decoder: str,
        dropout: float,
    ) -> None:
        super().__init__()
        self.labels = build_embedding(nO, width_y)
        self.encoder = TextLSTM(nI=width, nH=hidden)
        self.head = LabeledMLP(
            nI=hidden, nY=width_y, hidden=hidden, nO=2 * width_z, dropout=dropout
        )
        self.decoder = TextDecoder(
            variant=decoder,
            nV=nV,
            width=width,
            hidden=hidden,
            nZ=width_z,
            nY=width_y,
            dropout=dropout,
        )

    def posterior(self, X: Tensor, lengths: Tensor, owners: Tensor, Y: Tensor) -> Gaussian:
        """Give q(z | x, y) of pairs of a text and a label; each text is read once.

        X (Tensor): Embedded words of the texts, (T, width).
        lengths (Tensor): Words of each text, int64, on the CPU, (B,).
        owners (Tensor): The text of each pair, int64, on the CPU, (P,).
        Y (Tensor): Embedded labels, (P, width_y).
        RETURNS (Gaussian): The posteriors, (P, Z).
        """
        found = Gaussian.unpack(self.head(self.encoder(X, lengths), owners.to(X.device), Y))
        return Gaussian(found.mean, found.log_var.clamp(-LOG_VAR_BOUND, LOG_VAR_BOUND))

    def forward(
        self,
        texts: Texts,
        X: Tensor,
        inputs: Tensor,
        owners: Tensor,
        labels: Tensor,
        weights: Tensor | None = None,
    ) -> Costs:
        """Measure pairs of a text and a label; z is a sample in training, else the mean.

        texts (Texts): The texts, each of a word at least.
        X (Tensor): Their words, embedded, (T, width).
        inputs (Tensor): The word before each word, embedded, (T, width).
        owners (Tensor): The text of each pair, int64, on the CPU, (P,).
        labels (Tensor): The class of each pair, int64, (P,).
        weights (Tensor | None): What each reconstruction will count, where known, (P,).
        RETURNS (Costs): The terms of L(x, y).
        """
        Y = self.labels(labels)
        q = self.posterior(X, texts.lengths, owners, Y)
        z = q.rsample() if self.training else q.mean
        index = token_index(texts.lengths, owners).to(X.device)
        sizes = texts.lengths[owners]
        losses = self.decoder(inputs, texts.words, sizes, index, z, Y, weights)
        return Costs(losses, q.unit_kl(Gaussian.standard(q.mean)))

    def resize(self, nO: int) -> None:
        """Add classes; the old ones keep their embedding, new ones start at zero.

        nO (int): Classes wanted, at least as many as now.
        """
        weight = enlarge(self.labels.weight, nO)
        self.labels = nn.Embedding(nO, weight.shape[1], _weight=weight)
