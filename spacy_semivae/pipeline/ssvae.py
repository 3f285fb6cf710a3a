"""`ssvae_textcat`: a text classifier inside a sequence VAE, which also writes texts of each class.

Paper: Xu et al. (AAAI 2017). The loss of a batch is

    (sum over labelled Docs of L(x, y) + sum over raw Docs of sum_y q(y | x) L(x, y) - H(q(y | x)))
        / Docs of the batch
    + alpha * mean over labelled Docs of -log q(y | x),
    L(x, y) = -log p(x | y, z) - log p(y) + kl_weight * KL(q(z | x, y) || N(0, I))
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import torch
from numpy.typing import NDArray
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import minibatch
from spacy.vocab import Vocab
from thinc.api import Model
from thinc.types import Floats2d

from ..labels import MISSING
from ..layers.ssvae import (
    SSVAEBatch,
    SSVAETerms,
    draw_latents,
    infer,
    label_costs,
    set_prior,
    write,
)
from ..layers.text_lm import TextLMT, load_text_lm, start_classifier, take_words
from .base import SemiSupervisedPipe
from .latents import LatentWatch, summarize_units
from .tag_prior import PriorSetting, read_table
from .text_labels import accept, read_class
from .weights import Weight, WeightSetting

BATCH = 32  # Docs that the generator reads at once outside of training


class SSVAETextcat(SemiSupervisedPipe):
    """Predicts exclusive categories, and writes texts.

    alpha (WeightSetting): Weight of the classification.
    kl_weight (WeightSetting): Weight of the KL.
    word_dropout (WeightSetting): Share of the decoder's inputs that are hidden.
    prior (PriorSetting): "uniform" or probabilities by label.
    threshold (float): Handed to the scorer.
    discrimination_docs (int): Labelled Docs on which `score` looks at the generator; 0 for none.
    settings (Any): As for `SemiSupervisedPipe`.
    """

    has_thresholds = True

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        alpha: WeightSetting,
        kl_weight: WeightSetting,
        word_dropout: WeightSetting,
        prior: PriorSetting,
        threshold: float,
        discrimination_docs: int,
        **settings: Any,
    ) -> None:
        super().__init__(vocab, model, name, **settings)
        self.alpha = Weight("alpha", alpha)
        self.kl_weight = Weight("kl_weight", kl_weight)
        self.word_dropout = Weight("word_dropout", word_dropout)
        self.prior = prior
        if discrimination_docs < 0:
            raise ValueError(f"discrimination_docs is 0 or more, but got {discrimination_docs}")
        self.discrimination_docs = discrimination_docs
        self.cfg.update(threshold=threshold, positive_label=None)  # read by the scorer
        self._watch = LatentWatch(name)
        self._language_model: TextLMT | None = None

    # The loss

    def weights(self) -> dict[str, float]:
        """Give the weight of every loss term at the present step."""
        step = self.cfg["step"]
        return {
            "classification": self.alpha.at(step),
            "reconstruction": 1.0,
            "kl": self.kl_weight.at(step),
            "label_prior": 1.0,
            "entropy": 1.0,
        }

    def uses_unlabeled(self) -> bool:
        """Raw Docs matter where there is a generator."""
        return self.model.shims[0].cfg["generator"]  # type: ignore[attr-defined]

    def make_batch(self, examples: Sequence[Example]) -> SSVAEBatch:
        """Encode the classes."""
        share = self.word_dropout.at(self.cfg["step"])
        if not 0 <= share < 1:
            raise ValueError(f"word_dropout is a share from 0 to below 1, but got {share}")
        labels = numpy.concatenate([self.scheme.encode(eg) for eg in examples])
        return SSVAEBatch([eg.predicted for eg in examples], labels, share, self.balance())

    def watch(self, result: SSVAETerms) -> dict[str, float]:
        """Count active units of the latent, and give the KL of the one that has most."""
        return summarize_units(result.unit_kl) if result.unit_kl else {}

    def after_backprop(self, batch: SSVAEBatch, result: SSVAETerms) -> None:
        """Say when the latent carries nothing."""
        if result.unit_kl:
            self._watch.note(self.cfg["step"], result.unit_kl, self.weights()["kl"])

    # Labels

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        labels: Sequence[str] | None = None,
        positive_label: str | None = None,
        language_model: str | None = None,
        language_model_encoder: bool = False,
    ) -> None:
        """Choose labels and vocabulary and build the model's weights.

        get_examples (Callable): Gives labelled Examples, and raw ones for the vocabulary.
        nlp (Language | None): The pipeline.
        labels (Sequence[str] | None): The labels; None takes them from the Examples.
        positive_label (str | None): Of two labels the one whose F-score is the score.
        language_model (str | None): Folder of `spacy semivae pretrain`, of which words, embedding
            and the classifier's LSTM are taken; it is not needed afterwards.
        language_model_encoder (bool): Whether the autoencoder's LSTM starts with it too.
        RAISES (ValueError): Without two labels, with a positive one that is none of two, without a
            Doc that has a token, or when the language model does not fit.
        """
        self.cfg["positive_label"] = positive_label
        if language_model is None and language_model_encoder:
            raise ValueError(
                f"Component '{self.name}': language_model_encoder has no language_model"
            )
        found = None if language_model is None else load_text_lm(Path(language_model))
        self._language_model = found
        try:
            super().initialize(get_examples, nlp=nlp, labels=labels)
        finally:
            self._language_model = None
        if found is not None:
            start_classifier(found, self.model, encoder=language_model_encoder)

    def is_labeled(self, example: Example) -> bool:
        """Tell whether the reference Doc has cats."""
        return bool(example.reference.cats)

    def check_labels(self, n_docs: int) -> None:
        """Refuse fewer than two labels, and a positive one that is none of two."""
        super().check_labels(n_docs)
        positive, labels = self.cfg["positive_label"], list(self.labels)
        if len(labels) < 2:
            raise ValueError(f"Component '{self.name}' needs two labels or more, but got {labels}")
        if positive is not None and (positive not in labels or len(labels) != 2):
            raise ValueError(
                f"Component '{self.name}': positive_label is one of two labels, but got "
                f"{positive!r} of {labels}"
            )

    def set_vocabulary(self, counts: Counter[str], n_labeled: int) -> None:
        """Prepare the vocabulary, and start anew."""
        super().set_vocabulary(counts, n_labeled)
        if self._language_model is not None:
            take_words(self._language_model, self.model)
        self._watch = LatentWatch(self.name)

    def after_resize(self) -> None:
        """Set the prior of the classes."""
        names = self.scheme.names
        if isinstance(self.prior, Mapping):
            table = read_table(self.prior, names, what="label")
        elif self.prior == "uniform":
            table = numpy.full(len(names), 1 / len(names))
        else:
            raise ValueError(f'prior must be "uniform" or a table, but got {self.prior!r}')
        set_prior(self.model, table)

    # Prediction

    def decode(self, scores: Floats2d) -> list[NDArray[numpy.float64]]:
        """Give what Docs are told: the probability of every class."""
        return self.probabilities(scores)

    def settle(self, docs: Sequence[Doc], scores: Floats2d) -> list[NDArray[numpy.float64]]:
        """Give what Docs are told; with thresholds also `user_data["<name>_label"]`."""
        P = self.decode(scores)
        for doc, p in zip(docs, P if self.thresholds else ()):
            doc.user_data[f"{self.name}_label"] = accept(p, self.labels, self.thresholds)
        return P

    def probabilities(self, scores: Floats2d) -> list[NDArray[numpy.float64]]:
        """Give q(y | x) of each Doc, (C,)."""
        cold = scores.astype("float64") / self.calibration_temperature  # rounding makes no ties
        return list(self.model.ops.to_numpy(self.model.ops.softmax(cold)))

    def score(self, examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
        """Score Examples with cats, and look at the generator on some of them.

        examples (Iterable[Example]): The Examples; those without cats do not count.
        kwargs (Any): Settings of the scorer.
        RETURNS (dict[str, Any]): The scores; "cats_discrimination", the discrimination index, and
            "cats_unit_kl", nats of each unit of the latent, both on every n-th Example, so that
            these are `discrimination_docs` at most.
        """
        labeled = [eg for eg in examples if self.is_labeled(eg)]
        found = super().score(labeled, **kwargs)
        known = [eg for eg in labeled if len(eg.predicted) and self._knows(eg)]
        if not (found and known and self.discrimination_docs and self.uses_unlabeled()):
            return found
        some = known[:: -(-len(known) // self.discrimination_docs)]
        found["cats_discrimination"] = self.discrimination_index(some)
        found["cats_unit_kl"] = self.unit_kl(some).tolist()
        return found

    # What the generator says

    def generate(
        self,
        label: str | None = None,
        n: int = 1,
        z: NDArray[numpy.float32] | None = None,
        seed: int | None = None,
        strategy: str = "greedy",
        *,
        max_length: int = 50,
        width: int = 5,
    ) -> Any:
        """Write Docs of a class, or of every class from the same latents (the paper's Table 6).

        label (str | None): The class; None for all.
        n (int): Docs of a class; without effect where latents are given.
        z (ndarray | None): Latents, such as `encode` gives, (n, Z); None draws from their prior.
        seed (int | None): Of all noise; None takes one from PyTorch's generator.
        strategy (str): "greedy", "sample" or "beam".
        max_length (int): Words of a Doc at most.
        width (int): Texts that "beam" follows at once.
        RETURNS (list[Doc] | dict[str, list[Doc]]): The Docs, or those of each label.
        RAISES (ValueError): For an unknown label or strategy, or when the generator was pruned.
        """
        seed = int(torch.randint(2**31, ())) if seed is None else seed
        latents = draw_latents(self.model, n, seed) if z is None else numpy.asarray(z, dtype="f")
        found = {}
        for name in self.labels if label is None else [label]:
            texts = write(
                self.model,
                self._class_of(name),
                latents,
                strategy=strategy,
                max_length=max_length,
                width=width,
                seed=seed,
            )
            found[name] = [Doc(self.vocab, words=words) for words in texts]
        return found if label is None else found[label]

    def encode(
        self, docs: Iterable[Doc], labels: Sequence[str] | None = None
    ) -> NDArray[numpy.float32]:
        """Give the posterior mean of z.

        docs (Iterable[Doc]): The Docs, not changed.
        labels (Sequence[str] | None): Their labels; None for the mean under q(y | x).
        RETURNS (ndarray): (n, Z).
        RAISES (ValueError): For an unknown label, another number of labels than Docs, or when the
            generator was pruned.
        """
        docs = list(docs)
        ids = [MISSING] * len(docs) if labels is None else [self._class_of(y) for y in labels]
        if len(ids) != len(docs):
            raise ValueError(
                f"Component '{self.name}' needs a label for each of {len(docs)} Docs, but got "
                f"{len(ids)}"
            )
        width = self.model.shims[0].cfg["width_z"]  # type: ignore[attr-defined]
        found = [numpy.zeros((0, width), dtype="f")]
        for pairs in minibatch(zip(docs, ids), BATCH):
            some, known = zip(*pairs)
            found.append(self._to_numpy(infer(self.model, some, numpy.array(known))))
        return numpy.concatenate(found)

    def label_costs(self, docs: Iterable[Doc]) -> NDArray[numpy.float32]:
        """Give L(x, y) of every label at the posterior means, with the whole KL.

        docs (Iterable[Doc]): The Docs, not changed.
        RETURNS (ndarray): Nats per Doc, columns as `labels`, (n, C).
        RAISES (ValueError): When the generator was pruned.
        """
        found = [numpy.zeros((0, len(self.labels)), dtype="f")]
        for some in minibatch(docs, BATCH):
            found.append(self._to_numpy(label_costs(self.model, some)))
        return numpy.concatenate(found)

    def discrimination_index(self, examples: Iterable[Example]) -> float:
        """Give the share of labelled Docs whose L(x, y) is lowest for the true label.

        examples (Iterable[Example]): Examples; raw and empty ones do not count.
        RETURNS (float): The index D, from 0 to 1.
        RAISES (ValueError): Without a labelled Doc, for a label that is unknown, or when the
            generator was pruned.
        """
        some = [eg for eg in examples if self.is_labeled(eg) and len(eg.predicted)]
        if not some:
            raise ValueError(f"Component '{self.name}' needs labelled Docs to measure D: got none")
        gold = numpy.concatenate([self.scheme.encode(eg) for eg in some])
        costs = self.label_costs([eg.predicted for eg in some])
        return float((costs.argmin(1) == gold).mean())

    def unit_kl(self, examples: Iterable[Example]) -> NDArray[numpy.float64]:
        """Measure the KL of each unit of the latent.

        examples (Iterable[Example]): Labelled Examples, and raw ones: these in expectation.
        RETURNS (ndarray): Nats, means over Docs that are not empty, (Z,); zeros without any.
        RAISES (ValueError): When the generator was pruned.
        """
        total = numpy.zeros(self.model.shims[0].cfg["width_z"])  # type: ignore[attr-defined]
        some = [eg for eg in examples if len(eg.predicted)]
        for batch in minibatch(some, BATCH):
            result, _ = self.model(self.make_batch(batch), is_train=False)
            total += len(batch) * numpy.array(result.unit_kl)
        return total / max(1, len(some))

    def _knows(self, example: Example) -> bool:
        return read_class(example.reference) in self.labels

    def _class_of(self, label: str) -> int:
        if label not in self.labels:
            raise ValueError(
                f"Component '{self.name}': a label is one of {list(self.labels)}, got {label!r}"
            )
        return self.labels.index(label)

    def _to_numpy(self, array: Any) -> NDArray[numpy.float32]:
        return self.model.ops.to_numpy(array)
