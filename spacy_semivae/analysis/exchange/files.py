"""Files of annotation tools: a record a line in `.jsonl`, a list of records in `.json`."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import srsly

from ...training.files import replacing
from ..convert_lines import bad_line, read_lines
from . import argilla, doccano, labelstudio, prodigy
from .records import Answer, RecordError, Task


@dataclass(frozen=True)
class Format:
    """How a tool writes texts and answers."""

    write: Callable[[Task], dict[str, Any]]
    read: Callable[[Mapping[str, Any]], Answer]


FORMATS = {
    "prodigy": Format(prodigy.write, prodigy.read),
    "doccano": Format(doccano.write, doccano.read),
    "labelstudio": Format(labelstudio.write, labelstudio.read),
    "argilla": Format(argilla.write, argilla.read),
}


def find_format(name: str) -> Format:
    """Find a tool's format.

    name (str): A key of `FORMATS`.
    RETURNS (Format): The format.
    RAISES (ValueError): For another name.
    """
    if name not in FORMATS:
        raise ValueError(f"the format must be one of {', '.join(FORMATS)}, got {name!r}")
    return FORMATS[name]


def write_tasks(path: Path, tasks: Iterable[Task], format_: str) -> None:
    """Write texts with predictions, whole or not at all.

    path (Path): A `.json` file gets a list, any other a record a line.
    tasks (Iterable[Task]): The texts.
    format_ (str): A key of `FORMATS`.
    RAISES (ValueError): For another format.
    """
    write = find_format(format_).write
    lines = [srsly.json_dumps(write(task)) for task in tasks]
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = "[" + ",\n".join(lines) + "]\n" if is_list(path) else "".join(f"{x}\n" for x in lines)
    with replacing(path) as stream:
        stream.write(whole.encode())


def read_answers(path: Path, format_: str) -> Iterator[tuple[int, Answer]]:
    """Read an export.

    path (Path): The file, perhaps with `.gz`.
    format_ (str): A key of `FORMATS`.
    YIELDS (tuple[int, Answer]): The line, in a `.json` file the record's number, and the answer.
    RAISES (ValueError): For a record that breaks the format.
    """
    read = find_format(format_).read
    for number, record in read_records(path):
        try:
            if not isinstance(record, dict):
                raise RecordError("a record must be an object", record)
            yield number, read(record)
        except RecordError as error:
            raise bad_line(path, number, error.rule, error.value) from error


def read_records(path: Path) -> Iterator[tuple[int, Any]]:
    """YIELDS (tuple[int, Any]): Number and record."""
    if is_list(path):
        whole = "".join(f"{line}\n" for _, line in read_lines(path))
        found = parse(path, 0, whole)
        if not isinstance(found, list):
            raise bad_line(path, 0, "a .json file must hold a list of records", whole)
        yield from enumerate(found, start=1)
        return
    for number, line in read_lines(path):
        if line.strip():
            yield number, parse(path, number, line)


def is_list(path: Path) -> bool:
    """RETURNS (bool): Whether a file holds one list."""
    return path.name.lower().removesuffix(".gz").endswith(".json")


def parse(path: Path, number: int, text: str) -> Any:
    """RETURNS (Any): The value of a JSON text."""
    try:
        return srsly.json_loads(text)
    except (ValueError, RecursionError) as error:
        raise bad_line(path, number, f"a record must be JSON ({error})", text) from error
