"""Thresholds of labels for a wanted precision, chosen on held-out Docs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.training import Example

from ..pipeline.base import SemiSupervisedPipe
from .reliability import judge
from .trust import find_pipes

STRICTEST = 1.0  # no prediction exceeds it


@dataclass(frozen=True)
class LabelThreshold:
    """The threshold of a label, and what it does to the predictions it was chosen on."""

    label: str
    threshold: float  # what a probability must exceed
    reached: bool  # whether the wanted precision is reached
    predicted: int  # predictions of this label
    right: int  # those that are right
    kept: int  # those that exceed the threshold
    right_kept: int


def set_thresholds(
    nlp: Language, examples: Sequence[Example], precision: float
) -> dict[str, list[LabelThreshold]]:
    """Choose and set the thresholds of every entity recognizer and text classifier of this package.

    nlp (Language): The pipeline, changed in place.
    examples (Sequence[Example]): What `trust.predict_corpus` gives.
    precision (float): Share of right ones wanted among the predictions of each label; 0 takes
        thresholds off.
    RETURNS (dict): What was chosen for each label, by component.
    RAISES (ValueError): For a precision outside of 0 to 1, and without such a component.
    """
    if not 0 <= precision <= 1:
        raise ValueError(f"a precision is from 0 to 1, but got {precision}")
    pipes = [pipe for pipe in find_pipes(nlp) if pipe.has_thresholds]
    if not pipes:
        raise ValueError(f"Only entities and cats have thresholds, but got {nlp.component_names}")
    found = {pipe.name: choose_all(pipe, examples, precision) for pipe in pipes}
    for pipe in pipes:
        pipe.set_thresholds({row.label: row.threshold for row in found[pipe.name]})
    return found


def choose_all(
    pipe: SemiSupervisedPipe, examples: Sequence[Example], precision: float
) -> list[LabelThreshold]:
    """Choose the threshold of each label of a component.

    pipe (SemiSupervisedPipe): The component.
    examples (Sequence[Example]): Predicted and annotated Docs.
    precision (float): The precision wanted.
    RETURNS (list[LabelThreshold]): One a label.
    RAISES (ValueError): Without an annotated prediction.
    """
    judged = judge(pipe, examples, threshold=1.0)  # of the best paths: none is more probable
    if precision and not len(judged.P):
        raise ValueError(
            f"Component '{pipe.name}' predicts nothing on {len(examples)} Docs that is annotated"
        )
    rows = []
    for label in pipe.labels:
        own = np.array([found == label for found in judged.labels], dtype=bool)
        P, right = judged.P[own], judged.correct[own]
        chosen = choose_threshold(P, right, precision)
        threshold = STRICTEST if chosen is None else chosen
        kept = P > threshold
        sizes = len(P), int(right.sum()), int(kept.sum()), int(right[kept].sum())
        rows.append(LabelThreshold(label, threshold, chosen is not None, *sizes))
    return rows


def choose_threshold(
    P: NDArray[np.float64], right: NDArray[np.bool_], precision: float
) -> float | None:
    """Choose the lowest threshold whose predictions have a precision.

    P (ndarray): Probabilities, (n,).
    right (ndarray): Whether each prediction is right, (n,).
    precision (float): The share of right ones wanted.
    RETURNS (float | None): Halfway between the last that is kept and the next; 0 where all are
        kept, None where no threshold will do.
    """
    if precision == 0:
        return 0.0
    order = np.argsort(-P)
    P, found = P[order], np.cumsum(right[order]) / np.arange(1, len(P) + 1)
    cuts = np.append(P[1:] < P[:-1], True)  # equal probabilities are kept or left together
    good = np.flatnonzero(cuts[: len(P)] & (found >= precision))
    if not len(good):
        return None
    last = int(good[-1])
    return 0.0 if last + 1 == len(P) else float(P[last] + P[last + 1]) / 2
