"""The CRF-VAE as a Thinc model: Docs to a distribution over tags, or a batch to loss terms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model, xp2torch
from torch import Tensor, nn

from ..modules.crf_vae import CRFVAE, FULL, PARTIAL, RAW, Objective, Targets
from ..modules.units import Units, kinds_of, spread_spans, spread_tags
from ..modules.vsl import PRUNED
from .char_word import EncoderT
from .crf_targets import (
    CRFVAET,
    choose_targets,
    encode_words,
    get_lm,
    get_piece_targets,
    uses_pieces,
)
from .language_model import LanguageModelT, get_outputs, get_vocabulary, read_states
from .pieces import Pieces
from .shim import TorchShim, resize
from .terms import UNBALANCED, ClassBalance, run_objective
from .transfer import send, send_units
from .words import count_words


@dataclass(frozen=True)
class GeneratorSettings:
    """A generator as a config describes it."""

    cfg: dict[str, Any]  # settings of `modules.generators.build_generator`
    objective: str = "relaxed"  # "exact" for the factored one's sum over all tag paths
    language_model: LanguageModelT | None = None


@dataclass(frozen=True)
class CRFBatch:
    """Docs to learn from: B Docs of T tokens in all."""

    docs: Sequence[Doc]
    tags: NDArray[numpy.int64]  # one of each token, -1 where missing, (T,)
    labeled: NDArray[numpy.bool_]  # Docs with any annotation, (B,)
    rejected: NDArray[numpy.int64]  # token, tag and span number of rejected spans, (3, R)
    temperature: float  # of relaxed samples
    ratio: float = 0.15  # share of tokens in entities that is expected
    margin: float = 0.05  # how far the share may be off
    balance: ClassBalance = UNBALANCED


@dataclass(frozen=True)
class CRFTerms:
    """Named loss terms in nats, and the shares of O among what is not annotated in full."""

    terms: dict[str, float]
    shares: dict[str, float]


@dataclass(frozen=True)
class Tagging:
    """Scores of the tags of B Docs of T units in all: what q(y | x) is made of."""

    emissions: Tensor  # (T, C)
    transitions: dict[str, Tensor]  # `start` (C,), `pair` (C, C) and `end` (C,)
    units: Units
    lengths: Tensor  # units of each token, int64, on the CPU, (tokens,)
    tokens: list[int]  # tokens of each Doc


def crf_vae_model(
    tok2vec: EncoderT,
    generator: GeneratorSettings | None,
    *,
    cfg: dict[str, Any],
    max_targets: int,
    normalize: Sequence[str],
    tokenizer: str | None,
) -> CRFVAET:
    """Put a CRF-VAE on an encoder.

    tok2vec (Model[List[Doc], List[Floats2d]]): The encoder.
    generator (GeneratorSettings | None): The generator; None for the CRF alone.
    cfg (dict): Settings of `modules.crf_vae.CRFVAE`, less what only `init` knows.
    max_targets (int): Words or pieces the generator tells apart at most.
    normalize (Sequence[str]): Rules of `words.normalize_word` for the generator's words.
    tokenizer (str | None): Where units are pieces and no language model has them: their name.
    RETURNS (Model): Docs to a `Tagging`, or a `CRFBatch` to `CRFTerms`.
    """
    lm = None if generator is None else generator.language_model
    found: dict[str, Any] = {"generator": None, "objective": "relaxed"}
    if generator is not None:
        found = {"generator": generator.cfg, "objective": generator.objective}
    return Model(
        "crf_vae",
        forward,
        init=init,
        dims={"nO": None},
        layers=[tok2vec] if lm is None else [tok2vec, lm],
        refs={"tok2vec": tok2vec},
        attrs={
            "targets": [],
            "static": False,
            "use_vectors": False,
            "max_targets": max_targets,
            "normalize": list(normalize),
            "set_vocabulary": choose_targets,
            "target_words": None,
            "target_counts": [],  # of the unknown and of each target, until `init`
            "name": tokenizer,
            "pieces": {},  # what restores the pieces; saved
            "vocabulary": None,  # restored from it; not saved
            "pruned": False,
            "resize_output": resize,
            "prune": prune,
        },
        shims=[TorchShim(CRFVAE, {**cfg, **found})],
    )


def forward(model: CRFVAET, X: Any, is_train: bool) -> tuple[Any, Callable[[Any], list[Doc]]]:
    """Give the distribution over the tags of Docs, or measure the loss terms of a `CRFBatch`."""
    if isinstance(X, CRFBatch):
        return measure(model, X, is_train)
    return tag(model, X), lambda dY: []


def tag(model: CRFVAET, docs: Sequence[Doc]) -> Tagging:
    """Score the tags.

    model (Model): The CRF-VAE.
    docs (Sequence[Doc]): The Docs.
    RETURNS (Tagging): The scores, without gradient.
    """
    shim: Any = model.shims[0]
    module = shim.module.eval()
    lengths, units, _ = lay_out(model, docs)
    with torch.no_grad():
        H = torch.zeros((0, module.nI), device=shim.device)
        if len(lengths):
            X = model.ops.flatten(model.layers[0].predict(docs))
            H = xp2torch(X, device=shim.device).repeat_interleave(lengths.to(shim.device), 0)
        units = send_units(units, shim.device)
        emissions, transitions = module.emissions(H, units), module.transitions()
    return Tagging(emissions, transitions, units, lengths, [len(doc) for doc in docs])


def measure(
    model: CRFVAET, batch: CRFBatch, is_train: bool
) -> tuple[CRFTerms, Callable[[dict[str, float]], list[Doc]]]:
    """Measure the loss terms; `backprop` takes the weight of each term.

    model (Model): The CRF-VAE.
    batch (CRFBatch): Docs and annotation.
    is_train (bool): Keep the graph and use dropout; else neither.
    RETURNS (tuple): The terms and the callback.
    RAISES (ValueError): When the generator was pruned.
    """
    if model.attrs["pruned"]:
        raise ValueError(PRUNED)
    shim: Any = model.shims[0]
    lengths, units, pieces = lay_out(model, batch.docs)
    targets = make_targets(model, batch, lengths, units, pieces)

    def compute(H: Tensor) -> Objective:
        H = H if pieces is None else H.repeat_interleave(lengths.to(H.device), 0)
        try:
            return shim.module.train(is_train)(H, targets)
        except ValueError:
            check_values(H, shim.module)
            raise

    objective, terms, backprop = run_objective(model, batch.docs, is_train, compute)
    shares = {name: float(value.detach()) for name, value in objective.shares.items()}
    return CRFTerms(terms, shares), backprop


def check_values(H: Tensor, module: nn.Module) -> None:
    """Tell a run that diverged from wrong input, which has no path.

    H (Tensor): Encoded units, (T, nI).
    module (CRFVAE): The module.
    RAISES (FloatingPointError): When the encoding or a weight is not finite.
    """
    tensors = {"the encoding": H, **dict(module.named_parameters())}
    bad = [name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())]
    if bad:
        advice = "Lower the learning rate or check the vectors for NaN"
        raise FloatingPointError(f"the scores of the tags are not finite: {bad[0]}. {advice}")


def lay_out(model: CRFVAET, docs: Sequence[Doc]) -> tuple[Tensor, Units, Pieces | None]:
    """Find the units of Docs.

    model (Model): The CRF-VAE.
    docs (Sequence[Doc]): The Docs.
    RETURNS (tuple): All on the CPU: units of each token, (tokens,); their layout; the word pieces,
        where these are the units.
    """
    sizes = [len(doc) for doc in docs]
    if not uses_pieces(model):
        lengths = torch.ones(sum(sizes), dtype=torch.int64)
        return lengths, Units.of(sizes), None
    pieces = get_vocabulary(model).encode(docs)
    lengths = torch.from_numpy(pieces.lengths)
    return lengths, Units.of(pieces.units.tolist(), kinds=kinds_of(lengths)), pieces


def make_targets(
    model: CRFVAET, batch: CRFBatch, lengths: Tensor, units: Units, pieces: Pieces | None
) -> Targets:
    """Bring annotation and words of a batch to units, and to the module's device."""
    shim: Any = model.shims[0]
    device, spans = shim.device, shim.cfg["spans"]
    tags = spread_tags(torch.from_numpy(batch.tags), lengths, spans=spans)
    allowed = (tags[:, None] == torch.arange(shim.cfg["nO"])) | (tags[:, None] < 0)
    missing = torch.zeros(len(batch.docs), dtype=torch.bool)
    missing[units.docs[tags < 0]] = True
    annotation = torch.where(missing, PARTIAL, FULL)
    annotation[~torch.from_numpy(batch.labeled)] = RAW
    annotation[units.lengths == 0] = FULL  # without units nothing is open
    states = outputs = None
    lm = get_lm(model)
    if lm is not None and pieces is not None:
        states = read_states(lm, pieces)
        outputs = get_piece_targets(model).table(get_outputs(lm))
    return Targets(
        units=send_units(units, device),
        annotation=annotation,
        allowed=send(allowed, device),
        rejected=send(spread_spans(torch.from_numpy(batch.rejected), lengths), device),
        words=send(encode_words(model, batch.docs, pieces), device),
        temperature=batch.temperature,
        ratio=batch.ratio,
        margin=batch.margin,
        states=states,
        outputs=outputs,
        balance=batch.balance.to(device),
    )


