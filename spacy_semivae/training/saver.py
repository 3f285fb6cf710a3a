"""What a run leaves on the disk: model-best, model-last and checkpoints."""

import shutil
from functools import partial
from pathlib import Path
from typing import Any

from spacy.training.loop import (
    DIR_MODEL_BEST,
    DIR_MODEL_LAST,
    create_before_to_disk_callback,
    update_meta,
)
from thinc.api import Config

from .files import replace_folder
from .resume import FOLDER, Session, save_checkpoint
from .schema import SemiVAESchema
from .snapshots import list_snapshots


class Saver:
    """Saves pipelines at evaluations and checkpoints between steps; each is whole or not there.

    session (Session): The run.
    T (dict): The [training] block, resolved.
    output (Path | None): The run's folder; None saves nothing.
    settings (SemiVAESchema): The [semivae] block.
    config (Config): The config that the run was started with.
    """

    def __init__(
        self,
        session: Session,
        T: dict[str, Any],
        output: Path | None,
        settings: SemiVAESchema,
        config: Config,
    ) -> None:
        self.session = session
        self.T = T
        self.output = output
        self.every = settings.checkpoint_every
        self.keep = settings.keep_checkpoints
        self.config = config
        self.before_to_disk = create_before_to_disk_callback(T["before_to_disk"])
        self.saved = session.progress.step  # the step of the last checkpoint
        self.is_whole = True  # whether the state is that between two steps

    def save_pipelines(self, info: dict[str, Any], *, is_best: bool) -> None:
        """Save model-last, and model-best where it is the best so far.

        info (dict): What loggers read.
        is_best (bool): Whether it is.
        """
        update_meta(self.T, self.session.nlp, info)
        self._save_last()
        if self.output is None:
            return
        last, best = self.output / DIR_MODEL_LAST, self.output / DIR_MODEL_BEST
        if is_best:
            replace_folder(best, partial(copy_into, last))

    def after_step(self) -> None:
        """Write a checkpoint when it is time."""
        step = self.session.progress.step
        if self.every and step % self.every == 0:
            self._save_checkpoint()
            self.session.group.align(self.session.nlp, self.T["seed"] or 0, step)

    def finish(self) -> None:
        """Save model-last, and a checkpoint from which the run can go on."""
        self._save_last()
        if self.every and self.is_whole and self.session.progress.step != self.saved:
            self._save_checkpoint()

    def last_good(self) -> Path | str:
        """Name what was saved last.

        RETURNS (Path | str): A checkpoint, model-best, or "none".
        """
        if self.output is None:
            return "none"
        best = [self.output / DIR_MODEL_BEST] if self.session.progress.results else []
        return next(iter([*list_snapshots(self.output / FOLDER), *best]), "none")

    def _save_last(self) -> None:
        nlp, averages = self.session.nlp, self.session.optimizer.averages
        if self.output is not None:
            with nlp.use_params(averages or {}):
                pipeline = self.before_to_disk(nlp)
                replace_folder(self.output / DIR_MODEL_LAST, pipeline.to_disk)

    def _save_checkpoint(self) -> None:
        if self.output is not None:
            save_checkpoint(self.session, self.output, self.config, keep=self.keep)
            self.saved = self.session.progress.step


def copy_into(source: Path, target: Path) -> None:
    """Copy what is in a folder.

    source (Path): The folder.
    target (Path): An empty folder.
    """
    shutil.copytree(source, target, dirs_exist_ok=True)
