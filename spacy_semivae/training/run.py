"""Train a pipeline as its config says: streams, loop, logger, progress bar and saving."""

import io
import shutil
import signal
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
    create_evaluation_callback,
)
from spacy.util import registry, resolve_dot_names
from thinc.api import Config, CupyOps, fix_random_seed, get_current_ops
from tqdm import tqdm
from wasabi import Printer

from .batches import LabeledBatches, RawBatches
from .distributed import ALONE, Group, join_group
from .initialize import check_streams, semi_supervised_pipes
from .interrupt import Stop, stop_on_signals
from .loop import Evaluate, LoopSettings, Progress, train_steps
from .resume import FOLDER, Checkpoint, Session, restore
from .saver import Saver
from .schema import SemiVAESchema

Steps = Iterator[tuple[Sequence[Example], dict[str, Any], bool | None]]
Log = tuple[Callable[[dict[str, Any] | None], None], Callable[[], None]]


def train_nlp(
    nlp: Language,
    settings: SemiVAESchema,
    output: Path | None = None,
    *,
    overwrite: bool = False,
    config: Config | None = None,
    checkpoint: Checkpoint | None = None,
    stdout: IO[str] = sys.stdout,
    stderr: IO[str] = sys.stderr,
) -> dict[str, Any]:
    """Train an initialized pipeline as its config says.

    nlp (Language): The pipeline with its full config.
    settings (SemiVAESchema): The [semivae] block.
    output (Path | None): Folder for model-best, model-last and checkpoints.
    overwrite (bool): Whether a run in that folder may be deleted.
    config (Config | None): The config that the run was started with, to which a later one is
        compared when it is resumed; None takes the pipeline's.
    checkpoint (Checkpoint | None): Where to go on, in the same folder; None starts anew.
    stdout (IO): Where the logger writes.
    stderr (IO): Where the progress bar is drawn, on a terminal.
    RETURNS (dict[str, Any]): Best score, its step, the number of steps, and "signal" where one
        ended the run.
    RAISES (FileExistsError): When the folder holds a run and neither is asked for.
    RAISES (FloatingPointError): When a loss is not finite; names the last good checkpoint.
    """
    group = join_group(gpu=isinstance(get_current_ops(), CupyOps))
    if group.rank:
        output, stdout, stderr = None, io.StringIO(), io.StringIO()  # the first process speaks
    if checkpoint is None:
        check_output(output, overwrite=overwrite)
    whole = nlp.config.interpolate()
    T = registry.resolve(whole["training"], schema=ConfigSchemaTraining)
    if T["seed"] is not None:
        fix_random_seed(T["seed"])
    session, steps = create_session(nlp, T, settings, whole, group)
    lines = [f"Pipeline: {nlp.pipe_names}", *report_streams(nlp, T, settings, whole)]
    if checkpoint is not None:
        restore(session, checkpoint)
        lines.append(f"Resumed at step {session.progress.step} from {checkpoint.path}")
    elif output:
        clean_output_dir(output)  # only now that settings and corpora have been checked
        shutil.rmtree(output / FOLDER, ignore_errors=True)
        output.mkdir(parents=True, exist_ok=True)
    message = Printer(no_print=True)
    for line in lines:
        stdout.write(message.info(line) + "\n")
    saver = Saver(session, T, output, settings, config or nlp.config)
    group.align(nlp, T["seed"] or 0, session.progress.step)
    with stop_on_signals() as stop:
        follow(steps, saver, stop, *open_log(session, T, stdout, stderr))
    saver.finish()
    if output:
        how = "Interrupted; saved" if stop.signal else "Saved"
        stdout.write(message.good(f"{how} pipeline to {output / DIR_MODEL_LAST}") + "\n")
    return summarize(session.progress) | ({"signal": int(stop.signal)} if stop.signal else {})


