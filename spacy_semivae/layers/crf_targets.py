"""The words or word pieces that the generator of a CRF-VAE tells apart."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy
from numpy.typing import NDArray
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model

from .language_model import LanguageModelT, get_vocabulary
from .pieces import Pieces, load_pieces
from .targets import PieceTargets, get_target_words, set_vocabulary

CRFVAET = Model[Any, Any]


def choose_targets(model: CRFVAET, counts: Counter[str], vocab: Vocab) -> None:
    """Choose what the generator tells apart: words or pieces that are seen twice.

    model (Model): The CRF-VAE.
    counts (Counter[str]): Occurrences of token texts in labelled and raw Docs.
    vocab (Vocab): The shared vocabulary.
    """
    if not uses_pieces(model):
        model.attrs["target_counts"] = set_vocabulary(model, counts, vocab)
        return
    load_units(model)
    # as if a space preceded each word: who has the Docs can count their pieces as they stand
    words = [".", *filter(None, counts)]  # the first has no space before it and does not count
    pieces = get_vocabulary(model).encode([Doc(vocab, words=words)])
    totals: Counter[int] = Counter()
    repeats = numpy.repeat([0, *(counts[word] for word in words[1:])], pieces.lengths)
    for piece, count in zip(pieces.ids.tolist(), repeats.tolist()):
        totals[piece] += count
    set_piece_targets(model, totals)


def load_units(model: CRFVAET) -> None:
    """Load the language model, and the tokenizer whose pieces are the units.

    model (Model): The CRF-VAE.
    """
    lm = get_lm(model)
    if lm is not None:
        model.attrs["pieces"] = lm.initialize().attrs["pieces"]
    elif not model.attrs["pieces"]:
        model.attrs["pieces"] = load_pieces(model.attrs["name"]).to_dict()


def get_lm(model: CRFVAET) -> LanguageModelT | None:
    """Give the generator's language model.

    model (Model): The CRF-VAE.
    RETURNS (Model | None): Its second layer: a reference would not outlive `Model.copy`.
    """
    return model.layers[1] if len(model.layers) > 1 else None


def uses_pieces(model: CRFVAET) -> bool:
    """Tell whether the units are word pieces.

    model (Model): The CRF-VAE.
    RETURNS (bool): True for `unit = "piece"`.
    """
    shim: Any = model.shims[0]
    return shim.cfg["pieces"]


def count_pieces(model: CRFVAET, docs: Sequence[Doc]) -> Counter[int]:
    """Count the word pieces of Docs.

    model (Model): The CRF-VAE, whose units are pieces.
    docs (Sequence[Doc]): The Docs.
    RETURNS (Counter[int]): Occurrences by number in the tokenizer.
    """
    load_units(model)
    return Counter(get_vocabulary(model).encode(docs).ids.tolist())


def set_piece_targets(model: CRFVAET, totals: Counter[int]) -> None:
    """Let the generator tell the most frequent pieces apart, those that are seen twice.

    model (Model): The CRF-VAE, whose units are pieces.
    totals (Counter[int]): Occurrences by number in the tokenizer.
    """
    chosen = sorted((piece for piece, n in totals.items() if n > 1), key=lambda p: (-totals[p], p))
    chosen = chosen[: model.attrs["max_targets"]]
    model.attrs["targets"] = chosen
    model.attrs["target_words"] = None
    found = [totals[piece] for piece in chosen]
    model.attrs["target_counts"] = [sum(totals.values()) - sum(found), *found]


def get_piece_targets(model: CRFVAET) -> PieceTargets:
    """Give the target pieces, made anew after loading or a change."""
    found = model.attrs["target_words"]
    if not isinstance(found, PieceTargets) or found.pieces is not model.attrs["targets"]:
        found = model.attrs["target_words"] = PieceTargets(model.attrs["targets"])
    return found


def encode_words(
    model: CRFVAET, docs: Sequence[Doc], pieces: Pieces | None
) -> NDArray[numpy.int64]:
    """Give what the generator is to predict at each unit.

    model (Model): The CRF-VAE.
    docs (Sequence[Doc]): The Docs.
    pieces (Pieces | None): Their word pieces, where these are the units.
    RETURNS (ndarray): Ids, 0 for unknown, (T,).
    """
    if pieces is None:
        return get_target_words(model).encode(docs)
    return get_piece_targets(model).encode(pieces.ids)
