"""`vsl_tagger` and `vsl_ner`: variational sequential labelers as spaCy components.

Paper: Chen et al. (EMNLP 2018). The loss of a batch is

    mean over labelled tokens of -log f(l | .)
    + labelled_weight * mean over tokens of Docs with any label of -U
    + alpha * mean over tokens of unlabeled Docs of -U,   U = log p(x | .) - kl_weight * KL
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy
import torch
from numpy.typing import NDArray
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Config, Model
from thinc.types import Ragged

from ..labels import SpanLabels, TokenLabels, is_annotated
from ..layers.vsl import VSLBatch, VSLTerms
from ..modules.gaussian import Gaussian
from ..modules.viterbi import transition_scores, viterbi
from ..modules.vsl import Prior
from .base import SemiSupervisedPipe, split
from .ner import EntityMixin, make_candidates, multiply_tags
from .scorers import TokenScorer
from .weights import Weight, WeightSetting

DEFAULT_CONFIG = Config().from_str(
    """
[kl_weight]
@schedules = "semivae.kl_exponential.v1"
rate = 1e-4

[prior]
@misc = "semivae.MemoryPrior.v1"

[model]
@architectures = "semivae.VSL.v1"
variant = "hier"
normalize = ["digits", "users", "urls"]

[model.tok2vec]
@architectures = "semivae.CharWordBiGRU.v1"
embeddings = "learned"
normalize = ["digits", "users", "urls"]
"""
)
DEFAULTS = {
    "alpha": 0.1,
    "labelled_weight": 0.1,
    "kl_weight": DEFAULT_CONFIG["kl_weight"],
    "prior": DEFAULT_CONFIG["prior"],
    "model": DEFAULT_CONFIG["model"],
    "class_weights": None,
    "logit_adjustment": 0.0,
    "max_grad_norm": 10.0,
    "overwrite": True,
    "store_probabilities": False,
}


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
        P = [multiply_tags(p, row) for p, row in zip(self.probabilities(scores), rows)]
        return self.hold_back(docs, paths, make_candidates(rows, P))


@Language.factory(
    "vsl_tagger",
    assigns=["token.tag", "token.pos", "token.morph"],
    default_config={
        "attr": "tag",
        **DEFAULTS,
        "scorer": {"@scorers": "semivae.token_scorer.v1"},
    },
    default_score_weights={"tag_acc": 1.0, "pos_acc": None, "morph_acc": None},
)
def make_vsl_tagger(
    nlp: Language,
    name: str,
    model: Model,
    attr: str,
    alpha: WeightSetting,
    labelled_weight: WeightSetting,
    kl_weight: WeightSetting,
    prior: PriorStore,
    class_weights: dict[str, float] | None,
    logit_adjustment: float,
    max_grad_norm: float,
    overwrite: bool,
    store_probabilities: bool,
    scorer: Callable[..., dict[str, Any]] | None,
) -> VSLTagger:
    """Create a tagger.

    nlp (Language): The pipeline.
    name (str): The component's name.
    model (Model): A `semivae.VSL.v1`.
    attr (str): "tag", "pos" or "morph".
    alpha (WeightSetting): Weight of the raw text's terms.
    labelled_weight (WeightSetting): Weight of the labelled text's variational terms.
    kl_weight (WeightSetting): Weight of the KL within both.
    prior (PriorStore): A `semivae.*Prior.v1`.
    class_weights (dict | None): What the supervised loss of a label counts; 1 for the others.
    logit_adjustment (float): tau; 1 trains for classes that are equally frequent.
    max_grad_norm (float): Joint norm of all gradients at most; 0 for no clipping.
    overwrite (bool): Whether predictions replace annotation that a Doc has.
    store_probabilities (bool): Keep class probabilities in `doc.user_data`.
    scorer (Callable | None): Scores Examples.
    RETURNS (VSLTagger): The component.
    """
    if scorer == TokenScorer(None):
        scorer = TokenScorer(attr)
    return VSLTagger(
        nlp.vocab,
        model,
        name,
        scheme=TokenLabels(attr),
        alpha=alpha,
        labelled_weight=labelled_weight,
        kl_weight=kl_weight,
        prior=prior,
        class_weights=class_weights,
        logit_adjustment=logit_adjustment,
        max_grad_norm=max_grad_norm,
        overwrite=overwrite,
        store_probabilities=store_probabilities,
        scorer=scorer,
    )


@Language.factory(
    "vsl_ner",
    assigns=["doc.ents", "token.ent_iob", "token.ent_type"],
    default_config={
        "incorrect_spans_key": "incorrect_spans",
        **DEFAULTS,
        "scorer": {"@scorers": "spacy.ner_scorer.v1"},
    },
    default_score_weights={"ents_f": 1.0, "ents_p": 0.0, "ents_r": 0.0, "ents_per_type": None},
)
def make_vsl_ner(
    nlp: Language,
    name: str,
    model: Model,
    incorrect_spans_key: str | None,
    alpha: WeightSetting,
    labelled_weight: WeightSetting,
    kl_weight: WeightSetting,
    prior: PriorStore,
    class_weights: dict[str, float] | None,
    logit_adjustment: float,
    max_grad_norm: float,
    overwrite: bool,
    store_probabilities: bool,
    scorer: Callable[..., dict[str, Any]] | None,
) -> VSLNer:
    """Create an entity recognizer; the settings not named here are those of `make_vsl_tagger`.

    incorrect_spans_key (str | None): Span group of rejected spans in the reference Docs.
    overwrite (bool): Whether predictions replace entities that a Doc has.
    RETURNS (VSLNer): The component.
    """
    return VSLNer(
        nlp.vocab,
        model,
        name,
        scheme=SpanLabels(),
        incorrect_spans_key=incorrect_spans_key,
        alpha=alpha,
        labelled_weight=labelled_weight,
        kl_weight=kl_weight,
        prior=prior,
        class_weights=class_weights,
        logit_adjustment=logit_adjustment,
        max_grad_norm=max_grad_norm,
        overwrite=overwrite,
        store_probabilities=store_probabilities,
        scorer=scorer,
    )