def open_log(
    session: Session, T: dict[str, Any], stdout: IO[str], stderr: IO[str]
) -> tuple[Log, Any]:
    """Set up the logger and the progress bar; processes other than the first have neither.

    session (Session): The run.
    T (dict): The [training] block, resolved.
    stdout (IO): Where the logger writes.
    stderr (IO): Where the progress bar is drawn, on a terminal.
    RETURNS (tuple[Log, tqdm]): What the logger's setup gave, and the bar.
    """
    log: Log = (lambda info: None, lambda: None)
    if session.group.rank == 0:
        with session.nlp.select_pipes(disable=T["frozen_components"]):
            log = T["logger"](session.nlp, stdout, stderr)
    total, done = T["max_steps"] or None, session.progress.step
    return log, tqdm(total=total, initial=done, disable=None, leave=False, file=stderr, unit="step")


def follow(steps: Steps, saver: Saver, stop: Stop, log: Log, bar: Any) -> None:
    """Take the steps; save, log and show what they give.

    steps (Steps): What `train_steps` yields.
    saver (Saver): Saves pipelines and checkpoints.
    stop (Stop): Ends the run after a step once a signal has come.
    log (Log): What a logger's setup gave.
    bar (tqdm): The progress bar.
    RAISES (FloatingPointError): When a loss is not finite; names the last good checkpoint.
    RAISES (ConnectionError): When another process of the run has ended; names it too.
    """
    log_step, finalize = log
    every_step = getattr(log_step, "every_step", False)  # spaCy's loggers want evaluations alone
    group = saver.session.group
    try:
        for _, info, is_best in steps:
            show_progress(bar, saver.session.nlp, info)
            if is_best is not None:
                saver.save_pipelines(info, is_best=is_best)
                bar.clear()
            if saver.output:
                info["output_path"] = str(saver.output / DIR_MODEL_LAST)
            log_step(info if is_best is not None or every_step else None)
            saver.after_step()
            if group.agree(stop.signal is not None):
                stop.signal = stop.signal or signal.SIGTERM  # another process got it
                break
    except KeyboardInterrupt:
        stop.signal = signal.SIGINT
        saver.is_whole = False  # the step was not finished
    except FloatingPointError as error:
        raise FloatingPointError(f"{error}. Last good checkpoint: {saver.last_good()}") from None
    except RuntimeError as error:
        if group.size == 1:
            raise
        raise ConnectionError(
            f"Another process of the run was lost. Last good checkpoint: {saver.last_good()}"
        ) from error
    finally:
        bar.close()
        finalize()


def create_session(
    nlp: Language, T: dict[str, Any], settings: SemiVAESchema, config: Any, group: Group = ALONE
) -> tuple[Session, Steps]:
    """Set up streams, evaluation and loop.

    nlp (Language): The pipeline.
    T (dict): The [training] block, resolved.
    settings (SemiVAESchema): The [semivae] block.
    config (Config): The whole config, interpolated.
    group (Group): The processes of the run.
    RETURNS (tuple[Session, Steps]): What changes in training, and what `train_steps` yields.
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
        unlabeled = RawBatches(nlp, corpus, settings.batcher)
    labeled = LabeledBatches(nlp, train_corpus, T["batcher"], T["max_epochs"])
    session = Session(nlp, T["optimizer"], labeled, unlabeled, Progress(), group)
    steps = train_steps(
        nlp,
        T["optimizer"],
        labeled,
        None if unlabeled is None else iter(unlabeled),
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
            mixed_precision=settings.mixed_precision,
        ),
        session.progress,
        group,
    )
    return session, steps


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
    names = (DIR_MODEL_BEST, DIR_MODEL_LAST, FOLDER)
    if output and not overwrite and any((output / name).exists() for name in names):
        raise FileExistsError(
            f"{output} holds a run: --resume goes on with it, --overwrite deletes it"
        )


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


def summarize(progress: Progress) -> dict[str, Any]:
    """Say how a run ended.

    progress (Progress): What was done.
    RETURNS (dict[str, Any]): "score" and "best_step" of the best evaluation, and "steps".
    """
    results = progress.results or [(0.0, 0)]
    score, step = max(results, key=lambda result: (result[0], -result[1]))
    return {"score": score, "best_step": step, "steps": progress.step}
