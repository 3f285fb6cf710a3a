"""SSVAE: a text classifier q(y | x) inside a variational autoencoder of texts.

Paper: Xu et al. (AAAI 2017). With a Gaussian latent z of each pair of a text and a label,

    L(x, y) = -E[log p(x | y, z)] - log p(y) + kl_weight * KL(q(z | x, y) || N(0, I))      (eq. 1)

a labelled text costs L(x, y) and -log q(y | x), a raw one

    sum_y q(y | x) L(x, y) - H(q(y | x))                                                   (eq. 2)

The module returns the terms apart; whoever trains it weighs them. The sum over labels is exact or
sampled (`label_samples`) for what needs the decoder; the prior and the entropy are always exact.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy as class_cross_entropy
from torch.nn.functional import one_hot

from .classes import UNBALANCED, Balance, enlarge_linear, log_prior
from .label_pairs import every_pair, pair_up
from .label_samples import LabelSampler
from .labeled_mlp import norm_and_drop
from .lstm import TextLSTM
from .objective import mean_where
from .precision import at_least_float32
from .text_vae import Costs, TextVAE
from .text_words import Texts, build_embedding, shift
from .writing import write

PRUNED = "This model was pruned of its generator: it predicts but cannot train, encode or write"
NO_GENERATOR = "This model has no generator (decoder = null, or pruned): it cannot encode or write"


@dataclass(frozen=True)
class Objective:
    """Named loss terms, scalars in nats, and what to watch beside them."""

    terms: dict[str, Tensor]
    unit_kl: Tensor  # KL of each unit of z, a mean over texts, without gradient, (Z,)


class SSVAE(nn.Module):
    """Embedding, classifier and a variational autoencoder of texts.

    nV (int): Words.
    nO (int): Classes, C.
    nI (int | None): Width of the vectors that the classifier is given; None for an LSTM of its own.
    width (int): Width of a word embedding.
    hidden (int): Units of every LSTM and hidden layer.
    width_z (int): Width of the latent, Z.
    width_y (int): Width of a label's embedding.
    decoder (str): "vanilla", "clstm1" or "clstm2".
    dropout (float): Dropout, in training.
    marginal (str): "exact" or "sample", see `label_samples`.
    samples (int): Labels drawn for each raw text.
    replacement (bool): Whether draws are independent; else labels are distinct.
    baseline (str): "none", "length", "mean" or "leave_one_out".
    length_normalize (bool): Whether each L(x, y) is divided by the words of x.
    generator (bool): Without it there is the classifier alone.
    """

    log_prior: Tensor

    def __init__(
        self,
        *,
        nV: int,
        nO: int,
        nI: int | None,
        width: int,
        hidden: int,
        width_z: int,
        width_y: int,
        decoder: str,
        dropout: float,
        marginal: str,
        samples: int,
        replacement: bool,
        baseline: str,
        length_normalize: bool,
        generator: bool = True,
    ) -> None:
        super().__init__()
        self.nI = nI
        self.length_normalize = length_normalize
        self.embedding: nn.Embedding | None = build_embedding(nV, width)
        self.embedded = norm_and_drop(width, dropout)
        self.reader = TextLSTM(nI=width, nH=hidden) if nI is None else None
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(hidden if nI is None else nI, nO)
        self.register_buffer("log_prior", uniform(nO))
        self.sampler = LabelSampler(
            marginal=marginal,
            samples=samples,
            replacement=replacement,
            baseline=baseline,
            usual=-math.log(nV),
        )
        self.generator: TextVAE | None = TextVAE(
            nV=nV,
            nO=nO,
            width=width,
            hidden=hidden,
            width_z=width_z,
            width_y=width_y,
            decoder=decoder,
            dropout=dropout,
        )
        if not generator:
            self.prune()

    # The posteriors

    def classify(self, texts: Texts) -> Tensor:
        """Score the classes.

        texts (Texts): The texts; without words the LSTM's vector is zero.
        RETURNS (Tensor): Logits of q(y | x), (B, C).
        RAISES (ValueError): When the vectors have another width than in training.
        """
        return self._classify(texts, None if self.reader is None else self._embed(texts))

    def _embed(self, texts: Texts) -> Tensor | None:
        return None if self.embedding is None else self.embedded(self.embedding(texts.words))

    def _classify(self, texts: Texts, X: Tensor | None) -> Tensor:
        if self.reader is not None and X is not None:
            return self.classifier(self.dropout(self.reader(X, texts.lengths)))
        if texts.vectors is None or texts.vectors.shape[1] != self.nI:
            got = None if texts.vectors is None else tuple(texts.vectors.shape)
            raise ValueError(f"the classifier needs vectors of shape (B, {self.nI}), but got {got}")
        return self.classifier(self.dropout(texts.vectors))

    def encode(self, texts: Texts, weights: Tensor) -> Tensor:
        """Give the posterior mean of z.

        texts (Texts): The texts.
        weights (Tensor): Weights of the classes, such as q(y | x) or one-hot labels, (B, C).
        RETURNS (Tensor): sum_y w(y) E[z | x, y], (B, Z).
        RAISES (ValueError): When `prune` removed the encoder.
        """
        generator, embedding = self._whole()
        owners, labels = every_pair(*weights.shape)
        X, Y = self.embedded(embedding(texts.words)), generator.labels(labels.to(weights.device))
        means = generator.posterior(X, texts.lengths, owners, Y).mean
        return (weights[..., None] * means.view(*weights.shape, -1)).sum(1)

    # The loss

    def forward(
        self,
        texts: Texts,
        labels: Tensor,
        word_dropout: float = 0.0,
        balance: Balance = UNBALANCED,
    ) -> Objective:
        """Measure every loss term; one that no text of the batch has is zero.

        In training z is one sample of each pair, in evaluation the mean, and all classes are
        summed over. A text without words contributes nothing.

        texts (Texts): The texts.
        labels (Tensor): Classes, negative for raw texts, int64, on the CPU, (B,).
        word_dropout (float): Share of the decoder's inputs that are hidden, in training.
        balance (Balance): Weights of the classes in `classification`, and the shift of q.
        RETURNS (Objective): `classification`: -log q(y | x) per labelled text; without the
            generator nothing else. Per text of any kind, raw texts in expectation over q(y | x):
            `reconstruction`, -log p(x | y, z), `kl`, KL(q(z | x, y) || p(z)), `label_prior`,
            -log p(y); and `entropy`, -H(q(y | x)) of raw texts, also per text of any kind.
            Equation 3 is their sum, `classification` weighed by alpha and `kl` by the annealed
            weight.
        """
        some = texts.lengths.nonzero()[:, 0]
        texts, labels = texts.select(some), labels[some]
        X = self._embed(texts)
        logits = balance.adjust(at_least_float32(self._classify(texts, X)))
        gold = labels.to(logits.device)
        losses = class_cross_entropy(
            logits, gold.clamp(min=0), weight=balance.weights, reduction="none"
        )
        terms = {"classification": mean_where(losses, gold >= 0)}
        if self.generator is None or self.embedding is None or X is None:
            return Objective(terms, logits.new_zeros(0))
        log_q = logits.log_softmax(1)
        weights = self._weigh(texts.lengths, log_q)
        pairs = pair_up(texts.lengths, labels, log_q, weights, self.sampler)
        inputs = self._embed_before(self.embedding, texts, word_dropout)
        counts = pairs.weights * pairs.shares
        costs = self.generator(texts, X, inputs, pairs.owners, pairs.labels, counts)
        terms["reconstruction"] = pairs.expect(costs.reconstruction, pairs.usual)
        terms["kl"] = pairs.expect(costs.unit_kl.sum(1))
        terms |= self._label_terms(log_q, gold, weights)
        of_raw = slice(pairs.known, None)
        self.sampler.fit(costs.reconstruction[of_raw], texts.lengths[pairs.owners][of_raw])
        unit_kl = (pairs.shares[:, None] * costs.unit_kl.detach()).sum(0)
        return Objective(terms, unit_kl / max(len(labels), 1))

    def _weigh(self, lengths: Tensor, like: Tensor) -> Tensor:
        """RETURNS (Tensor): What a nat of each text's L(x, y) counts in a mean over texts, (B,)."""
        words = lengths.to(like) if self.length_normalize else torch.ones_like(like[:, 0])
        return 1 / (words * max(len(lengths), 1))

    def _embed_before(self, embedding: nn.Embedding, texts: Texts, word_dropout: float) -> Tensor:
        """RETURNS (Tensor): What the decoder reads before each word, (T, width)."""
        hidden = word_dropout if self.training else 0.0
        return embedding(shift(texts.words, texts.lengths, hidden))

    def _label_terms(self, log_q: Tensor, gold: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """RETURNS (dict[str, Tensor]): `label_prior` and `entropy`."""
        raw, q = (gold < 0)[:, None], log_q.exp()
        labels = torch.where(raw, q, one_hot(gold.clamp(min=0), log_q.shape[1]).to(q))
        return {
            "label_prior": -((labels * self.log_prior).sum(1) * weights).sum(),
            "entropy": torch.where(raw, q * log_q, 0.0).sum() / max(len(gold), 1),
        }

    def label_costs(self, texts: Texts) -> Tensor:
        """Measure every text under every label, as for the discrimination index.

        texts (Texts): The texts.
        RETURNS (Tensor): L(x, y) at full weight of the KL, in nats, not divided by words, and
            -log p(y) alone for a text without words, (B, C).
        RAISES (ValueError): When `prune` removed the generator.
        """
        generator, embedding = self._whole()
        some = texts.lengths.nonzero()[:, 0]
        written, C = texts.select(some), len(self.log_prior)
        owners, labels = every_pair(len(some), C)
        X = self.embedded(embedding(texts.words))
        inputs = self._embed_before(embedding, written, 0.0)
        costs: Costs = generator(written, X, inputs, owners, labels.to(X.device))
        found = (costs.reconstruction + costs.unit_kl.sum(1)).view(-1, C)
        every = -self.log_prior.expand(len(texts.lengths), -1)
        return every.index_add(0, some.to(X.device), found)

    def write(
        self,
        labels: Tensor,
        z: Tensor,
        *,
        strategy: str,
        max_length: int,
        width: int = 5,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Write one text from each pair of a label and a latent; to be called in evaluation.

        labels (Tensor): Classes, int64, (n,).
        z (Tensor): Latents, (n, Z).
        strategy (str): "greedy", "sample" or "beam".
        max_length (int): Words of a text at most.
        width (int): Texts that "beam" follows at once.
        generator (torch.Generator | None): The source of noise of "sample".
        RETURNS (Tensor): Words, none unknown, END from the end of a text on, (n, longest).
        RAISES (ValueError): For another strategy, or when `prune` removed the generator.
        """
        vae, embedding = self._whole()
        with torch.no_grad():
            Y = vae.labels(labels)

            def advance(words: Tensor, h: Tensor, c: Tensor, texts: Tensor) -> tuple[Tensor, ...]:
                return vae.decoder.advance(embedding(words), h, c, Y.index_select(0, texts))

            first = vae.decoder.first_state(z, Y)
            return write(advance, first, strategy, max_length, width, generator)

    def _whole(self) -> tuple[TextVAE, nn.Embedding]:
        if self.generator is None or self.embedding is None:
            raise ValueError(NO_GENERATOR)
        return self.generator, self.embedding

    # Changes

    def set_prior(self, prior: Tensor) -> None:
        """Set the prior p(y).

        prior (Tensor): Probabilities, (C,).
        RAISES (ValueError): For an entry that is not positive.
        """
        self.log_prior.copy_(log_prior(prior))

    def resize(self, nO: int) -> None:
        """Add classes; the old ones keep their weights, new ones start at zero.

        nO (int): Classes wanted, at least as many as now. The prior is uniform after it.
        """
        self.classifier = enlarge_linear(self.classifier, nO)
        self.log_prior = uniform(nO).to(self.log_prior)
        if self.generator is not None:
            self.generator.resize(nO)

    def prune(self) -> None:
        """Remove what prediction does not need: the autoencoder, unread embeddings."""
        self.generator = None
        if self.reader is None:
            self.embedding = None
            self.embedded = nn.Sequential()


def uniform(outcomes: int) -> Tensor:
    """Give the uniform distribution.

    outcomes (int): How many there are.
    RETURNS (Tensor): Log-probabilities, (outcomes,).
    """
    return torch.full((outcomes,), 1 / outcomes).log()
