"""VSL as a Thinc model: Docs to class scores, or a training batch to named loss terms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model, torch2xp, xp2torch
from thinc.types import Ragged
from torch import Tensor

from ..modules.gaussian import Gaussian
from ..modules.vsl import LATENTS, VSL, Objective, Prior, Targets, unit_kl
from .char_word import EncoderT
from .shim import TorchShim, resize
from .targets import get_target_words, set_vocabulary
from .terms import UNBALANCED, ClassBalance, run_objective
from .transfer import send
from .words import count_words

VSLT = Model[Any, Any]


@dataclass(frozen=True)
class VSLBatch:
    """Docs to learn from: B Docs, T tokens in all."""

    docs: Sequence[Doc]
    labels: NDArray[numpy.int64]  # class ids, -1 where missing, (T,)
    labeled: NDArray[numpy.bool_]  # Docs with any label, (B,)
    rejected: NDArray[numpy.int64]  # token, class, span number of rejected spans, (3, R)
    prior: Prior | None = None
    balance: ClassBalance = UNBALANCED


@dataclass(frozen=True)
class VSLTerms:
    """Named loss terms in nats, and the posteriors they were measured at, each (T, Z)."""

    terms: dict[str, float]
    posteriors: dict[str, Gaussian]


def vsl_model(
    tok2vec: EncoderT, *, cfg: dict[str, Any], max_targets: int, normalize: Sequence[str]
) -> VSLT:
    """Put a VSL on an encoder.

    tok2vec (Model[List[Doc], List[Floats2d]]): The encoder.
    cfg (dict): Settings of `modules.vsl.VSL`, less what only `init` knows.
    max_targets (int): Words the decoder tells apart at most.
    normalize (Sequence[str]): Rules of `words.normalize_word` for the decoder's targets.
    RETURNS (Model): Docs to scores (Ragged, nO wide), or a `VSLBatch` to `VSLTerms`.
    """
    return Model(
        "vsl",
        forward,
        init=init,
        dims={"nO": None},
        layers=[tok2vec],
        refs={"tok2vec": tok2vec},
        attrs={
            "targets": [],
            "static": False,
            "use_vectors": True,
            "max_targets": max_targets,
            "has_latents": bool(LATENTS[cfg["variant"]]),
            "normalize": list(normalize),
            "set_vocabulary": set_vocabulary,
            "target_words": None,
            "resize_output": resize,
            "prune": prune,
        },
        shims=[TorchShim(VSL, cfg)],
    )


def forward(model: VSLT, X: Any, is_train: bool) -> tuple[Any, Callable[[Any], list[Doc]]]:
    """Score the classes of Docs, or measure the loss terms of a `VSLBatch`."""
    if isinstance(X, VSLBatch):
        return measure(model, X, is_train)
    return score(model, X), lambda dY: []


def score(model: VSLT, docs: Sequence[Doc]) -> Ragged:
    """Give the logits of every token at the posterior means.

    model (Model): The VSL.
    docs (Sequence[Doc]): The Docs.
    RETURNS (Ragged): Logits (T, nO) and the Docs' lengths.
    """
    shim: Any = model.shims[0]
    module, lengths = shim.module.eval(), model.ops.asarray1i([len(doc) for doc in docs])
    if not any(len(doc) for doc in docs):  # which not every encoder can take
        return Ragged(model.ops.alloc2f(0, shim.cfg["nO"]), lengths)
    with torch.no_grad():
        logits = module.classify(encode(model, docs))
    return Ragged(torch2xp(logits), lengths)


def measure(
    model: VSLT, batch: VSLBatch, is_train: bool
) -> tuple[VSLTerms, Callable[[dict[str, float]], list[Doc]]]:
    """Measure the loss terms; `backprop` takes the weight of each term.

    model (Model): The VSL.
    batch (VSLBatch): Docs, labels and priors.
    is_train (bool): Sample the latents and keep the graph; else means and no gradient.
    RETURNS (tuple): The terms and the callback.
    """
    table = get_target_words(model).table(batch.docs[0].vocab, model.shims[0].device)  # type: ignore[attr-defined]
    targets = make_targets(model, batch)
    shim: Any = model.shims[0]

    def compute(H: Tensor) -> Objective:
        return shim.module.train(is_train)(H, targets, batch.prior, table)

    objective, terms, backprop = run_objective(model, batch.docs, is_train, compute)
    posteriors = {name: q.detach() for name, q in objective.posteriors.items()}
    return VSLTerms(terms, posteriors), backprop


def make_targets(model: VSLT, batch: VSLBatch) -> Targets:
    """Bring labels and words of a batch to the module's device."""
    device = model.shims[0].device  # type: ignore[attr-defined]
    lengths = [len(doc) for doc in batch.docs]
    words = get_target_words(model).encode(batch.docs)
    arrays = (batch.labels, numpy.repeat(batch.labeled, lengths), words, batch.rejected)
    labels, labeled, found, rejected = (send(array, device) for array in arrays)
    return Targets(labels, labeled, found, rejected, batch.balance.to(device))


