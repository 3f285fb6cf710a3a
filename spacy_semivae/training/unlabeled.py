"""Reader of raw text: files of several formats, streamed as Examples without annotation.

Records come from the files in a fixed order, become Docs, are filtered and split, and pass a
seeded shuffle buffer. Memory is bounded by the buffer, one line of text, one `.spacy` file and
the normalized texts of the excluded corpora.
"""

import gzip
import random
import re
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from glob import glob
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import srsly
from spacy.attrs import NORM, ORTH, SPACY
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.util import logger, registry
from spacy.vocab import Vocab
from thinc.types import Ints2d

ItemT = TypeVar("ItemT")
ErrorHandlerT = Callable[["RawTextError"], None]

UTF8_BOM = b"\xef\xbb\xbf"
NOT_ALPHANUMERIC = re.compile(r"[\W_]+")
TOKEN_ATTRS = [ORTH, SPACY, NORM]
READ_ERRORS = (EOFError, OSError, zlib.error)
MAX_VALUE_CHARS = 80
MAX_LOGGED_REJECTS = 10


@dataclass(eq=False)
class UnlabeledCorpus:
    """Iterate over raw text as Examples of which neither side carries annotation.

    path (str | Path | None): A file, a glob pattern or a folder (searched recursively, hidden
        files left out) of `.spacy`, `.jsonl` (`text`, or `tokens` and perhaps `spaces`; the tokens
        win) and `.txt` (a text a line) files, each perhaps with `.gz`. With None the reader raises
        when it is called.
    shuffle_buffer (int): Number of Docs among which the next is drawn; 0 or 1 keeps the file order.
    seed (int): Seed of the order; each call of the reader is an epoch with an order of its own.
    limit (int): Read only this many Docs, the first in the order of the files; 0 for all.
    min_length (int): Leave out Docs with fewer tokens, counted before a split. Empty Docs and blank
        lines are always left out.
    max_length (int): Split longer Docs into pieces of at most this many tokens, at sentence starts
        where they are annotated; 0 for no limit.
    exclude (list | str | Path | None): Corpora whose texts are left out (see `normalize_text`).
    on_error (str): "raise", or "skip" to count and log bad lines and go on.
    rejects (str | Path | None): With "skip", a JSONL file that receives the rejected lines.
    RAISES (ValueError): If a setting is out of range.

    `epoch` counts the calls; set it to repeat an epoch or to resume at one.
    """

    path: str | Path | None
    shuffle_buffer: int = field(default=10000, kw_only=True)
    seed: int = field(default=0, kw_only=True)
    limit: int = field(default=0, kw_only=True)
    min_length: int = field(default=0, kw_only=True)
    max_length: int = field(default=0, kw_only=True)
    exclude: list[str | Path] | str | Path | None = field(default=None, kw_only=True)
    on_error: str = field(default="raise", kw_only=True)
    rejects: str | Path | None = field(default=None, kw_only=True)
    epoch: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        for name in ("shuffle_buffer", "limit", "min_length", "max_length"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.on_error not in ("raise", "skip"):
            raise ValueError(f"on_error must be 'raise' or 'skip', got {self.on_error!r}")
        if self.rejects is not None and self.on_error == "raise":
            raise ValueError(f"rejects needs on_error = 'skip', got {str(self.rejects)!r}")
        self._report = raise_error if self.on_error == "raise" else Rejects(self.rejects)

    def __call__(self, nlp: Language) -> Iterator[Example]:
        """Start an epoch.

        nlp (Language): The pipeline whose tokenizer and vocabulary are used.
        RETURNS (Iterator[Example]): The examples; `predicted` is the tokenizer's Doc.
        RAISES (ValueError): If no path is set or no file is found, and for bad lines.
        """
        if self.path is None:
            raise ValueError("a raw corpus is missing: set paths.unlabeled")
        files = find_files(self.path, ignore=self.rejects)
        rng = random.Random(f"{self.seed}/{self.epoch}")
        self.epoch += 1
        docs = islice(self._read_docs(nlp, files), self.limit or None)
        return map(_make_example, _shuffle(docs, self.shuffle_buffer, rng))

    def _read_docs(self, nlp: Language, files: list[Path]) -> Iterator[Doc]:
        # The guard of nlp.make_doc against huge texts is needless where Docs are split.
        tokenize = nlp.tokenizer if self.max_length else nlp.make_doc
        for record in read_records(files, on_error=self._report):
            try:
                doc = _make_doc(nlp.vocab, tokenize, record)
            except RawTextError as error:
                self._report(error)
                continue
            if len(doc) < max(self.min_length, 1) or self._is_excluded(doc):
                continue
            for piece in _split_doc(doc, record.sent_starts, self.max_length):
                if piece is doc or not self._is_excluded(piece):
                    yield piece

    @cached_property
    def _excluded(self) -> set[str]:
        paths = [self.exclude] if isinstance(self.exclude, str | Path) else self.exclude or []
        texts = (text for path in paths for text in read_texts(path))
        # A text without letters and digits would exclude all others of its kind.
        return {normalize_text(text) for text in texts} - {""}

    def _is_excluded(self, doc: Doc) -> bool:
        return bool(self._excluded) and normalize_text(doc.text) in self._excluded


# The class is its own constructor, so that each setting has its default in one place.
create_unlabeled_corpus = registry.readers("semivae.UnlabeledCorpus.v1")(UnlabeledCorpus)


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


def _shuffle(items: Iterator[ItemT], size: int, rng: random.Random) -> Iterator[ItemT]:
    buffer = list(islice(items, max(size, 1)))
    for item in items:
        i = rng.randrange(len(buffer))
        yield buffer[i]
        buffer[i] = item
    rng.shuffle(buffer)
    yield from buffer


def _make_doc(vocab: Vocab, tokenize: Callable[[str], Doc], record: RawRecord) -> Doc:
    try:
        if record.words is None:
            return tokenize(record.text)
        return Doc(vocab, words=record.words, spaces=record.spaces)
    except ValueError as error:
        rule = f"the text must suit the tokenizer ({error})"
        raise RawTextError(record.path, record.line, rule, record.join()) from error


def _make_example(doc: Doc) -> Example:
    # Some tokenizers annotate: the reference is built from the tokens alone, and must be a Doc of
    # its own, or predictions would be read as gold.
    return Example(doc, _copy_tokens(doc, cast(Ints2d, doc.to_array(TOKEN_ATTRS))))


def _copy_tokens(doc: Doc, array: Ints2d) -> Doc:
    words, spaces, _ = array.T.tolist()
    known_spaces = None if doc.has_unknown_spaces else [bool(space) for space in spaces]
    return Doc(doc.vocab, words=words, spaces=known_spaces)


def _split_doc(doc: Doc, starts: Sequence[int], max_length: int) -> Iterator[Doc]:
    if not max_length or len(doc) <= max_length:
        yield doc
        return
    starts = (0, *(starts or (token.i for token in doc if token.is_sent_start)))
    # One array for all pieces: Span.as_doc takes time in the length of the whole Doc.
    array = cast(Ints2d, doc.to_array(TOKEN_ATTRS))
    begin = 0
    while begin < len(doc):
        end = begin + max_length
        last = starts[bisect_right(starts, end) - 1] if end < len(doc) else 0
        end = last if last > begin else min(end, len(doc))
        yield _copy_tokens(doc, array[begin:end]).from_array([NORM], array[begin:end, 2:])
        begin = end


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
