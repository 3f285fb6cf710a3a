"""Variational sequential labelers: VSL-G, VSL-GG-Flat, VSL-GG-Hier and their deterministic twin.

Paper: Chen et al. (EMNLP 2018). Every token t has Gaussian latents given its encoding h_t; a
classifier reads one of them, a decoder predicts the word from them:

    U_t = log p(x_t | latents) - kl_weight * KL(q(latents | h_t) || prior_t)      (eq. 2, 4, 7)
    C_t = -log f(l_t | latent)                                                    (eq. 3, 5, 8)

The module returns the terms apart; whoever trains it weighs them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy as class_cross_entropy
from torch.nn.functional import logsigmoid

from .classes import UNBALANCED, Balance, enlarge_linear
from .cross_entropy import cross_entropy
from .gaussian import Gaussian
from .objective import mean_where
from .precision import at_least_float32

LATENTS: dict[str, tuple[str, ...]] = {
    "baseline": (),
    "g": ("z",),
    "flat": ("y", "z"),
    "hier": ("y", "z"),
}
DECODED: dict[str, tuple[str, ...]] = {
    "baseline": (),
    "g": ("z",),
    "flat": ("z", "y"),
    "hier": ("z",),
}
CLASSIFIED: dict[str, str] = {"baseline": "h", "g": "z", "flat": "y", "hier": "y"}

PRUNED = "This model was pruned of its generator: it predicts but cannot train"

# A prior that has been a posterior with hardly any variance makes the KL overflow.
LOG_VAR_BOUND = 8.0

# Gives the prior of a latent ("y" or "z") for each token, at the current value of y.
Prior = Callable[[str, Tensor | None], Gaussian]


@dataclass(frozen=True)
class Targets:
    """What the T tokens of a batch should be."""

    labels: Tensor  # class ids, -1 where the annotation is missing, int64, (T,)
    labeled: Tensor  # whether the token's Doc has any label, bool, (T,)
    words: Tensor  # word ids, 0 for unknown, int64, (T,)
    rejected: Tensor  # token, class and span number of each token of a rejected span, (3, R)
    balance: Balance = UNBALANCED


@dataclass(frozen=True)
class Objective:
    """Named loss terms, scalars in nats, and the posteriors they were measured at."""

    terms: dict[str, Tensor]
    posteriors: dict[str, Gaussian]  # each (T, Z)


@dataclass(frozen=True)
class SnapshotPrior:
    """The posterior that an earlier module gives the same tokens (eq. 10), at the current y."""

    module: "VSL"
    H: Tensor  # the earlier encoder's output, (T, nI)

    def __call__(self, name: str, y: Tensor | None) -> Gaussian:
        """Give the earlier posterior of one latent.

        name (str): "y" or "z".
        y (Tensor | None): The current y, which z depends on in `hier` (eq. 7), (T, Z).
        RETURNS (Gaussian): The prior, without gradient, (T, Z).
        """
        with torch.no_grad():
            return self.module.posterior(name, self.H, None if y is None else y.detach())


class VSL(nn.Module):
    """Latents, classifier and word decoder on top of an encoder.

    variant (str): "baseline", "g", "flat" or "hier".
    classifier_on (str): The latent the classifier reads: "h", "y" or "z".
    nI (int): Width of the encoder's output.
    nO (int): Classes.
    width_y (int): Width of the label latent.
    width_z (int): Width of the word latent.
    hidden (int): Units of the decoder's two hidden layers.
    width (int): Width of the output matrix, that is of a word embedding.
    nV (int): Rows of an output matrix of its own; 0 where `forward` is given a fixed one.
    variational (bool): Without it the latents are their means and there is no KL ("no VR").
    decoder_noise (float): Standard deviation of noise on the predicted embedding, in training.
    reconstruct_unk (bool): Whether unknown words have a reconstruction term.
    generator (bool): Without it the module can predict but not train.
    """

    def __init__(
        self,
        *,
        variant: str,
        classifier_on: str,
        nI: int,
        nO: int,
        width_y: int,
        width_z: int,
        hidden: int,
        width: int,
        nV: int,
        variational: bool,
        decoder_noise: float,
        reconstruct_unk: bool,
        generator: bool = True,
    ) -> None:
        super().__init__()
        self.latents = LATENTS[variant]
        self.decoded = DECODED[variant]
        self.hierarchical = variant == "hier"
        self.classifier_on = classifier_on
        self.variational = variational
        self.decoder_noise = decoder_noise
        self.reconstruct_unk = reconstruct_unk
        widths = {"h": nI, "y": width_y, "z": width_z}
        inputs = {"y": nI, "z": nI + width_y if self.hierarchical else nI}
        self.heads = nn.ModuleDict(
            {name: nn.Linear(inputs[name], 2 * widths[name]) for name in self.latents}
        )
        self.classifier = nn.Linear(widths[classifier_on], nO)
        self.decoder: nn.Sequential | None = None
        self.output: nn.Parameter | None = None
        if self.latents:
            self.decoder = build_mlp(sum(widths[name] for name in self.decoded), hidden, width)
            if nV:
                self.output = nn.Parameter(torch.randn(nV, width) * width**-0.5)
        if not generator:
            self.prune()

    def posterior(self, name: str, H: Tensor, y: Tensor | None) -> Gaussian:
        """Give q(latent | h), for `hier` q(z | y, h): linear in its input.

        name (str): "y" or "z".
        H (Tensor): Encoded tokens, (T, nI).
        y (Tensor | None): The label latent, (T, width_y).
        RETURNS (Gaussian): The posterior, (T, Z).
        RAISES (ValueError): When `prune` removed the latent.
        """
        if name not in self.heads:
            raise ValueError(PRUNED)
        if name == "z" and self.hierarchical and y is not None:
            H = torch.cat((H, y), 1)
        found = Gaussian.unpack(self.heads[name](H))
        return Gaussian(found.mean, found.log_var.clamp(-LOG_VAR_BOUND, LOG_VAR_BOUND))

    def infer(self, H: Tensor, *, sample: bool) -> tuple[dict[str, Tensor], dict[str, Gaussian]]:
        """Give every latent of every token.

        H (Tensor): Encoded tokens, (T, nI).
        sample (bool): Draw the latents, else take the means.
        RETURNS (tuple): Values, H among them as "h", and posteriors, each (T, Z).
        """
        values, posteriors = {"h": H}, {}
        for name in self.latents:
            posterior = posteriors[name] = self.posterior(name, H, values.get("y"))
            values[name] = posterior.rsample() if sample else posterior.mean
        return values, posteriors

    def classify(self, H: Tensor) -> Tensor:
        """Score the classes at the posterior means; only the latents it needs are computed.

        H (Tensor): Encoded tokens, (T, nI).
        RETURNS (Tensor): Logits, (T, nO).
        """
        if self.classifier_on == "h":
            return self.classifier(H)
        needs_y = self.classifier_on == "y" or self.hierarchical
        y = self.posterior("y", H, None).mean if needs_y else None
        chosen = y if self.classifier_on == "y" else self.posterior("z", H, y).mean
        return self.classifier(chosen)

    def forward(
        self, H: Tensor, targets: Targets, prior: Prior | None, table: Tensor | None
    ) -> Objective:
        """Measure every loss term; means over no token are zero.

        H (Tensor): Encoded tokens, (T, nI).
        targets (Targets): Labels and words.
        prior (Prior | None): The latents' priors; None is N(0, I).
        table (Tensor | None): A fixed output matrix, (nV, width).
        RETURNS (Objective): `supervised` (per labelled token), `negative` (per rejected span),
            `reconstruction` and `kl` (per token of Docs with any label) and
            `unlabeled_reconstruction` and `unlabeled_kl` (per token of the other Docs).
        """
        values, posteriors = self.infer(H, sample=self.training and self.variational)
        logits = at_least_float32(self.classifier(values[self.classifier_on]))
        terms = self._label_terms(logits, targets)
        if not self.latents:
            return Objective(terms, posteriors)
        per_token = {"reconstruction": self._reconstruct(values, targets.words, table)}
        if self.variational:
            per_token["kl"] = unit_kl(posteriors, prior, values.get("y")).sum(1)
        for name, losses in per_token.items():
            terms[name] = mean_where(losses, targets.labeled)
            terms[f"unlabeled_{name}"] = mean_where(losses, ~targets.labeled)
        return Objective(terms, posteriors)

    def _label_terms(self, logits: Tensor, targets: Targets) -> dict[str, Tensor]:
        labels, balance = targets.labels, targets.balance
        logits = balance.adjust(logits)
        losses = class_cross_entropy(
            logits, labels.clamp(min=0), weight=balance.weights, reduction="none"
        )  # (T,)
        terms = {"supervised": mean_where(losses, labels >= 0)}
        if targets.rejected.shape[1]:
            terms["negative"] = rejection(logits, targets.rejected)
        return terms

    def _reconstruct(
        self, values: dict[str, Tensor], words: Tensor, table: Tensor | None
    ) -> Tensor:
        """Give -log p(x_t | latents), (T,): two ReLU layers, then a softmax over words."""
        W = self.output if table is None else table
        if self.decoder is None or W is None:
            raise ValueError(PRUNED)
        X = self.decoder(torch.cat([values[name] for name in self.decoded], 1))
        if self.training and self.decoder_noise:
            X = X + self.decoder_noise * torch.randn_like(X)
        losses = cross_entropy(X, W, words)
        return losses if self.reconstruct_unk else losses * (words != 0)

    def resize(self, nO: int) -> None:
        """Add classes; the old ones keep their weights, new ones start at zero.

        nO (int): Classes wanted, at least as many as now.
        """
        self.classifier = enlarge_linear(self.classifier, nO)

    def prune(self) -> None:
        """Remove what prediction does not need: the decoder, and z where it is not classified."""
        self.decoder = self.output = None
        if "z" in self.heads and self.classifier_on != "z":
            del self.heads["z"]


def build_mlp(nI: int, hidden: int, nO: int) -> nn.Sequential:
    """Build the decoder's network.

    nI (int): Width of the latents.
    hidden (int): Units of both hidden layers.
    nO (int): Width of a word embedding.
    RETURNS (nn.Sequential): Two ReLU layers and a linear one.
    """
    layers = (nn.Linear(nI, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
    return nn.Sequential(*layers, nn.Linear(hidden, nO))


def unit_kl(posteriors: dict[str, Gaussian], prior: Prior | None, y: Tensor | None) -> Tensor:
    """Give KL(q || prior) of each unit of the latents.

    posteriors (dict[str, Gaussian]): The posteriors, each (T, Z).
    prior (Prior | None): Their priors; None is N(0, I).
    y (Tensor | None): The value of y that the prior of z depends on, (T, Z).
    RETURNS (Tensor): Nats, the units of one latent after those of the other, (T, units).
    """
    found = []
    for name, q in posteriors.items():
        found.append(q.unit_kl(Gaussian.standard(q.mean) if prior is None else prior(name, y)))
    return torch.cat(found, 1)


def rejection(logits: Tensor, rejected: Tensor) -> Tensor:
    """Give -log(1 - P(span)), P the product of the span's token probabilities.

    logits (Tensor): Class scores, (T, nO).
    rejected (Tensor): Token, class and span number of each token of a span, (3, R).
    RETURNS (Tensor): Nats, averaged over the spans, ().
    """
    token, label, span = rejected
    scores = logits[token]  # (R, nO)
    chosen = scores.gather(1, label[:, None])[:, 0]
    others = scores.scatter(1, label[:, None], float("-inf")).logsumexp(1)
    # a log-softmax would round to 0 where the model is sure, and leave nothing to learn from
    log_p = logsigmoid(chosen - others)  # (R,)
    log_P = logits.new_zeros(int(span[-1]) + 1).index_add(0, span, log_p)
    return -torch.log(-torch.expm1(log_P.clamp(max=-1e-30))).mean()