def init(model: VSLT, X: Sequence[Doc] | None = None, Y: Any = None) -> VSLT:
    """Initialize the encoder, then the module by its width and the number of classes.

    RAISES (ValueError): Without a Doc, or when nO was not set.
    """
    if not X:
        raise ValueError("VSL needs Docs to initialize, but got none")
    tok2vec, vocab = model.layers[0], X[0].vocab
    tok2vec.initialize(X=X)
    if not model.attrs["targets"]:
        set_vocabulary(model, count_words(X), vocab)
    shim: Any = model.shims[0]
    n_targets = len(model.attrs["targets"]) + 1
    width = vocab.vectors.shape[1] if model.attrs["static"] else shim.cfg["width"]
    shim.initialize(
        nI=tok2vec.get_dim("nO"),
        nO=model.get_dim("nO"),
        width=width,
        nV=0 if model.attrs["static"] else n_targets,
    )
    return model


def infer(model: VSLT, docs: Sequence[Doc]) -> dict[str, Gaussian]:
    """Give the posteriors of every token, each latent at the mean of those it depends on.

    model (Model): The VSL.
    docs (Sequence[Doc]): The Docs.
    RETURNS (dict[str, Gaussian]): By name of the latent, (T, Z).
    """
    with torch.no_grad():
        shim: Any = model.shims[0]
        _, posteriors = shim.module.eval().infer(encode(model, docs), sample=False)
    return posteriors


def encode(model: VSLT, docs: Sequence[Doc]) -> Tensor:
    """Run the encoder for prediction.

    model (Model): The VSL.
    docs (Sequence[Doc]): The Docs.
    RETURNS (Tensor): Encoded tokens on the module's device, (T, nI).
    """
    X = model.ops.flatten(model.layers[0].predict(docs))
    return xp2torch(X, device=model.shims[0].device)  # type: ignore[attr-defined]


def measure_units(model: VSLT, docs: Sequence[Doc], prior: Prior | None) -> list[float]:
    """Measure KL(q || prior) of each unit of the latents at the posterior means.

    model (Model): The VSL.
    docs (Sequence[Doc]): Docs of one token or more in all.
    prior (Prior | None): The priors of their tokens; None is N(0, I).
    RETURNS (list[float]): Nats a token, the units of y, then those of z; nothing without a KL.
    """
    module = model.shims[0].module.eval()  # type: ignore[attr-defined]
    if module.decoder is None or not module.variational:
        return []
    with torch.no_grad():
        values, posteriors = module.infer(encode(model, docs), sample=False)
        return unit_kl(posteriors, prior, values.get("y")).mean(0).tolist()


def prune(model: VSLT) -> None:
    """Remove the generator and its vocabulary; predictions stay the same to the bit.

    model (Model): The VSL.
    """
    shim: Any = model.shims[0]
    shim.module.prune()
    shim.cfg["generator"] = False
    model.attrs["targets"] = []
