"""Train a pipeline from a config (`train_nlp`), or from Docs in a notebook (`train`)."""

import random
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

from spacy.language import Language
from spacy.schemas import ConfigSchemaTraining
from spacy.tokens import Doc
from spacy.training import Example
from spacy.training.loop import (
    DIR_MODEL_BEST,
    DIR_MODEL_LAST,
    clean_output_dir,
    create_before_to_disk_callback,
    create_evaluation_callback,
    create_train_batches,
    update_meta,
)
from spacy.util import registry, resolve_dot_names
from thinc.api import Optimizer, fix_random_seed
from tqdm import tqdm
from wasabi import Printer

from .initialize import check_streams, raw_batches, semi_supervised_pipes
from .loop import Evaluate, LoopSettings, train_steps
from .schema import SemiVAESchema


def train_nlp(
    nlp: Language,
    settings: SemiVAESchema,
    output: Path | None = None,
    *,
    overwrite: bool = False,
    stdout: IO[str] = sys.stdout,
    stderr: IO[str] = sys.stderr,
) -> dict[str, Any]:
    """Train an initialized pipeline as its config says.

    nlp (Language): The pipeline with its full config.
    settings (SemiVAESchema): The [semivae] block.
    output (Path | None): Folder for model-best and model-last.
    overwrite (bool): Whether a run in that folder may be deleted.
    stdout (IO): Where the logger writes.
    stderr (IO): Where the progress bar is drawn, on a terminal.
    RETURNS (dict[str, Any]): Best score, its step, and the number of steps.
    RAISES (FileExistsError): When the folder holds a run and `overwrite` is not set.
    RAISES (FloatingPointError): When a loss is not finite; names the last good checkpoint.
    """
    check_output(output, overwrite=overwrite)
    config = nlp.config.interpolate()
    T = registry.resolve(config["training"], schema=ConfigSchemaTraining)
    if T["seed"] is not None:
        fix_random_seed(T["seed"])
    save = create_saver(nlp, T, output)
    steps = create_steps(nlp, T, settings, config)
    if output:
        clean_output_dir(output)  # only now that settings and corpora have been checked
        output.mkdir(parents=True, exist_ok=True)
    message = Printer(no_print=True)
    stdout.write(message.info(f"Pipeline: {nlp.pipe_names}") + "\n")
    with nlp.select_pipes(disable=T["frozen_components"]):
        log_step, finalize = T["logger"](nlp, stdout, stderr)
    bar = tqdm(total=T["max_steps"] or None, disable=None, leave=False, file=stderr, unit="step")
    interrupted, info = False, dict[str, Any]()
    try:
        for _, info, is_best in steps:
            show_progress(bar, nlp, info)
            if is_best is not None:
                update_meta(T, nlp, info)
                save(is_best)
                bar.clear()
            log_step(info if is_best is not None else None)
    except KeyboardInterrupt:
        interrupted = True
    except FloatingPointError as error:
        last = output / DIR_MODEL_BEST if output and info.get("checkpoints") else "none"
        raise FloatingPointError(f"{error}. Last good checkpoint: {last}") from None
    finally:
        bar.close()
        finalize()
    save(False)
    if output:
        how = "Interrupted; saved" if interrupted else "Saved"
        stdout.write(message.good(f"{how} pipeline to {output / DIR_MODEL_LAST}") + "\n")
    return summarize(info)


def create_steps(
    nlp: Language, T: dict[str, Any], settings: SemiVAESchema, config: Any
) -> Iterator[tuple[Sequence[Example], dict[str, Any], bool | None]]:
    """Set up streams, evaluation and loop.

    nlp (Language): The pipeline.
    T (dict): The [training] block, resolved.
    settings (SemiVAESchema): The [semivae] block.
    config (Config): The whole config, interpolated.
    RETURNS (Iterator): What `train_steps` yields.
    RAISES (ValueError): When there is raw text but no component that learns from it.
    """
    train_corpus, dev_corpus = resolve_dot_names(config, [T["train_corpus"], T["dev_corpus"]])
    unlabeled = None
    if settings.unlabeled_corpus:
        if not semi_supervised_pipes(nlp, T["frozen_components"]):
            raise ValueError(
                f"The config has raw text, but none of {nlp.pipe_names} learns from it"
            )
        (corpus,) = resolve_dot_names(config, [settings.unlabeled_corpus])
        if settings.init_unlabeled:
            check_streams(
                (eg.reference for eg in train_corpus(nlp)),
                (eg.reference for eg in dev_corpus(nlp)),
                (eg.predicted for eg in islice(corpus(nlp), settings.init_unlabeled)),
            )
        unlabeled = raw_batches(nlp, corpus, settings.batcher)
    return train_steps(
        nlp,
        T["optimizer"],
        create_train_batches(nlp, train_corpus, T["batcher"], T["max_epochs"]),
        unlabeled,
        create_evaluate(nlp, dev_corpus, T["score_weights"]),
        LoopSettings(
            dropout=T["dropout"],
            accumulate_gradient=T["accumulate_gradient"],
            patience=T["patience"],
            max_steps=T["max_steps"],
            eval_frequency=T["eval_frequency"],
            frozen=T["frozen_components"],
            annotating=T["annotating_components"],
            before_update=T["before_update"],
        ),
    )


