"""Raw text in files of several formats: finding them, reading them, comparing texts."""

import re
from collections.abc import Iterable, Iterator
from glob import glob
from pathlib import Path

from .raw_errors import ErrorHandlerT, RawTextError, Rejects, raise_error
from .raw_formats import FORMATS, MAX_LINE_BYTES, RawRecord, Source, get_suffix, read_file

__all__ = [
    "FORMATS",
    "ErrorHandlerT",
    "RawRecord",
    "RawTextError",
    "Rejects",
    "find_files",
    "normalize_text",
    "raise_error",
    "read_records",
    "read_texts",
]

NOT_ALPHANUMERIC = re.compile(r"[\W_]+")


def normalize_text(text: str) -> str:
    """Reduce a text to what is compared when corpora are checked for overlap.

    text (str): Any text.
    RETURNS (str): Its letters and digits in lower case.
    """
    return NOT_ALPHANUMERIC.sub("", text.lower())


def read_texts(path: str | Path, *, on_error: ErrorHandlerT = raise_error) -> Iterator[str]:
    """Read the texts of a corpus without a pipeline.

    path (str | Path): A file, a glob pattern or a folder.
    on_error (Callable): What to do about a bad line; raises by default.
    YIELDS (str): The texts in the order of the files.
    """
    for record in read_records(find_files(path), on_error=on_error):
        yield record.join()


def read_records(
    files: Iterable[Path], *, on_error: ErrorHandlerT, max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[RawRecord]:
    """Read files of known suffixes one after the other.

    files (Iterable[Path]): The files.
    on_error (Callable): Called with the error of each bad line; reading goes on if it returns.
    max_line_bytes (int): Longer lines are errors.
    YIELDS (RawRecord): The records in the order of the files.
    """
    for file in files:
        yield from read_file(Source(file, on_error, max_line_bytes=max_line_bytes))


def find_files(path: str | Path, *, ignore: str | Path | None = None) -> list[Path]:
    """Find the files of a corpus.

    path (str | Path): A file, a glob pattern or a folder.
    ignore (str | Path | None): A file to leave out.
    RETURNS (list[Path]): The files with a known suffix, sorted.
    RAISES (ValueError): If there is none.
    """
    root = Path(path)
    if root.is_dir():
        # The slash marks the start of each name, and a dot there a hidden file or folder.
        found = [f for f in root.rglob("*") if "/." not in f"/{f.relative_to(root).as_posix()}"]
    else:
        names = [path] if root.is_file() else glob(str(path), recursive=True)
        found = [Path(name) for name in names]
    ignored = None if ignore is None else Path(ignore).resolve()
    files = [file for file in found if get_suffix(file) in FORMATS and file.is_file()]
    files = sorted(file for file in files if file.resolve() != ignored)
    if not files:
        suffixes = ", ".join(s if s == ".parquet" else f"{s}[.gz]" for s in FORMATS)
        raise ValueError(
            f"{path}: a raw corpus is a file or files with suffix {suffixes}, got none"
        )
    return files
