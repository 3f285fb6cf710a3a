"""CRF-VAE: a tagging CRF as the posterior q(y | x) of a generative model p(x | y) p(y).

Paper: "Semi-Supervised Named Entity Recognition with CRF-VAEs". The CRF reads an encoding h0 of
each unit (a token or a word piece):

    h1 = h0 W1 + b1,   s_{i,y} = v_y . h1_i + b_y                              (section 2.2)
    score(y) = start[y_1] + sum_i s_{i,y_i} + sum_i pair[y_i, y_{i+1}] + end[y_N]

Documents are annotated in full, in part, or not at all. The module returns the loss terms apart,
each a sum over its documents divided by their units; whoever trains it weighs them.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from .classes import UNBALANCED, Balance, enlarge, enlarge_linear, log_prior
from .crf import LinearChainCRF
from .generators import Generator, build_generator
from .objective import mean_where
from .rejection import reject
from .transformer import Transformer
from .units import OUTSIDE, Units, allowed_in_token
from .viterbi import NEVER, transition_scores

FULL, PARTIAL, RAW = 0, 1, 2  # how a document is annotated


@dataclass(frozen=True)
class Targets:
    """What the units of a batch should be."""

    units: Units
    annotation: Tensor  # FULL (also without units), PARTIAL or RAW, on the CPU, (B,)
    allowed: Tensor  # the tags that each unit may have, bool, (T, C)
    rejected: Tensor  # unit, tag and span number of each unit of a rejected span, (3, R)
    words: Tensor  # word ids, 0 for unknown, int64, (T,)
    temperature: float = 0.66  # of relaxed samples
    ratio: float = 0.15  # share of entity units that is expected
    margin: float = 0.05  # how far the share may be off
    states: Tensor | None = None  # a language model's states before each unit, (T, nS)
    outputs: Tensor | None = None  # its output embeddings of the words, (V, nS)
    balance: Balance = UNBALANCED  # a document has the largest weight of its annotated tags


@dataclass(frozen=True)
class Objective:
    """Named loss terms, scalars in nats, and what to watch beside them."""

    terms: dict[str, Tensor]
    shares: dict[str, Tensor] = field(default_factory=dict)  # of O, expected and decoded, ()


class CRFVAE(nn.Module):
    """The tagging CRF on top of an encoder, and a generator.

    nI (int): Width of the encoder's output.
    nO (int): Tags, C.
    width (int): Width of h1.
    pieces (bool): Whether units are word pieces, so that their place in the token is embedded.
    spans (bool): Whether the tags are O, then B, I, L and U of each type.
    tagger_layers (int): Transformer layers between encoder and h1 (the paper's S-LG has 4).
    tagger_heads (int): Attention heads of each, a divisor of nI.
    tagger_hidden (int): Hidden units of each.
    dropout (float): Dropout on the encoder's output, in training.
    generator (dict | None): Settings of `build_generator`; None for the CRF alone.
    objective (str): "exact" sums the factored generator over all tag paths (CRF autoencoder),
        "relaxed" puts in a relaxed sample.
    nV (int): Words that the generator tells apart.
    nS (int | None): Width of a language model's states.
    """

    allow_start: Tensor
    allow_pair: Tensor
    allow_end: Tensor
    log_prior: Tensor

    def __init__(
        self,
        *,
        nI: int,
        nO: int,
        width: int,
        pieces: bool,
        spans: bool,
        tagger_layers: int,
        tagger_heads: int,
        tagger_hidden: int,
        dropout: float,
        generator: dict[str, Any] | None,
        objective: str,
        nV: int,
        nS: int | None,
    ) -> None:
        super().__init__()
        self.nI = nI
        self.spans = spans
        self.exact = objective == "exact"
        self.dropout = nn.Dropout(dropout)
        self.tagger = build_tagger(nI, tagger_layers, tagger_heads, tagger_hidden)
        self.project = nn.Linear(nI, width)
        self.kinds = nn.Embedding(4, width) if pieces else None
        self.score = nn.Linear(width, nO)
        self.start, self.pair, self.end = (
            nn.Parameter(torch.zeros(shape)) for shape in ((nO,), (nO, nO), (nO,))
        )
        for name, scores in (("start", self.start), ("pair", self.pair), ("end", self.end)):
            self.register_buffer(f"allow_{name}", torch.zeros_like(scores, dtype=torch.bool))
        self.register_buffer("log_prior", torch.zeros(nO))
        self.generator: Generator | None = None
        if generator is not None:
            self.generator = build_generator(**generator, nO=nO, nV=nV, nS=nS)

    # The posterior

    def emissions(self, H: Tensor, units: Units) -> Tensor:
        """Score the tags of each unit.

        H (Tensor): Encoded units, (T, nI).
        units (Units): Where they stand.
        RETURNS (Tensor): s, -inf where an entity would begin or end within a token, (T, C).
        RAISES (ValueError): When the encoder has another width than in training.
        """
        if H.shape[1] != self.nI:
            raise ValueError(
                f"The encoder gives vectors of width {H.shape[1]}, but the tagger was initialized "
                f"with width {self.nI}: load the encoder it was trained with"
            )
        H = self.dropout(H)
        if self.tagger is not None:
            H = self.tagger(H, units)
        h1 = self.project(H)
        if self.kinds is None or units.kinds is None:
            return self.score(h1)
        scores = self.score(h1 + self.kinds(units.kinds))
        if not self.spans:
            return scores
        return scores.masked_fill(~allowed_in_token(units.kinds, scores.shape[1]), NEVER)

    def posterior(self, H: Tensor, units: Units, balance: Balance = UNBALANCED) -> LinearChainCRF:
        """Give q(y | x) over valid tag paths.

        H (Tensor): Encoded units, (T, nI).
        units (Units): Where they stand.
        balance (Balance): In training: what shifts the scores.
        RETURNS (LinearChainCRF): The distribution.
        """
        scores = units.pad(balance.adjust(self.emissions(H, units)))
        return LinearChainCRF(scores, units.lengths, **self.transitions())

    def transitions(self) -> dict[str, Tensor]:
        """RETURNS (dict[str, Tensor]): `start`, `pair` and `end`, -inf where forbidden."""
        return {
            "start": self.start + transition_scores(self.allow_start),
            "pair": self.pair + transition_scores(self.allow_pair),
            "end": self.end + transition_scores(self.allow_end),
        }

    # The loss

    def forward(self, H: Tensor, targets: Targets) -> Objective:
        """Measure every loss term; one that no document of the batch has is zero.

        H (Tensor): Encoded units, (T, nI).
        targets (Targets): Annotation and words.
        RETURNS (Objective): `supervised`: -log q(y_O | x) per unit of annotated documents;
            `generation`: -log p(x | y) per unit of fully annotated ones; `reconstruction`:
            -log p(x | y~), relaxed or exact, and `kl`: KL(q(y_U | x, y_O) || p), per unit of the
            others; `entity_ratio`: how far their expected share of entity units without the
            annotation is off; `negative`: -log(1 - P(span | x, y_O)) per rejected span.
        """
        q = self.posterior(H, targets.units, targets.balance)
        allowed = targets.units.pad(targets.allowed, True)
        terms = {"supervised": self._supervise(q, allowed, targets)}
        if self.generator is not None:
            terms |= {"generation": H.new_zeros(()), "reconstruction": H.new_zeros(())}
        terms |= {"kl": H.new_zeros(()), "entity_ratio": H.new_zeros(())}
        latent = (targets.annotation != FULL).nonzero()[:, 0].to(H.device)
        masked = q.select(latent).constrain(allowed[latent])
        shares: dict[str, Tensor] = {}
        if len(latent):
            terms["kl"] = masked.kl(self.log_prior).sum() / masked.lengths.sum()
            if self.spans:
                free = q.select(latent) if (targets.annotation == PARTIAL).any() else masked
                shares = outside_shares(free)
                gap = (1 - shares["expected"] - targets.ratio).abs()
                terms["entity_ratio"] = (gap - targets.margin).clamp(min=0)
        if self.generator is not None:
            terms |= self._generate(self.generator, masked, latent, allowed, targets)
        if targets.rejected.shape[1]:
            terms["negative"] = reject(q, allowed, targets.units, targets.rejected)
        return Objective(terms, shares)

    def _supervise(self, q: LinearChainCRF, allowed: Tensor, targets: Targets) -> Tensor:
        known = (targets.annotation != RAW).nonzero()[:, 0].to(allowed.device)
        if not len(known):
            return q.emissions.new_zeros(())
        part = q.select(known)
        log_q = part.log_mass(part.constrain(allowed[known]))
        if targets.balance.weights is not None:
            log_q = log_q * weigh_docs(targets.balance.weights, targets)[known]
        return -log_q.sum() / part.lengths.sum().clamp(min=1)

    def _generate(
        self,
        generator: Generator,
        masked: LinearChainCRF,
        latent: Tensor,
        allowed: Tensor,
        targets: Targets,
    ) -> dict[str, Tensor]:
        """RETURNS (dict[str, Tensor]): `generation` and `reconstruction`."""
        units = targets.units
        full = (targets.annotation == FULL).to(allowed.device)[units.docs]  # (T,)
        if self.exact:
            log_p = generator.log_likelihoods(targets.words)  # type: ignore[operator]
            losses = -(log_p * targets.allowed).sum(1)
            joint = masked.add(units.pad(log_p)[latent])
            total = -masked.log_mass(joint).sum() / masked.lengths.sum().clamp(min=1)
            return {"generation": mean_where(losses, full), "reconstruction": total}
        Y = allowed.to(masked.emissions.dtype)  # one-hot where the annotation is full
        if len(latent):
            Y = Y.index_copy(0, latent, masked.relaxed_sample(targets.temperature))
        losses = generator(Y, units, targets.words, targets.states, targets.outputs)
        means = {"generation": full, "reconstruction": ~full}
        return {name: mean_where(losses, chosen) for name, chosen in means.items()}

    # Changes

    def allow(self, start: Tensor, pair: Tensor, end: Tensor) -> None:
        """Set the transitions that are allowed.

        start (Tensor): Tags that may begin a document, bool, (C,).
        pair (Tensor): Tags that may follow one another, from and to, bool, (C, C).
        end (Tensor): Tags that may end a document, bool, (C,).
        """
        self.allow_start.copy_(start)
        self.allow_pair.copy_(pair)
        self.allow_end.copy_(end)

    def set_prior(self, prior: Tensor) -> None:
        """Set the prior p(y_i).

        prior (Tensor): Probabilities, (C,).
        RAISES (ValueError): For an entry that is not positive.
        """
        self.log_prior.copy_(log_prior(prior))

    def resize(self, nO: int) -> None:
        """Add tags; the old ones keep their weights, new ones start at zero.

        nO (int): Tags wanted, at least as many as now. Transitions and prior are to be set anew.
        """
        self.score = enlarge_linear(self.score, nO)
        for name in ("start", "pair", "end"):
            setattr(
                self, name, nn.Parameter(enlarge(getattr(self, name), nO, square=name == "pair"))
            )
            allow = getattr(self, f"allow_{name}")
            setattr(self, f"allow_{name}", enlarge(allow, nO, square=name == "pair"))
        self.log_prior = enlarge(self.log_prior, nO)
        if self.generator is not None:
            self.generator.resize(nO)

    def prune(self) -> None:
        """Remove what prediction does not need: the generator."""
        self.generator = None


def weigh_docs(weights: Tensor, targets: Targets) -> Tensor:
    """Give each document the largest weight of a tag that its annotation names.

    A weight for each tag would leave no likelihood of a path: so all of the path is weighed.
    weights (Tensor): Of the tags, (C,).
    targets (Targets): The annotation.
    RETURNS (Tensor): Weights, 1 without such a tag, (B,).
    """
    docs = targets.units.docs
    known = targets.allowed.sum(1) == 1
    found = weights[targets.allowed.int().argmax(1)][known]
    ones = weights.new_ones(len(targets.units.lengths))
    return ones.scatter_reduce(0, docs[known], found, "amax", include_self=False)


def build_tagger(nI: int, layers: int, heads: int, hidden: int) -> Transformer | None:
    """Build the transformer between encoder and CRF (the paper's S-LG, section 3.2).

    nI (int): Width of the encoder's output.
    layers (int): Layers; 0 for none.
    heads (int): Attention heads of each, a divisor of nI.
    hidden (int): Hidden units of each.
    RETURNS (Transformer | None): The transformer.
    """
    if not layers:
        return None
    # the encoder's states know their positions
    return Transformer(nI, layers=layers, heads=heads, hidden=hidden, dropout=0.1, positions=False)


def outside_shares(q: LinearChainCRF) -> dict[str, Tensor]:
    """Give the share of O that q expects and that its best paths have.

    q (LinearChainCRF): The posterior of documents, of which one has units.
    RETURNS (dict[str, Tensor]): `expected`, with gradient, and `decoded`, ().
    """
    units = q.lengths.sum()
    expected = q.marginals()[..., OUTSIDE].sum() / units
    decoded = ((q.viterbi() == OUTSIDE) & q.inside).sum() / units
    return {"expected": expected, "decoded": decoded}
