"""The training loop: labelled and raw batches side by side, one joint update a step.

Like spaCy's own it is a generator; saving, logging and evaluation stand outside of it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from timeit import default_timer as timer
from typing import Any

import torch
from spacy.language import Language
from spacy.training import Example
from spacy.training.loop import subdivide_batch
from thinc.api import Optimizer, get_torch_default_device

from ..pipeline.base import SemiSupervisedPipe
from ..pipeline.weights import Weight, WeightSetting
from .distributed import ALONE, Evaluate, Group

Batches = Iterable[tuple[int, Sequence[Example]]]

COUNTS = ("step", "seconds", "words", "data_wait")


@dataclass(frozen=True)
class LoopSettings:
    """The settings of [training] that steer the loop."""

    dropout: WeightSetting = 0.1
    accumulate_gradient: int = 1
    patience: int = 1600
    max_steps: int = 20000
    eval_frequency: int = 200
    frozen: Sequence[str] = ()
    annotating: Sequence[str] = ()
    before_update: Callable[[Language, dict[str, Any]], None] | None = None
    mixed_precision: bool = False


@dataclass
class Progress:
    """What a run has done so far."""

    step: int = 0
    epoch: int = 0
    labeled: int = 0
    unlabeled: int = 0
    words: int = 0
    seconds: float = 0.0
    data_wait: float = 0.0  # seconds in which there was nothing to learn from
    losses: dict[str, float] = field(default_factory=dict)
    results: list[tuple[float, int]] = field(default_factory=list)
    since: dict[str, float] = field(default_factory=dict)  # where it stood at the last evaluation

    def best_step(self) -> int:
        """Give the first step with the best score.

        RETURNS (int): The step, 0 before any evaluation.
        """
        best = max(((score, -step) for score, step in self.results), default=(0.0, 0))
        return -best[1]

    def is_over(self, settings: LoopSettings) -> bool:
        """Tell whether there is nothing left to do.

        settings (LoopSettings): When to stop.
        RETURNS (bool): True after the last step, or where evaluations stopped improving.
        """
        if settings.max_steps and self.step >= settings.max_steps:
            return True
        waited = self.step - self.best_step()
        return bool(self.results and settings.patience) and waited >= settings.patience


def train_steps(
    nlp: Language,
    optimizer: Optimizer,
    labeled: Batches,
    unlabeled: Iterator[Sequence[Example]] | None,
    evaluate: Evaluate,
    settings: LoopSettings,
    progress: Progress | None = None,
    group: Group = ALONE,
) -> Iterator[tuple[Sequence[Example], dict[str, Any], bool | None]]:
    """Train until evaluations stop improving.

    nlp (Language): The initialized pipeline.
    optimizer (Optimizer): Updates every component.
    labeled (Batches): Epoch and labelled batch of each step.
    unlabeled (Iterator | None): Raw batches without end; None trains on labels alone.
    evaluate (Evaluate): Gives main score and all scores on the dev corpus.
    settings (LoopSettings): When to evaluate and stop, what to leave alone.
    progress (Progress | None): What was done before; kept up to date, so that what is yielded and
        this are of the same step.
    group (Group): The processes of a run, which take batches in turn.
    YIELDS (tuple): The batch, a report as spaCy's loggers read it, and whether this is the best
        evaluation so far (None: there was none at this step).
    """
    dropout = Weight("dropout", settings.dropout)
    progress = progress or Progress()
    evaluate = partial(group.evaluate, evaluate)
    batches, start = group.share(labeled), timer() - progress.seconds
    raw_batches = None if unlabeled is None else group.share(unlabeled)
    device = get_torch_default_device().type
    while not progress.is_over(settings):
        begin = timer()
        drawn = next(batches, None)
        if drawn is None:
            break
        epoch, batch = drawn
        raw: Sequence[Example] = []
        if raw_batches is not None and learns_from_raw(nlp, settings.frozen):
            raw = next(raw_batches)
        progress.data_wait += timer() - begin
        if settings.before_update:
            settings.before_update(nlp, {"step": progress.step, "epoch": epoch})
        drop = dropout.at(progress.step)
        for part, raw_part in zip_batches(batch, raw, settings.accumulate_gradient):
            with torch.autocast(device, torch.bfloat16, enabled=settings.mixed_precision):
                update(nlp, part, raw_part, drop=drop, losses=progress.losses, settings=settings)
        group.average(nlp)
        finish_update(nlp, optimizer, settings.frozen)
        progress.step += 1
        progress.epoch = epoch
        progress.labeled += len(batch)
        progress.unlabeled += len(raw)
        progress.words += sum(len(eg) for eg in (*batch, *raw))
        progress.seconds = timer() - start
        info, is_best = report(nlp, optimizer, progress, evaluate, settings)
        if is_best is not None:
            progress.losses = {}
            progress.since = {name: info[name] for name in COUNTS}
        yield [*batch, *raw], info, is_best


def report(
    nlp: Language,
    optimizer: Optimizer,
    progress: Progress,
    evaluate: Evaluate,
    settings: LoopSettings,
) -> tuple[dict[str, Any], bool | None]:
    """Describe the step just taken; evaluate when it is time.

    RETURNS (tuple): What loggers read, and whether it is the best evaluation so far.
    """
    score, scores, is_best = None, None, None
    last = bool(settings.max_steps) and progress.step >= settings.max_steps
    if last or progress.step % settings.eval_frequency == 0:
        if optimizer.averages:
            with nlp.use_params(optimizer.averages):
                score, scores = evaluate()
        else:
            score, scores = evaluate()
        progress.results.append((score, progress.step))
        is_best = progress.best_step() == progress.step
    info = {
        "epoch": progress.epoch,
        "step": progress.step,
        "score": score,
        "other_scores": scores,
        "losses": progress.losses,
        "checkpoints": progress.results,
        "seconds": progress.seconds,
        "words": progress.words,
        "labeled": progress.labeled,
        "unlabeled": progress.unlabeled,
        "data_wait": progress.data_wait,
        "learn_rate": optimizer.learn_rate,
        "since": progress.since or dict.fromkeys(COUNTS, 0),
    }
    return info, is_best


def zip_batches(
    batch: Sequence[Example], raw: Sequence[Example], parts: int
) -> Iterator[tuple[list[Example], list[Example]]]:
    """Divide both batches for gradient accumulation.

    batch (Sequence[Example]): Labelled Examples.
    raw (Sequence[Example]): Raw Examples.
    parts (int): `accumulate_gradient`; 1 keeps the batches as they are.
    YIELDS (tuple): A labelled and a raw part; one of them may be empty.
    """
    if parts <= 1:
        yield list(batch), list(raw)
        return
    labeled_parts = list(subdivide_batch(batch, parts))
    raw_parts = list(subdivide_batch(raw, parts)) if raw else []
    for i in range(max(len(labeled_parts), len(raw_parts))):
        yield (
            labeled_parts[i] if i < len(labeled_parts) else [],
            raw_parts[i] if i < len(raw_parts) else [],
        )


def learns_from_raw(nlp: Language, frozen: Sequence[str]) -> bool:
    """Tell whether raw Docs change anything at the present step.

    nlp (Language): The pipeline.
    frozen (Sequence[str]): Components that do not learn.
    RETURNS (bool): False where every weight of raw text is zero: it need not be read.
    """
    return any(
        pipe.uses_unlabeled()
        for name, pipe in nlp.pipeline
        if isinstance(pipe, SemiSupervisedPipe) and name not in frozen
    )


def update(
    nlp: Language,
    batch: Sequence[Example],
    raw: Sequence[Example],
    *,
    drop: float,
    losses: dict[str, float],
    settings: LoopSettings,
) -> None:
    """Compute the gradients of one step; raw Docs reach only components that can use them.

    nlp (Language): The pipeline.
    batch (Sequence[Example]): Labelled Examples, for every component.
    raw (Sequence[Example]): Raw Examples, for components of this package and what they listen to.
    drop (float): The dropout rate.
    losses (dict): Gains the losses.
    settings (LoopSettings): Frozen and annotating components.
    """
    pipes: dict[str, Any] = {n: p for n, p in nlp.pipeline if getattr(p, "is_trainable", False)}
    ours = [n for n, p in pipes.items() if isinstance(p, SemiSupervisedPipe)]
    upstream = [n for n, p in pipes.items() if hasattr(p, "listener_map")]
    others = [n for n in pipes if n not in ours and n not in upstream]
    lonely = [n for n in upstream if not pipes[n].listener_map]
    active = [n for n in others + lonely if n not in settings.frozen]
    for names, examples in ((ours, [*batch, *raw]), (others + lonely, list(batch))):
        if not examples or (names is not ours and not active):
            continue
        with listening(nlp, upstream, names) as used:
            wanted = {*names, *used}
            exclude = {*settings.frozen, *(n for n in pipes if n not in wanted)}
            nlp.update(
                examples,
                drop=drop,
                losses=losses,
                sgd=False,  # type: ignore[arg-type]
                exclude=sorted(exclude),
                annotates=list(settings.annotating),
            )


@contextmanager
def listening(nlp: Language, upstream: Sequence[str], names: Sequence[str]) -> Iterator[list[str]]:
    """Let only some components listen to shared encoders, for the length of a with block.

    An encoder backpropagates when its last listener has; one that sits out would stop it.

    nlp (Language): The pipeline.
    upstream (Sequence[str]): The shared encoders.
    names (Sequence[str]): The components that are to listen.
    YIELDS (list[str]): The encoders that have one of them as a listener.
    """
    pipes: dict[str, Any] = {name: nlp.get_pipe(name) for name in upstream}
    maps = {name: pipe.listener_map for name, pipe in pipes.items()}
    try:
        for name, listeners in maps.items():
            pipes[name].listener_map = {n: f for n, f in listeners.items() if n in names}
        yield [name for name, pipe in pipes.items() if pipe.listener_map]
    finally:
        for name, listeners in maps.items():
            pipes[name].listener_map = listeners


def finish_update(nlp: Language, optimizer: Optimizer, frozen: Sequence[str]) -> None:
    """Let every trainable component take the step.

    nlp (Language): The pipeline.
    optimizer (Optimizer): Updates the weights.
    frozen (Sequence[str]): Components to leave alone.
    """
    for name, pipe in nlp.pipeline:
        if name not in frozen and getattr(pipe, "is_trainable", False):
            if getattr(pipe, "model", None) not in (None, True, False):
                pipe.finish_update(optimizer)  # type: ignore[attr-defined]
    optimizer.step_schedules()
