"""Reader of raw text: files of several formats, streamed as Examples without annotation.

Records come from the files in a fixed order, become tokens, are filtered and split, and pass a
seeded shuffle buffer. Memory is bounded by the buffer, the Docs made ahead, one line of text, one
`.spacy` file, the words of some ten thousand Docs and the normalized texts of the excluded corpora.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.training import Example
from spacy.util import registry

from .private_vocab import RawVocab
from .raw_docs import Item, Place, make_doc, make_example, split_doc
from .raw_errors import RawTextError, StreamRejects, raise_error
from .raw_formats import EVERY_LINE, MAX_LINE_BYTES, Source, read_file
from .raw_stream import RawStream, Snapshot
from .raw_text import find_files, normalize_text, read_texts

COUNTS = ("shuffle_buffer", "limit", "min_length", "max_length", "prefetch")


@dataclass(eq=False)
class UnlabeledCorpus:
    """Iterate over raw text as Examples of which neither side carries annotation.

    path (str | Path | None): A file, a glob pattern or a folder (searched recursively, hidden
        files left out) of `.spacy`, `.jsonl` (`text`, or `tokens` and perhaps `spaces`; the tokens
        win) and `.txt` (a text a line) files, each perhaps with `.gz`, and `.parquet` files with
        columns named like the keys. With None the reader raises when it is called.
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
    max_line_bytes (int): Longer lines of `.txt` and `.jsonl` files are bad lines, never held whole.
    prefetch (int): Docs that `stream` makes ahead in a thread; 0 for none.
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
    max_line_bytes: int = field(default=MAX_LINE_BYTES, kw_only=True)
    prefetch: int = field(default=512, kw_only=True)
    epoch: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        for name in COUNTS:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.max_line_bytes < 1:
            raise ValueError(f"max_line_bytes must be positive, got {self.max_line_bytes}")
        if self.on_error not in ("raise", "skip"):
            raise ValueError(f"on_error must be 'raise' or 'skip', got {self.on_error!r}")
        if self.rejects is not None and self.on_error == "raise":
            raise ValueError(f"rejects needs on_error = 'skip', got {str(self.rejects)!r}")
        self._report = raise_error if self.on_error == "raise" else StreamRejects(self.rejects)
        self._vocab: RawVocab | None = None

    def __call__(self, nlp: Language) -> Iterator[Example]:
        """Start an epoch; nothing is read before it is asked for.

        nlp (Language): The pipeline whose tokenizer is used. The Docs have vocabularies of their
            own where the tokenizer can be rebuilt (see `RawVocab`).
        RETURNS (Iterator[Example]): The examples; `predicted` is the tokenizer's Doc.
        RAISES (ValueError): If no path is set or no file is found, and for bad lines.
        """
        if self._vocab is None or not self._vocab.fits(nlp):
            self._vocab = RawVocab(nlp)
        reader = _CorpusReader(self, self._find_files(), self._vocab)
        stream = RawStream(reader, reader.sizes(), Snapshot(self.epoch), endless=False)
        self.epoch += 1
        return stream

    def stream(self, nlp: Language, position: dict[str, Any] | None = None) -> RawStream:
        """Start or resume a stream, read ahead by a thread where `prefetch` is set.

        It stops at the end of each epoch; who asks again gets the next one.

        nlp (Language): The pipeline, as above.
        position (dict | None): The `position` of a stream of the same files and settings: what
            follows is what would have followed there. None starts with the epoch `epoch`.
        RETURNS (RawStream): The examples, with `position`, `epoch`, `waited` and `close`.
        RAISES (ValueError): As above, and if the files are not those of the position.
        """
        files = self._find_files()
        vocab = RawVocab(nlp)
        reader = _CorpusReader(self, files, vocab)
        start, skip = Snapshot(self.epoch), 0
        if position is not None:
            _check_files(reader.sizes(), position["files"])
            start = Snapshot(**{f.name: position[f.name] for f in fields(Snapshot)})
            skip = position["skip"]
            if start.rejects is not None and isinstance(self._report, StreamRejects):
                self._report.restore(start.rejects)
        # Other tokenizers need not bear to be called from two threads.
        prefetch = self.prefetch if vocab.private else 0
        return RawStream(reader, reader.sizes(), start, skip=skip, prefetch=prefetch)

    @property
    def rejected(self) -> int:
        """RETURNS (int): The number of bad lines skipped so far."""
        return self._report.count if isinstance(self._report, StreamRejects) else 0

    def _find_files(self) -> list[Path]:
        if self.path is None:
            raise ValueError("a raw corpus is missing: set paths.unlabeled")
        return find_files(self.path, ignore=self.rejects)

    @cached_property
    def _excluded(self) -> set[str]:
        paths = [self.exclude] if isinstance(self.exclude, str | Path) else self.exclude or []
        texts = (text for path in paths for text in read_texts(path))
        # A text without letters and digits would exclude all others of its kind.
        return {normalize_text(text) for text in texts} - {""}

    def _is_excluded(self, text: str) -> bool:
        return bool(self._excluded) and normalize_text(text) in self._excluded


