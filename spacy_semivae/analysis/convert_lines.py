"""What the readers of annotated files share: numbered lines, errors that name them, notes."""

import gzip
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..training.raw_text import RawTextError

# What a reader did beyond the plain rules, by a phrase that can be shown: "empty tokens dropped".
Notes = Counter[str]


def read_lines(path: Path, encoding: str = "utf-8") -> Iterator[tuple[int, str]]:
    """Read a text file, perhaps with `.gz`, by line feeds alone.

    Other characters that Python counts as line ends occur inside the tokens of real corpora.

    path (Path): The file.
    encoding (str): An encoding in which a line feed is the byte 10, such as utf-8 or latin-1.
    YIELDS (tuple[int, str]): Number from 1 and text of each line without its end.
    RAISES (ValueError): If a line is not in the encoding.
    """
    opened = gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
    with cast(BinaryIO, opened) as stream:
        for number, raw in enumerate(stream, start=1):
            try:
                line = raw.decode(encoding)
            except UnicodeDecodeError as err:
                raise bad_line(path, number, f"text must be {encoding}", raw) from err
            line = line.removeprefix("\ufeff") if number == 1 else line
            yield number, line.rstrip("\r\n")


def bad_line(path: Path, line: int, rule: str, value: Any) -> RawTextError:
    """Make the error for wrong input, to be raised by the caller.

    path (Path): The file.
    line (int): Number of the line; 0 for the whole file.
    rule (str): What was expected.
    value (Any): What was found.
    RETURNS (RawTextError): The error, a ValueError.
    """
    return RawTextError(path, line, rule, value)
