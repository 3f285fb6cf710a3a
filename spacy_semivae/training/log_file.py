"""The log of a run as JSON lines: one file over all of its interruptions."""

import json
import os
import warnings
from pathlib import Path
from typing import Any

from .files import replacing

Row = dict[str, Any]


def read_log(path: str | Path) -> list[Row]:
    """Read the rows of a log.

    path (str | Path): The file, which need not exist.
    RETURNS (list[dict]): The rows; lines that are no row, such as half a line, are left out.
    """
    path = Path(path)
    lines = path.read_bytes().splitlines() if path.exists() else []
    rows = []
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            rows.append(row)
    return rows


class LogFile:
    """A log to which rows are added, each by one write of a whole line.

    A run whose rows cannot be written goes on without them.

    path (str | Path): The file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def resume(self, step: int) -> list[Row]:
        """Drop the rows of steps that will be taken again, and what is left of half a line.

        step (int): The last step of the run that goes on, 0 or less for a new one.
        RETURNS (list[dict]): The rows that stay.
        """
        rows = [row for row in read_log(self.path) if row["step"] <= step]
        lines = b"".join(map(to_line, rows))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self.path.exists() or self.path.read_bytes() != lines:
                with replacing(self.path) as file:
                    file.write(lines)
        except OSError as error:
            self._warn(error)
        return rows

    def append(self, row: Row) -> None:
        """Add a row.

        row (dict): Plain data.
        """
        line = to_line(row)
        try:
            with self.path.open("ab", buffering=0) as file:
                start = file.seek(0, os.SEEK_END)
                if file.write(line) != len(line):
                    file.truncate(start)
                    raise OSError("the disk is full")
        except OSError as error:
            self._warn(error)

    def _warn(self, error: OSError) -> None:
        warnings.warn(f"The log {self.path} lacks rows: {error}", stacklevel=2)


def to_line(row: Row) -> bytes:
    """Write a row.

    row (dict): What is known; values that are not finite become null, which every reader knows.
    RETURNS (bytes): A line of JSON.
    """
    return json.dumps(plain(row), allow_nan=False, default=str).encode() + b"\n"


def plain(value: Any) -> Any:
    """Replace what JSON has no word for.

    value (Any): A value, a list or a dictionary.
    RETURNS (Any): The same with null for NaN and infinities, and arrays as lists.
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value
