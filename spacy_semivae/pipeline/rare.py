"""Help for rare classes: weights in the supervised loss, and logit adjustment.

Adjustment: Menon et al. (ICLR 2021), "Long-tail learning via logit adjustment". Training sees the
scores f_y + tau * log pi_y, pi the frequency of a class, and prediction f_y alone: with tau = 1 the
classes are told apart as if all were equally frequent.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray
from spacy.tokens import Doc

from ..labels import SpanLabels, TokenLabels
from ..layers.terms import ClassBalance
from .labeled import Scheme
from .tag_prior import count_tags, make_prior
from .text_labels import read_class


@dataclass(frozen=True)
class RareClasses:
    """The settings.

    name (str): The component's name, for messages.
    class_weights (Mapping[str, float]): What the loss of a label counts; 1 for those not named.
    logit_adjustment (float): The tau above; 0 for none.
    RAISES (ValueError): For a weight that is not positive, and a negative tau.
    """

    name: str
    class_weights: Mapping[str, float]
    logit_adjustment: float

    def __post_init__(self) -> None:
        wrong = {k: v for k, v in self.class_weights.items() if not 0 < v < math.inf}
        if wrong:
            raise ValueError(
                f"Component '{self.name}': class_weights are positive numbers by label, but got "
                f"{wrong}"
            )
        if not 0 <= self.logit_adjustment < math.inf:
            raise ValueError(
                f"Component '{self.name}': logit_adjustment is 0 or more, but got "
                f"{self.logit_adjustment}"
            )

    def check(self, scheme: Scheme, counts: Mapping[str, int]) -> None:
        """Refuse settings that do not fit the corpus.

        scheme (Scheme): The labels.
        counts (Mapping[str, int]): Occurrences of classes in Docs annotated in full.
        RAISES (ValueError): For an unknown label, and an adjustment without such Docs.
        """
        known = dict.fromkeys(label_of_classes(scheme))
        unknown = sorted(set(self.class_weights) - set(known))
        if unknown:
            raise ValueError(
                f"Component '{self.name}': class_weights names {unknown}, but the labels are "
                f"{list(known)}"
            )
        self.balance(scheme, counts)

    def balance(self, scheme: Scheme, counts: Mapping[str, int]) -> ClassBalance:
        """Give what training is told.

        scheme (Scheme): The labels.
        counts (Mapping[str, int]): Occurrences of classes in Docs annotated in full.
        RETURNS (ClassBalance): Weights and shift of every class, where there are any.
        RAISES (ValueError): For an adjustment without such Docs.
        """
        weights: NDArray[numpy.float32] | None = None
        shift: NDArray[numpy.float32] | None = None
        if self.class_weights:
            found = [self.class_weights.get(label, 1.0) for label in label_of_classes(scheme)]
            weights = numpy.array(found, dtype="f")
        if self.logit_adjustment:
            if not sum(counts.values()):
                raise ValueError(
                    f"Component '{self.name}': logit_adjustment needs the frequencies of the "
                    "classes, but no Doc is annotated in full: what is left out would seem rare"
                )
            pi = make_prior("empirical", scheme.names, counts, outside=None)
            shift = (self.logit_adjustment * numpy.log(pi)).astype("f")
        return ClassBalance(weights, shift)


def label_of_classes(scheme: Scheme) -> list[str]:
    """Name the label of each class.

    scheme (Scheme): The labels.
    RETURNS (list[str]): Of an entity recognizer "O" and four times each type, else the classes.
    """
    if isinstance(scheme, SpanLabels):
        return ["O", *[type_ for type_ in scheme.types for _ in "BILU"]]
    return list(scheme.names)


def count_classes(scheme: Scheme, doc: Doc) -> Counter[str]:
    """Count the classes of a Doc that is annotated in full.

    scheme (Scheme): Says what is counted.
    doc (Doc): The reference Doc.
    RETURNS (Counter[str]): Occurrences by class; empty where any annotation is missing.
    """
    if isinstance(scheme, SpanLabels):
        return count_tags(doc, "ents")
    if isinstance(scheme, TokenLabels):
        return count_tags(doc, scheme.attr)
    label = read_class(doc)
    return Counter() if label is None else Counter([label])
