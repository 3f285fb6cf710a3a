"""Whether probabilities mean what they say: binned accuracy, expected calibration error, Brier.

An entity recognizer is asked about the spans of its best path and about every other span above
`OFF_PATH`: one that puts .3 on a span should be right three times in ten, though it never says so
in `doc.ents`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import minibatch

from ..labels import SpanLabels, TokenLabels
from ..pipeline.base import SemiSupervisedPipe
from ..pipeline.crf_vae_ner import CRFVAENer
from ..pipeline.ner import Rows
from ..pipeline.text_labels import TextLabels, read_class

BINS = 10  # of equal width, from 0 to 1
OFF_PATH = 0.05  # probability above which a span counts that is not on the best path
BATCH = 64  # Docs

# probabilities by first token, token after the last, and label
Spans = dict[tuple[int, int, str], float]


@dataclass(frozen=True)
class Reliability:
    """Probabilities beside the share of them that came true, in bins.

    n (int): Predictions.
    ece (float): Mean distance of probability and accuracy, bins weighted by their predictions.
    brier (float): Mean squared distance of probability and outcome.
    counts (ndarray): Predictions of each bin, (bins,).
    confidence (ndarray): Mean probability of each bin, NaN for an empty one, (bins,).
    accuracy (ndarray): Share that came true of each bin, NaN for an empty one, (bins,).
    """

    n: int
    ece: float
    brier: float
    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """Predictions of which it is known whether they are right."""

    P: NDArray[np.float64]  # probabilities, (n,)
    correct: NDArray[np.bool_]  # whether each came true, (n,)
    labels: Sequence[str] = ()  # what was predicted, n of them


@dataclass(frozen=True)
class ScoredSpans:
    """Spans of Docs of which it is known whether they are entities."""

    pipe: Any  # the recognizer
    scores: Any  # what its `predict` gave
    rows: Sequence[Rows]  # the spans of each Doc
    correct: NDArray[np.bool_]  # whether each is an entity, (n,)

    def probabilities(self) -> NDArray[np.float64]:
        """RETURNS (ndarray): Those of the spans at the recognizer's present temperature, (n,)."""
        P = self.pipe.span_probabilities(self.scores, self.rows)
        return np.concatenate([np.zeros(0), *P])


