"""Raw text in files of several formats, read line by line, each bad line named.

Formats: `.txt` (a text a line), `.jsonl` (`text`, or `tokens` and perhaps `spaces`) and `.spacy`,
each perhaps with `.gz`.
"""

import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from glob import glob
from pathlib import Path
from typing import Any, BinaryIO, cast

import srsly
from spacy.tokens import DocBin
from spacy.util import logger
from spacy.vocab import Vocab

ErrorHandlerT = Callable[["RawTextError"], None]

UTF8_BOM = b"\xef\xbb\xbf"
NOT_ALPHANUMERIC = re.compile(r"[\W_]+")
READ_ERRORS = (EOFError, OSError, zlib.error)
MAX_VALUE_CHARS = 80
MAX_LOGGED_REJECTS = 10


class RawTextError(ValueError):
    """A file or a line of raw text that breaks a rule.

    path (Path): The file.
    line (int): Its line, or the position of a Doc in a `.spacy` file, from 1; 0 for the whole file.
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
        self.seen: set[tuple[Path, int]] = set()

    def __call__(self, error: RawTextError) -> None:
        """error (RawTextError): The error of a line or of a file."""
        if (error.path, error.line) in self.seen:
            return
        if self.path is not None:
            place = {"file": str(error.path), "line": error.line}
            entry = {**place, "rule": error.rule, "value": error.value}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a" if self.seen else "w", encoding="utf8") as stream:
                stream.write(srsly.json_dumps(entry) + "\n")
        self.seen.add((error.path, error.line))
        log = logger.warning if len(self.seen) <= MAX_LOGGED_REJECTS else logger.debug
        log("Skipped raw text (%d so far): %s", len(self.seen), error)


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


def read_records(files: Iterable[Path], *, on_error: ErrorHandlerT) -> Iterator[RawRecord]:
    """Read files of known suffixes one after the other.

    files (Iterable[Path]): The files.
    on_error (Callable): Called with the error of each bad line; reading goes on if it returns.
    YIELDS (RawRecord): The records in the order of the files.
    """
    for file in files:
        yield from FORMATS[_get_suffix(file)](file, on_error)


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
    files = [file for file in found if _get_suffix(file) in FORMATS and file.is_file()]
    files = sorted(file for file in files if file.resolve() != ignored)
    if not files:
        suffixes = ", ".join(f"{suffix}[.gz]" for suffix in FORMATS)
        raise ValueError(
            f"{path}: a raw corpus is a file or files with suffix {suffixes}, got none"
        )
    return files


def _read_lines(
    parse: Callable[[Path, int, str], RawRecord], file: Path, on_error: ErrorHandlerT
) -> Iterator[RawRecord]:
    for number, line in _read_bytes(file, on_error):
        try:
            text = line.decode("utf8").rstrip("\r\n")
            record = None if not text or text.isspace() else parse(file, number, text)
        except UnicodeDecodeError:
            on_error(RawTextError(file, number, "a line must be UTF-8", line))
        except RawTextError as error:
            on_error(error)
        else:
            if record is not None:
                yield record


def _parse_json(file: Path, number: int, line: str) -> RawRecord:
    try:
        entry = srsly.json_loads(line)
    except ValueError as error:
        raise RawTextError(file, number, f"a line must be JSON ({error})", line) from error
    if not isinstance(entry, dict) or not ("text" in entry or "tokens" in entry):
        raise RawTextError(file, number, "a line must be an object with text or tokens", entry)
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


def _read_docbin(file: Path, on_error: ErrorHandlerT) -> Iterator[RawRecord]:
    # A vocabulary of its own keeps the labels of the file out of the pipeline's.
    try:
        with _open(file) as stream:
            docs = DocBin().from_bytes(stream.read()).get_docs(Vocab())
    except (*READ_ERRORS, ValueError, KeyError, TypeError) as error:
        on_error(RawTextError(file, 0, "the file must hold a whole DocBin", error))
        return
    for number, doc in enumerate(docs, start=1):
        words = [token.text for token in doc]
        spaces = None if doc.has_unknown_spaces else [bool(token.whitespace_) for token in doc]
        starts = tuple(token.i for token in doc if token.is_sent_start)
        yield RawRecord(file, number, "", words, spaces, starts)


def _read_bytes(file: Path, on_error: ErrorHandlerT) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        with _open(file) as stream:
            for number, line in enumerate(stream, start=1):
                yield number, line.removeprefix(UTF8_BOM) if number == 1 else line
    except READ_ERRORS as error:
        on_error(RawTextError(file, number + 1, "the file must be readable and whole", error))


def _open(file: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(file)) if file.suffix.lower() == ".gz" else file.open("rb")


def _get_suffix(file: Path) -> str:
    return Path(file.name.lower().removesuffix(".gz")).suffix


FORMATS: dict[str, Callable[[Path, ErrorHandlerT], Iterator[RawRecord]]] = {
    ".spacy": _read_docbin,
    ".jsonl": partial(_read_lines, _parse_json),
    ".txt": partial(_read_lines, RawRecord),
}
