"""The papers' encoder: character and word BiGRU over static, tuned or learned word vectors."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy
import torch
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model, torch2xp, xp2torch
from thinc.types import Floats2d
from torch import Tensor

from ..modules.recurrent import CharWordBiGRU
from .shim import TorchShim
from .words import (
    DistinctWords,
    WordIndex,
    count_words,
    find_form,
    has_vector,
    normalize_word,
)

EncoderT = Model[list[Doc], list[Floats2d]]


@dataclass
class Spellings:
    """Character states of words, kept between predictions while the weights stay the same."""

    key: tuple[int, int, int] = (0, 0, 0)  # shim, version of its weights, generation of the index
    known: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))
    states: Tensor = field(default_factory=lambda: torch.zeros(0, 0))

    def __reduce__(self) -> tuple[Any, ...]:
        return (Spellings, ())


def char_word_bigru(
    *,
    width: int,
    char_width: int,
    char_hidden: int,
    hidden: int,
    embeddings: str,
    min_count: int,
    normalize: Sequence[str],
) -> EncoderT:
    """Wrap `modules.recurrent.CharWordBiGRU` as a tok2vec layer.

    width (int): Width of learned word embeddings; static vectors bring their own.
    char_width (int): Width of a character embedding.
    char_hidden (int): Units of the character GRU in each direction.
    hidden (int): Units of the word GRU in each direction.
    embeddings (str): "fixed" static vectors, "tuned" ones, or "learned" without static vectors.
    min_count (int): Occurrences a word needs for a row of its own (tuned and learned).
    normalize (Sequence[str]): Rules of `words.normalize_word`.
    RETURNS (Model[List[Doc], List[Floats2d]]): The layer; nO is 2 * hidden.
    """
    cfg = {
        "width": width,
        "char_width": char_width,
        "char_hidden": char_hidden,
        "hidden": hidden,
        "learned": embeddings == "learned",
    }
    return Model(
        "char_word_bigru",
        forward,
        init=init,
        dims={"nO": 2 * hidden},
        attrs={
            "dropout_rate": 0.0,
            "words": [],
            "chars": "",
            "embeddings": embeddings,
            "min_count": min_count,
            "normalize": list(normalize),
            "set_vocabulary": set_vocabulary,
            "index": None,
            "spellings": Spellings(),
        },
        shims=[TorchShim(CharWordBiGRU, cfg)],
    )


def forward(
    model: EncoderT, docs: Sequence[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    """Encode Docs; in training `backprop` takes the gradient of each Doc's rows."""
    if not docs:
        return [], lambda dY: []
    module: Any = model.shims[0].module.train(is_train)  # type: ignore[attr-defined]
    words = get_index(model).look_up(docs)
    lengths = [len(doc) for doc in docs]
    with torch.set_grad_enabled(is_train):
        Yt = module(
            spelling=spell(model, words, is_train),
            lengths=torch.tensor(lengths),
            dropout=model.attrs["dropout_rate"],
            **word_inputs(model, words),
        )
    offsets = numpy.cumsum(lengths)[:-1]
    Y = torch2xp(Yt.detach())

    def backprop(dY: list[Floats2d]) -> list[Doc]:
        if Yt.requires_grad:
            Yt.backward(xp2torch(model.ops.flatten(dY), device=Yt.device))
        return []

    return model.ops.xp.split(Y, offsets), backprop


def word_inputs(model: EncoderT, words: DistinctWords) -> dict[str, Tensor | None]:
    """Bring the features of a batch's distinct words to the module's device."""
    index, device = get_index(model), model.shims[0].device  # type: ignore[attr-defined]
    static = torch.from_numpy(index.word_vectors[words.slots]) if index.static else None
    return {
        "rows": torch.from_numpy(index.word_rows[words.slots]).to(device),
        "static": None if static is None else static.to(device),
        "positions": torch.from_numpy(words.positions).to(device),
    }


