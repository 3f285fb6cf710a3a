"""`vsl_tagger` and `vsl_ner`: variational sequential labelers as spaCy components.

Paper: Chen et al. (EMNLP 2018). The loss of a batch is

    mean over labelled tokens of -log f(l | .)
    + labelled_weight * mean over tokens of Docs with any label of -U
    + alpha * mean over tokens of unlabeled Docs of -U,   U = log p(x | .) - kl_weight * KL
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy
import torch
from numpy.typing import NDArray
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Model
from thinc.types import Ragged

from ..labels import is_annotated
from ..layers.vsl import VSLBatch, VSLTerms, measure_units
from ..modules.gaussian import Gaussian
from ..modules.viterbi import transition_scores, viterbi
from ..modules.vsl import Prior
from .base import SemiSupervisedPipe, split
from .ner import EntityMixin, make_candidates
from .weights import Weight, WeightSetting

UNIT_DOCS = 200  # on which an evaluation measures the units of the latents


class PriorStore(Protocol):
    """What a component asks of a store of learned priors; see `training.priors`."""

    def initialize(self, model: Model, n_labeled: int) -> None:
        """Start anew."""

    def read(self, model: Model, docs: Sequence[Doc]) -> Prior | None:
        """Give the priors of a batch."""

    def write(
        self, model: Model, docs: Sequence[Doc], posteriors: dict[str, Gaussian], n_labeled: int
    ) -> None:
        """Take in the posteriors of a batch, before the weights are updated."""

    def warm_start(self, model: Model, docs: Sequence[Doc]) -> None:
        """Begin with another model's posteriors."""

    def to_bytes(self) -> bytes:
        """Serialize the store."""

    def from_bytes(self, data: bytes) -> Any:
        """Load what `to_bytes` gave."""


