"""A run of pretraining in a folder: the table, the progress bar, saving and going on."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import srsly
from spacy.training.loop import DIR_MODEL_BEST, DIR_MODEL_LAST, clean_output_dir
from thinc.api import Config
from tqdm import tqdm
from wasabi import Printer

from ..layers.text_lm import load_text_lm, save_text_lm
from .checkpoint import load_optimizer, model_keys, save_optimizer
from .files import replace_folder, restore_folder
from .pretrain import EpochReport, Progress, Run, prepare, train_epochs

PROGRESS = "progress.json"
HEADERS = ("E", "#", "WORDS", "PPL TRAIN", "PPL HELDOUT", "W/S")
WIDTHS = (3, 7, 9, 9, 11, 7)


def pretrain(
    config: Config,
    output: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    use_gpu: int = -1,
    stdout: IO[str] = sys.stdout,
    stderr: IO[str] = sys.stderr,
) -> dict[str, Any]:
    """Train the language model of a config and save every epoch.

    config (Config): A training config, not interpolated.
    output (Path): Folder for model-best and model-last.
    resume (bool): Go on with the run that the folder holds.
    overwrite (bool): Delete the run that the folder holds.
    use_gpu (int): The GPU, -1 for none.
    stdout (IO): Where the table is written.
    stderr (IO): Where the progress bar is drawn, on a terminal.
    RETURNS (dict[str, Any]): "epoch", "steps", "best_epoch" and its "perplexity" on the texts held
        out. An interrupt ends the run after its last complete epoch.
    RAISES (FileExistsError): When the folder holds a run and neither switch is set.
    RAISES (ValueError): When there is nothing to go on with, or the run was another one.
    RAISES (FloatingPointError): When a loss is not finite; names what was saved last.
    """
    check_folder(output, resume=resume, overwrite=overwrite)
    run = prepare(config, use_gpu=use_gpu)
    message = Printer(no_print=True)
    if resume:
        load_run(run, output / DIR_MODEL_LAST)
    else:
        clean_output_dir(output)  # only now that settings and corpora have been checked
        output.mkdir(parents=True, exist_ok=True)
    for line in describe(run):
        stdout.write(message.info(line) + "\n")
    how = "Saved"
    try:
        train_and_save(run, output, stdout, stderr)
    except KeyboardInterrupt:
        how = "Interrupted; saved"
    except FloatingPointError as error:
        last = output / DIR_MODEL_LAST if run.progress.epoch else "none"
        raise FloatingPointError(f"{error}. Last good checkpoint: {last}") from None
    saved = load_progress(output / DIR_MODEL_LAST)  # an interrupt may have hit an epoch's end
    if saved.epoch:
        where = f"{output}: epoch {saved.epoch}, the best one is {saved.best_epoch}"
        stdout.write(message.good(f"{how} {where}") + "\n")
    else:
        stdout.write(message.warn("Interrupted before the end of an epoch: nothing saved") + "\n")
    return asdict(saved)


def train_and_save(run: Run, output: Path, stdout: IO[str], stderr: IO[str]) -> None:
    """Train to the end, with a row in the table and a saved folder for each epoch.

    run (Run): The run.
    output (Path): Folder for model-best and model-last.
    stdout (IO): Where the table is written.
    stderr (IO): Where the progress bar is drawn, on a terminal.
    """
    stdout.write(align(HEADERS))
    bar = tqdm(disable=None, leave=False, file=stderr, unit=" texts")
    try:
        for report in train_epochs(run, bar.update):
            if report.is_best:
                # first, so that a run that stops here does this epoch again
                replace_folder(output / DIR_MODEL_BEST, lambda path: save_text_lm(run.lm, path))
            replace_folder(output / DIR_MODEL_LAST, lambda path: save_run(run, path))
            bar.clear()
            stdout.write(make_row(report))
            bar.reset(total=bar.n)
    finally:
        bar.close()


def describe(run: Run) -> list[str]:
    """Say what is trained.

    run (Run): The run.
    RETURNS (list[str]): Lines for the user.
    """
    cfg: Any = run.lm.shims[0].cfg  # type: ignore[attr-defined]
    kind = "Sequence autoencoder" if cfg["autoencoder"] else "Language model"
    lines = [
        f"{kind}: {cfg['nV']} words, width {cfg['width']}, {cfg['hidden']} units; "
        f"{len(run.streams.heldout)} texts are held out"
    ]
    if run.progress.epoch:
        lines.append(f"Resumed after epoch {run.progress.epoch} of {run.settings.max_epochs}")
    return lines


def make_row(report: EpochReport) -> str:
    """Make the row of an epoch.

    report (EpochReport): The epoch.
    RETURNS (str): The line.
    """
    cells = [
        str(report.epoch),
        str(report.steps),
        str(report.words),
        f"{report.training:.2f}",
        f"{report.heldout:.2f}",
        f"{report.words / max(report.seconds, 1e-9):.0f}",
    ]
    return align(cells)


def align(cells: Sequence[str]) -> str:
    """Align the cells of a row.

    cells (Sequence[str]): One for each header.
    RETURNS (str): The line.
    """
    aligns = ["r"] * len(cells)
    return Printer(no_print=True).row(cells, widths=WIDTHS, aligns=aligns) + "\n"


# The folder


def check_folder(output: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse a folder that does not fit what is asked for; nothing is deleted here.

    output (Path): The folder.
    resume (bool): Whether its run is to go on.
    overwrite (bool): Whether its run may be deleted.
    RAISES (FileExistsError): When it holds a run and neither is asked for.
    RAISES (ValueError): When both are, or there is no run to go on with.
    """
    if resume and overwrite:
        raise ValueError("--resume goes on with a run and --overwrite deletes it: choose one")
    if resume:
        restore_folder(output / DIR_MODEL_LAST)
        if not (output / DIR_MODEL_LAST / PROGRESS).exists():
            raise ValueError(f"{output} holds no run of pretraining to resume")
    elif not overwrite and any((output / n).exists() for n in (DIR_MODEL_BEST, DIR_MODEL_LAST)):
        raise FileExistsError(
            f"{output} holds a run; --resume goes on with it, --overwrite deletes it"
        )