def spell(model: EncoderT, words: DistinctWords, is_train: bool) -> Tensor:
    """Encode the spelling of distinct words; when predicting, only of those not met before."""
    index, shim = get_index(model), model.shims[0]
    module, device = shim.module, shim.device  # type: ignore[attr-defined]
    slots = torch.from_numpy(words.slots)

    def encode(slots: Tensor) -> Tensor:
        chars, lengths = index.characters(slots.numpy())
        return module.spell(torch.from_numpy(chars).to(device), torch.from_numpy(lengths))

    if is_train:
        return encode(slots)
    kept: Spellings = model.attrs["spellings"]
    key = (shim.id, shim.version, index.generation)  # type: ignore[attr-defined]
    if kept.key != key:
        kept.key, kept.known = key, torch.zeros(0, dtype=torch.bool)
        kept.states = torch.zeros(0, 2 * module.char_gru.gru.hidden_size, device=device)
    if len(kept.known) < len(index.slots):
        room = 2 * len(index.slots) - len(kept.known)
        kept.known = torch.cat((kept.known, torch.zeros(room, dtype=torch.bool)))
        kept.states = torch.cat((kept.states, kept.states.new_zeros(room, kept.states.shape[1])))
    new = slots[~kept.known[slots]]
    if len(new):
        kept.states[new.to(device)] = encode(new)
        kept.known[new] = True
    return kept.states[slots.to(device)]


def init(model: EncoderT, X: Sequence[Doc] | None = None, Y: Any = None) -> EncoderT:
    """Build the module; the vocabulary comes from `set_vocabulary` or else from X.

    RAISES (ValueError): Without a Doc to learn the vocabulary from, or without vectors.
    """
    if not X:
        raise ValueError("CharWordBiGRU needs Docs to initialize its vocabulary, but got none")
    vocab = X[0].vocab
    if not model.attrs["chars"]:
        set_vocabulary(model, count_words(X), vocab)
    shim: Any = model.shims[0]
    dims = {"nC": len(model.attrs["chars"]) + 2, "nW": len(model.attrs["words"]) + 2}
    if model.attrs["embeddings"] != "learned":
        dims["width"] = vocab.vectors.shape[1]
    shim.initialize(**dims)
    return model


def set_vocabulary(model: EncoderT, counts: Counter[str], vocab: Vocab) -> None:
    """Choose the characters and words that get an embedding.

    model (Model): The encoder.
    counts (Counter[str]): Occurrences of token texts in labelled and raw Docs.
    vocab (Vocab): Holds the static vectors.
    RAISES (ValueError): When static vectors are wanted and there are none.
    """
    embeddings, rules = model.attrs["embeddings"], model.attrs["normalize"]
    if embeddings != "learned" and not vocab.vectors.shape[1]:
        raise ValueError(
            f"CharWordBiGRU with embeddings = '{embeddings}' needs word vectors, but the "
            "vocabulary has none: set [initialize] vectors, or embeddings = 'learned'"
        )
    chars: Counter[str] = Counter()
    forms: Counter[str] = Counter()
    known = has_vector(vocab) if embeddings == "tuned" else (lambda form: False)
    for word, count in counts.items():
        chars.update({char: count * n for char, n in Counter(word).items()})
        form = find_form(word, rules, known) or normalize_word(word, rules).lower()
        forms[form] += count
    # characters seen once stay unknown, so that the unknown character is trained
    model.attrs["chars"] = "".join(sorted(char for char, n in chars.items() if n > 1)) or " "
    enough = [form for form, n in forms.items() if n >= model.attrs["min_count"]]
    model.attrs["words"] = sorted(enough) if embeddings != "fixed" else []
    model.attrs["index"] = None


def get_index(model: EncoderT) -> WordIndex:
    """Give the index of words, made anew after loading or a change of the vocabulary."""
    index = model.attrs["index"]
    if index is None or index.words is not model.attrs["words"]:
        # a tuple, because a deep copy of the model keeps it and with it the index
        model.attrs["words"] = tuple(model.attrs["words"])
        model.attrs["index"] = WordIndex(
            model.attrs["words"],
            model.attrs["chars"],
            model.attrs["normalize"],
            model.attrs["embeddings"] != "learned",
        )
    return model.attrs["index"]
