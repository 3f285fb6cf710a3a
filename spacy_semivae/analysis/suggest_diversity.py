"""Texts that differ: vectors of texts, and a choice that covers them.

Paper: Sener and Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach"
(ICLR 2018), algorithm 1.
"""

from collections.abc import Sequence
from typing import Any

import numpy
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model

from ..pipeline.base import SemiSupervisedPipe

Vectors = NDArray[numpy.float32]


def text_vectors(pipe: SemiSupervisedPipe, docs: Sequence[Doc]) -> Vectors:
    """Give what a component's encoder makes of texts.

    pipe (SemiSupervisedPipe): The component.
    docs (Sequence[Doc]): Texts with a token at least, as the components before it left them.
    RETURNS (ndarray): Means over the tokens' states, or the state that a text classifier's own
        LSTM ends with, of length 1 each, (B, width).
    """
    model: Model[Any, Any] = pipe.model
    if not docs:
        return numpy.zeros((0, 0), dtype="f")
    if model.has_ref("tok2vec"):
        states = model.get_ref("tok2vec").predict(docs)
        X = numpy.stack([model.ops.to_numpy(rows.mean(0)) for rows in states])
    else:
        X = classifier_inputs(pipe, docs)
    return (X / numpy.linalg.norm(X, axis=1, keepdims=True).clip(min=1e-12)).astype("f")


def classifier_inputs(pipe: SemiSupervisedPipe, docs: Sequence[Doc]) -> Vectors:
    """RETURNS (ndarray): What the last layer of a text classifier reads, (B, width)."""
    module = pipe.model.shims[0].module  # type: ignore[attr-defined]
    seen: list[Vectors] = []
    hook = module.classifier.register_forward_pre_hook(
        lambda layer, inputs: seen.append(inputs[0].detach().cpu().numpy())
    )
    try:
        pipe.predict(docs)
    finally:
        hook.remove()
    return numpy.concatenate(seen)


def k_center(X: Vectors, n: int, known: Vectors | None = None) -> list[int]:
    """Choose texts one by one, each the one that is farthest from those chosen before.

    X (ndarray): Vectors of length 1, the most wanted text first, (N, width).
    n (int): How many; no more than there are.
    known (ndarray | None): Vectors of texts that are labelled already, (K, width); with None the
        first text is the first choice.
    RETURNS (list[int]): Rows of X in the order of their choice.
    """
    chosen: list[int] = []
    nearest = numpy.full(len(X), -2.0, dtype="f")  # similarity to the nearest that is chosen
    if known is not None and len(known):
        nearest = (X @ known.T).max(1)
    for _ in range(min(n, len(X))):
        i = int(nearest.argmin())
        chosen.append(i)
        nearest = numpy.maximum(nearest, X @ X[i])
        nearest[chosen] = numpy.inf
    return chosen
