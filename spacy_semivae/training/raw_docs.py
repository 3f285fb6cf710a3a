"""From a record of raw text to the pieces that a stream gives out, and on to Examples."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy
from numpy.typing import NDArray
from spacy.attrs import NORM, ORTH, SPACY
from spacy.tokens import Doc
from spacy.training import Example
from thinc.types import Ints2d

from .private_vocab import RawVocab
from .raw_errors import RawTextError
from .raw_formats import RawRecord

TOKEN_ATTRS = [ORTH, SPACY, NORM]


class Place(NamedTuple):
    """Where a piece of raw text stands: number of the file from 0, line from 1, piece from 0."""

    file: int = 0
    line: int = 0
    piece: int = 0


@dataclass(frozen=True)
class Tokens:
    """The tokens of a Doc without the Doc: what waits holds on to no vocabulary."""

    words: list[str]
    spaces: list[bool] | None  # None where they are unknown
    norms: NDArray[numpy.uint64]  # hashes, (N,)
    doc: Doc | None = None  # kept where its vocabulary is not a private one

    def text(self) -> str:
        """RETURNS (str): The text, with a space after each word where spaces are unknown."""
        spaces = self.spaces or [True] * len(self.words)
        return "".join(word + " " * space for word, space in zip(self.words, spaces))


@dataclass(frozen=True)
class Item:
    """A piece of raw text and where it stands."""

    place: Place
    tokens: Tokens


def make_doc(vocab: RawVocab, record: RawRecord, *, any_length: bool) -> Doc:
    """Make the Doc of a record.

    vocab (RawVocab): Tokenizes.
    record (RawRecord): A text, or words.
    any_length (bool): Whether the pipeline's `max_length` is of no matter.
    RETURNS (Doc): The Doc.
    RAISES (RawTextError): If the tokenizer refuses the text.
    """
    try:
        if record.words is None:
            return vocab.tokenize(record.text, any_length=any_length)
        return vocab.join(record.words, record.spaces)
    except ValueError as error:
        rule = f"the text must suit the tokenizer ({error})"
        raise RawTextError(record.path, record.line, rule, record.join()) from error


def split_doc(
    doc: Doc, starts: Sequence[int], max_length: int, *, keep_doc: bool
) -> Iterator[Tokens]:
    """Split a Doc into pieces, at sentence starts where there are any.

    doc (Doc): A Doc of at least one token.
    starts (Sequence[int]): Sentence starts, sorted; without any those that the Doc knows.
    max_length (int): Tokens of a piece; 0 for no limit.
    keep_doc (bool): Whether a Doc that is not split is to be given out itself.
    YIELDS (Tokens): The pieces.
    """
    array: Any = doc.to_array(TOKEN_ATTRS)
    strings = doc.vocab.strings
    words = [strings[orth] for orth in array[:, 0].tolist()]
    spaces = None if doc.has_unknown_spaces else [space != 0 for space in array[:, 1].tolist()]
    norms = numpy.ascontiguousarray(array[:, 2])
    if not max_length or len(doc) <= max_length:
        yield Tokens(words, spaces, norms, doc if keep_doc else None)
        return
    starts = starts or [token.i for token in doc if token.is_sent_start]
    for begin, end in find_cuts(len(doc), starts, max_length):
        part = None if spaces is None else spaces[begin:end]
        yield Tokens(words[begin:end], part, norms[begin:end].copy())


def find_cuts(length: int, starts: Sequence[int], max_length: int) -> Iterator[tuple[int, int]]:
    """Find where a long Doc is cut.

    length (int): Its tokens.
    starts (Sequence[int]): Sentence starts, sorted.
    max_length (int): Tokens of a piece.
    YIELDS (tuple[int, int]): First token of a piece and the one behind its last.
    """
    starts, begin = [0, *starts], 0
    while begin < length:
        end = begin + max_length
        last = starts[bisect_right(starts, end) - 1] if end < length else 0
        end = last if last > begin else min(end, length)
        yield begin, end
        begin = end


def make_example(vocab: RawVocab, tokens: Tokens) -> Example:
    """Make an Example of which neither side is annotated by gold.

    vocab (RawVocab): Gives the vocabulary.
    tokens (Tokens): A piece of raw text.
    RETURNS (Example): `predicted` is the tokenizer's Doc, `reference` has its tokens alone.
    """
    doc = tokens.doc
    if doc is None:
        doc = vocab.join(tokens.words, tokens.spaces)
        doc.from_array([NORM], cast(Ints2d, tokens.norms[:, None]))
    # Some tokenizers annotate: the reference must be a Doc of its own, or predictions would be
    # read as gold.
    orths: Any = doc.to_array(ORTH)
    return Example(doc, Doc(doc.vocab, words=orths.tolist(), spaces=tokens.spaces))
