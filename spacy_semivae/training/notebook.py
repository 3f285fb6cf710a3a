"""Train on Docs in memory, as from a notebook: `spacy_semivae.train`."""

import random
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Optimizer, fix_random_seed
from tqdm import tqdm

from .initialize import semi_supervised_pipes
from .loop import LoopSettings, Progress, train_steps
from .run import create_evaluate, summarize


def train(
    nlp: Language,
    labeled: Iterable[Doc],
    unlabeled: Iterable[Doc | str] = (),
    dev: Iterable[Doc] = (),
    *,
    max_steps: int = 1000,
    eval_frequency: int = 100,
    patience: int = 0,
    dropout: float = 0.1,
    batch_size: int = 16,
    unlabeled_batch_size: int = 16,
    seed: int = 0,
    optimizer: Optimizer | None = None,
) -> dict[str, Any]:
    """Train the components of a pipeline on Docs in memory, as from a notebook.

    nlp (Language): A pipeline with components added, initialized or not.
    labeled (Iterable[Doc]): Docs with annotation, full or partial.
    unlabeled (Iterable[Doc | str]): Raw Docs or texts.
    dev (Iterable[Doc]): Annotated Docs to evaluate on; without them the last weights are kept.
    max_steps (int): Updates at most.
    eval_frequency (int): Updates from one evaluation to the next.
    patience (int): Updates without improvement before the end; 0 goes on to `max_steps`.
    dropout (float): The dropout rate.
    batch_size (int): Labelled Docs an update.
    unlabeled_batch_size (int): Raw Docs an update.
    seed (int): Seeds weights, order and noise.
    optimizer (Optimizer | None): None creates one by the pipeline's config.
    RETURNS (dict[str, Any]): Best score on dev, its step, and the number of steps. The pipeline
        holds the weights of that step.
    RAISES (ValueError): Without labelled Docs.
    """
    fix_random_seed(seed)
    egs = [Example(bare(nlp, doc), doc) for doc in labeled]
    raw = [Example(doc, doc.copy()) for doc in (bare(nlp, item) for item in unlabeled)]
    dev_egs = [(bare(nlp, doc), doc) for doc in dev]
    if not egs:
        raise ValueError("train needs labelled Docs, but got none")
    if any(not pipe.labels for pipe in semi_supervised_pipes(nlp)):
        optimizer = nlp.initialize(lambda: [*egs, *raw], sgd=optimizer)
    optimizer = optimizer or nlp.create_optimizer()
    config = nlp.config.interpolate()
    score_weights = config["training"]["score_weights"]

    def evaluate() -> tuple[float, dict[str, Any]]:
        examples = [Example(doc.copy(), reference) for doc, reference in dev_egs]
        callback = create_evaluate(nlp, lambda nlp: examples, score_weights)
        return callback() if examples else (0.0, {})

    progress = Progress()
    steps = train_steps(
        nlp,
        optimizer,
        shuffled_batches(egs, batch_size, seed),
        (batch for _, batch in shuffled_batches(raw, unlabeled_batch_size, seed)) if raw else None,
        evaluate,
        LoopSettings(
            dropout=dropout, patience=patience, max_steps=max_steps, eval_frequency=eval_frequency
        ),
        progress,
    )
    bar = tqdm(steps, total=max_steps, disable=None, leave=False)
    run_to_best(nlp, bar, optimizer)
    if not dev_egs:
        warnings.warn("train got no dev Docs: the last weights are kept", stacklevel=2)
    return summarize(progress)


def run_to_best(
    nlp: Language, steps: Iterable[tuple[Any, dict[str, Any], bool | None]], optimizer: Optimizer
) -> None:
    """Train, and end with the weights of the best evaluation, also after an interrupt or error.

    nlp (Language): The pipeline.
    steps (Iterable): What `train_steps` yields.
    optimizer (Optimizer): Holds the averages that were evaluated, if any.
    """
    best: dict[str, bytes] = {}
    try:
        for _, _, is_best in steps:
            if is_best:
                with nlp.use_params(optimizer.averages or {}):
                    best = {n: p.to_bytes(exclude=["vocab"]) for n, p in trainable(nlp)}
    finally:
        for name, data in best.items():
            nlp.get_pipe(name).from_bytes(data, exclude=["vocab"])  # type: ignore[attr-defined]


def trainable(nlp: Language) -> list[tuple[str, Any]]:
    """List the trainable components.

    nlp (Language): The pipeline.
    RETURNS (list[tuple[str, Pipe]]): Names and components.
    """
    return [(n, p) for n, p in nlp.pipeline if getattr(p, "is_trainable", False)]


def bare(nlp: Language, item: Doc | str) -> Doc:
    """Give the tokens of a Doc or text without annotation.

    nlp (Language): Tokenizes texts.
    item (Doc | str): A Doc or a text.
    RETURNS (Doc): A new Doc.
    """
    if isinstance(item, str):
        return nlp.make_doc(item)
    words, spaces = [t.text for t in item], [bool(t.whitespace_) for t in item]
    return Doc(nlp.vocab, words=words, spaces=spaces)


def shuffled_batches(
    examples: list[Example], size: int, seed: int
) -> Iterator[tuple[int, list[Example]]]:
    """Batch Examples without end, in a new order each epoch.

    examples (list[Example]): The Examples.
    size (int): Examples a batch.
    seed (int): Seeds the order.
    YIELDS (tuple[int, list[Example]]): Epoch and batch.
    """
    rng, epoch = random.Random(seed), 0
    while True:
        order = rng.sample(examples, len(examples))
        for start in range(0, len(order), size):
            yield epoch, order[start : start + size]
        epoch += 1