def create_evaluate(
    nlp: Language, corpus: Callable[[Language], Iterable[Example]], weights: dict[str, float | None]
) -> Evaluate:
    """Make the function that evaluates; it warns where no score counts, as every step ties then.

    nlp (Language): The pipeline.
    corpus (Callable): The dev corpus's reader.
    weights (dict): [training.score_weights].
    RETURNS (Callable): Gives the weighted score and all scores.
    """
    evaluate = create_evaluation_callback(nlp, corpus, weights)  # type: ignore[arg-type]

    def evaluate_and_check() -> tuple[float, dict[str, Any]]:
        score, scores = evaluate()
        if not any(weights.get(name) for name in scores):
            warnings.warn(
                f"None of the scores {sorted(scores)} has a weight, so that the first evaluation "
                f"stays the best one: check [training.score_weights] {weights} and the dev corpus",
                stacklevel=2,
            )
        return score, scores

    return evaluate_and_check


def check_output(output: Path | None, *, overwrite: bool) -> None:
    """Refuse an output folder that holds a run; nothing is deleted here.

    output (Path | None): The folder.
    overwrite (bool): Whether a run in it may be deleted.
    RAISES (FileExistsError): When it holds a run and `overwrite` is not set.
    """
    names = (DIR_MODEL_BEST, DIR_MODEL_LAST)
    if output and not overwrite and any((output / name).exists() for name in names):
        raise FileExistsError(f"{output} holds a trained pipeline; --overwrite deletes it")


def create_saver(nlp: Language, T: dict[str, Any], output: Path | None) -> Callable[[bool], None]:
    """Make the function that saves model-last and model-best.

    nlp (Language): The pipeline.
    T (dict): The [training] block, resolved.
    output (Path | None): The folder; None saves nothing.
    RETURNS (Callable): Takes whether this is the best pipeline so far.
    """
    before_to_disk = create_before_to_disk_callback(T["before_to_disk"])
    optimizer: Optimizer = T["optimizer"]

    def save(is_best: bool) -> None:
        if output is None:
            return
        last, best = output / DIR_MODEL_LAST, output / DIR_MODEL_BEST
        with nlp.use_params(optimizer.averages or {}):
            before_to_disk(nlp).to_disk(last)
        if is_best:
            shutil.rmtree(best, ignore_errors=True)
            shutil.copytree(last, best)

    return save


def show_progress(bar: Any, nlp: Language, info: dict[str, Any]) -> None:
    """Draw the progress bar: Docs seen, words a second, the KL's weight; tqdm adds the time left.

    bar (tqdm): The bar.
    nlp (Language): Holds the components.
    info (dict): The loop's report.
    """
    kl = [p.weights()["kl"] for p in semi_supervised_pipes(nlp) if "kl" in p.weights()]
    bar.set_postfix(
        labeled=info["labeled"],
        raw=info["unlabeled"],
        wps=f"{info['words'] / max(info['seconds'], 1e-9):.0f}",
        kl_weight=f"{kl[0]:.2g}" if kl else "-",
        refresh=False,
    )
    bar.update(1)


def summarize(info: dict[str, Any]) -> dict[str, Any]:
    """Say how a run ended.

    info (dict): The loop's last report.
    RETURNS (dict[str, Any]): "score" and "best_step" of the best evaluation, and "steps".
    """
    results = info.get("checkpoints") or [(0.0, 0)]
    score, step = max(results, key=lambda result: (result[0], -result[1]))
    return {"score": score, "best_step": step, "steps": info.get("step", 0)}


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

    steps = train_steps(
        nlp,
        optimizer,
        shuffled_batches(egs, batch_size, seed),
        (batch for _, batch in shuffled_batches(raw, unlabeled_batch_size, seed)) if raw else None,
        evaluate,
        LoopSettings(
            dropout=dropout, patience=patience, max_steps=max_steps, eval_frequency=eval_frequency
        ),
    )
    bar = tqdm(steps, total=max_steps, disable=None, leave=False)
    info = run_to_best(nlp, bar, optimizer) if dev_egs else [info for _, info, _ in bar][-1]
    if not dev_egs:
        warnings.warn("train got no dev Docs: the last weights are kept", stacklevel=2)
    return summarize(info)


def run_to_best(
    nlp: Language, steps: Iterable[tuple[Any, dict[str, Any], bool | None]], optimizer: Optimizer
) -> dict[str, Any]:
    """Train, and end with the weights of the best evaluation, also after an interrupt or error.

    nlp (Language): The pipeline.
    steps (Iterable): What `train_steps` yields.
    optimizer (Optimizer): Holds the averages that were evaluated, if any.
    RETURNS (dict[str, Any]): The loop's last report.
    """
    best: dict[str, bytes] = {}
    info: dict[str, Any] = {}
    try:
        for _, report, is_best in steps:
            info = report
            if is_best:
                with nlp.use_params(optimizer.averages or {}):
                    best = {n: p.to_bytes(exclude=["vocab"]) for n, p in trainable(nlp)}
    finally:
        for name, data in best.items():
            nlp.get_pipe(name).from_bytes(data, exclude=["vocab"])  # type: ignore[attr-defined]
    return info


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
