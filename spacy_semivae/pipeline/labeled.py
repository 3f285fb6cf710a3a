"""What a component knows of its labels: their classes, how they grow, how they are loaded."""

import copy
from collections.abc import Iterable
from typing import Any

from spacy.training import Example

from ..labels import SpanLabels, TokenLabels
from .storage import StoredPipe
from .text_labels import TextLabels

Scheme = TokenLabels | SpanLabels | TextLabels


class LabeledPipe(StoredPipe):
    """A stored component whose scheme turns labels into classes and back."""

    def start_labels(self, scheme: Scheme) -> None:
        """Begin without labels.

        scheme (Scheme): How labels become classes and back; it has none yet.
        """
        self.scheme = scheme
        self._empty_scheme = copy.deepcopy(scheme)
        self.cfg: dict[str, Any] = {"labels": []}

    def collect_labels(self, examples: Iterable[Example]) -> list[str]:
        """Find the labels that Examples have.

        examples (Iterable[Example]): The Examples, read once.
        RETURNS (list[str]): The distinct labels, sorted.
        """
        return self.scheme.collect(examples)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of their classes."""
        return tuple(self.cfg["labels"])

    @property
    def label_data(self) -> list[str]:
        """The labels, as `spacy init labels` stores them for `initialize`."""
        return list(self.cfg["labels"])

    def add_label(self, label: str) -> int:
        """Add a label, also after training: its class starts at zero weights.

        label (str): The label.
        RETURNS (int): 1, or 0 when it was there before.
        """
        if not self.scheme.add(label):
            return 0
        self.cfg["labels"].append(label)
        self.vocab.strings.add(label)
        if self.model.has_dim("nO"):
            self.model.attrs["resize_output"](self.model, len(self.scheme.names))
            self.after_resize()
        return 1

    def check_labels(self, n_docs: int) -> None:
        """Refuse labels from which nothing can be learned, at the start.

        n_docs (int): Docs that `initialize` was given.
        RAISES (ValueError): Without labels.
        """
        if not self.labels:
            raise ValueError(
                f"Component '{self.name}' needs labels, but none of {n_docs} Docs is "
                "annotated: check the training corpus, or set [initialize.components."
                f"{self.name}.labels]"
            )

    def after_resize(self) -> None:
        """Bring in line what the model knows about its classes, when they are new or more."""

    def after_load(self) -> None:
        """Give the scheme the labels that were loaded instead of those it had.

        RAISES (ValueError): When the model has another number of classes.
        """
        self.scheme = copy.deepcopy(self._empty_scheme)
        for label in self.cfg["labels"]:
            self.scheme.add(label)
            self.vocab.strings.add(label)
        size = self.model.get_dim("nO") if self.model.has_dim("nO") else None
        if size is not None and size != len(self.scheme.names):
            raise ValueError(
                f"Component '{self.name}': the labels {list(self.labels)} are "
                f"{len(self.scheme.names)} classes, but the model has {size}"
            )
