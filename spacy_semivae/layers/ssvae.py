"""The SSVAE as a Thinc model: Docs to class scores, or a training batch to named loss terms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model, torch2xp, xp2torch
from thinc.types import Floats2d
from torch import Tensor

from ..modules.ssvae import PRUNED, SSVAE, Objective
from ..modules.text_words import END, Texts
from .char_word import EncoderT
from .shim import TorchShim, resize
from .targets import set_vocabulary
from .terms import UNBALANCED, ClassBalance, run_objective
from .texts import SPECIAL, make_texts, take_excerpts
from .words import count_words

SSVAET = Model[Any, Any]


@dataclass(frozen=True)
class SSVAEBatch:
    """B Docs to learn from."""

    docs: Sequence[Doc]
    labels: NDArray[numpy.int64]  # class ids, -1 for raw text, (B,)
    word_dropout: float = 0.0  # share of the decoder's inputs that are hidden, in training
    balance: ClassBalance = UNBALANCED


@dataclass(frozen=True)
class SSVAETerms:
    """Named loss terms in nats, and the KL of each unit of z, a mean over Docs."""

    terms: dict[str, float]
    unit_kl: list[float]  # empty without a generator, else of length Z


def ssvae_model(
    tok2vec: EncoderT | None,
    *,
    cfg: dict[str, Any],
    max_words: int,
    max_length: int,
    truncation: str,
    normalize: Sequence[str],
) -> SSVAET:
    """Put an SSVAE on Docs.

    tok2vec (Model[List[Doc], List[Floats2d]] | None): What the classifier reads, pooled by the
        mean; None for its own LSTM.
    cfg (dict): Settings of `modules.ssvae.SSVAE`, less what only `init` knows.
    max_words (int): Words told apart at most.
    max_length (int): Tokens read of a Doc at most; 0 for all.
    truncation (str): Which ones, see `texts.cut`.
    normalize (Sequence[str]): Rules of `words.normalize_word`.
    RETURNS (Model): Docs to logits (Floats2d, nO wide), or an `SSVAEBatch` to `SSVAETerms`.
    """
    return Model(
        "ssvae",
        forward,
        init=init,
        dims={"nO": None},
        layers=[] if tok2vec is None else [tok2vec],
        refs={} if tok2vec is None else {"tok2vec": tok2vec},
        attrs={
            "targets": [],
            "static": False,
            "use_vectors": False,
            "max_targets": max_words,
            "max_length": max_length,
            "truncation": truncation,
            "normalize": list(normalize),
            "set_vocabulary": set_vocabulary,
            "target_words": None,
            "pruned": False,
            "resize_output": resize,
            "prune": prune,
        },
        shims=[TorchShim(SSVAE, cfg)],
    )


def forward(model: SSVAET, X: Any, is_train: bool) -> tuple[Any, Callable[[Any], list[Doc]]]:
    """Score the classes of Docs, or measure the loss terms of an `SSVAEBatch`."""
    if isinstance(X, SSVAEBatch):
        return measure(model, X, is_train)
    return score(model, X), lambda dY: []


def score(model: SSVAET, docs: Sequence[Doc]) -> Floats2d:
    """Give the logits of every Doc.

    model (Model): The SSVAE.
    docs (Sequence[Doc]): The Docs.
    RETURNS (Floats2d): Logits, (B, nO).
    """
    shim: Any = model.shims[0]
    module = shim.module.eval()
    if not docs:
        return model.ops.alloc2f(0, shim.cfg["nO"])
    with torch.no_grad():
        return torch2xp(module.classify(read(model, docs)))  # type: ignore[return-value]


def measure(
    model: SSVAET, batch: SSVAEBatch, is_train: bool
) -> tuple[SSVAETerms, Callable[[dict[str, float]], list[Doc]]]:
    """Measure the loss terms; `backprop` takes the weight of each term.

    model (Model): The SSVAE.
    batch (SSVAEBatch): Docs and labels.
    is_train (bool): Sample, drop words and keep the graph; else means and no gradient.
    RETURNS (tuple): The terms and the callback.
    RAISES (ValueError): When the generator was pruned.
    """
    if model.attrs["pruned"]:
        raise ValueError(PRUNED)
    shim: Any = model.shims[0]
    excerpts = take_excerpts(model, batch.docs, is_train)
    labels, balance = torch.from_numpy(batch.labels), batch.balance.to(shim.device)

    def compute(H: Tensor) -> Objective:
        module = shim.module.train(is_train)
        return module(make_texts(excerpts, H), labels, batch.word_dropout, balance)

    objective, terms, backprop = run_objective(model, batch.docs, is_train, compute)
    return SSVAETerms(terms, objective.unit_kl.tolist()), backprop


def read(model: SSVAET, docs: Sequence[Doc], *, encode: bool = True) -> Texts:
    """Read Docs for prediction.

    model (Model): The SSVAE.
    docs (Sequence[Doc]): B Docs, at least one.
    encode (bool): Whether the classifier is to be run: what does not need it saves the encoder.
    RETURNS (Texts): The texts.
    """
    shim: Any = model.shims[0]
    excerpts = take_excerpts(model, docs, False)
    H = torch.zeros((0, shim.cfg["nI"] or 0 if encode else 0), device=shim.device)
    if encode and model.layers and any(len(doc) for doc in docs):  # not every encoder takes none
        X = model.ops.flatten(model.layers[0].predict(docs))
        H = xp2torch(X, device=shim.device)
    return make_texts(excerpts, H)


def init(model: SSVAET, X: Sequence[Doc] | None = None, Y: Any = None) -> SSVAET:
    """Initialize the encoder, if any, then the module by its width and the number of classes.

    RAISES (ValueError): Without a Doc, or when nO was not set.
    """
    if not X:
        raise ValueError("SSVAE needs Docs to initialize, but got none")
    for tok2vec in model.layers:
        tok2vec.initialize(X=X)
    if not model.attrs["targets"]:
        set_vocabulary(model, count_words(X), X[0].vocab)
    shim: Any = model.shims[0]
    shim.initialize(
        nI=model.layers[0].get_dim("nO") if model.layers else None,
        nO=model.get_dim("nO"),
        nV=len(model.attrs["targets"]) + SPECIAL,
    )
    return model


def infer(model: SSVAET, docs: Sequence[Doc], labels: NDArray[numpy.int64]) -> Floats2d:
    """Give the posterior mean of z.

    model (Model): The SSVAE.
    docs (Sequence[Doc]): B Docs, at least one.
    labels (ndarray): Class ids, -1 for the mean under q(y | x), (B,).
    RETURNS (Floats2d): (B, Z).
    RAISES (ValueError): When the generator was pruned.
    """
    shim: Any = model.shims[0]
    module, raw = shim.module.eval(), torch.from_numpy(labels).to(shim.device)[:, None]
    texts = read(model, docs)
    with torch.no_grad():
        q = module.classify(texts).softmax(1)
        known = torch.arange(q.shape[1], device=q.device) == raw
        return torch2xp(module.encode(texts, torch.where(raw < 0, q, known.to(q))))  # type: ignore[return-value]


def label_costs(model: SSVAET, docs: Sequence[Doc]) -> Floats2d:
    """Give L(x, y) of every label at the posterior means.

    model (Model): The SSVAE.
    docs (Sequence[Doc]): B Docs, at least one.
    RETURNS (Floats2d): Nats per Doc, (B, nO).
    RAISES (ValueError): When the generator was pruned.
    """
    shim: Any = model.shims[0]
    with torch.no_grad():
        return torch2xp(shim.module.eval().label_costs(read(model, docs, encode=False)))  # type: ignore[return-value]


def draw_latents(model: SSVAET, n: int, seed: int) -> NDArray[numpy.float32]:
    """Draw latents from their prior.

    model (Model): The SSVAE.
    n (int): How many.
    seed (int): Of the noise.
    RETURNS (ndarray): (n, Z).
    """
    size = (n, model.shims[0].cfg["width_z"])  # type: ignore[attr-defined]
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)).numpy()


def write(
    model: SSVAET,
    label: int,
    z: NDArray[numpy.float32],
    *,
    strategy: str,
    max_length: int,
    width: int,
    seed: int,
) -> list[list[str]]:
    """Write a text from each latent.

    model (Model): The SSVAE.
    label (int): The class.
    z (ndarray): Latents, (n, Z).
    strategy (str): "greedy", "sample" or "beam".
    max_length (int): Words of a text at most.
    width (int): Texts that "beam" follows at once.
    seed (int): Of the noise of "sample".
    RETURNS (list[list[str]]): The words of each text.
    RAISES (ValueError): For another strategy, latents of another width, or a pruned generator.
    """
    shim: Any = model.shims[0]
    width_z, words = shim.cfg["width_z"], model.attrs["targets"]
    if z.ndim != 2 or z.shape[1] != width_z:
        raise ValueError(f"latents have the shape (n, {width_z}), but got {z.shape}")
    ids = shim.module.eval().write(
        torch.full((len(z),), label, device=shim.device),
        torch.from_numpy(z).to(shim.device),
        strategy=strategy,
        max_length=max_length,
        width=width,
        generator=torch.Generator(device=shim.device).manual_seed(seed),
    )
    return [[words[i - SPECIAL] for i in row if i != END] for row in ids.tolist()]


def set_prior(model: SSVAET, prior: NDArray[numpy.float64]) -> None:
    """Tell an initialized model the prior of its classes.

    model (Model): The SSVAE.
    prior (ndarray): Probabilities, (C,).
    """
    shim: Any = model.shims[0]
    shim.module.set_prior(torch.from_numpy(prior))


def prune(model: SSVAET) -> None:
    """Remove the generator, and what only it reads; predictions stay the same to the bit.

    model (Model): The SSVAE.
    """
    shim: Any = model.shims[0]
    shim.module.prune()
    model.attrs["pruned"] |= shim.cfg["generator"]
    shim.cfg["generator"] = False
    if model.layers:
        model.attrs["targets"] = []
