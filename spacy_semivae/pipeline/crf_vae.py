"""What `crf_vae_ner` and `crf_vae_tagger` share, and the latter.

Paper: "Semi-Supervised Named Entity Recognition with CRF-VAEs". The loss of a batch, each term a
sum over its Docs divided by their tokens:

    -log q(y_O | x)                                       annotated Docs
    + generator_weight * -log p(x | y)                    Docs annotated in full
    + alpha * -log p(x | y~)                              the others, y~ a relaxed sample of q
    + alpha * beta * KL(q(y_U | x, y_O) || p(y_U))        the others
    + entity_ratio * max(0, |r - target| - margin)        the others, r = 1 - expected share of O
    + -log(1 - P(span | x, y_O))                          mean over rejected spans
"""

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy
from numpy.typing import NDArray
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Model

from ..labels import is_annotated
from ..layers.crf_targets import count_pieces, set_piece_targets, uses_pieces
from ..layers.crf_vae import CRFBatch, Tagging, set_tags
from ..layers.language_model import get_vocabulary
from .adaptive import AdaptiveBeta, round_digits
from .base import SemiSupervisedPipe
from .posterior import Posterior
from .survey import Survey
from .tag_prior import PriorSetting, make_prior
from .weights import Weight, WeightSetting


class CRFVAEPipe(SemiSupervisedPipe):
    """What both components share: loss weights, prior, and what is watched in training.

    vocab (Vocab): The shared vocabulary.
    model (Model): A `semivae.CRFVAE.v1`.
    name (str): The component's name in the pipeline.
    alpha (WeightSetting): Weight of the terms of Docs that are not annotated in full.
    beta (WeightSetting | AdaptiveBeta): Weight of the KL within these.
    temperature (WeightSetting): Temperature of relaxed samples.
    generator_weight (WeightSetting): Weight of the generator's loss on annotated tags.
    prior (PriorSetting): "auto", "empirical", "simple" or probabilities by tag.
    settings (Any): As for `SemiSupervisedPipe`.
    """

    attr = "ents"

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        alpha: WeightSetting,
        beta: WeightSetting | AdaptiveBeta,
        temperature: WeightSetting,
        generator_weight: WeightSetting,
        prior: PriorSetting,
        **settings: Any,
    ) -> None:
        super().__init__(vocab, model, name, **settings)
        self.alpha = Weight("alpha", alpha)
        self.adaptive = beta if isinstance(beta, AdaptiveBeta) else None
        self.beta = Weight("beta", 0.0 if isinstance(beta, AdaptiveBeta) else beta)
        self.temperature = Weight("temperature", temperature)
        self.generator_weight = Weight("generator_weight", generator_weight)
        self.prior = prior
        self.piece_counts: Counter[int] = Counter()  # of the Docs that initialize sees
        self.cfg.update(beta=None)
        self.reset()

    def reset(self) -> None:
        """Forget what training has changed beside the weights."""
        self.cfg["beta"] = self.adaptive.start if self.adaptive else None

    # The loss

    def weights(self) -> dict[str, float]:
        """Give the weight of every loss term at the present step."""
        alpha = self.alpha.at(self.cfg["step"])
        return {
            "supervised": 1.0,
            "negative": 1.0,
            "generation": self.generator_weight.at(self.cfg["step"]),
            "reconstruction": alpha,
            "kl": alpha * self.beta_now(),
            "entity_ratio": 0.0,
        }

    def beta_now(self) -> float:
        """Give the weight of the KL at the present step.

        RETURNS (float): The setting, or the value that has adapted.
        """
        return round_digits(self.cfg["beta"]) if self.adaptive else self.beta.at(self.cfg["step"])

    def uses_unlabeled(self) -> bool:
        """Raw Docs matter where a term of theirs has a weight."""
        weights = self.weights()
        generates = self.model.shims[0].cfg["generator"] is not None  # type: ignore[attr-defined]
        terms = ("reconstruction", "kl", "entity_ratio") if generates else ("kl", "entity_ratio")
        return any(weights[term] > 0 for term in terms)

    def make_batch(self, examples: Sequence[Example]) -> CRFBatch:
        """Encode tags and rejected spans."""
        return CRFBatch(
            docs=[eg.predicted for eg in examples],
            tags=numpy.concatenate([self.scheme.encode(eg) for eg in examples]),
            labeled=numpy.array([self.is_labeled(eg) for eg in examples], dtype="bool"),
            rejected=self.encode_rejected(examples),
            temperature=self.temperature.at(self.cfg["step"]),
            balance=self.balance(),
        )

    def encode_rejected(self, examples: Sequence[Example]) -> NDArray[numpy.int64]:
        """Give the tokens of rejected spans.

        examples (Sequence[Example]): The batch.
        RETURNS (ndarray): Token, class and span number of each, (3, R).
        """
        return numpy.zeros((3, 0), dtype="int64")

    # Labels

    def set_vocabulary(self, counts: Counter[str], n_labeled: int) -> None:
        """Prepare the generator's vocabulary, and start anew."""
        super().set_vocabulary(counts, n_labeled)
        if self.piece_counts:
            set_piece_targets(self.model, self.piece_counts)
        self.reset()

    def tally(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Pass Examples on; count their word pieces.

        examples (Iterable[Example]): What initialize is given.
        YIELDS (Example): The same ones.
        """
        self.piece_counts.clear()
        for eg in examples:
            if uses_pieces(self.model):
                self.piece_counts.update(count_pieces(self.model, [eg.predicted]))
            yield eg

    def after_survey(self, survey: Survey) -> None:
        """Warn where raw Docs are wanted and there are none."""
        if not survey.latent and self.uses_unlabeled():
            warnings.warn(
                f"Component '{self.name}': alpha is {self.alpha.at(0)}, but every Doc of "
                "initialize is annotated in full: there is nothing to learn from without "
                "annotation",
                stacklevel=2,
            )

    def after_load(self) -> None:
        """Build the tokenizers of word pieces now: an error at the first text would be late."""
        super().after_load()
        for node in self.model.walk():
            if node.attrs.get("pieces"):
                get_vocabulary(node)

    def after_resize(self) -> None:
        """Set transitions and prior of the tags."""
        names, counts = self.scheme.names, self.cfg["tag_counts"]
        prior = make_prior(self.prior, names, counts, outside=self.expected_outside())
        set_tags(self.model, self.scheme.transitions(), prior)  # type: ignore[union-attr]

    def expected_outside(self) -> float | None:
        """Give the share of O that the text should have.

        RETURNS (float | None): The share; None where there is no tag O.
        """
        return None

    # Prediction

    def posterior(self, docs: Iterable[Doc]) -> Posterior:
        """Give q(y | x), of which paths, marginals and span probabilities may be asked.

        docs (Iterable[Doc]): The Docs, not changed.
        RETURNS (Posterior): The distribution.
        """
        return self.read(self.predict(docs))

    def read(self, scores: Tagging) -> Posterior:
        """Give the distribution that scores stand for.

        scores (Tagging): What `predict` gave.
        RETURNS (Posterior): The distribution.
        """
        return Posterior(
            scores, spans=self.attr == "ents", temperature=self.calibration_temperature
        )

    def decode(self, scores: Tagging) -> list[NDArray[numpy.int64]]:
        """Find the best path of each Doc."""
        return self.read(scores).paths()

    def probabilities(self, scores: Tagging) -> list[Any]:
        """Give the marginals of each Doc's tokens, (N, C)."""
        return self.read(scores).marginals()

    def predict_entropy(self, docs: Iterable[Doc]) -> list[float]:
        """Give how unsure the tagger is of each Doc.

        docs (Iterable[Doc]): The Docs, not changed.
        RETURNS (list[float]): Entropy of q(y | x), nats per Doc.
        """
        return self.posterior(docs).entropies().tolist()


class CRFVAETagger(CRFVAEPipe):
    """Predicts a token attribute: the best path of the CRF."""

    def __init__(self, vocab: Vocab, model: Model, name: str, **settings: Any) -> None:
        super().__init__(vocab, model, name, **settings)
        self.attr = self.scheme.attr  # type: ignore[union-attr]

    def is_labeled(self, example: Example) -> bool:
        """Tell whether any token has the attribute."""
        return is_annotated(example.reference, self.attr)

    def collect_labels(self, examples: Iterable[Example]) -> list[str]:
        """Find the values of the attribute."""
        return super().collect_labels(self.tally(examples))
