"""Formats of raw text, each read record by record in bounded memory.

`.txt` (a text a line), `.jsonl` (`text`, or `tokens` and perhaps `spaces`) and `.spacy`, each
perhaps with `.gz`, and `.parquet` (columns named like the keys of `.jsonl`).
"""

import gzip
import sys
import zlib
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import srsly
from spacy.tokens import DocBin
from spacy.vocab import Vocab

from .raw_errors import ErrorHandlerT, RawTextError

UTF8_BOM = b"\xef\xbb\xbf"
READ_ERRORS = (EOFError, OSError, zlib.error)
EVERY_LINE = range(sys.maxsize)
MAX_LINE_BYTES = 10_000_000
COLUMNS = ("text", "tokens", "spaces")
ROWS = 1000  # of a row group, held at a time
SKIPPED_BYTES = 1 << 16  # of a line that is too long, held at a time


@dataclass(frozen=True)
class Source:
    """A file and what is wanted of it.

    file (Path): The file.
    on_error (Callable): Called with the error of each bad line; reading goes on if it returns.
    lines (Container[int]): The lines (Docs, rows) wanted, from 1; others are not looked at.
    max_line_bytes (int): Longer lines of `.txt` and `.jsonl` files are errors, and never held.
    """

    file: Path
    on_error: ErrorHandlerT
    lines: Container[int] = EVERY_LINE
    max_line_bytes: int = MAX_LINE_BYTES


@dataclass(frozen=True)
class RawRecord:
    """One raw text and where it stands: `text` to be tokenized, or `words` that are tokens."""

    path: Path
    line: int
    text: str = ""
    words: list[str] | None = None
    spaces: list[bool] | None = None
    sent_starts: tuple[int, ...] = ()

    def join(self) -> str:
        """RETURNS (str): The text, with a space after each word where spaces are unknown."""
        if self.words is None:
            return self.text
        spaces = self.spaces or [True] * len(self.words)
        return "".join(word + " " * space for word, space in zip(self.words, spaces))


FormatT = Callable[[Source], Iterator[RawRecord]]


def read_file(source: Source) -> Iterator[RawRecord]:
    """Read a file as its suffix says.

    source (Source): The file.
    YIELDS (RawRecord): Its records.
    """
    return FORMATS[get_suffix(source.file)](source)


def get_suffix(file: Path) -> str:
    """Give the suffix that tells the format.

    file (Path): The file.
    RETURNS (str): The suffix in lower case, without `.gz` where that may stand.
    """
    name = file.name.lower()
    return Path(name if name.endswith(".parquet.gz") else name.removesuffix(".gz")).suffix


# Lines


def _read_lines(
    parse: Callable[[Path, int, str], RawRecord], source: Source
) -> Iterator[RawRecord]:
    for number, line in _read_bytes(source):
        try:
            record = _parse_line(parse, source, number, line)
        except RawTextError as error:
            source.on_error(error)
        else:
            if record is not None:
                yield record


