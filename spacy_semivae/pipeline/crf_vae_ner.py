"""`crf_vae_ner`: entities with exact probabilities, from full, partial and no annotation.

Paper: "Semi-Supervised Named Entity Recognition with CRF-VAEs"; the loss is that of
`CRFVAEPipe`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Model

from ..layers.crf_vae import CRFBatch, CRFTerms, Tagging
from ..modules.units import OUTSIDE
from .collapse import CollapseWatch
from .crf_vae import CRFVAEPipe
from .ner import EntityMixin, Rows, make_candidates, store_spans
from .weights import Weight, WeightSetting


class CRFVAENer(EntityMixin, CRFVAEPipe):
    """Predicts entities: the best path of BILOU tags, and exact probabilities of spans.

    incorrect_spans_key (str | None): Span group of rejected spans in the reference Docs.
    entity_ratio (WeightSetting): Weight of the expected entity ratio.
    entity_ratio_target (float): Share of tokens that stand in entities.
    entity_ratio_margin (float): How far the share may be off.
    spans_key (str | None): Span group with probabilities; None is the component's name.
    threshold (float | None): Probability above which any span joins the group, also off the best
        path; None for the spans of the best path alone.
    settings (Any): As for `CRFVAEPipe`.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        incorrect_spans_key: str | None,
        entity_ratio: WeightSetting,
        entity_ratio_target: float,
        entity_ratio_margin: float,
        spans_key: str | None,
        threshold: float | None,
        **settings: Any,
    ) -> None:
        super().__init__(vocab, model, name, **settings)
        self.incorrect_spans_key = incorrect_spans_key
        self.entity_ratio = Weight("entity_ratio", entity_ratio)
        self.ratio_target = check_share("entity_ratio_target", entity_ratio_target)
        self.ratio_margin = check_share("entity_ratio_margin", entity_ratio_margin)
        self.spans_key = spans_key or name
        if threshold is not None and not 0 < threshold < 1:
            raise ValueError(f"threshold lies between 0 and 1, but got {threshold}")
        self.threshold = threshold

    def reset(self) -> None:
        """Forget what training has changed beside the weights."""
        super().reset()
        self._watch = CollapseWatch(self.name)
        self._shares: dict[str, float] = {}

    def weights(self) -> dict[str, float]:
        """Give the weight of every loss term at the present step."""
        return {**super().weights(), "entity_ratio": self.entity_ratio.at(self.cfg["step"])}

    def make_batch(self, examples: Sequence[Example]) -> CRFBatch:
        """Encode tags and rejected spans."""
        batch = super().make_batch(examples)
        return replace(batch, ratio=self.ratio_target, margin=self.ratio_margin)

    def collect_labels(self, examples: Iterable[Example]) -> list[str]:
        """Find the types of entities and of rejected spans."""
        return super().collect_labels(self.tally(examples))

    # What is watched in training

    def watch(self, result: CRFTerms) -> dict[str, float]:
        """Give the shares of O on Docs without full annotation, and the beta in use."""
        # an update without such Docs repeats the last shares: the log averages over all updates
        self._shares = result.shares or self._shares
        found = {f"{name}_outside": share for name, share in self._shares.items()}
        return {**found, "beta": self.beta_now()} if found else {}

    def after_backprop(self, batch: CRFBatch, result: CRFTerms) -> None:
        """Say when the tagger collapses, and adapt beta."""
        self._watch.note(
            self.cfg["step"],
            entities=bool((batch.tags > OUTSIDE).any()),
            outside=bool((batch.tags == OUTSIDE).any()),
            shares=result.shares,
            weights=self.weights(),
        )
        if self.adaptive and result.shares:
            target = self.adaptive.target or self.expected_outside()
            decoded = result.shares["decoded"]
            self.cfg["beta"] = self.adaptive.step(self.beta_now(), decoded, target)

    def expected_outside(self) -> float:
        """Give the share of O in Docs annotated in full, else what the entity ratio leaves."""
        counts = self.cfg["tag_counts"]
        share = counts.get("O", 0) / sum(counts.values()) if counts else 1 - self.ratio_target
        return min(1 - 1e-3, max(1e-3, share))  # a prior has no zeros

    # Prediction

    def set_annotations(self, docs: Iterable[Doc], scores: Tagging) -> None:
        """Write entities, and spans with their probabilities.

        docs (Iterable[Doc]): The Docs.
        scores (Tagging): What `predict` gave.
        """
        docs, posterior = list(docs), self.read(scores)
        paths = posterior.paths()
        found = None if self.threshold is None else posterior.candidates(self.threshold)
        if found is None or self.thresholds:
            rows = self.path_rows(docs, paths)
            on_path = make_candidates(rows, posterior.span_probabilities(rows))
            paths = self.hold_back(docs, paths, on_path)
            found = on_path if found is None else found
        for doc, ids, spans in zip(docs, paths, found):
            self.scheme.annotate(doc, ids, overwrite=self.overwrite)
            store_spans(doc, self.spans_key, spans, self.labels)
        if self.store_probabilities:
            for doc, probabilities in zip(docs, posterior.marginals()):
                doc.user_data[f"{self.name}_probabilities"] = probabilities

    def span_probabilities(self, scores: Tagging, rows: Sequence[Rows]) -> list[NDArray[Any]]:
        """Give the exact probability of spans.

        scores (Tagging): What `predict` gave.
        rows (Sequence[Rows]): The spans of each Doc.
        RETURNS (list[ndarray]): Probabilities of each Doc's spans, (spans,).
        """
        return self.read(scores).span_probabilities(rows)

    def score_spans(self, doc: Doc, spans: Sequence[Span]) -> list[float]:
        """Give the exact probability of any spans, also off the best path.

        doc (Doc): The Doc, not changed.
        spans (Sequence[Span]): Spans with labels.
        RETURNS (list[float]): P(exactly this span with this label | text) of each.
        RAISES (ValueError): For a label that is unknown, an empty span and another Doc's span.
        """
        rows = []
        for span in spans:
            if span.doc is not doc or not len(span) or span.label_ not in self.labels:
                raise ValueError(
                    f"Component '{self.name}' scores spans of the Doc it is given, with a token "
                    f"and one of the labels {list(self.labels)}: got {span.text!r} "
                    f"({span.label_!r})"
                )
            rows.append((span.start, span.end, self.labels.index(span.label_)))
        (found,) = self.posterior([doc]).span_probabilities([rows])
        return found.tolist()


def check_share(name: str, value: float) -> float:
    """Refuse what is no share.

    name (str): The setting.
    value (float): What was given.
    RETURNS (float): The same.
    RAISES (ValueError): When it lies outside 0 to 1.
    """
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is a share from 0 to 1, but got {value}")
    return float(value)
