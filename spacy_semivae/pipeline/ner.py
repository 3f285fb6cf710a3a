"""What entity recognizers share: which Examples are annotated, and their rejected spans."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example

from ..labels import SpanLabels, is_annotated
from ..modules.units import OUTSIDE

Rows = Sequence[tuple[int, int, int]]  # first token, token after the last, type index of spans


@dataclass(frozen=True)
class Candidate:
    """A span of a Doc that may be an entity."""

    start: int  # first token
    end: int  # token after the last
    label: int  # index of its type
    probability: float


class EntityMixin:
    """The reference side of an entity recognizer, and the entities of its paths.

    scheme (SpanLabels): How entities become classes.
    incorrect_spans_key (str | None): Span group of the reference Docs with spans that are no
        entities of their type.
    """

    scheme: Any
    incorrect_spans_key: str | None
    name: str
    labels: tuple[str, ...]
    probabilities: Callable[[Any], list[Any]]
    thresholds: dict[str, float]
    has_thresholds = True

    def is_labeled(self, example: Example) -> bool:
        """Tell whether any token has ENT_IOB or any span is rejected."""
        return is_annotated(example.reference, "ents", key=self.incorrect_spans_key)

    def collect_labels(self, examples: Iterable[Example]) -> list[str]:
        """Find the types of entities and of rejected spans."""
        scheme: SpanLabels = self.scheme
        return scheme.collect(examples, key=self.incorrect_spans_key)

    def encode_rejected(self, examples: Sequence[Example]) -> NDArray[numpy.int64]:
        """Give the tokens of rejected spans, with the BILOU classes they must not all have.

        examples (Sequence[Example]): The batch.
        RETURNS (ndarray): Token, class and span number of each, (3, R).
        """
        spans, offset = [], 0
        for eg in examples:
            found = self.scheme.negatives(eg, self.incorrect_spans_key)
            spans += [(start + offset, end + offset, label) for start, end, label in found]
            offset += len(eg.predicted)
        return span_rows(spans)

    def path_rows(self, docs: Sequence[Doc], paths: Sequence[Any]) -> list[Rows]:
        """Find the entities of paths.

        docs (Sequence[Doc]): The Docs.
        paths (Sequence[ndarray]): Class ids of each, (N,).
        RETURNS (list[Rows]): Those of each Doc, by their start.
        """
        found = [self.scheme.decode(doc, ids) for doc, ids in zip(docs, paths)]
        index = self.labels.index
        return [[(s.start, s.end, index(s.label_)) for s in spans] for spans in found]

    def span_probabilities(self, scores: Any, rows: Sequence[Rows]) -> list[NDArray[Any]]:
        """Give the probability of spans.

        scores (Any): What `predict` gave.
        rows (Sequence[Rows]): The spans of each Doc.
        RETURNS (list[ndarray]): Probabilities of each Doc's spans, (spans,): those of their tags,
            which are independent given the text, multiplied.
        """
        return [multiply_tags(P, some) for P, some in zip(self.probabilities(scores), rows)]

    def hold_back(
        self, docs: Sequence[Doc], paths: Sequence[Any], found: Sequence[Sequence[Candidate]]
    ) -> list[Any]:
        """Move entities that do not exceed the threshold of their label to a span group.

        docs (Sequence[Doc]): The Docs; they get the group `<name>_candidates`.
        paths (Sequence[ndarray]): Class ids of each, (N,), not changed.
        found (Sequence[Sequence[Candidate]]): The entities of the paths.
        RETURNS (list[ndarray]): Class ids without these entities.
        """
        if not self.thresholds:
            return list(paths)
        limits = [self.thresholds.get(label, -1.0) for label in self.labels]
        kept = []
        for doc, ids, spans in zip(docs, paths, found):
            below = [span for span in spans if span.probability <= limits[span.label]]
            ids = ids.copy()
            for span in below:
                ids[span.start : span.end] = OUTSIDE
            kept.append(ids)
            store_spans(doc, f"{self.name}_candidates", below, self.labels)
        return kept


def make_candidates(rows: Sequence[Rows], P: Sequence[Any]) -> list[list[Candidate]]:
    """Put spans and their probabilities together.

    rows (Sequence[Rows]): The spans of each Doc.
    P (Sequence[ndarray]): Their probabilities, each (spans,).
    RETURNS (list[list[Candidate]]): The candidates of each Doc.
    """
    return [[Candidate(*row, float(p)) for row, p in zip(*pair)] for pair in zip(rows, P)]


def store_spans(doc: Doc, key: str, found: Sequence[Candidate], labels: Sequence[str]) -> None:
    """Write a span group with probabilities.

    doc (Doc): The Doc.
    key (str): The group.
    found (Sequence[Candidate]): The spans.
    labels (Sequence[str]): The labels by their index.
    """
    spans = [Span(doc, c.start, c.end, label=labels[c.label]) for c in found]
    attrs = {"scores": numpy.array([c.probability for c in found], dtype="f")}
    doc.spans[key] = SpanGroup(doc, name=key, attrs=attrs, spans=spans)


def multiply_tags(P: NDArray[Any], rows: Rows) -> NDArray[numpy.float64]:
    """Give the probability of spans whose tags are independent.

    P (ndarray): Probabilities of the tags, (N, C).
    rows (Rows): The spans.
    RETURNS (ndarray): Probabilities, (spans,).
    """
    token, tag, number = span_rows(rows)
    products = numpy.ones(len(rows))
    numpy.multiply.at(products, number, P[token, tag])
    return products


def span_rows(spans: Rows) -> NDArray[numpy.int64]:
    """Write spans as their tokens with BILOU classes.

    spans (Sequence[tuple[int, int, int]]): First token, token after the last, type index.
    RETURNS (ndarray): Token, class and span number of each token, (3, R).
    """
    columns = []
    for number, (start, end, label) in enumerate(spans):
        first = 1 + 4 * label  # B, then I, L, U
        inner = [first + 1] * (end - start - 2)
        tags = [first, *inner, first + 2] if end - start > 1 else [first + 3]
        columns += [(token, tag, number) for token, tag in zip(range(start, end), tags)]
    return numpy.array(columns, dtype="int64").reshape(-1, 3).T.copy()
