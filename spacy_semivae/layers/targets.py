"""The words that a generator tells apart: chosen once, looked up in every batch."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy
import srsly
import torch
from numpy.typing import NDArray
from spacy.tokens import Doc
from spacy.vectors import Vectors
from spacy.vocab import Vocab
from thinc.api import Model, serialize_attr
from torch import Tensor

from .words import (
    find_form,
    flatten_orths,
    has_vector,
    normalize_word,
    read_texts,
    static_vectors,
)

UNK = 0  # the target that stands for every word outside the target vocabulary


class TargetWords:
    """Ids and output vectors of the words that the decoder tells apart.

    words (Sequence[str]): Their forms; word i has id i + 1, every other word is `UNK`.
    rules (Collection[str]): Normalisation rules.
    static (bool): Whether the output matrix is the static vectors.
    """

    def __init__(self, words: Sequence[str], rules: Collection[str], static: bool) -> None:
        self.words = words
        self.rules = rules
        self.static = static
        self.ids = {form: i for i, form in enumerate(words, start=UNK + 1)}
        self.cache: dict[int, int] = {}
        self.vectors: Vectors | None = None  # those that the tables were read from
        self.tables: dict[torch.device, Tensor] = {}

    def encode(self, docs: Sequence[Doc]) -> NDArray[numpy.int64]:
        """Give the target of every token.

        docs (Sequence[Doc]): The Docs.
        RETURNS (ndarray): Ids, int64, (T,).
        """
        orths, positions = numpy.unique(flatten_orths(docs), return_inverse=True)
        if len(self.cache) > 10 * len(self.words) + 100_000:
            self.cache = {}  # not emptied: another thread may be reading the old one
        cache = self.cache
        new = [orth for orth in orths.tolist() if orth not in cache]
        for orth, text in zip(new, read_texts(docs, new)):
            form = find_form(text, self.rules, self.ids.__contains__)
            cache[orth] = UNK if form is None else self.ids[form]
        ids = [cache[orth] for orth in orths.tolist()]
        return numpy.array(ids, dtype="int64")[positions]

    def table(self, vocab: Vocab, device: torch.device) -> Tensor | None:
        """Give the fixed output matrix; the unknown word stands at the mean of the others.

        vocab (Vocab): Holds the static vectors.
        device (torch.device): Where the matrix is wanted.
        RETURNS (Tensor | None): (words + 1, width), None where the module owns its matrix.
        RAISES (ValueError): When the vectors that training began with are gone.
        """
        if not self.static:
            return None
        if vocab.vectors is not self.vectors:
            self.vectors, self.tables = vocab.vectors, {}
        if device not in self.tables:
            if not vocab.vectors.shape[1]:
                raise ValueError(
                    "This model reconstructs words by static vectors, but the vocabulary has none: "
                    "load the vectors it was initialized with"
                )
            vectors = torch.from_numpy(static_vectors(vocab, self.words))
            table = torch.cat((vectors.mean(0, keepdim=True), vectors))
            self.tables[device] = table.to(device)
        return self.tables[device]

    def __deepcopy__(self, memo: dict[int, Any]) -> "TargetWords":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (TargetWords, (self.words, self.rules, self.static))


def set_vocabulary(model: Model[Any, Any], counts: Counter[str], vocab: Vocab) -> list[int]:
    """Choose the decoder's targets: words with a vector, or without vectors words seen twice.

    model (Model): The model that generates words.
    counts (Counter[str]): Occurrences of token texts in labelled and raw Docs.
    vocab (Vocab): Holds the static vectors, if any.
    RETURNS (list[int]): Occurrences of each target, of `UNK` first.
    """
    static = model.attrs["use_vectors"] and vocab.vectors.shape[1] > 0
    rules, known = model.attrs["normalize"], has_vector(vocab)
    forms: Counter[str] = Counter()
    for word, count in counts.items():
        form = find_form(word, rules, known) if static else normalize_word(word, rules).lower()
        if form is not None:
            forms[form] += count
    chosen = [form for form, n in forms.items() if static or n > 1]
    chosen.sort(key=lambda form: (-forms[form], form))
    model.attrs["targets"] = chosen[: model.attrs["max_targets"]]
    model.attrs["static"] = static and bool(chosen)
    model.attrs["target_words"] = None
    found = [forms[form] for form in model.attrs["targets"]]
    return [sum(counts.values()) - sum(found), *found]


def get_target_words(model: Model[Any, Any]) -> TargetWords:
    """Give the target vocabulary, made anew after loading or a change."""
    targets = model.attrs["target_words"]
    if targets is None or targets.words is not model.attrs["targets"]:
        model.attrs["targets"] = tuple(model.attrs["targets"])
        targets = TargetWords(
            model.attrs["targets"], model.attrs["normalize"], model.attrs["static"]
        )
        model.attrs["target_words"] = targets
    return targets


class PieceTargets:
    """Ids and output embeddings of the word pieces that a generator tells apart.

    pieces (Sequence[int]): Their numbers in the tokenizer; piece i of the list has id i + 1.
    """

    def __init__(self, pieces: Sequence[int]) -> None:
        self.pieces = pieces
        self.ids = numpy.full(max(pieces, default=0) + 1, UNK, dtype="int64")
        self.ids[list(pieces)] = numpy.arange(UNK + 1, len(pieces) + UNK + 1)
        self.outputs: Tensor | None = None
        self.source = 0  # address of the embeddings that these were read from

    def encode(self, pieces: NDArray[numpy.int64]) -> NDArray[numpy.int64]:
        """Give the target of every piece.

        pieces (ndarray): Numbers in the tokenizer, (T,).
        RETURNS (ndarray): Ids, int64, (T,).
        """
        known = pieces < len(self.ids)
        return numpy.where(known, self.ids[numpy.where(known, pieces, 0)], UNK)

    def table(self, embeddings: Tensor) -> Tensor:
        """Give the language model's output embeddings of the targets; UNK has their mean.

        embeddings (Tensor): Those of all pieces, (pieces of the tokenizer, nS).
        RETURNS (Tensor): (targets + 1, nS).
        """
        if self.outputs is None or self.source != embeddings.data_ptr():
            places = torch.as_tensor(self.pieces, dtype=torch.int64, device=embeddings.device)
            rows = embeddings[places]
            mean = (rows if len(rows) else embeddings).mean(0, keepdim=True)
            self.outputs = torch.cat((mean, rows))
            self.source = embeddings.data_ptr()
        return self.outputs


@serialize_attr.register(TargetWords)
@serialize_attr.register(PieceTargets)
def _serialize_targets(_: Any, value: Any, name: str, model: Model[Any, Any]) -> bytes:
    """Save nothing of what is made anew: a model's bytes do not tell whether it was in use."""
    return srsly.msgpack_dumps(None)
