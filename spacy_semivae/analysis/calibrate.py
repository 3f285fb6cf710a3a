"""A temperature for the probabilities of a trained component, by likelihood on held-out Docs.

Guo et al. (ICML 2017), "On Calibration of Modern Neural Networks": scores are divided by one scalar
T. Classes keep their order, tag paths too, so that no label changes. In a CRF all scores, those of
transitions too, are divided: q^(1/T) is again a CRF, and its marginals and spans are exact. What
is likely is what is asked about: classes, tag paths, or whether spans are entities.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from spacy.language import Language
from spacy.training import Example
from spacy.util import minibatch

from ..labels import MISSING, SpanLabels
from ..pipeline.base import SemiSupervisedPipe
from ..pipeline.crf_vae import CRFVAEPipe
from ..pipeline.text_labels import TextLabels
from .reliability import BATCH, OFF_PATH, Reliability, judge, measure, read_gold, score_spans
from .trust import find_pipes

LOW, HIGH = 0.1, 10.0  # temperatures that are looked at
GRID = 13  # of them at first
WIDTH = 1e-3  # of the interval, in log T, at which the search ends
FLAT = 1e-6  # nats
EDGE = 1.2  # factor from the lowest and the highest within which there was no end
GOLDEN = (5**0.5 - 1) / 2
TINY = 1e-7  # what a probability is from 0 and 1 at least

Part = tuple[int, Callable[[float], float]]  # outcomes, and temperature to the sum of -log p


@dataclass(frozen=True)
class Calibration:
    """What was done with a component.

    name (str): The component.
    temperature (float): What its scores are divided by now.
    before (dict[str, Reliability]): What was measured with the earlier temperature, by what counts.
    after (dict[str, Reliability]): The same with the new one.
    """

    name: str
    temperature: float
    before: dict[str, Reliability]
    after: dict[str, Reliability]

    @property
    def at_edge(self) -> bool:
        """Whether a still lower or higher temperature would have been more likely."""
        return not EDGE * LOW < self.temperature < HIGH / EDGE


def calibrate(
    nlp: Language, dev: Sequence[Example], test: Sequence[Example] | None = None
) -> list[Calibration]:
    """Fit and set the temperature of every component of this package.

    nlp (Language): The pipeline, changed in place.
    dev (Sequence[Example]): What `trust.predict_corpus` gives: to fit on.
    test (Sequence[Example] | None): To measure on; None for dev.
    RETURNS (list[Calibration]): What was done.
    RAISES (ValueError): As `calibrate_pipe`.
    """
    return [calibrate_pipe(pipe, dev, test or dev) for pipe in find_pipes(nlp)]


def calibrate_pipe(
    pipe: SemiSupervisedPipe, dev: Sequence[Example], test: Sequence[Example]
) -> Calibration:
    """Fit and set the temperature of a component.

    pipe (SemiSupervisedPipe): The component, changed in place.
    dev (Sequence[Example]): Predicted and annotated Docs to fit on.
    test (Sequence[Example]): Those to measure on.
    RETURNS (Calibration): What was done.
    RAISES (ValueError): Where dev has no annotation, or a recognizer finds no span in it; for a
        component with thresholds.
    """
    before = measure_all(pipe, test)
    temperature = fit_temperature(make_loss(pipe, dev))
    pipe.calibrate(temperature)
    return Calibration(pipe.name, temperature, before, measure_all(pipe, test))


def measure_all(pipe: SemiSupervisedPipe, examples: Sequence[Example]) -> dict[str, Reliability]:
    """Compare probabilities with what is right.

    pipe (SemiSupervisedPipe): The component.
    examples (Sequence[Example]): Predicted and annotated Docs.
    RETURNS (dict[str, Reliability]): By what counts: the chosen class of each token or text, or
        the entities of the best paths, and all spans above `OFF_PATH` beside them.
    """
    every = measure(judge(pipe, examples))
    if not isinstance(pipe.scheme, SpanLabels):
        return {"texts" if isinstance(pipe.scheme, TextLabels) else "tokens": every}
    path = measure(judge(pipe, examples, threshold=1.0))  # no other span is more probable
    return {"entities": path, f"and spans above {OFF_PATH}": every}


def make_loss(pipe: SemiSupervisedPipe, examples: Sequence[Example]) -> Callable[[float], float]:
    """Prepare the likelihood of what is annotated; the model scores each Doc once.

    pipe (SemiSupervisedPipe): The component.
    examples (Sequence[Example]): Predicted and annotated Docs.
    RETURNS (Callable): The temperature to the mean of -log p in nats: of the classes of tokens or
        texts, of a recognizer's likely spans that they are entities, or are none.
    RAISES (ValueError): Without annotation, and where a recognizer finds no span.
    """
    prepare, what = prepare_classes, "one of its labels"
    if isinstance(pipe.scheme, SpanLabels):
        prepare, what = prepare_spans, "a span that it finds likely"
    parts = [prepare(pipe, some) for some in minibatch(examples, BATCH)]
    known = sum(n for n, _ in parts)
    if not known:
        raise ValueError(
            f"Component '{pipe.name}' needs annotated Docs to be calibrated, but none of "
            f"{len(examples)} has {what}"
        )
    return lambda temperature: sum(lose(temperature) for _, lose in parts) / known


def prepare_spans(pipe: Any, examples: Sequence[Example]) -> Part:
    """Prepare the likelihood of entities.

    Fitted on tag paths, a temperature answers for all that is not found, too, and the
    probabilities of what is found stay off.

    pipe (CRFVAENer | VSLNer): The recognizer.
    examples (Sequence[Example]): Predicted and annotated Docs.
    RETURNS (Part): Of the spans on the best path or, at temperature 1, above `OFF_PATH`.
    """
    with pipe.tempered(1.0):
        spans = score_spans(pipe, examples, OFF_PATH)

    def lose(temperature: float) -> float:
        with pipe.tempered(temperature):
            P = spans.probabilities().clip(TINY, 1 - TINY)
        return -float(np.log(np.where(spans.correct, P, 1 - P)).sum())

    return len(spans.correct), lose


def prepare_classes(pipe: SemiSupervisedPipe, examples: Sequence[Example]) -> Part:
    """Prepare the likelihood of the annotated classes.

    pipe (SemiSupervisedPipe): The tagger or text classifier.
    examples (Sequence[Example]): Predicted and annotated Docs.
    RETURNS (Part): Of a CRF's tag paths; else of independent tags, or texts.
    """
    scores = pipe.predict([eg.predicted for eg in examples])
    gold = np.concatenate([encode_gold(pipe, eg) for eg in examples])
    measure = chain_likelihood if isinstance(pipe, CRFVAEPipe) else class_likelihood
    return int((gold >= 0).sum()), lambda temperature: -measure(pipe, scores, gold, temperature)


def encode_gold(pipe: SemiSupervisedPipe, example: Example) -> NDArray[np.int64]:
    """Give the class ids of the annotation; labels that the component does not know are missing.

    pipe (SemiSupervisedPipe): The component.
    example (Example): The Example.
    RETURNS (ndarray): One of each token, or of the text, (N,).
    """
    ids = {name: i for i, name in enumerate(pipe.scheme.names)}
    found = [
        MISSING if name is None else ids.get(name, MISSING) for name in read_gold(pipe, example)
    ]
    return np.array(found, dtype="int64")


def chain_likelihood(
    pipe: CRFVAEPipe, scores: Any, gold: NDArray[np.int64], temperature: float
) -> float:
    """RETURNS (float): log q(y_O | x) of all Docs at a temperature."""
    return float(pipe.read(scores).temper(temperature).log_likelihoods(gold).sum())


def class_likelihood(
    pipe: SemiSupervisedPipe, scores: Any, gold: NDArray[np.int64], temperature: float
) -> float:
    """RETURNS (float): Sum of log p(gold class) over tokens or texts at a temperature."""
    rows = pipe.model.ops.to_numpy(getattr(scores, "dataXd", scores))
    log_p = torch.from_numpy(rows).double().div(temperature).log_softmax(1)
    known = np.flatnonzero(gold >= 0)
    return float(log_p[known, gold[known]].sum())


def fit_temperature(loss: Callable[[float], float]) -> float:
    """Search for the temperature of the lowest loss: on a grid, then by golden sections.

    For complete annotation the loss is convex in 1/T, so that there is one minimum.
    loss (Callable): The loss of a temperature.
    RETURNS (float): From `LOW` to `HIGH`; one of these where the loss is as low there.
    """
    grid = np.geomspace(LOW, HIGH, GRID)
    best = int(np.argmin([loss(T) for T in grid]))
    low, high = (math.log(grid[max(0, min(GRID - 1, best + step))]) for step in (-1, 1))
    inner = [high - GOLDEN * (high - low), low + GOLDEN * (high - low)]
    losses = [loss(math.exp(x)) for x in inner]
    while high - low > WIDTH:
        if losses[0] <= losses[1]:
            high = inner[1]
            inner = [high - GOLDEN * (high - low), inner[0]]
            losses = [loss(math.exp(inner[0])), losses[0]]
        else:
            low = inner[0]
            inner = [inner[1], low + GOLDEN * (high - low)]
            losses = [losses[1], loss(math.exp(inner[1]))]
    found = math.exp((low + high) / 2)
    # where all is right the loss is zero but for rounding from some temperature on
    level = loss(found) + FLAT
    return next((edge for edge in (LOW, HIGH) if loss(edge) <= level), found)
