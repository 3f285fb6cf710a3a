"""Generators of the CRF-VAE: p(x | y), words or word pieces given relaxed tags.

Paper: "Semi-Supervised Named Entity Recognition with CRF-VAEs", section 2.4 and appendix C. With
`u_i = U y_i`, `v = transformer(u)` and `h_i`, `Z` the states and output embeddings of a frozen
causal language model, the logits of unit i are

    factored             theta y_i
    mf, mt               W u_i + b, W v_i + b
    mf_lm, mt_lm         W u_i / sqrt(d) + Z h_i / sqrt(nS), without `scale` W u_i + Z h_i
    mt_lm_poe            log p_mt + log p_lm, a product of experts
    mt_lm_residual       Z (h_i + mlp([h_i; v_i]))

b is ours. Training starts with words that are as frequent as in the text, or as the language model
has them, whatever the tags: else the tagger has seen its few labelled documents too often before
the generator knows more than how frequent words are.

B documents, N units (padded at the end), T units in all (documents one after the other), C tags,
V words; d and nS are the widths of the tag embeddings and of the language model's states.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import catalogue
import torch
from torch import Tensor, nn

from .classes import enlarge
from .cross_entropy import cross_entropy
from .transformer import Transformer
from .units import Units

START = 0.01  # size of the logits that tell tags apart when training starts


@dataclass(frozen=True)
class Variant:
    """What tells the generators with tag embeddings apart."""

    context: bool  # a transformer reads the tag embeddings
    language_model: bool = False
    residual: bool = False  # the language model's states are moved, its logits left alone
    scalable: bool = False  # the setting `scale` has a meaning


VARIANTS: dict[str, Variant] = {
    "mf": Variant(context=False),
    "mt": Variant(context=True),
    "mf_lm": Variant(context=False, language_model=True, scalable=True),
    "mt_lm": Variant(context=True, language_model=True, scalable=True),
    "mt_lm_poe": Variant(context=True, language_model=True),
    "mt_lm_residual": Variant(context=True, language_model=True, residual=True),
}
GENERATORS = ("factored", *VARIANTS)
# Those of others, by the name in their settings: functions of nO, nV, nS and these settings
extensions = catalogue.create("semivae", "generators", entry_points=True)


def build_generator(
    name: str, *, nO: int, nV: int, nS: int | None = None, **cfg: Any
) -> "Generator":
    """Build a generator by its name.

    name (str): One of `GENERATORS`, or of those registered with `extensions`.
    nO (int): Tags.
    nV (int): Words that can be generated.
    nS (int | None): Width of the language model's states.
    cfg (Any): Its own settings; for `GENERATORS` those of `build_own`.
    RETURNS (Generator): The generator.
    RAISES (ValueError): For an unknown name and for settings that do not fit.
    """
    if name not in GENERATORS and name in extensions:
        return extensions.get(name)(nO=nO, nV=nV, nS=nS, **cfg)
    return build_own(name, nO=nO, nV=nV, nS=nS, **cfg)


def build_own(
    name: str,
    *,
    nO: int,
    nV: int,
    nS: int | None = None,
    width: int = 300,
    layers: int = 2,
    heads: int = 4,
    hidden: int = 1200,
    dropout: float = 0.1,
    scale: bool = True,
) -> "Generator":
    """Build one of the papers' generators; settings that it has no use for are ignored.

    `mt_lm_poe` is `mt_lm` with `scale = False`: softmax(log p_mt + log p_lm) equals
    softmax(W v + Z h), as the normalisers of both experts are constant over the words.

    name (str): One of `GENERATORS`.
    nO (int): Tags.
    nV (int): Words that can be generated.
    nS (int | None): Width of the language model's states; `mt_lm_residual` needs it.
    width (int): Width of the tag embeddings.
    layers (int): Layers of the transformer.
    heads (int): Attention heads of a layer, a divisor of the width.
    hidden (int): Hidden units of a transformer layer's and of the residual's network.
    dropout (float): Dropout inside the transformer, in training.
    scale (bool): For `mf_lm` and `mt_lm`: divide each logit by the root of its width.
    RETURNS (Generator): The generator.
    RAISES (ValueError): For an unknown name and for settings that do not fit.
    """
    if name == "factored":
        return FactoredGenerator(START * torch.randn(nV, nO))
    if name not in VARIANTS:
        known = ", ".join((*GENERATORS, *extensions.get_all()))
        raise ValueError(f"A generator is one of {known}, but got {name!r}")
    variant = VARIANTS[name]
    context = None
    if variant.context:
        context = Transformer(width, layers=layers, heads=heads, hidden=hidden, dropout=dropout)
    U = torch.randn(width, nO)  # as large as the positions that the transformer adds
    if not variant.residual:
        scale = scale and variant.scalable
        return SoftmaxGenerator(U, context, nV, language_model=variant.language_model, scale=scale)
    if nS is None:
        raise ValueError(f"{name} needs nS, the width of the language model's states")
    return ResidualGenerator(U, context, nV, nS=nS, hidden=hidden)


class Generator(nn.Module, ABC):
    """What the generators share: -log p(x | y) at relaxed tags, and room for more tags.

    tags (Tensor): The first values of the weights of each tag, (rows, C).
    context (Transformer | None): Reads the embedded tags of a document.
    nV (int): Words that can be generated.
    """

    def __init__(self, tags: Tensor, context: "Transformer | None", nV: int) -> None:
        super().__init__()
        self.tags = nn.Parameter(tags)
        self.context = context
        self.nV = nV

    def forward(
        self,
        Y: Tensor,
        units: Units,
        words: Tensor,
        states: Tensor | None = None,
        outputs: Tensor | None = None,
    ) -> Tensor:
        """Give -log p(x_i | y), with a language model -log p(x_i | y, x_<i), of each unit.

        Y (Tensor): One-hot or relaxed tags, (B, N, C).
        units (Units): Where the units stand.
        words (Tensor): Word ids, int64, (T,).
        states (Tensor | None): The language model's states before each unit, (T, nS).
        outputs (Tensor | None): Its output embeddings of the words, (V, nS). Only generators with
            a language model read these two, and neither gets a gradient.
        RETURNS (Tensor): Nats per unit, (T,).
        RAISES (ValueError): When shapes do not fit, and when states or outputs are missing.
        """
        expected = (len(units.lengths), units.steps, self.tags.shape[1])
        if Y.shape != expected or words.shape != units.docs.shape:
            raise ValueError(
                f"A generator needs tags Y {expected} and words {tuple(units.docs.shape)}, but got "
                f"{tuple(Y.shape)} and {tuple(words.shape)}"
            )
        return self._measure(self._encode(Y, units), words, states, outputs)

    def _encode(self, Y: Tensor, units: Units) -> Tensor:
        """RETURNS (Tensor): Embedded tags, in context where there is a transformer, (T, d)."""
        U = units.unpad(Y) @ self.tags.T
        return U if self.context is None else self.context(U, units)

    @abstractmethod
    def _measure(
        self, X: Tensor, words: Tensor, states: Tensor | None, outputs: Tensor | None
    ) -> Tensor:
        """RETURNS (Tensor): -log p of each word, from what `_encode` gave, (T,)."""

    def _check_states(
        self, words: Tensor, states: Tensor | None, outputs: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """RETURNS (tuple[Tensor, Tensor]): States (T, nS) and outputs (V, nS), without gradient."""
        shapes = [None if X is None else tuple(X.shape) for X in (states, outputs)]
        if (
            states is None
            or outputs is None
            or states.ndim != 2
            or len(states) != len(words)
            or outputs.shape != (self.nV, states.shape[1])
        ):
            raise ValueError(
                f"A generator with a language model needs states ({len(words)}, nS) and outputs "
                f"({self.nV}, nS), but got {shapes[0]} and {shapes[1]}"
            )
        return states.detach(), outputs.detach()

    def start(self, counts: Tensor) -> None:
        """Take the words' frequencies as those that training starts with.

        A generator with a language model ignores them: it starts with what that knows.

        counts (Tensor): Occurrences of each word, (V,).
        """

    def resize(self, nO: int) -> None:
        """Add tags; the old ones keep their weights, new ones start at zero.

        nO (int): Tags wanted, at least as many as now.
        RAISES (ValueError): When they are fewer than now.
        """
        kept = self.tags.shape[1]
        if nO < kept:
            raise ValueError(f"A generator of {kept} tags cannot be resized to {nO}")
        self.tags = nn.Parameter(enlarge(self.tags.T, nO).T.contiguous())


class FactoredGenerator(Generator):
    """The CRF autoencoder's generator: a free logit for each word and tag (appendix C).

    theta (Tensor): The first values of the logits, (V, C).
    """

    def __init__(self, theta: Tensor) -> None:
        super().__init__(theta, None, len(theta))

    @property
    def theta(self) -> nn.Parameter:
        """The logits.

        RETURNS (nn.Parameter): The weights, (V, C).
        """
        return self.tags

    def log_likelihoods(self, words: Tensor) -> Tensor:
        """Give log p(x_i | y_i = c) for every tag c, which exact inference sums over.

        words (Tensor): Word ids, int64, (T,).
        RETURNS (Tensor): Log-probabilities, (T, C).
        """
        return self.theta.index_select(0, words) - self.theta.logsumexp(0)

    def start(self, counts: Tensor) -> None:
        """Take the words' frequencies as those that training starts with.

        counts (Tensor): Occurrences of each word, (V,).
        """
        self.tags.data.add_(log_frequencies(counts)[:, None])

    def _encode(self, Y: Tensor, units: Units) -> Tensor:
        return units.unpad(Y)

    def _measure(
        self, X: Tensor, words: Tensor, states: Tensor | None, outputs: Tensor | None
    ) -> Tensor:
        return cross_entropy(X, self.theta, words)


class SoftmaxGenerator(Generator):
    """Words from a softmax over `W v_i`, to which the language model's logits may be added.

    U (Tensor): The first values of the tag embeddings, (d, C).
    context (Transformer | None): Reads the embedded tags of a document.
    nV (int): Words that can be generated.
    language_model (bool): Whether the language model's logits are added.
    scale (bool): Divide each of the two logits by the root of its width.
    """

    def __init__(
        self,
        U: Tensor,
        context: "Transformer | None",
        nV: int,
        *,
        language_model: bool,
        scale: bool,
    ) -> None:
        super().__init__(U, context, nV)
        self.language_model = language_model
        self.scale = scale
        # without a language model the last column is b
        columns = len(U) + (not language_model)
        self.W = nn.Parameter(START * torch.randn(nV, columns) * len(U) ** -0.5)

    def start(self, counts: Tensor) -> None:
        """Take the words' frequencies as those that training starts with.

        counts (Tensor): Occurrences of each word, (V,).
        """
        if not self.language_model:
            self.W.data[:, -1] += log_frequencies(counts)

    def _measure(
        self, X: Tensor, words: Tensor, states: Tensor | None, outputs: Tensor | None
    ) -> Tensor:
        if not self.language_model:
            return cross_entropy(torch.cat((X, X.new_ones(len(X), 1)), 1), self.W, words)
        H, Z = self._check_states(words, states, outputs)
        if self.scale:
            X, H = X * X.shape[1] ** -0.5, H * H.shape[1] ** -0.5
        return cross_entropy(X, self.W, words, fixed=(H, Z))


class ResidualGenerator(Generator):
    """Words from the language model's softmax over moved states, `h_i + mlp([h_i; v_i])`.

    U (Tensor): The first values of the tag embeddings, (d, C).
    context (Transformer | None): Reads the embedded tags of a document.
    nV (int): Words that can be generated.
    nS (int): Width of the states.
    hidden (int): Units of the network's hidden layer.
    """

    def __init__(
        self, U: Tensor, context: "Transformer | None", nV: int, *, nS: int, hidden: int
    ) -> None:
        super().__init__(U, context, nV)
        self.nS = nS
        last = nn.Linear(hidden, nS)
        with torch.no_grad():
            for weight in last.parameters():
                weight.mul_(START)
        self.mlp = nn.Sequential(nn.Linear(nS + len(U), hidden), nn.ReLU(), last)

    def _measure(
        self, X: Tensor, words: Tensor, states: Tensor | None, outputs: Tensor | None
    ) -> Tensor:
        H, Z = self._check_states(words, states, outputs)
        if H.shape[1] != self.nS:
            raise ValueError(f"The states must have width {self.nS}, but got {H.shape[1]}")
        return cross_entropy(H + self.mlp(torch.cat((H, X), 1)), Z, words)


def log_frequencies(counts: Tensor) -> Tensor:
    """Give the logarithms of smoothed frequencies.

    counts (Tensor): Occurrences, (V,).
    RETURNS (Tensor): Log-probabilities, (V,).
    """
    return (counts.float() + 1.0).log().log_softmax(0)
