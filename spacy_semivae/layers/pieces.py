"""Word pieces of Docs, encoded token by token so that no piece crosses a token.

A piece then belongs to one token, and a tagger over pieces (or a language model that predicts
them) can be read back in tokens.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray
from spacy.attrs import ORTH, SPACY
from spacy.tokens import Doc
from tokenizers import Tokenizer

from .words import read_texts

MAX_FORMS = 200_000  # distinct forms kept before the table starts anew: a stream never ends
Form = tuple[int, int]  # a token's ORTH id, and 1 where a space leads


@dataclass(frozen=True)
class Pieces:
    """Word pieces of a batch: B Docs, T pieces in all."""

    ids: NDArray[numpy.int64]  # one Doc after the other, (T,)
    lengths: NDArray[numpy.int64]  # pieces of each token, 1 at least, (tokens,)
    units: NDArray[numpy.int64]  # pieces of each Doc, (B,)


class PieceVocabulary:
    """A Hugging Face tokenizer over single tokens, its results kept by form.

    It only caches what the tokenizer says, so that copies of a model may share it.

    tokenizer (str): The fast tokenizer as JSON (`tokenizer.json`).
    unknown (int): The piece of a token that the tokenizer maps to nothing.
    start (int | None): The piece that stands before a text, None where there is none.
    """

    def __init__(self, tokenizer: str, *, unknown: int, start: int | None = None) -> None:
        self.tokenizer = tokenizer
        self.unknown = unknown
        self.start = start
        self.encoder = Tokenizer.from_str(json.dumps(plain(json.loads(tokenizer))))
        self.encoder.encode_special_tokens = True  # text that reads "<|endoftext|>" is text
        self.cache: dict[Form, list[int]] = {}

    def encode(self, docs: Sequence[Doc]) -> Pieces:
        """Give the pieces of Docs.

        A token that follows a space is encoded with that space, as byte-level BPE expects; the
        first token of a Doc never is. Other tokenizers make nothing of the space.

        docs (Sequence[Doc]): The Docs.
        RETURNS (Pieces): Their pieces; every token has one at least.
        """
        codes = [form_codes(doc) for doc in docs if len(doc)]
        if not codes:
            nothing = numpy.zeros((0,), dtype="int64")
            return Pieces(nothing, nothing, numpy.zeros((len(docs),), dtype="int64"))
        orths, slots = numpy.unique(numpy.concatenate([c[0] for c in codes]), return_inverse=True)
        spaces = numpy.concatenate([c[1] for c in codes])
        forms, slots = numpy.unique(2 * slots + spaces, return_inverse=True)
        keys = [(orth, form % 2) for orth, form in zip(orths[forms // 2].tolist(), forms.tolist())]
        ids, lengths = gather(self._look_up(keys, docs), slots)
        begins = numpy.cumsum([0, *lengths])
        units = numpy.diff(begins[numpy.cumsum([0, *map(len, docs)])])
        return Pieces(ids, lengths, units)

    def _look_up(self, keys: Sequence[Form], docs: Sequence[Doc]) -> list[list[int]]:
        """Give the pieces of distinct forms."""
        if len(self.cache) > MAX_FORMS:
            self.cache = {}  # not emptied: another thread may be reading the old one
        cache = self.cache
        new = [key for key in keys if key not in cache]
        for (orth, space), text in zip(new, read_texts(docs, [orth for orth, _ in new])):
            # one by one: a batch starts threads, which a process forked later would miss
            ids = self.encoder.encode(" " * space + text, add_special_tokens=False).ids
            cache[orth, space] = ids or [self.unknown]
        return [cache[key] for key in keys]

    def to_dict(self) -> dict[str, Any]:
        """Give what the constructor takes, for msgpack or JSON.

        RETURNS (dict): "tokenizer", "unknown" and "start".
        """
        return {"tokenizer": self.tokenizer, "unknown": self.unknown, "start": self.start}

    def __deepcopy__(self, memo: dict[int, Any]) -> "PieceVocabulary":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (restore_pieces, (self.to_dict(),))


def restore_pieces(settings: dict[str, Any]) -> PieceVocabulary:
    """Rebuild a vocabulary.

    settings (dict): What `PieceVocabulary.to_dict` gave.
    RETURNS (PieceVocabulary): The vocabulary.
    """
    return PieceVocabulary(**settings)


def load_pieces(name: str) -> PieceVocabulary:
    """Load the tokenizer of a model.

    name (str): A folder, or a name on the Hugging Face hub.
    RETURNS (PieceVocabulary): Its word pieces.
    RAISES (ValueError): Without a fast tokenizer, or without a piece for unknown text.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(name, use_fast=True, trust_remote_code=False)
    if not tokenizer.is_fast:
        raise ValueError(f"Word pieces need a fast tokenizer, but {name!r} has none")
    end = tokenizer.eos_token_id
    unknown = end if tokenizer.unk_token_id is None else tokenizer.unk_token_id
    start = end if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    if unknown is None:
        raise ValueError(f"Word pieces need an unknown or end token, but {name!r} has neither")
    return PieceVocabulary(tokenizer.backend_tokenizer.to_str(), unknown=unknown, start=start)


def plain(node: Any) -> Any:
    """Take from a tokenizer's JSON what fits texts but not tokens.

    node (Any): The JSON, or a part of it.
    RETURNS (Any): The same without truncation, padding and a space before every text.
    """
    if isinstance(node, list):
        return [plain(part) for part in node]
    if not isinstance(node, dict):
        return node
    if node.get("type") == "ByteLevel":
        return {**node, "add_prefix_space": False}
    parts = ("pre_tokenizer", "pretokenizers")  # a sequence holds its parts under the second
    found = {key: plain(value) if key in parts else value for key, value in node.items()}
    return {**found, **{key: None for key in ("truncation", "padding") if key in found}}


def form_codes(doc: Doc) -> tuple[NDArray[numpy.uint64], NDArray[numpy.int64]]:
    """Give the ORTH ids of a Doc's tokens, and 1 for each that follows a space.

    doc (Doc): A Doc of N tokens.
    RETURNS (tuple): Two arrays (N,).
    """
    array: Any = doc.to_array([ORTH, SPACY])
    spaces = numpy.zeros((len(doc),), dtype="int64")
    spaces[1:] = array[:-1, 1]
    return array[:, 0], spaces


def gather(
    rows: Sequence[Sequence[int]], slots: NDArray[numpy.intp]
) -> tuple[NDArray[numpy.int64], NDArray[numpy.int64]]:
    """Concatenate rows of different lengths in a given order.

    rows (Sequence[Sequence[int]]): The rows, each with an item at least.
    slots (ndarray): The row wanted at each place, (places,).
    RETURNS (tuple): All items, and the number of items at each place, (places,).
    """
    sizes = numpy.array([len(row) for row in rows], dtype="int64")
    lengths = sizes[slots]
    begins = (numpy.cumsum(sizes) - sizes)[slots]
    shifts = begins - (numpy.cumsum(lengths) - lengths)
    items = numpy.concatenate([numpy.asarray(row, dtype="int64") for row in rows])
    return items[numpy.arange(lengths.sum()) + numpy.repeat(shifts, lengths)], lengths
