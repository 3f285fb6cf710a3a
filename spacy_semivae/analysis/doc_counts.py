"""What is right in each Doc, counted as spaCy's Scorer counts it: the material of paired tests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from spacy.training import Example

from ..pipeline.scorers import get_value
from .paired import CountsT, ScoreT, f1, mean_score, precision, recall

Counts = tuple[int, int, int]  # right, predicted, gold
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Metric:
    """A score of spaCy's Scorer that is a function of sums over Docs.

    unit (str): What a point of it is called.
    score (Callable): Sums (right, predicted, gold) to the score.
    count (Callable): Counts of an Example, given the labels of a text classifier, (groups, 3); the
        score is the mean over groups.
    """

    unit: str
    score: ScoreT
    count: Callable[[Example, Sequence[str]], list[Counts]]


def count_entities(eg: Example, labels: Sequence[str] = ()) -> list[Counts]:
    """Count right, predicted and gold entities.

    eg (Example): Predicted and gold Doc.
    labels (Sequence[str]): Not used.
    RETURNS (list): One group. Predictions where annotation is missing count for nothing.
    """
    if not eg.reference.has_annotation("ENT_IOB"):
        return [(0, 0, 0)]
    known: list[tuple[int, int, str]] = []
    for ent in eg.predicted.ents:
        places = eg.alignment.x2y[ent.start : ent.end]
        span = eg.reference[places[0] : places[-1] + 1] if len(places) else ()
        if span and all(token.ent_iob for token in span):
            known.append((span.start, span.end, ent.label_))
    gold = {(ent.start, ent.end, ent.label_) for ent in eg.reference.ents}
    return [(len(gold.intersection(known)), len(known), len(gold))]


def count_tokens(eg: Example, attr: str) -> list[Counts]:
    """Count tokens with the right value, tokens with a prediction, and annotated tokens.

    eg (Example): Predicted and gold Doc.
    attr (str): "tag", "pos" or "morph".
    RETURNS (list): One group. The second differs from the third where tokens cannot be aligned.
    """
    values = {token.i: get_value(token, attr) for token in eg.reference}
    gold = {(i, value) for i, value in values.items() if value}
    known = {i for i, _ in gold}
    x2y = eg.alignment.x2y
    places = [
        (x2y[token.i][0], token)
        for token in eg.predicted
        if x2y.lengths[token.i] == 1 and not token.is_space
    ]
    predicted = {(int(i), get_value(token, attr)) for i, token in places if i in known}
    return [(len(predicted & gold), len(predicted), len(gold))]


def count_cats(eg: Example, labels: Sequence[str]) -> list[Counts]:
    """Count for each exclusive class whether it is right, predicted and gold.

    eg (Example): Predicted and gold Doc.
    labels (Sequence[str]): The classes.
    RETURNS (list): A group for each class.
    """
    predicted, gold = (
        max(found, key=found.__getitem__, default=None)
        for found in (
            {label: value for label, value in doc.cats.items() if label in labels}
            for doc in (eg.predicted, eg.reference)
        )
    )
    return [
        (int(predicted == gold == label), int(predicted == label), int(gold == label))
        for label in labels
    ]


def count_all_cats(eg: Example, labels: Sequence[str]) -> list[Counts]:
    """Count over all exclusive classes together.

    eg (Example): Predicted and gold Doc.
    labels (Sequence[str]): The classes.
    RETURNS (list): One group.
    """
    right, predicted, gold = (sum(column) for column in zip(*count_cats(eg, labels)))
    return [(right, predicted, gold)]


def _of_tokens(attr: str) -> Metric:
    return Metric("points of accuracy", f1, lambda eg, labels: count_tokens(eg, attr))


METRICS = {
    "ents_f": Metric("F1", f1, count_entities),
    "ents_p": Metric("points of precision", precision, count_entities),
    "ents_r": Metric("points of recall", recall, count_entities),
    "tag_acc": _of_tokens("tag"),
    "pos_acc": _of_tokens("pos"),
    "morph_acc": _of_tokens("morph"),
    "cats_score": Metric("macro F1", f1, count_cats),
    "cats_macro_f": Metric("macro F1", f1, count_cats),
    "cats_micro_f": Metric("F1", f1, count_all_cats),
}


def count_docs(examples: Sequence[Example], name: str, scores: dict[str, Any]) -> CountsT:
    """Count what is right in each Doc.

    examples (Sequence[Example]): Predicted and gold Docs.
    name (str): Key of `METRICS`.
    scores (dict): What the pipeline's scorers made of these Examples.
    RETURNS (ndarray): Right, predicted and gold, (Docs, groups, 3).
    RAISES (ValueError): When there is no such score, or the counts do not give it.
    """
    if scores.get(name) is None:
        raise ValueError(f"the Docs that are measured have no annotation for the metric {name!r}")
    metric, labels = METRICS[name], list(scores.get("cats_f_per_type") or ())
    found = numpy.array([metric.count(eg, labels) for eg in examples], dtype="int64")
    desc = scores.get("cats_score_desc")  # of two classes one may be the positive one
    positive = [i for i, label in enumerate(labels) if desc == f"F ({label})"]
    if name == "cats_score" and positive:
        found = found[:, positive]
    (score,) = mean_score([found], numpy.ones((1, len(found))), metric.score)
    if abs(score - scores[name]) > TOLERANCE:
        raise ValueError(
            f"{name} is {scores[name]:.4f} by the pipeline's scorer, but {score:.4f} by counts: a "
            f"paired test knows only spaCy's scores {sorted(METRICS)}, with exclusive classes"
        )
    return found
