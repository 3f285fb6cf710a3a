"""Sections about predictions: what is taken for what, scores of each label, reliability."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support
from spacy.scorer import Scorer
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import minibatch

from ...labels import SpanLabels, TokenLabels
from ...pipeline.base import SemiSupervisedPipe
from ...pipeline.text_labels import TextLabels
from ..calibrate import measure_all
from ..reliability import (
    BATCH,
    BINS,
    Reliability,
    predict_classes,
    read_gold,
)
from .blocks import Plot, Section, Table, percent
from .plots import draw_confusion, draw_reliability

MAX_CLASSES = 30  # of a confusion matrix; what is rarer is drawn as one
OTHER = "other labels"


def show_confusion(gold: Sequence[str], found: Sequence[str]) -> Section:
    """Show what is taken for what.

    gold (Sequence[str]): Annotated classes of tokens or texts.
    found (Sequence[str]): Predicted ones.
    RETURNS (Section): The confusion matrix.
    """
    names, counts = count_confusions(gold, found)
    right = int(np.trace(counts))
    label = f"Confusion matrix of {len(names)} classes; {right} of {counts.sum()} are right"
    wrong = list_confusions(names, counts)
    lead = f"{right} of {counts.sum()} right. Colours are shares of a row."
    plot = Plot(draw_confusion(counts, names), label, size="half")
    rows = [(a, b, str(n)) for n, a, b in wrong]
    header = ("annotated", "predicted", "times")
    table = Table(header, rows, "The most frequent confusions", "half", texts=2)
    return Section("Confusion matrix", lead, [plot, table] if rows else [plot])


def count_confusions(
    gold: Sequence[str], found: Sequence[str]
) -> tuple[list[str], NDArray[np.int64]]:
    """Count what is taken for what.

    gold (Sequence[str]): Annotated classes.
    found (Sequence[str]): Predicted ones.
    RETURNS (tuple): The classes by their number, and counts, annotated by predicted, (C, C).
    """
    numbers = Counter(gold) + Counter(found)
    names = [name for name, _ in sorted(numbers.items(), key=lambda item: (-item[1], item[0]))]
    if len(names) > MAX_CLASSES:
        kept = set(names[: MAX_CLASSES - 1])
        gold, found = ([y if y in kept else OTHER for y in side] for side in (gold, found))
        names = [*names[: MAX_CLASSES - 1], OTHER]
    places = {name: i for i, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), dtype="int64")
    np.add.at(counts, ([places[y] for y in gold], [places[y] for y in found]), 1)
    return names, counts


def list_confusions(names: Sequence[str], counts: NDArray[np.int64]) -> list[tuple[int, str, str]]:
    """RETURNS (list[tuple]): How often, annotated and predicted class of the ten worst cells."""
    wrong = counts - np.diag(np.diag(counts))
    places = [divmod(int(i), len(names)) for i in wrong.argsort(axis=None)[::-1][:10]]
    return [(int(wrong[i, j]), names[i], names[j]) for i, j in places if wrong[i, j]]


def compare(pipe: SemiSupervisedPipe, examples: Sequence[Example]) -> tuple[list[str], list[str]]:
    """Put what is annotated beside what is predicted.

    pipe (SemiSupervisedPipe): The component.
    examples (Sequence[Example]): Predicted and annotated Docs.
    RETURNS (tuple): Annotated and predicted classes of tokens or texts that are annotated; of a
        recognizer these are the types of entities, and O.
    """
    pairs = []
    for some in minibatch(examples, BATCH):
        for eg, names in zip(some, name_classes(pipe, [eg.predicted for eg in some])):
            pairs += [(y, name) for y, name in zip(read_gold(pipe, eg), names) if y is not None]
    if isinstance(pipe.scheme, SpanLabels):
        pairs = [(gold.partition("-")[2] or gold, name) for gold, name in pairs]
    return [gold for gold, _ in pairs], [found for _, found in pairs]


def name_classes(pipe: SemiSupervisedPipe, docs: Sequence[Doc]) -> list[list[str]]:
    """Read what is predicted.

    pipe (SemiSupervisedPipe): The component.
    docs (Sequence[Doc]): Docs that it has annotated.
    RETURNS (list[list[str]]): Classes of each Doc's tokens, or the class of the text; of a
        recognizer the types of the entities, less those below a threshold.
    """
    if isinstance(pipe.scheme, SpanLabels):
        return [[token.ent_type_ or "O" for token in doc] for doc in docs]
    return [[pipe.scheme.names[i] for i in ids] for ids, _ in predict_classes(pipe, docs)]


def show_labels(
    pipe: SemiSupervisedPipe, examples: Sequence[Example], gold: Sequence[str], found: Sequence[str]
) -> Section:
    """Show precision, recall and F of every label.

    pipe (SemiSupervisedPipe): The component.
    examples (Sequence[Example]): Predicted and annotated Docs.
    gold (Sequence[str]): Annotated classes of tokens or texts.
    found (Sequence[str]): Predicted ones.
    RETURNS (Section): A table.
    """
    if isinstance(pipe.scheme, SpanLabels):
        what, rows = "entities", score_entities(examples)
    else:
        what = "tokens" if isinstance(pipe.scheme, TokenLabels) else "texts"
        names = sorted({*gold, *found})
        columns = precision_recall_fscore_support(gold, found, labels=names, zero_division=0)
        rows = [(name, p, r, f, int(n)) for name, p, r, f, n in zip(names, *columns)]
    rows = sorted(rows, key=lambda row: (-row[4], row[0]))
    cells = [(name, *map(percent, scores), str(n)) for name, *scores, n in rows]
    header = ("label", "precision", "recall", "F1", what)
    return Section("Labels", "", [Table(header, cells, "Scores by label, in percent")])


def score_entities(examples: Sequence[Example]) -> list[tuple[str, float, float, float, int]]:
    """RETURNS (list[tuple]): Label, precision, recall, F and number of annotated entities."""
    scores = Scorer.score_spans(examples, "ents", allow_overlap=False)["ents_per_type"] or {}
    numbers = Counter(ent.label_ for eg in examples for ent in eg.reference.ents)
    return [(name, s["p"], s["r"], s["f"], numbers[name]) for name, s in scores.items()]


def measure_both(
    pipe: SemiSupervisedPipe, examples: Sequence[Example]
) -> dict[str, dict[str, Reliability]]:
    """Compare probabilities with outcomes, without and with the component's temperature.

    pipe (SemiSupervisedPipe): The component.
    examples (Sequence[Example]): Predicted and annotated Docs.
    RETURNS (dict[str, dict]): By state, as it is at last, what `measure_all` gives; one state where
        no temperature is set.
    """
    if pipe.calibration_temperature == 1:
        return {"as trained": measure_all(pipe, examples)}
    with pipe.tempered(1.0):
        before = measure_all(pipe, examples)
    return {"before calibration": before, "after calibration": measure_all(pipe, examples)}


def show_reliability(
    pipe: SemiSupervisedPipe, found: Mapping[str, Mapping[str, Reliability]]
) -> Section:
    """Show whether probabilities mean what they say.

    pipe (SemiSupervisedPipe): The component.
    found (Mapping[str, Mapping]): What `measure_both` gave.
    RETURNS (Section): The reliability diagram of all that counts, and the errors.
    """
    lead = "Of what is said with probability P a share of P should be right. "
    if len(found) == 1:
        lead += (
            "No temperature is set, so that there is no before and after: see semivae calibrate."
        )
    else:
        lead += f"Calibration has set the temperature {pipe.calibration_temperature:.3g}."
    drawn = {state: [*bins.values()][-1] for state, bins in found.items()}
    errors = ", ".join(f"ECE {percent(bins.ece)} {state}" for state, bins in drawn.items())
    plot = Plot(draw_reliability(drawn), f"Reliability diagram: {errors}", size="half")
    rows = [
        (what, state, *show_errors(bins))
        for what in next(iter(found.values()))
        for state, bins in ((state, found[state][what]) for state in found)
    ]
    header = ("what counts", "", "ECE, percent", "Brier", "number")
    caption = f"Expected calibration error in {BINS} bins and Brier score"
    return Section("Reliability", lead, [plot, Table(header, rows, caption, "half", texts=2)])


def show_errors(bins: Reliability) -> tuple[str, str, str]:
    """RETURNS (tuple[str, str, str]): ECE, Brier score and number; hyphens without a prediction."""
    known = bins.n > 0
    return (
        percent(bins.ece, 2) if known else "-",
        f"{bins.brier:.4f}" if known else "-",
        str(bins.n),
    )


def show_facts(pipe: SemiSupervisedPipe, scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Give a component's scores in short.

    pipe (SemiSupervisedPipe): The component.
    scores (Mapping[str, Any]): What spaCy's scorers say.
    RETURNS (list[tuple[str, str]]): Names and values in percent.
    """
    if isinstance(pipe.scheme, TextLabels):
        names = {"Accuracy": "cats_micro_f", "Macro F1": "cats_macro_f"}
    elif isinstance(pipe.scheme, SpanLabels):
        names = {"Entity F1": "ents_f", "Precision": "ents_p", "Recall": "ents_r"}
    else:
        names = {"Accuracy": f"{pipe.scheme.attr}_acc"}
    return [(name, percent(scores.get(key))) for name, key in names.items()]
