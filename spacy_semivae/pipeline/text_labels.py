"""The classes of a text: exclusive categories in `doc.cats` as class ids, and back.

A Doc without cats is unlabeled, never a text of no class.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from spacy.tokens import Doc
from spacy.training import Example

from ..labels import MISSING, IntArray, LabelScheme, shorten


class TextLabels(LabelScheme):
    """Exclusive categories as classes, C in all."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """names (Iterable[str]): The categories in the order of their class ids."""
        super().__init__("categories", [])
        for name in names:
            self.add(name)

    def add(self, label: str) -> bool:
        """Add a class.

        label (str): Any string but the empty one.
        RETURNS (bool): False when the label exists already; a wrong one is a ValueError.
        """
        if not isinstance(label, str) or not label:
            raise ValueError(f"{self._what}: a label is a non-empty string, got {label!r}")
        if label in self._names:
            return False
        self._names.append(label)
        return True

    def collect(self, examples: Iterable[Example]) -> list[str]:
        """RETURNS (list[str]): The distinct labels of the reference Docs, sorted.
        RAISES: ValueError for cats that name no one class, and where all name the same.
        """
        found: set[str] = set()
        named: set[str] = set()
        for example in examples:
            label = read_class(example.reference)
            if label is not None:
                found.update(example.reference.cats)
                named.add(label)
        if len(named) == 1:
            raise ValueError(
                f"{self._what}: every labelled Doc is of the class {named.pop()!r}, but there is "
                "nothing to tell apart without Docs of a second one"
            )
        return sorted(found)

    def encode(self, example: Example) -> IntArray:
        """RETURNS (IntArray): The class of the reference Doc, or MISSING, (1,).
        RAISES: ValueError for a label that is no class, and for cats that name no one class.
        """
        label = read_class(example.reference)
        if label is None:
            return np.array([MISSING], dtype=np.int64)
        if label not in self._names:
            raise self._unseen(label, example.reference)
        return np.array([self._names.index(label)], dtype=np.int64)

    def annotate(self, doc: Doc, P: Any, *, overwrite: bool) -> None:
        """Write the probability of each class, (C,), to a Doc.

        overwrite (bool): Whether to replace cats of these labels that the Doc has already.
        """
        if overwrite or not any(name in doc.cats for name in self._names):
            doc.cats.update(zip(self._names, np.asarray(P, dtype=float).tolist(), strict=True))


def read_class(doc: Doc) -> str | None:
    """Read the class of a Doc.

    doc (Doc): The Doc.
    RETURNS (str | None): The one cat that is 1.0; None for a Doc without cats.
    RAISES (ValueError): When there is not one such cat, or another value than 0.0 and 1.0.
    """
    if not doc.cats:
        return None
    chosen = [label for label, value in doc.cats.items() if value == 1]
    if len(chosen) != 1 or any(value not in (0, 1) for value in doc.cats.values()):
        raise ValueError(
            "categories: an exclusive classifier needs one cat of 1.0 and all others 0.0, or no "
            f"cats for raw text, but {shorten(doc)} has {doc.cats}"
        )
    return chosen[0]


def accept(P: Any, labels: Sequence[str], thresholds: Mapping[str, float]) -> str | None:
    """Choose the label of a text.

    P (ndarray): The probability of each label, (C,).
    labels (Sequence[str]): The labels.
    thresholds (Mapping[str, float]): What the probability of a label must exceed; 0 if not named.
    RETURNS (str | None): The most probable label; None where its threshold is not exceeded.
    """
    best = int(np.argmax(P))
    label = labels[best]
    return label if P[best] > thresholds.get(label, -1.0) else None
