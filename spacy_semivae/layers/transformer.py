"""A Hugging Face encoder that is never trained, as a tok2vec layer that encodes each Doc once."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import numpy
from spacy.tokens import Doc
from spacy_transformers.data_classes import FullTransformerBatch
from spacy_transformers.util import batch_by_length
from thinc.api import Model, Ops, torch2xp
from thinc.types import Floats2d, Ints1d, Ragged

from .cache import Array, VectorCache, text_key
from .char_word import EncoderT
from .frozen_encoder import FrozenEncoder, FrozenShim, Reading


def frozen_transformer(
    name: str, *, reading: Reading, cache: VectorCache, max_batch_items: int
) -> EncoderT:
    """Wrap a Hugging Face encoder as a tok2vec layer without trainable weights.

    name (str): A name on the hub or a folder; read by `initialize` only.
    reading (Reading): Layer, pooling over pieces, windows.
    cache (VectorCache): Keeps the vectors of each Doc.
    max_batch_items (int): Tokens, with padding, in a call of the encoder; a longer Doc has its own.
    RETURNS (Model[List[Doc], List[Floats2d]]): The layer.
    """
    return Model(
        "frozen_transformer",
        forward,
        init=init,
        dims={"nO": None},
        layers=[FrozenEncoder(name, FrozenShim(reading))],
        # neither attribute can be saved: a loaded model has those of its config
        attrs={"cache": cache, "batch": partial(batch_by_length, max_words=max_batch_items)},
    )


def forward(
    model: EncoderT, docs: Sequence[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    """Encode Docs, in training as in prediction; `backprop` drops the gradient."""

    def backprop(dY: list[Floats2d]) -> list[Doc]:
        return []

    cache: VectorCache = model.attrs["cache"]
    keys = [text_key(doc) for doc in docs]
    found = dict(zip(keys, cache.get(get_shim(model).fingerprint, keys)))
    found.update(encode_new(model, {k: d for k, d in zip(keys, docs) if found[k] is None}))
    return [model.ops.asarray2f(cast(Floats2d, found[key])) for key in keys], backprop


def encode_new(model: EncoderT, docs: dict[str, Doc]) -> dict[str, Array]:
    """Compute the vectors of Docs, in batches, and hand them to the cache.

    model (Model): The layer.
    docs (dict[str, Doc]): Different Docs by key.
    RETURNS (dict[str, ndarray]): float32, a row for each token, by key.
    """
    found = {key: numpy.zeros((0, model.get_dim("nO")), dtype="float32") for key in docs}
    keys = [key for key, doc in docs.items() if len(doc)]
    for indices in model.attrs["batch"]([docs[key] for key in keys]):
        batch = [keys[i] for i in indices]
        vectors = encode(model, [docs[key] for key in batch])
        arrays = [model.ops.to_numpy(array) for array in vectors]
        owner = get_shim(model).fingerprint
        found.update(zip(batch, model.attrs["cache"].put(owner, batch, arrays)))
    return found


def encode(model: EncoderT, docs: Sequence[Doc]) -> list[Floats2d]:
    """Compute the vectors of Docs that each have a token.

    model (Model): The layer.
    docs (Sequence[Doc]): The Docs, each one once.
    RETURNS (list[Floats2d]): A row for each token.
    """
    reading = get_shim(model).reading
    batch: FullTransformerBatch = model.layers[0].predict(docs)
    output: Any = batch.model_output
    hidden = output.last_hidden_state
    if reading.layer != -1:
        hidden = output.hidden_states[reading.layer]
    X = cast(Floats2d, torch2xp(hidden.float().reshape(-1, hidden.shape[-1])))
    Y = pool(model.ops, X, batch.align, reading.pooling)
    return model.ops.xp.split(Y, numpy.cumsum([len(doc) for doc in docs])[:-1])


def pool(ops: Ops, X: Floats2d, align: Ragged, pooling: str) -> Floats2d:
    """Reduce each token's pieces to one vector.

    ops (Ops): Where the arrays live.
    X (Floats2d): Vectors of all pieces.
    align (Ragged): For each token the rows of its pieces; in overlapping windows it has several.
    pooling (str): "mean", "first", "last" or "max".
    RETURNS (Floats2d): A row for each token, zeros for one without pieces.
    """
    lengths = ops.asarray1i(align.lengths)
    some = lengths > 0
    Y = ops.alloc2f(len(lengths), X.shape[1])
    if some.any():
        pieces = X[ops.asarray1i(cast(Ints1d, align.dataXd))]
        reduced = getattr(ops, f"reduce_{pooling}")(pieces, lengths[some])
        Y[some] = reduced[0] if isinstance(reduced, tuple) else reduced
    return Y


def init(model: EncoderT, X: Any = None, Y: Any = None) -> None:
    """Load the encoder, unless a saved one was loaded before.

    RAISES (ValueError): When the encoder has no such layer.
    """
    encoder, shim = model.layers[0], get_shim(model)
    if shim._model is None:
        shim.load(encoder.attrs["name"])
    config = shim.encoder.config
    layer, depth = shim.reading.layer, config.num_hidden_layers
    if not -depth - 1 <= layer <= depth:
        raise ValueError(
            f"layer must be between {-depth - 1} and {depth} for {encoder.attrs['name']}, but got "
            f"{layer} (0 is the embedding, -1 the last layer)"
        )
    encoder.set_dim("nO", config.hidden_size)
    model.set_dim("nO", config.hidden_size)


def get_shim(model: EncoderT) -> FrozenShim:
    """Give the shim that holds the encoder of a `frozen_transformer`."""
    return model.layers[0].layers[0].shims[0]  # type: ignore[return-value]
