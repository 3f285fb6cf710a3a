"""Loggers: a table that shows every loss term, and a log of all that is known of a run."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import srsly
from spacy.language import Language
from spacy.util import registry
from wasabi import Printer

from ..pipeline.base import SemiSupervisedPipe
from .log_board import Board
from .log_file import LogFile, Row
from .log_rows import Info, Window, make_row

SHORT = {
    "supervised": "SUP",
    "classification": "CLS",
    "negative": "NEG",
    "reconstruction": "REC",
    "kl": "KL",
    "unlabeled_reconstruction": "RAW REC",
    "unlabeled_kl": "RAW KL",
    "label_prior": "P(Y)",
    "active_units": "UNITS",
    "largest_unit_kl": "UNIT KL",
}
FILE = "training.jsonl"
LogStep = Callable[[Info | None], None]
Finalize = Callable[[], None]
Setup = Callable[..., tuple[LogStep, Finalize]]  # of (nlp, stdout, stderr): any logger of spaCy's


@registry.loggers("semivae.ConsoleLogger.v1")
def create_console_logger(output_file: str | None = None) -> Setup:
    """Create a logger of one row an evaluation: mean loss terms in nats, scores, words a second.

    output_file (str | None): Where to append the same as JSON lines.
    RETURNS (Callable): The set-up that spaCy calls.
    """

    def setup(
        nlp: Language, stdout: IO[str] = sys.stdout, stderr: IO[str] = sys.stderr
    ) -> tuple[LogStep, Finalize]:
        table = Table(nlp, stdout, Path(output_file) if output_file else None)

        def log_step(info: Info | None) -> None:
            if info is not None:
                table.log(info)

        return log_step, lambda: None

    return setup


@registry.loggers("semivae.Logger.v1")
def create_logger(
    path: str | None = None,
    every: int | None = None,
    console: bool = True,
    tensorboard: str | None = None,
    loggers: dict[str, Any] | Setup | None = None,  # blocks are typed once resolved
) -> Setup:
    """Create a logger of a table, of JSON lines, for TensorBoard and for other loggers.

    path (str | None): The file of JSON lines; None for "training.jsonl" in the output folder.
    every (int | None): Steps from one line to the next beside those of evaluations.
    console (bool): Whether the table is written.
    tensorboard (str | None): A folder for TensorBoard; None for none.
    loggers (dict[str, Callable] | Callable | None): Other loggers by names of any choice, or one.
    RETURNS (Callable): The set-up that spaCy calls.
    RAISES (ValueError): When `every` is less than 1, or what should be a logger is none.
    RAISES (ImportError): Where TensorBoard is wanted and not installed.
    """
    if every is not None and every < 1:
        raise ValueError(f"every is a number of steps from 1 on, or null, but got {every}")
    board = Board(tensorboard) if tensorboard else None
    others = list(loggers.values()) if isinstance(loggers, dict) else [loggers] if loggers else []
    if not all(callable(other) for other in others):
        raise ValueError(f"loggers takes loggers by name, or one, but got {loggers!r}")

    def setup(
        nlp: Language, stdout: IO[str] = sys.stdout, stderr: IO[str] = sys.stderr
    ) -> tuple[LogStep, Finalize]:
        table = Table(nlp, stdout, None) if console else None
        steps = [other(nlp, stdout, stderr) for other in others]
        log = RunLog(nlp, table, path, every, board, steps)
        return log, log.close

    return setup


class RunLog:
    """Logs a run; called once a step.

    A loop may hand over its report at every step where `every_step` is set; as spaCy's does, it may
    also do so at evaluations only.

    nlp (Language): The pipeline.
    table (Table | None): The table.
    path (str | None): The file of JSON lines; None for one beside the saved pipeline.
    every (int | None): Steps from one row to the next beside evaluations.
    board (Board | None): TensorBoard.
    others (list): What the set-up of other loggers gave.
    """

    def __init__(
        self,
        nlp: Language,
        table: "Table | None",
        path: str | None,
        every: int | None,
        board: Board | None,
        others: list[tuple[LogStep, Finalize]],
    ) -> None:
        self.pipes = list(nlp.pipeline)
        self.table = table
        self.path = path
        self.every = every
        self.board = board
        self.others = others
        self.calls = 0
        self.window: Window | None = None
        self.file: LogFile | None = None

    @property
    def every_step(self) -> bool:
        """Whether there is something to say between evaluations."""
        return self.every is not None

    def __call__(self, info: Info | None) -> None:
        """Log a step.

        info (dict | None): What the training loop reports; None where there is nothing new.
        """
        self.calls += 1
        evaluated = info is not None and info["score"] is not None
        if info is not None and (evaluated or (self.every and not info["step"] % self.every)):
            self.add_row(info)
        if info is not None and evaluated and self.table:
            self.table.log(info)
        for log_step, _ in self.others:
            log_step(info if evaluated else None)

    def add_row(self, info: Info) -> None:
        """Write what happened since the last row.

        info (dict): What the training loop reports.
        """
        if self.window is None:
            self.window = self._start(info)
        row = make_row(info, self.window, self.pipes)
        self.window.end(info)
        if self.file:
            self.file.append(row)
        if self.board:
            self.board.write(row)

    def _start(self, info: Info) -> Window:
        """Find out where the run began: each step since then was one call."""
        start, rows = info["step"] - self.calls, list[Row]()
        path = self.path
        if path is None and info.get("output_path"):
            path = str(Path(info["output_path"]).parent / FILE)
        if path:
            self.file = LogFile(path)
            rows = self.file.resume(start)
        if self.board:
            self.board.resume(start)
        return Window(rows)

    def close(self) -> None:
        """End the log, and those of other loggers."""
        if self.board:
            self.board.close()
        for _, finalize in self.others:
            finalize()


class Table:
    """Rows of a training run.

    nlp (Language): The pipeline.
    stdout (IO): Where rows are written.
    output_file (Path | None): Where the same is appended as JSON lines.
    """

    def __init__(self, nlp: Language, stdout: IO[str], output_file: Path | None) -> None:
        pipes = [(name, pipe) for name, pipe in nlp.pipeline if getattr(pipe, "is_trainable", 0)]
        self.names = [name for name, _ in pipes]
        self.ours = [name for name, pipe in pipes if isinstance(pipe, SemiSupervisedPipe)]
        weights = nlp.config["training"]["score_weights"]
        self.scores = [name for name, weight in weights.items() if weight is not None]
        self.stdout = stdout
        self.output_file = output_file
        self.printer = Printer(no_print=True)
        self.columns: list[str] = []
        self.window = Window()

    def log(self, info: Info) -> None:
        """Write a row, and before the first one the header.

        info (dict): What the training loop reports at an evaluation.
        """
        self.window.catch_up(info)
        losses = self.window.mean_losses(info)
        if not self.columns:
            self.columns = self._loss_columns(losses)
            headers = [self._header(column) for column in self.columns]
            self._row(["E", "#", *headers, *[name.upper() for name in self.scores], "SCORE", "W/S"])
        scores = {name: info["other_scores"].get(name) or 0.0 for name in self.scores}
        scores = {name: v if name == "speed" else 100 * v for name, v in scores.items()}
        cells = [f"{losses.get(column, 0.0):.3f}" for column in self.columns]
        cells += [f"{score:.2f}" for score in [*scores.values(), 100 * info["score"]]]
        self._row([info["epoch"], info["step"], *cells, f"{self.window.speed(info):.0f}"])
        if self.output_file:
            row = {key: info[key] for key in ("epoch", "step", "seconds", "words", "score")}
            row.update(losses=losses, scores=scores)
            self.output_file.parent.mkdir(parents=True, exist_ok=True)
            srsly.write_jsonl(self.output_file, [row], append=True, append_new_line=False)
        self.window.end(info)

    def _loss_columns(self, losses: dict[str, float]) -> list[str]:
        columns = []
        for name in self.names:
            terms = [key for key in losses if name in self.ours and self._owner(key) == name]
            columns += [name, *[key for key in terms if key != name]]
        return [column for column in columns if column in losses]

    def _owner(self, column: str) -> str:
        # of two names that begin alike the longer one
        found = [n for n in self.names if column == n or column.startswith(f"{n}_")]
        return max(found, key=len, default="")

    def _header(self, column: str) -> str:
        if column in self.names:
            return f"LOSS {column.upper()}"
        term = column.removeprefix(f"{self._owner(column)}_")
        return SHORT.get(term, term.upper())

    def _row(self, cells: list[Any]) -> None:
        widths = [3, 6, *[max(7, len(str(cell))) for cell in cells[2:]]]
        if not hasattr(self, "widths"):
            self.widths = widths
        aligns = ["r" for _ in cells]
        self.stdout.write(self.printer.row(cells, widths=self.widths, aligns=aligns) + "\n")
