"""Reader of raw text: files of several formats, streamed as Examples without annotation.

Records come from the files in a fixed order, become Docs, are filtered and split, and pass a
seeded shuffle buffer. Memory is bounded by the buffer, one line of text, one `.spacy` file and
the normalized texts of the excluded corpora.
"""

import random
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypeVar, cast

from spacy.attrs import NORM, ORTH, SPACY
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import registry
from spacy.vocab import Vocab
from thinc.types import Ints2d

from .raw_text import (
    RawRecord,
    RawTextError,
    Rejects,
    find_files,
    normalize_text,
    raise_error,
    read_records,
    read_texts,
)

ItemT = TypeVar("ItemT")

TOKEN_ATTRS = [ORTH, SPACY, NORM]


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
