"""A console logger that shows every loss term, not only their sum."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import srsly
from spacy.language import Language
from spacy.util import registry
from wasabi import Printer

from ..pipeline.base import SemiSupervisedPipe

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
LogStep = Callable[[dict[str, Any] | None], None]


@registry.loggers("semivae.ConsoleLogger.v1")
def create_console_logger(output_file: str | None = None) -> Callable[..., Any]:
    """Create a logger of one row an evaluation: mean loss terms in nats, scores, words a second.

    output_file (str | None): Where to append the same as JSON lines.
    RETURNS (Callable): The set-up that spaCy calls.
    """

    def setup(
        nlp: Language, stdout: IO[str] = sys.stdout, stderr: IO[str] = sys.stderr
    ) -> tuple[LogStep, Callable[[], None]]:
        table = Table(nlp, stdout, Path(output_file) if output_file else None)

        def log_step(info: dict[str, Any] | None) -> None:
            if info is not None:
                table.log(info)

        return log_step, lambda: None

    return setup


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
        self.last = {"step": 0, "seconds": 0.0, "words": 0}

    def log(self, info: dict[str, Any]) -> None:
        """Write a row, and before the first one the header.

        info (dict): What the training loop reports at an evaluation.
        """
        steps = max(1, info["step"] - self.last["step"])
        losses = {key: value / steps for key, value in info["losses"].items()}
        if not self.columns:
            self.columns = self._loss_columns(losses)
            headers = [self._header(column) for column in self.columns]
            self._row(["E", "#", *headers, *[name.upper() for name in self.scores], "SCORE", "W/S"])
        seconds = info["seconds"] - self.last["seconds"]
        speed = (info["words"] - self.last["words"]) / seconds if seconds else 0.0
        scores = {name: info["other_scores"].get(name) or 0.0 for name in self.scores}
        scores = {name: v if name == "speed" else 100 * v for name, v in scores.items()}
        cells = [f"{losses.get(column, 0.0):.3f}" for column in self.columns]
        cells += [f"{score:.2f}" for score in scores.values()]
        self._row(
            [info["epoch"], info["step"], *cells, f"{100 * info['score']:.2f}", f"{speed:.0f}"]
        )
        if self.output_file:
            row = {key: info[key] for key in ("epoch", "step", "seconds", "words", "score")}
            row.update(losses=losses, scores=scores)
            self.output_file.parent.mkdir(parents=True, exist_ok=True)
            srsly.write_jsonl(self.output_file, [row], append=True, append_new_line=False)
        self.last = {key: info[key] for key in self.last}

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
