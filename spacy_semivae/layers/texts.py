"""Docs as the texts that a text model reads: word ids, the end marked, long Docs cut."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model
from torch import Tensor

from ..modules.text_words import END, UNKNOWN, Texts
from .targets import UNK, get_target_words
from .transfer import send

TRUNCATIONS = ("first", "first_last", "random_crop")
NO_TOKEN = -1  # where the end of a text stands
SPECIAL = 2  # word ids before those of the vocabulary


@dataclass(frozen=True)
class Excerpts:
    """What is read of B Docs: R words, one Doc after the other."""

    words: NDArray[numpy.int64]  # ids, END after the last token of a Doc, (R,)
    tokens: NDArray[numpy.int64]  # the token among all of the Docs, NO_TOKEN for END, (R,)
    lengths: NDArray[numpy.int64]  # words of each Doc, 0 for an empty one, (B,)


def take_excerpts(model: Model[Any, Any], docs: Sequence[Doc], is_train: bool) -> Excerpts:
    """Choose and number the words that are read.

    model (Model): Its attrs hold the vocabulary, `max_length` and `truncation`.
    docs (Sequence[Doc]): B Docs, at least one.
    is_train (bool): Whether `random_crop` may choose.
    RETURNS (Excerpts): The words.
    """
    limit, rule = model.attrs["max_length"], model.attrs["truncation"]
    places: list[NDArray[numpy.int64]] = [numpy.zeros(0, dtype="int64")]
    lengths = numpy.zeros(len(docs), dtype="int64")
    start = 0
    for i, doc in enumerate(docs):
        for kept in cut(len(doc), limit, rule, is_train):
            places.append(numpy.arange(kept.start, kept.stop) + start)
            lengths[i] += len(kept)
        start += len(doc) + 1  # each Doc has a place for its end
    place = numpy.concatenate(places)
    ids = get_target_words(model).encode(docs)
    ids = numpy.where(ids == UNK, UNKNOWN, ids - UNK - 1 + SPECIAL)
    words = numpy.insert(ids, numpy.cumsum([len(doc) for doc in docs]), END)[place]
    tokens = place - numpy.repeat(numpy.arange(len(docs)), lengths)
    return Excerpts(words, numpy.where(words == END, NO_TOKEN, tokens), lengths)


def cut(length: int, limit: int, rule: str, is_train: bool) -> list[range]:
    """Choose what is read of one Doc.

    length (int): Tokens of the Doc.
    limit (int): Tokens read at most; 0 for all.
    rule (str): For longer Docs "first", "first_last" (half from each end) or "random_crop"
        (consecutive ones; the first outside of training).
    is_train (bool): Whether this is training.
    RETURNS (list[range]): Tokens, `length` being the end; an empty Doc has not even that, and one
        that is cut off before its end has no end either.
    """
    if not length:
        return []
    if not limit or length <= limit:
        return [range(length + 1)]
    if rule == "first_last":
        return [range((limit + 1) // 2), range(length - limit // 2, length + 1)]
    start = 0
    if rule == "random_crop" and is_train:
        start = int(torch.randint(length - limit + 1, ()))
    stop = start + limit
    return [range(start, stop + (stop == length))]


def make_texts(excerpts: Excerpts, H: Tensor) -> Texts:
    """Bring words to the device of encoded tokens, and pool these.

    excerpts (Excerpts): The words of B Docs.
    H (Tensor): Encoded tokens of the whole Docs; of no width without an encoder, (T, nI).
    RETURNS (Texts): The texts; their vectors are means over the tokens read, zeros without any.
    """
    lengths = torch.from_numpy(excerpts.lengths)
    words = send(excerpts.words, H.device)
    if not H.shape[1]:
        return Texts(words, lengths)
    chosen = excerpts.tokens != NO_TOKEN
    owners = numpy.repeat(numpy.arange(len(lengths)), excerpts.lengths)[chosen]
    counts = numpy.bincount(owners, minlength=len(lengths)).clip(1)
    rows = H.index_select(0, send(excerpts.tokens[chosen], H.device))
    sums = H.new_zeros((len(lengths), H.shape[1]))
    sums = sums.index_add(0, send(owners, H.device), rows)
    return Texts(words, lengths, sums / send(counts, H.device).to(H)[:, None])
