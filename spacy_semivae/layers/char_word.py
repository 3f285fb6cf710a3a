"""The papers' encoder: character and word BiGRU over static, tuned or learned word vectors."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy
import torch
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model, torch2xp, xp2torch
from thinc.types import Floats2d
from torch import Tensor

from ..modules.precision import at_least_float32, no_autocast
from ..modules.recurrent import CharWordBiGRU
from .shim import TorchShim
from .transfer import send
from .words import (
    DistinctWords,
    WordIndex,
    WordTable,
    count_words,
    find_form,
    has_vector,
    normalize_word,
)

EncoderT = Model[list[Doc], list[Floats2d]]


@dataclass(frozen=True)
class States:
    """Character states of the words of a table under the same weights."""

    key: tuple[int, int, WordTable | None]  # shim, version of its weights, table
    known: Tensor  # whether a slot has its state, bool, on the CPU, (room,)
    values: Tensor  # (room, 2 * char_hidden)

    def cover(self, key: tuple[int, int, WordTable], slots: Tensor) -> bool:
        """Tell whether all of these words have their states.

        key (tuple): Shim, version of its weights and table.
        slots (Tensor): Places in the table, (words,).
        RETURNS (bool): Whether they have.
        """
        if self.key != key or (len(slots) and int(slots.max()) >= len(self.known)):
            return False
        return bool(self.known[slots].all())


class Spellings:
    """Character states kept between predictions; to read those that are known needs no lock."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.states = States((0, 0, None), torch.zeros(0, dtype=torch.bool), torch.zeros(0, 0))

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
        H = module(
            spelling=spell(model, words, is_train),
            lengths=torch.tensor(lengths),
            dropout=model.attrs["dropout_rate"],
            **word_inputs(model, words),
        )
        Yt = at_least_float32(H)
    offsets = numpy.cumsum(lengths)[:-1]
    Y = torch2xp(Yt.detach())

    def backprop(dY: list[Floats2d]) -> list[Doc]:
        if Yt.requires_grad:
            with no_autocast():
                Yt.backward(xp2torch(model.ops.flatten(dY), device=Yt.device))
        return []

    return model.ops.xp.split(Y, offsets), backprop


def word_inputs(model: EncoderT, words: DistinctWords) -> dict[str, Tensor | None]:
    """Bring the features of a batch's distinct words to the module's device."""
    table, device = words.table, model.shims[0].device  # type: ignore[attr-defined]
    has_static = model.attrs["embeddings"] != "learned"
    return {
        "rows": send(table.rows[words.slots], device),
        "static": send(table.vectors[words.slots], device) if has_static else None,
        "positions": send(words.positions, device),
    }


def spell(model: EncoderT, words: DistinctWords, is_train: bool) -> Tensor:
    """Encode the spelling of distinct words; when predicting, only of those not met before."""
    shim, slots = model.shims[0], torch.from_numpy(words.slots)
    if is_train:
        return encode(model, words.table, slots)
    kept: Spellings = model.attrs["spellings"]
    key = (shim.id, shim.version, words.table)  # type: ignore[attr-defined]
    states = kept.states
    if not states.cover(key, slots):
        with kept.lock:
            states = kept.states = extend(model, kept.states, key, slots)
    return states.values[slots.to(states.values.device)]


def encode(model: EncoderT, table: WordTable, slots: Tensor) -> Tensor:
    """Encode the spelling of words of a table."""
    module, device = model.shims[0].module, model.shims[0].device  # type: ignore[attr-defined]
    chars, lengths = table.characters(slots.numpy())
    return module.spell(send(chars, device), torch.from_numpy(lengths))


def extend(
    model: EncoderT, states: States, key: tuple[int, int, WordTable], slots: Tensor
) -> States:
    """Give states that cover words, by one thread at a time; what others read stays as it is."""
    shim: Any = model.shims[0]
    known, values = states.known, states.values
    if states.key != key:
        known = torch.zeros(0, dtype=torch.bool)
        width = 2 * shim.module.char_gru.gru.hidden_size
        values = torch.zeros(0, width, device=shim.device)
    size = len(key[2].slots)
    if len(known) < size:
        room = 2 * size - len(known)
        known = torch.cat((known, torch.zeros(room, dtype=torch.bool)))
        values = torch.cat((values, values.new_zeros(room, values.shape[1])))
    new = slots[~known[slots]]
    if len(new):
        values[new.to(values.device)] = encode(model, key[2], new)
        known[new] = True  # last: who sees this reads the state
    return States(key, known, values)


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
    model.attrs.pop("index", None)


def get_index(model: EncoderT) -> WordIndex:
    """Give the index of words, made anew after loading or a change of the vocabulary."""
    # no attribute without an index: a pipeline that was loaded would be saved with another byte
    index = model.attrs.get("index")
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
