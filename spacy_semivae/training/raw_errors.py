"""Bad lines of raw text: the error that names one, and what is done about it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import srsly
from spacy.util import logger

ErrorHandlerT = Callable[["RawTextError"], None]

MAX_VALUE_CHARS = 80
MAX_LOGGED_REJECTS = 10


class RawTextError(ValueError):
    """A file or a line of raw text that breaks a rule.

    path (Path): The file.
    line (int): Its line, or the position of a Doc or row, from 1; 0 for the whole file.
    rule (str): What was expected.
    value (Any): What was found; its beginning is shown.
    """

    def __init__(self, path: Path, line: int, rule: str, value: Any) -> None:
        self.path, self.line, self.rule = path, line, rule
        self.value = f"{value!r:.{MAX_VALUE_CHARS}}"
        place = f"{path}, line {line}" if line else str(path)
        super().__init__(f"{place}: {rule}, got {self.value}")


def raise_error(error: RawTextError) -> None:
    """Stop at the first bad line.

    error (RawTextError): The error of a line or of a file.
    RAISES (RawTextError): Always.
    """
    raise error


class Rejects:
    """Count, log and perhaps write down bad lines, each once however often it is read.

    path (str | Path | None): A JSONL file of file, line, rule and value, emptied by the first.
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path = None if path is None else Path(path)
        self.count = 0
        self.seen: set[tuple[Path, int]] = set()

    def __call__(self, error: RawTextError) -> None:
        """error (RawTextError): The error of a line or of a file."""
        if not self._is_new(error):
            return
        if self.path is not None:
            place = {"file": str(error.path), "line": error.line}
            entry = {**place, "rule": error.rule, "value": error.value}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a" if self.count else "w", encoding="utf8") as stream:
                stream.write(srsly.json_dumps(entry) + "\n")
        self.count += 1
        log = logger.warning if self.count <= MAX_LOGGED_REJECTS else logger.debug
        log("Skipped raw text (%d so far): %s", self.count, error)

    def _is_new(self, error: RawTextError) -> bool:
        key = (error.path, error.line)
        known = key in self.seen
        self.seen.add(key)
        return not known


class StreamRejects(Rejects):
    """Rejects of files that are read line after line, in memory that does not grow with them.

    The last bad line of each file tells which ones are new, and is all that a position must hold.

    path (str | Path | None): As for `Rejects`.
    """

    def __init__(self, path: str | Path | None) -> None:
        super().__init__(path)
        self.last: dict[str, int] = {}

    def to_dict(self) -> dict[str, Any]:
        """Say what has been rejected so far.

        RETURNS (dict[str, Any]): Plain data for `restore`.
        """
        return {"count": self.count, "last": dict(self.last)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to an earlier state; the file loses what was written since.

        state (dict): What `to_dict` gave.
        """
        self.count, self.last = state["count"], dict(state["last"])
        if self.path is not None and self.path.exists():
            lines = self.path.read_bytes().splitlines(keepends=True)
            self.path.write_bytes(b"".join(lines[: self.count]))

    def _is_new(self, error: RawTextError) -> bool:
        file = str(error.path)
        known = error.line <= self.last.get(file, -1)
        self.last[file] = max(error.line, self.last.get(file, -1))
        return not known