def init(model: CRFVAET, X: Sequence[Doc] | None = None, Y: Any = None) -> CRFVAET:
    """Initialize the encoder, then the module by its width and the number of tags.

    RAISES (ValueError): Without a Doc, or when nO was not set.
    """
    if not X:
        raise ValueError("CRF-VAE needs Docs to initialize, but got none")
    model.layers[0].initialize(X=X)
    if not model.attrs["targets"]:
        choose_targets(model, count_words(X), X[0].vocab)
    shim: Any = model.shims[0]
    lm = get_lm(model)
    shim.initialize(
        nI=model.layers[0].get_dim("nO"),
        nO=model.get_dim("nO"),
        nV=len(model.attrs["targets"]) + 1,
        nS=None if lm is None else lm.get_dim("nO"),
    )
    if shim.module.generator is not None:
        shim.module.generator.start(torch.tensor(model.attrs["target_counts"], device=shim.device))
    model.attrs["target_counts"] = []
    return model


def set_tags(model: CRFVAET, transitions: Any, prior: NDArray[numpy.float64]) -> None:
    """Tell an initialized model which transitions its tags allow, and their prior.

    model (Model): The CRF-VAE.
    transitions (TransitionMask): `start` (C,), `pair` (C, C) and `end` (C,), bool.
    prior (ndarray): Probabilities, (C,).
    """
    shim: Any = model.shims[0]
    masks = (transitions.start, transitions.pair, transitions.end)
    shim.module.allow(*[torch.from_numpy(mask) for mask in masks])
    shim.module.set_prior(torch.from_numpy(prior))


def prune(model: CRFVAET) -> None:
    """Remove the generator, its vocabulary and its language model; predictions stay the same.

    model (Model): The CRF-VAE.
    """
    shim: Any = model.shims[0]
    shim.module.prune()
    model.attrs["pruned"] |= shim.cfg["generator"] is not None
    shim.cfg["generator"] = None
    model.attrs["targets"] = []
    lm = get_lm(model)
    if lm is not None:
        lm.shims[0]._model = None
        lm.attrs.update(pieces={}, vocabulary=None)  # the tagger has its own
