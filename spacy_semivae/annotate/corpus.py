"""The input of an annotation: where its names start, what it must not hold, how long it is."""

import os
from collections.abc import Sequence
from pathlib import Path

from .output import Output

CHUNK = 2**20  # bytes read at once
COUNTED = (".txt", ".jsonl")


def find_root(files: Sequence[Path]) -> Path:
    """Find the folder that names of files start from, wherever the corpus lies.

    files (Sequence[Path]): The input.
    RETURNS (Path): The folder that all of them are in.
    """
    return Path(os.path.commonpath([file.parent for file in files]))


def check_apart(source: str | Path, files: Sequence[Path], output: Output) -> None:
    """Refuse an output that a restart would read as input.

    source (str | Path): A file, a glob pattern or a folder.
    files (Sequence[Path]): The files that it stands for.
    output (Output): The output.
    RAISES (ValueError): When the output lies in the input or the input in the output.
    """
    target, folder = output.path.resolve(), output.folder.resolve()
    inside = Path(source).is_dir() and target.is_relative_to(Path(source).resolve())
    own = (target, output.rejects.resolve())
    found = [f for f in files if f.resolve() in own or f.resolve().is_relative_to(folder)]
    if inside or found:
        raise ValueError(
            f"the output must not be part of the input, got {output.path} for {source}"
        )


def count_texts(files: Sequence[Path]) -> int | None:
    """Count lines, to know how much is left to do.

    files (Sequence[Path]): The input.
    RETURNS (int | None): At least the number of texts; None where counting would mean to unpack.
    """
    if any(file.suffix.lower() not in COUNTED for file in files):
        return None
    return sum(count_lines(file) for file in files)


def count_lines(file: Path) -> int:
    """Count the lines of a file.

    file (Path): The file.
    RETURNS (int): Line ends, and one for a last line without.
    """
    lines, last = 0, b"\n"
    with file.open("rb") as stream:
        while block := stream.read(CHUNK):
            lines, last = lines + block.count(b"\n"), block[-1:]
    return lines + (last != b"\n")
