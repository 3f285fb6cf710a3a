"""Several encoders side by side, as a frozen transformer beside character features."""

from collections.abc import Callable, Sequence
from typing import Any

from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from .char_word import EncoderT


def concat_encoders(encoders: Sequence[EncoderT]) -> EncoderT:
    """Concatenate the vectors that several encoders give each token.

    encoders (Sequence[Model]): Tok2vec layers or listeners.
    RETURNS (Model[List[Doc], List[Floats2d]]): The layer; nO is the sum of theirs.
    RAISES (ValueError): Without an encoder.
    """
    if not encoders:
        raise ValueError("ConcatEncoders needs at least one encoder, but got none")
    return Model("concat_encoders", forward, init=init, dims={"nO": None}, layers=list(encoders))


def forward(
    model: EncoderT, docs: Sequence[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    """Encode with each layer; `backprop` gives each its columns of the gradient."""
    outputs, callbacks = zip(*[layer(docs, is_train) for layer in model.layers])
    xp = model.ops.xp

    def backprop(dY: list[Floats2d]) -> list[Doc]:
        start = 0
        for output, callback in zip(outputs, callbacks):
            end = start + (output[0].shape[1] if output else 0)
            callback([xp.ascontiguousarray(dy[:, start:end]) for dy in dY])
            start = end
        return []

    return [xp.concatenate(parts, 1) for parts in zip(*outputs)], backprop


def init(model: EncoderT, X: Any = None, Y: Any = None) -> None:
    """Initialize the encoders and add up their widths."""
    for layer in model.layers:
        layer.initialize(X=X)
    model.set_dim("nO", sum(layer.get_dim("nO") for layer in model.layers))
