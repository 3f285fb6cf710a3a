"""Train a pipeline as its config says: streams, loop, logger, progress bar and saving."""

import shutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

from spacy.language import Language
from spacy.schemas import ConfigSchemaTraining
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
    lines = [f"Pipeline: {nlp.pipe_names}", *report_streams(nlp, T, settings, config)]
    if output:
        clean_output_dir(output)  # only now that settings and corpora have been checked
        output.mkdir(parents=True, exist_ok=True)
    message = Printer(no_print=True)
    for line in lines:
        stdout.write(message.info(line) + "\n")
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


def report_streams(
    nlp: Language, T: dict[str, Any], settings: SemiVAESchema, config: Any
) -> list[str]:
    """Say how the raw text that `initialize` saw fits the labelled and the dev corpus.

    nlp (Language): The pipeline.
    T (dict): The [training] block, resolved.
    settings (SemiVAESchema): The [semivae] block.
    config (Config): The whole config, interpolated.
    RETURNS (list[str]): Lines for the user, none without raw text.
    """
    if not settings.unlabeled_corpus or not settings.init_unlabeled:
        return []
    names = [T["train_corpus"], T["dev_corpus"], settings.unlabeled_corpus]
    train_corpus, dev_corpus, raw_corpus = resolve_dot_names(config, names)
    coverage, overlap = check_streams(
        (eg.reference for eg in train_corpus(nlp)),
        (eg.reference for eg in dev_corpus(nlp)),
        (eg.predicted for eg in islice(raw_corpus(nlp), settings.init_unlabeled)),
    )
    return [f"Raw text has {coverage:.1%} of the labelled tokens; {overlap} texts are in dev"]


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
