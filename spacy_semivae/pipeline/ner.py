"""What entity recognizers share: which Examples are annotated, and their rejected spans."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy
from numpy.typing import NDArray
from spacy.training import Example

from ..labels import SpanLabels, is_annotated


class EntityMixin:
    """The reference side of an entity recognizer.

    scheme (SpanLabels): How entities become classes.
    incorrect_spans_key (str | None): Span group of the reference Docs with spans that are no
        entities of their type.
    """

    scheme: Any
    incorrect_spans_key: str | None

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


def span_rows(spans: Sequence[tuple[int, int, int]]) -> NDArray[numpy.int64]:
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