def save_run(run: Run, folder: Path) -> None:
    """Write all that a run needs to go on.

    run (Run): The run.
    folder (Path): An empty folder.
    """
    save_text_lm(run.lm, folder)
    save_optimizer(run.settings.optimizer, model_keys(run.lm, "lm"), folder)
    state = {"progress": asdict(run.progress), "settings": run.config}
    # by the standard library: the perplexity keeps all of its digits
    (folder / PROGRESS).write_text(json.dumps(state, indent=2), encoding="utf8")


def load_run(run: Run, folder: Path) -> None:
    """Bring a new run to where another one was saved.

    run (Run): The run, changed in place.
    folder (Path): What `save_run` wrote.
    RAISES (ValueError): When words, sizes or settings differ.
    """
    old, state = load_text_lm(folder), srsly.read_json(folder / PROGRESS)
    shim: Any = run.lm.shims[0]
    known: Any = old.shims[0]
    pairs = {
        "words": (old.attrs["targets"], run.lm.attrs["targets"]),
        "rules": (old.attrs["normalize"], run.lm.attrs["normalize"]),
        "model": (known.cfg, shim.cfg),
        "settings": (state["settings"], run.config),  # type: ignore[call-overload, index]
    }
    for name, (before, now) in pairs.items():
        if before != now:
            what = "" if name == "words" else f": {before} then, {now} now"
            raise ValueError(
                f"{folder} holds a run of another config or other texts, with different {name}"
                f"{what}; --resume needs the same"
            )
    shim.module.load_state_dict(known.module.state_dict())
    run.progress = load_progress(folder)
    keys = model_keys(run.lm, "lm")
    load_optimizer(run.settings.optimizer, keys, folder, steps=run.progress.steps)


def load_progress(folder: Path) -> Progress:
    """Read how far a run has come.

    folder (Path): What `save_run` wrote, or nothing.
    RETURNS (Progress): The progress; none without a folder.
    """
    if not (folder / PROGRESS).exists():
        return Progress()
    state: Any = srsly.read_json(folder / PROGRESS)
    return Progress(**state["progress"])
