"""The base of every component here: one update for labelled, partly labelled and raw Docs.

A subclass says how Examples become a training batch and which weight each loss term has; the
base initializes, updates, clips, counts steps, reports every term and stores.
"""

import multiprocessing
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import numpy
import torch
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example, validate_examples, validate_get_examples
from spacy.vocab import Vocab
from thinc.api import Model, Optimizer, set_dropout_rate
from thinc.types import Ragged

from ..layers.shim import clip_gradients
from ..layers.terms import ClassBalance, check_finite
from .labeled import Scheme
from .rare import RareClasses, count_classes
from .survey import Survey
from .trust import CalibratedPipe


class SemiSupervisedPipe(CalibratedPipe, ABC):
    """A trainable component that learns from any mixture of annotation.

    vocab (Vocab): The shared vocabulary.
    model (Model): Docs to scores (Ragged), or a training batch to named loss terms.
    name (str): The component's name in the pipeline.
    scheme (Scheme): How labels become classes and back.
    class_weights (Mapping[str, float] | None): What the supervised loss of a label counts.
    logit_adjustment (float): How much training is told of the classes' frequencies.
    max_grad_norm (float): Joint norm of all gradients at most; 0 for no clipping.
    overwrite (bool): Whether predictions replace annotation that a Doc has.
    store_probabilities (bool): Keep each token's class probabilities, (N, C), in
        `doc.user_data["<name>_probabilities"]`.
    scorer (Callable | None): Scores Examples.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        scheme: Scheme,
        class_weights: Mapping[str, float] | None,
        logit_adjustment: float,
        max_grad_norm: float,
        overwrite: bool,
        store_probabilities: bool,
        scorer: Callable[..., dict[str, Any]] | None,
    ) -> None:
        self.vocab = vocab
        self.model = model
        self.name = name
        self.start_labels(scheme)
        self.rare = RareClasses(name, class_weights or {}, logit_adjustment)
        self.max_grad_norm = max_grad_norm
        self.overwrite = overwrite
        self.store_probabilities = store_probabilities
        self.scorer = scorer
        self.cfg.update(step=0, tag_counts={})
        self.reset_trust()

    # What a subclass says

    @abstractmethod
    def make_batch(self, examples: Sequence[Example]) -> Any:
        """Bring Examples into the form that the model learns from.

        examples (Sequence[Example]): Labelled, partly labelled and raw Examples.
        RETURNS (Any): The model's training batch.
        """

    @abstractmethod
    def weights(self) -> dict[str, float]:
        """Give the weight of every loss term at the present step.

        RETURNS (dict[str, float]): Weights by term.
        """

    def uses_unlabeled(self) -> bool:
        """Tell whether raw Docs have a weight at the present step; training leaves them out if not.

        RETURNS (bool): True unless a subclass knows better.
        """
        return True

    @abstractmethod
    def is_labeled(self, example: Example) -> bool:
        """Tell whether the reference Doc has any label for this component.

        example (Example): The Example.
        RETURNS (bool): False for raw text.
        """

    @abstractmethod
    def decode(self, scores: Any) -> list[Any]:
        """Choose the classes.

        scores (Any): What `predict` gave.
        RETURNS (list[ndarray]): Class ids of each Doc, (N,).
        """

    def set_vocabulary(self, counts: Counter[str], n_labeled: int) -> None:
        """Prepare what depends on all Docs, before the model is initialized.

        counts (Counter[str]): Occurrences of token texts in labelled and raw Docs.
        n_labeled (int): Labelled Docs.
        """
        for node in self.model.walk():
            if "set_vocabulary" in node.attrs:
                node.attrs["set_vocabulary"](node, counts, self.vocab)

    def after_survey(self, survey: Survey) -> None:
        """Take note of the corpus that `initialize` was given.

        survey (Survey): What one pass over it told.
        """

    def after_backprop(self, batch: Any, result: Any) -> None:
        """Take note of an update before the weights change.

        batch (Any): What `make_batch` gave.
        result (Any): What the model gave.
        """

    def watch(self, result: Any) -> dict[str, float]:
        """Give what is to be reported beside the loss terms.

        result (Any): What the model gave.
        RETURNS (dict[str, float]): Values by name.
        """
        return {}

    # Training

    def balance(self) -> ClassBalance:
        """Give what helps rare classes.

        RETURNS (ClassBalance): Weights and shift of every class, where there are any.
        """
        return self.rare.balance(self.scheme, self.cfg["tag_counts"])

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        """Choose labels and vocabularies and build the model's weights.

        get_examples (Callable): Gives labelled Examples, and raw ones for the vocabularies.
        nlp (Language | None): The pipeline.
        labels (Sequence[str] | None): The labels; None takes them from the Examples.
        RAISES (ValueError): Without labels, or without a Doc that has a token.
        """
        validate_get_examples(get_examples, f"{type(self).__name__}.initialize")
        survey = Survey(self.is_labeled, partial(count_classes, self.scheme))
        found = self.collect_labels(survey.watch(get_examples()))
        for label in found if labels is None else labels:
            self.add_label(label)
        self.check_labels(survey.docs)
        self.rare.check(self.scheme, survey.classes)
        self.cfg["tag_counts"] = dict(survey.classes)
        self.after_survey(survey)
        if not survey.sample:
            raise ValueError(f"Component '{self.name}' was given no Doc with a token")
        self.set_vocabulary(survey.counts, survey.labeled)
        if not self.model.has_dim("nO"):
            self.model.set_dim("nO", len(self.scheme.names))
        self.model.initialize(X=survey.sample)
        self.after_resize()
        self.cfg["step"] = 0
        self.reset_trust()

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Learn from a batch of any mixture.

        examples (Iterable[Example]): Labelled, partly labelled and raw Examples.
        drop (float): The dropout rate.
        sgd (Optimizer | None): Updates the weights at once when given.
        losses (dict | None): Gains the weighted sum under the component's name, and every term
            under "<name>_<term>", in nats.
        RETURNS (dict[str, float]): The losses.
        RAISES (FloatingPointError): When a term is not finite.
        """
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, f"{type(self).__name__}.update")
        if not any(len(eg.predicted) for eg in examples):
            return losses
        set_dropout_rate(self.model, drop)
        batch = self.make_batch(examples)
        with self._locate_errors():
            result, backprop = self.model.begin_update(batch)
            check_finite(result.terms)
        weights = self.weights()
        backprop(weights)
        self.after_backprop(batch, result)
        for term, value in result.terms.items():
            key = f"{self.name}_{term}"
            losses[key] = losses.get(key, 0.0) + value
            losses[self.name] += weights[term] * value
        for key, value in self.watch(result).items():
            losses[f"{self.name}_{key}"] = losses.get(f"{self.name}_{key}", 0.0) + value
        if sgd not in (None, False):
            self.finish_update(sgd)  # type: ignore[arg-type]
        return losses

    def evaluate_terms(self, docs: Iterable[Doc]) -> dict[str, float]:
        """Measure the loss terms of raw text at the posterior means, without learning.

        docs (Iterable[Doc]): Docs held out from training; their annotation is not used.
        RETURNS (dict[str, float]): Terms in nats, normalised as in training, of this one batch.
        """
        examples = [Example(doc, Doc(doc.vocab, [t.text for t in doc])) for doc in docs]
        # a term that needs a sample draws the same one each time
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            result, _ = self.model(self.make_batch(examples), is_train=False)
        return result.terms

    def finish_update(self, sgd: Optimizer) -> None:
        """Clip the gradients by their joint norm and update the weights.

        sgd (Optimizer): The optimizer.
        RAISES (FloatingPointError): When a gradient is not finite.
        """
        with self._locate_errors():
            clip_gradients(self.model, self.max_grad_norm)
        super().finish_update(sgd)
        self.cfg["step"] += 1

    @contextmanager
    def _locate_errors(self) -> Iterator[None]:
        try:
            yield
        except FloatingPointError as error:
            where = f"Component '{self.name}', step {self.cfg['step']}"
            raise FloatingPointError(f"{where}: {error}") from None

    # Prediction

    def predict(self, docs: Iterable[Doc]) -> Any:
        """Score every class of every token.

        docs (Iterable[Doc]): The Docs, not changed.
        RETURNS (Any): What the model gives, as a Ragged of logits, (T, C).
        """
        docs = list(docs)
        if multiprocessing.parent_process() is not None:
            # threads started before a fork would be waited for without end
            torch.set_num_threads(1)
        return self.model.predict(docs)

    def set_annotations(self, docs: Iterable[Doc], scores: Any) -> None:
        """Write the predicted labels to Docs.

        docs (Iterable[Doc]): The Docs.
        scores (Any): What `predict` gave.
        """
        docs = list(docs)
        for doc, ids in zip(docs, self.settle(docs, scores)):
            self.scheme.annotate(doc, ids, overwrite=self.overwrite)
        if self.store_probabilities:
            for doc, probabilities in zip(docs, self.probabilities(scores)):
                doc.user_data[f"{self.name}_probabilities"] = probabilities

    def settle(self, docs: Sequence[Doc], scores: Any) -> list[Any]:
        """Choose the classes that are written.

        docs (Sequence[Doc]): The Docs.
        scores (Any): What `predict` gave.
        RETURNS (list[ndarray]): Class ids of each Doc, (N,).
        """
        return self.decode(scores)

    def predict_probabilities(self, docs: Iterable[Doc]) -> list[Any]:
        """Give the probability of every class of every token.

        docs (Iterable[Doc]): The Docs, not changed.
        RETURNS (list[ndarray]): One array a Doc, (N, C), columns as `scheme.names`.
        """
        return self.probabilities(self.predict(docs))

    def probabilities(self, scores: Any) -> list[Any]:
        """Read the probabilities of the classes.

        scores (Any): What `predict` gave.
        RETURNS (list[ndarray]): One array a Doc, (N, C).
        """
        Y = self.model.ops.softmax(scores.dataXd / self.calibration_temperature)  # type: ignore[type-var]
        return [self.model.ops.to_numpy(y) for y in split(Y, scores)]

    # Storage

    def prune(self) -> None:
        """Remove what only training needs; predictions stay the same to the bit."""
        self.model.attrs["prune"](self.model)


def split(Y: Any, scores: Ragged) -> list[Any]:
    """Cut flat rows into Docs.

    Y (ndarray): Rows, (T, ...).
    scores (Ragged): Gives the Docs' lengths.
    RETURNS (list[ndarray]): One array a Doc, (N, ...).
    """
    ends = numpy.cumsum([0, *scores.lengths.tolist()]).tolist()
    return [Y[start:end] for start, end in pairwise(ends)]