def _parse_line(
    parse: Callable[[Path, int, str], RawRecord], source: Source, number: int, line: bytes | None
) -> RawRecord | None:
    if line is None:
        rule = f"a line must have at most {source.max_line_bytes} bytes (max_line_bytes)"
        raise RawTextError(source.file, number, rule, "more")
    try:
        text = line.decode("utf8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise RawTextError(source.file, number, "a line must be UTF-8", line) from None
    return None if not text or text.isspace() else parse(source.file, number, text)


def _parse_json(file: Path, number: int, line: str) -> RawRecord:
    try:
        entry = srsly.json_loads(line)
    except (ValueError, RecursionError) as error:
        raise RawTextError(file, number, f"a line must be JSON ({error})", line) from error
    if not isinstance(entry, dict) or not ("text" in entry or "tokens" in entry):
        raise RawTextError(file, number, "a line must be an object with text or tokens", entry)
    return _make_record(file, number, entry)


def _make_record(file: Path, number: int, entry: dict[str, Any]) -> RawRecord:
    text, words, spaces = entry.get("text"), entry.get("tokens"), entry.get("spaces")
    # Annotation tools store tokens as objects with offsets beside the text.
    if words is None or ("text" in entry and _is_list(words, dict)):
        if not isinstance(text, str):
            raise RawTextError(file, number, "text must be a string", text)
        return RawRecord(file, number, text=text)
    if not _is_list(words, str) or "" in words:
        raise RawTextError(file, number, "tokens must be a list of non-empty strings", words)
    if spaces is not None and not (_is_list(spaces, bool) and len(spaces) == len(words)):
        raise RawTextError(file, number, f"spaces must be a list of {len(words)} booleans", spaces)
    return RawRecord(file, number, words=words, spaces=spaces)


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


def _read_bytes(source: Source) -> Iterator[tuple[int, bytes | None]]:
    number = 0
    try:
        with _open(source.file) as stream:
            for number, line in enumerate(_split_lines(stream, source.max_line_bytes), start=1):
                if number in source.lines:
                    yield number, line.removeprefix(UTF8_BOM) if line and number == 1 else line
    except READ_ERRORS as error:
        if number + 1 in source.lines:
            rule = "the file must be readable and whole"
            source.on_error(RawTextError(source.file, number + 1, rule, error))


def _split_lines(stream: BinaryIO, limit: int) -> Iterator[bytes | None]:
    """Yield lines with their ends, None for each that has more bytes than `limit`."""
    while line := stream.readline(limit + 1):
        if len(line) <= limit or line.endswith(b"\n"):
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(SKIPPED_BYTES)
        yield None


def _open(file: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(file)) if file.suffix.lower() == ".gz" else file.open("rb")


# Files that a library reads


def _read_guarded(rule: str, read: FormatT, source: Source) -> Iterator[RawRecord]:
    """Yield what `read` does; any error of a damaged file becomes ours."""
    records, number = read(source), 0
    while True:
        try:
            record = next(records, None)
        except (RawTextError, ImportError):
            raise
        # What a library raises over a damaged file is not documented, and not always its own.
        except Exception as error:
            source.on_error(RawTextError(source.file, number and number + 1, rule, error))
            return
        if record is None:
            return
        number = record.line
        yield record


def _read_docbin(source: Source) -> Iterator[RawRecord]:
    with _open(source.file) as stream:
        # A vocabulary of its own keeps the labels of the file out of the pipeline's.
        docs = DocBin().from_bytes(stream.read()).get_docs(Vocab())
    for number, doc in enumerate(docs, start=1):
        if number in source.lines:
            words = [token.text for token in doc]
            known = None if doc.has_unknown_spaces else [bool(token.whitespace_) for token in doc]
            starts = tuple(token.i for token in doc if token.is_sent_start)
            yield RawRecord(source.file, number, "", words, known, starts)


def _read_parquet(source: Source) -> Iterator[RawRecord]:
    parquet = _import_parquet(source.file).ParquetFile(source.file)
    columns = [name for name in COLUMNS if name in parquet.schema_arrow.names]
    if not {"text", "tokens"} & {*columns}:
        rule = "the file must have a column text or tokens"
        source.on_error(RawTextError(source.file, 0, rule, parquet.schema_arrow.names))
        return
    number = 0
    for group in range(parquet.num_row_groups):
        end = number + parquet.metadata.row_group(group).num_rows
        if any(row in source.lines for row in range(number + 1, end + 1)):
            for batch in parquet.iter_batches(ROWS, row_groups=[group], columns=columns):
                yield from _read_rows(source, number, batch.to_pylist())
                number += batch.num_rows
        number = end


def _read_rows(source: Source, number: int, rows: list[dict[str, Any]]) -> Iterator[RawRecord]:
    for line, row in enumerate(rows, start=number + 1):
        if line in source.lines:
            try:
                record = _make_record(source.file, line, row)
            except RawTextError as error:
                source.on_error(error)
            else:
                yield record


def _import_parquet(file: Path) -> Any:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError(
            f"{file}: Parquet files are read through pyarrow: pip install spacy-semivae[parquet]"
        ) from error
    return parquet


FORMATS: dict[str, FormatT] = {
    ".spacy": partial(_read_guarded, "the file must hold a whole DocBin", _read_docbin),
    ".jsonl": partial(_read_lines, _parse_json),
    ".txt": partial(_read_lines, RawRecord),
    ".parquet": partial(_read_guarded, "the file must be whole Parquet", _read_parquet),
}