class VSLPipe(SemiSupervisedPipe):
    """What `vsl_tagger` and `vsl_ner` share.

    alpha (WeightSetting): Weight of the raw text's terms.
    labelled_weight (WeightSetting): Weight of the labelled text's variational terms.
    kl_weight (WeightSetting): Weight of the KL within both.
    prior (PriorStore): Where the latents' priors come from.
    settings (Any): As for `SemiSupervisedPipe`.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        alpha: WeightSetting,
        labelled_weight: WeightSetting,
        kl_weight: WeightSetting,
        prior: PriorStore,
        **settings: Any,
    ) -> None:
        super().__init__(vocab, model, name, **settings)
        self.alpha = Weight("alpha", alpha)
        self.labelled_weight = Weight("labelled_weight", labelled_weight)
        self.kl_weight = Weight("kl_weight", kl_weight)
        self.prior = prior

    def weights(self) -> dict[str, float]:
        """Give the weight of every loss term at the present step."""
        step = self.cfg["step"]
        alpha, labelled = self.alpha.at(step), self.labelled_weight.at(step)
        kl = self.kl_weight.at(step)
        return {
            "supervised": 1.0,
            "negative": 1.0,
            "reconstruction": labelled,
            "kl": labelled * kl,
            "unlabeled_reconstruction": alpha,
            "unlabeled_kl": alpha * kl,
        }

    def uses_unlabeled(self) -> bool:
        """Raw Docs matter where alpha is positive and the variant has latents."""
        return self.alpha.at(self.cfg["step"]) > 0 and self.model.attrs["has_latents"]

    def make_batch(self, examples: Sequence[Example]) -> VSLBatch:
        """Encode labels; the priors are those of the last refresh."""
        docs = [eg.predicted for eg in examples]
        return VSLBatch(
            docs=docs,
            labels=numpy.concatenate([self.scheme.encode(eg) for eg in examples]),
            labeled=numpy.array([self.is_labeled(eg) for eg in examples], dtype="bool"),
            rejected=self.encode_rejected(examples),
            prior=self.prior.read(self.model, docs),
            balance=self.balance(),
        )

    def encode_rejected(self, examples: Sequence[Example]) -> NDArray[numpy.int64]:
        """Give the tokens of rejected spans.

        examples (Sequence[Example]): The batch.
        RETURNS (ndarray): Token, class and span number of each, (3, R).
        """
        return numpy.zeros((3, 0), dtype="int64")

    def set_vocabulary(self, counts: Counter[str], n_labeled: int) -> None:
        """Prepare vocabularies and the prior store."""
        super().set_vocabulary(counts, n_labeled)
        self.prior.initialize(self.model, n_labeled)

    def after_backprop(self, batch: VSLBatch, result: VSLTerms) -> None:
        """Hand the posteriors to the prior store."""
        n_labeled = int(batch.labeled.sum())
        self.prior.write(self.model, batch.docs, result.posteriors, n_labeled)

    def score(self, examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
        """Score Examples, and look at the latents of some of them.

        examples (Iterable[Example]): The Examples.
        kwargs (Any): Settings of the scorer.
        RETURNS (dict[str, Any]): The scores, and where there are latents "<name>_unit_kl", nats a
            token of each unit, of y and then of z, on every n-th Example.
        """
        examples = list(examples)
        found = super().score(examples, **kwargs)
        docs = [eg.predicted for eg in examples if len(eg.predicted)]
        some = docs[:: 1 + len(docs) // UNIT_DOCS]
        if found and some:
            # Docs that were not trained on are not in a table of priors: for these it is N(0, I)
            units = measure_units(self.model, some, self.prior.read(self.model, some))
            if units:
                found[f"{self.name}_unit_kl"] = units
        return found

    def extra_state(self) -> dict[str, tuple[Callable[[], bytes], Callable[[bytes], Any]]]:
        """The prior store is saved beside the model."""
        return {"prior": (self.prior.to_bytes, self.prior.from_bytes)}

    def prune(self) -> None:
        """Remove decoder and priors; predictions stay the same to the bit."""
        super().prune()
        self.prior.initialize(self.model, 0)


class VSLTagger(VSLPipe):
    """Predicts a token attribute: the class of the highest score at each token."""

    def is_labeled(self, example: Example) -> bool:
        """Tell whether any token has the attribute."""
        return is_annotated(example.reference, self.scheme.attr)  # type: ignore[union-attr]

    def decode(self, scores: Ragged) -> list[NDArray[numpy.int64]]:
        """Choose the best class of each token."""
        best = self.model.ops.to_numpy(scores.dataXd.argmax(axis=1))  # type: ignore[union-attr]
        return split(best, scores)


class VSLNer(EntityMixin, VSLPipe):
    """Predicts entities: the best path of BILOU classes over the valid transitions.

    incorrect_spans_key (str | None): Span group of the reference Docs with spans that are no
        entities of their type; each adds -log(1 - P(span)).
    settings (Any): As for `VSLPipe`.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        incorrect_spans_key: str | None,
        **settings: Any,
    ) -> None:
        super().__init__(vocab, model, name, **settings)
        self.incorrect_spans_key = incorrect_spans_key

    def decode(self, scores: Ragged) -> list[NDArray[numpy.int64]]:
        """Find the best valid path of each Doc."""
        log_p = torch.log_softmax(torch.from_numpy(self.model.ops.to_numpy(scores.dataXd)), 1)
        parts = split(log_p, scores)
        if not len(log_p):
            return [numpy.zeros((0,), dtype="int64") for _ in parts]
        mask = self.scheme.transitions()
        path = viterbi(
            torch.nn.utils.rnn.pad_sequence(parts, batch_first=True),
            torch.tensor([len(part) for part in parts]),
            start=transition_scores(mask.start),
            pair=transition_scores(mask.pair),
            end=transition_scores(mask.end),
        )
        return [ids[: len(part)].numpy() for ids, part in zip(path, parts)]

    def settle(self, docs: Sequence[Doc], scores: Ragged) -> list[NDArray[numpy.int64]]:
        """Find the best valid path of each Doc, without entities below their threshold."""
        paths = self.decode(scores)
        if not self.thresholds:
            return paths
        rows = self.path_rows(docs, paths)
        found = make_candidates(rows, self.span_probabilities(scores, rows))
        return self.hold_back(docs, paths, found)
