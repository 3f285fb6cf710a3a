"""The rows of a log for TensorBoard."""

from collections.abc import Iterator
from typing import Any

from .log_file import Row

GROUPS = ("losses", "weights", "scores")
SINGLE = ("score", "learn_rate", "words_per_second", "data_wait", "epoch")


class Board:
    """Writes rows as scalars; the package is imported when it is first asked for.

    folder (str): Where event files are written.
    RAISES (ImportError): Where TensorBoard is not installed.
    """

    def __init__(self, folder: str) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError(
                "The logger's setting tensorboard needs the package of this name: "
                "pip install 'spacy-semivae[tensorboard]'"
            ) from error
        self._open = SummaryWriter
        self.folder = folder
        self.writer: Any = None

    def resume(self, step: int) -> None:
        """Begin to write; what was written of later steps is no longer shown.

        step (int): The last step of the run that goes on, 0 or less for a new one.
        """
        self.writer = self._open(self.folder, purge_step=max(0, step + 1))

    def write(self, row: Row) -> None:
        """Write a row.

        row (dict): The row.
        """
        for name, value in scalars(row):
            self.writer.add_scalar(name, value, row["step"])
        self.writer.flush()

    def close(self) -> None:
        """Write what is left."""
        if self.writer is not None:
            self.writer.close()


def scalars(row: Row) -> Iterator[tuple[str, float]]:
    """Give the numbers of a row.

    row (dict): The row.
    YIELDS (tuple[str, float]): Names such as "losses/tagger_kl", and values.
    """
    for name in SINGLE:
        yield from flatten(name, row.get(name))
    for name in GROUPS:
        yield from flatten(name, row.get(name))


def flatten(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """Give the numbers in a value.

    name (str): The name of the value.
    value (Any): A number, a list or a dictionary.
    YIELDS (tuple[str, float]): Names and numbers; nothing of other values.
    """
    if isinstance(value, dict):
        for key, part in value.items():
            yield from flatten(f"{name}/{key}", part)
    elif isinstance(value, list | tuple):
        for i, part in enumerate(value):
            yield from flatten(f"{name}/{i}", part)
    elif isinstance(value, int | float):
        yield name, float(value)
