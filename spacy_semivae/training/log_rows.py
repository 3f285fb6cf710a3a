"""What a log says of some steps: means of the loss terms, their weights, rates and speeds."""

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from ..pipeline.base import SemiSupervisedPipe
from .log_file import Row

Info = dict[str, Any]
COUNTS = ("epoch", "step", "seconds", "words", "labeled", "unlabeled")
TOTALS = {"step": 0, "seconds": 0.0, "words": 0, "data_wait": 0.0}  # of a run that has not begun


class Window:
    """The steps since the last row.

    rows (Sequence[dict]): The rows of a log that goes on, each of which ended a window.
    """

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        self.last: dict[str, Any] = dict(TOTALS)
        self.losses: dict[str, float] = {}  # sums at the last row since the evaluation before it
        for row in rows:
            steps = row["step"] - self.last["step"]
            for name, mean in row["losses"].items():
                self.losses[name] = self.losses.get(name, 0.0) + steps * (mean or 0.0)
            waited = self.last["data_wait"] + (row.get("data_wait") or 0.0)
            self.last = {**{key: row[key] for key in TOTALS if key in row}, "data_wait": waited}
            if row["score"] is not None:
                self.losses = {}

    def catch_up(self, info: Info) -> None:
        """Begin at the last evaluation if that was after the last row, as in a run that goes on.

        info (dict): What the training loop reports; "since" is where the evaluation was.
        """
        since = info.get("since") or TOTALS
        if since["step"] > self.last["step"]:
            self.last.update({key: since[key] for key in TOTALS if key in since})
            self.losses = {}

    def mean_losses(self, info: Info) -> dict[str, float]:
        """Give the means of the losses.

        info (dict): What the training loop reports.
        RETURNS (dict[str, float]): Means per step by name.
        """
        steps = max(1, info["step"] - self.last["step"])
        found = {name: float(value) for name, value in info["losses"].items()}
        return {name: (v - self.losses.get(name, 0.0)) / steps for name, v in found.items()}

    def speed(self, info: Info) -> float:
        """Give the words a second.

        info (dict): What the training loop reports.
        RETURNS (float): 0 where no time went by.
        """
        seconds = info["seconds"] - self.last["seconds"]
        return (info["words"] - self.last["words"]) / seconds if seconds > 0 else 0.0

    def data_wait(self, info: Info) -> float | None:
        """Give the seconds in which training waited for data.

        info (dict): What the training loop reports.
        RETURNS (float | None): None where the loop does not say.
        """
        waited = info.get("data_wait")
        return None if waited is None else waited - self.last["data_wait"]

    def end(self, info: Info) -> None:
        """Begin the next window.

        info (dict): What the training loop reports.
        """
        self.last = {key: info.get(key) or 0 for key in TOTALS}
        # the loop counts losses from one evaluation to the next
        evaluated = info["score"] is not None
        self.losses = {} if evaluated else {k: float(v) for k, v in info["losses"].items()}


def make_row(info: Info, window: Window, pipes: Sequence[tuple[str, Any]]) -> Row:
    """Say all that is known of the steps since the last row.

    info (dict): What the training loop reports.
    window (Window): The steps.
    pipes (Sequence[tuple]): Names and components.
    RETURNS (dict): The row; "losses" are means per step in nats, "weights" those of the terms at
        the next step, "data_wait" the seconds since the last row, "time" that of the clock; the
        scores are None between evaluations.
    """
    window.catch_up(info)
    return {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **{name: info[name] for name in COUNTS if name in info},
        "words_per_second": window.speed(info),
        "data_wait": window.data_wait(info),
        "learn_rate": info.get("learn_rate"),
        "losses": window.mean_losses(info),
        "weights": {n: p.weights() for n, p in pipes if isinstance(p, SemiSupervisedPipe)},
        "score": info["score"],
        "scores": info["other_scores"],
    }