# The class is its own constructor, so that each setting has its default in one place.
create_unlabeled_corpus = registry.readers("semivae.UnlabeledCorpus.v1")(UnlabeledCorpus)


class _CorpusReader:
    """The corpus as a stream sees it (`raw_stream.Reader`)."""

    def __init__(self, corpus: UnlabeledCorpus, files: list[Path], vocab: RawVocab) -> None:
        self.corpus = corpus
        self.files = files
        self.vocab = vocab
        self.seed = corpus.seed
        self.shuffle_buffer = corpus.shuffle_buffer
        self.limit = corpus.limit

    def sizes(self) -> list[tuple[str, int]]:
        return [(file.name, file.stat().st_size) for file in self.files]

    def rejected(self) -> dict[str, Any] | None:
        report = self.corpus._report
        return report.to_dict() if isinstance(report, StreamRejects) else None

    def make_example(self, item: Item) -> Example:
        return make_example(self.vocab, item.tokens)

    def read(self, after: Place) -> Iterator[Item]:
        for number in range(after.file, len(self.files)):
            lines = EVERY_LINE[after.line :] if number == after.file else EVERY_LINE
            for item in self._read_file(number, lines):
                if item.place > after:
                    yield item

    def find(self, places: Sequence[Place]) -> list[Item]:
        found = dict[Place, Item]()
        for number in sorted({place.file for place in places}):
            wanted = {place for place in places if place.file == number}
            for item in self._read_file(number, {place.line for place in wanted}):
                if item.place in wanted:
                    found[item.place] = item
                    wanted.remove(item.place)
                if not wanted:
                    break
            if wanted:
                place = min(wanted)
                raise ValueError(
                    f"{self.files[number]}, line {place.line} is not what it was when the position "
                    "was saved: to resume, corpus and settings must stay the same"
                )
        return [found[place] for place in places]

    def _read_file(self, number: int, lines: Container[int]) -> Iterator[Item]:
        corpus, report = self.corpus, self.corpus._report
        source = Source(self.files[number], report, lines, corpus.max_line_bytes)
        for record in read_file(source):
            try:
                doc = make_doc(self.vocab, record, any_length=corpus.max_length > 0)
            except RawTextError as error:
                report(error)
                continue
            if len(doc) < max(corpus.min_length, 1):
                continue
            if corpus._is_excluded(doc.text):
                continue
            pieces = split_doc(
                doc, record.sent_starts, corpus.max_length, keep_doc=not self.vocab.private
            )
            for piece, tokens in enumerate(pieces):
                whole = len(tokens.words) == len(doc)
                if whole or not corpus._is_excluded(tokens.text()):
                    yield Item(Place(number, record.line, piece), tokens)


def _check_files(found: list[tuple[str, int]], expected: list[Any]) -> None:
    before = [(name, size) for name, size in expected]
    for (name, size), (old_name, old_size) in zip(found, before):
        if (name, size) != (old_name, old_size):
            raise ValueError(
                f"The raw corpus has changed since the position was saved: {old_name} of "
                f"{old_size} bytes was read where {name} of {size} bytes is now"
            )
    if len(found) != len(before):
        raise ValueError(
            f"The raw corpus has changed since the position was saved: it had {len(before)} "
            f"files and has {len(found)}"
        )