def measure(judged: Judged, *, bins: int = BINS) -> Reliability:
    """Compare probabilities with outcomes.

    judged (Judged): The predictions.
    bins (int): Bins of equal width; a probability on an edge belongs to the lower one.
    RETURNS (Reliability): The comparison; errors are 0 without a prediction.
    """
    P, correct = judged.P, judged.correct.astype(float)
    place = np.clip(np.ceil(P * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(place, P, bins) / counts
        accuracy = np.bincount(place, correct, bins) / counts
    n = len(P)
    gaps = np.abs(np.nan_to_num(confidence - accuracy))
    ece = float(gaps @ counts / max(1, n))
    brier = float(((P - correct) ** 2).sum() / max(1, n))
    return Reliability(n, ece, brier, counts, confidence, accuracy)


def judge(
    pipe: SemiSupervisedPipe, examples: Iterable[Example], threshold: float = OFF_PATH
) -> Judged:
    """Ask a component about annotated Docs.

    pipe (SemiSupervisedPipe): The component.
    examples (Iterable[Example]): Predicted Docs, as the components before have left them, and
        annotated ones; what is not annotated does not count.
    threshold (float): Probability above which a span counts that is not on the best path.
    RETURNS (Judged): The chosen class of each token or text; of an entity recognizer the spans of
        the best path and those above the threshold.
    """
    spans = isinstance(pipe.scheme, SpanLabels)
    ask = partial(judge_spans, threshold=threshold) if spans else judge_classes
    found = [row for some in minibatch(examples, BATCH) for row in ask(pipe, some)]
    labels, P, correct = zip(*found) if found else ((), (), ())
    return Judged(np.array(P, dtype=float), np.array(correct, dtype=bool), labels)


def judge_classes(
    pipe: SemiSupervisedPipe, examples: Sequence[Example]
) -> Iterator[tuple[str, float, bool]]:
    """YIELDS (tuple[str, float, bool]): Of each annotated token or text the class that is chosen,
    its probability, and whether it is right.
    """
    for eg, (ids, P) in zip(examples, predict_classes(pipe, [eg.predicted for eg in examples])):
        for name, i, p in zip(read_gold(pipe, eg), ids, P):
            if name is not None:
                yield pipe.scheme.names[i], float(p[i]), pipe.scheme.names[i] == name


def predict_classes(
    pipe: SemiSupervisedPipe, docs: Sequence[Doc]
) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Choose classes.

    pipe (SemiSupervisedPipe): A tagger, a recognizer or a text classifier.
    docs (Sequence[Doc]): The Docs, not changed.
    RETURNS (list[tuple]): Of each Doc the classes that are chosen, (N,), and the probabilities of
        all, (N, C); a text classifier has N = 1.
    """
    scores = pipe.predict(docs)
    P = [np.atleast_2d(p) for p in pipe.probabilities(scores)]
    texts = isinstance(pipe.scheme, TextLabels)
    chosen = [p.argmax(1) for p in P] if texts else pipe.decode(scores)
    return list(zip(chosen, P))


def read_gold(pipe: SemiSupervisedPipe, example: Example) -> list[str | None]:
    """Read what a component should say.

    pipe (SemiSupervisedPipe): The component.
    example (Example): Gives the annotation.
    RETURNS (list): Names of classes, also of those that the component does not know: one a
        predicted token, or one a text; None where the annotation is missing.
    """
    if isinstance(pipe.scheme, TextLabels):
        return [read_class(example.reference)]
    if isinstance(pipe.scheme, TokenLabels):
        values = example.get_aligned(pipe.scheme.attr.upper(), as_string=True)
        return [value or None for value in values]
    return list(example.get_aligned_ents_and_ner()[1])


def judge_spans(
    pipe: SemiSupervisedPipe, examples: Sequence[Example], threshold: float = OFF_PATH
) -> Iterator[tuple[str, float, bool]]:
    """YIELDS (tuple[str, float, bool]): Of each span all of whose tokens are annotated the label,
    the probability, and whether it is an entity.
    """
    found = score_spans(pipe, examples, threshold)
    labels = [pipe.labels[label] for rows in found.rows for _, _, label in rows]
    return zip(labels, found.probabilities().tolist(), found.correct.tolist())


def score_spans(pipe: Any, examples: Sequence[Example], threshold: float) -> ScoredSpans:
    """Find likely spans, and look them up in the annotation.

    pipe (CRFVAENer | VSLNer): The recognizer.
    examples (Sequence[Example]): Predicted and annotated Docs.
    threshold (float): Probability above which a span counts that is not on the best path.
    RETURNS (ScoredSpans): Those all of whose tokens are annotated.
    """
    docs = [eg.predicted for eg in examples]
    scores = pipe.predict(docs)
    rows, correct = [], []
    for eg, found in zip(examples, propose_rows(pipe, docs, scores, threshold)):
        ents, tags = eg.get_aligned_ents_and_ner()
        gold = {(ent.start, ent.end, ent.label_) for ent in ents}
        known = [row for row in found if None not in tags[row[0] : row[1]]]
        rows.append(known)
        correct += [(start, end, pipe.labels[label]) in gold for start, end, label in known]
    return ScoredSpans(pipe, scores, rows, np.array(correct, dtype=bool))


def find_spans(pipe: Any, docs: Sequence[Doc], threshold: float = OFF_PATH) -> list[Spans]:
    """Find the spans of the best path, and all others that are likely.

    pipe (CRFVAENer | VSLNer): The recognizer.
    docs (Sequence[Doc]): The Docs, not changed.
    threshold (float): Probability above which a span counts that is not on the best path.
    RETURNS (list[dict]): Probabilities of each Doc's spans.
    """
    scores = pipe.predict(docs)
    rows = propose_rows(pipe, docs, scores, threshold)
    return [
        {(i, j, pipe.labels[label]): float(p) for (i, j, label), p in zip(some, P)}
        for some, P in zip(rows, pipe.span_probabilities(scores, rows))
    ]


def propose_rows(pipe: Any, docs: Sequence[Doc], scores: Any, threshold: float) -> list[Rows]:
    """Find the spans of the best path, and all others that are likely.

    pipe (CRFVAENer | VSLNer): The recognizer.
    docs (Sequence[Doc]): The Docs, not changed.
    scores (Any): What its `predict` gave for them.
    threshold (float): Probability above which a span counts that is not on the best path.
    RETURNS (list[Rows]): The spans of each Doc, by start, end and type.
    """
    on_path = pipe.path_rows(docs, pipe.decode(scores))
    if isinstance(pipe, CRFVAENer):
        found = pipe.read(scores).candidates(threshold)
        likely = [{(c.start, c.end, c.label) for c in some} for some in found]
    else:
        likely = [set(likely_rows(P, threshold)) for P in pipe.probabilities(scores)]
    return [sorted(some.union(rows)) for some, rows in zip(likely, on_path)]


def likely_rows(P: NDArray[np.float32], threshold: float) -> Iterator[tuple[int, int, int]]:
    """Search for spans whose tags' probabilities have a product above a threshold.

    P (ndarray): Probabilities of O, then of B, I, L and U of each type, (N, C).
    threshold (float): The threshold.
    YIELDS (tuple[int, int, int]): First token, token after the last, type.
    """
    for token, label in np.argwhere(P[:, 4::4] > threshold).tolist():  # U
        yield token, token + 1, label
    for start, label in np.argwhere(P[:, 1::4] > threshold).tolist():  # B
        begin, inside, last = 1 + 4 * label + np.arange(3)
        product = float(P[start, begin])
        for token in range(start + 1, len(P)):
            if product * P[token, last] > threshold:
                yield start, token + 1, label
            product *= float(P[token, inside])
            if product <= threshold:
                break
