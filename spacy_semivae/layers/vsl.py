"""VSL as a Thinc model: Docs to class scores, or a training batch to named loss terms."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from numpy.typing import NDArray
from spacy.tokens import Doc
from spacy.vectors import Vectors
from spacy.vocab import Vocab
from thinc.api import Model, torch2xp, xp2torch
from thinc.types import Ragged
from torch import Tensor

from ..modules.gaussian import Gaussian
from ..modules.vsl import LATENTS, VSL, Prior, Targets
from .char_word import EncoderT
from .shim import TorchShim
from .words import (
    count_words,
    find_form,
    flatten_orths,
    has_vector,
    normalize_word,
    static_vectors,
)

UNK = 0  # the target that stands for every word outside the target vocabulary
VSLT = Model[Any, Any]


@dataclass(frozen=True)
class VSLBatch:
    """Docs to learn from: B Docs, T tokens in all."""

    docs: Sequence[Doc]
    labels: NDArray[numpy.int64]  # class ids, -1 where missing, (T,)
    labeled: NDArray[numpy.bool_]  # Docs with any label, (B,)
    rejected: NDArray[numpy.int64]  # token, class, span number of rejected spans, (3, R)
    prior: Prior | None = None


@dataclass(frozen=True)
class VSLTerms:
    """Named loss terms in nats, and the posteriors they were measured at, each (T, Z)."""

    terms: dict[str, float]
    posteriors: dict[str, Gaussian]


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
        strings = docs[0].vocab.strings
        if len(self.cache) > 10 * len(self.words) + 100_000:
            self.cache.clear()
        for orth in orths.tolist():
            if orth not in self.cache:
                form = find_form(strings[orth], self.rules, self.ids.__contains__)
                self.cache[orth] = UNK if form is None else self.ids[form]
        ids = [self.cache[orth] for orth in orths.tolist()]
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
    with torch.no_grad():
        logits = shim.module.eval().classify(encode(model, docs))
    return Ragged(torch2xp(logits), model.ops.asarray1i([len(doc) for doc in docs]))


def measure(
    model: VSLT, batch: VSLBatch, is_train: bool
) -> tuple[VSLTerms, Callable[[dict[str, float]], list[Doc]]]:
    """Measure the loss terms; `backprop` takes the weight of each term.

    model (Model): The VSL.
    batch (VSLBatch): Docs, labels and priors.
    is_train (bool): Sample the latents and keep the graph; else means and no gradient.
    RETURNS (tuple): The terms and the callback.
    """
    shim: Any = model.shims[0]
    X, bp_tok2vec = model.layers[0](batch.docs, is_train)
    H = xp2torch(model.ops.flatten(X), requires_grad=is_train, device=shim.device)
    targets = make_targets(model, batch)
    table = get_target_words(model).table(batch.docs[0].vocab, shim.device)
    with torch.set_grad_enabled(is_train):
        objective = shim.module.train(is_train)(H, targets, batch.prior, table)
    values = torch.stack(list(objective.terms.values())).tolist()  # the step's one host copy
    posteriors = {name: q.detach() for name, q in objective.posteriors.items()}

    def backprop(weights: dict[str, float]) -> list[Doc]:
        # a term that is zero (no token has it) or has no weight gives no gradient; one of zeros
        # would still move its parameters by momentum
        found = zip(objective.terms.items(), values)
        parts = [weights[name] * term for (name, term), value in found if value and weights[name]]
        if parts:
            torch.stack(parts).sum().backward()
        dX = torch2xp(torch.zeros_like(H) if H.grad is None else H.grad)
        lengths = model.ops.asarray1i([len(doc) for doc in batch.docs])
        return bp_tok2vec(model.ops.unflatten(dX, lengths))  # type: ignore[call-overload]

    return VSLTerms(dict(zip(objective.terms, values)), posteriors), backprop


def make_targets(model: VSLT, batch: VSLBatch) -> Targets:
    """Bring labels and words of a batch to the module's device."""
    device = model.shims[0].device  # type: ignore[attr-defined]
    lengths = [len(doc) for doc in batch.docs]
    words = get_target_words(model).encode(batch.docs)
    arrays = (batch.labels, numpy.repeat(batch.labeled, lengths), words, batch.rejected)
    return Targets(*[torch.from_numpy(array).to(device) for array in arrays])


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


def set_vocabulary(model: VSLT, counts: Counter[str], vocab: Vocab) -> None:
    """Choose the decoder's targets: words with a vector, or without vectors words seen twice.

    model (Model): The VSL.
    counts (Counter[str]): Occurrences of token texts in labelled and raw Docs.
    vocab (Vocab): Holds the static vectors, if any.
    """
    static = vocab.vectors.shape[1] > 0
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


def get_target_words(model: VSLT) -> TargetWords:
    """Give the target vocabulary, made anew after loading or a change."""
    targets = model.attrs["target_words"]
    if targets is None or targets.words is not model.attrs["targets"]:
        model.attrs["targets"] = tuple(model.attrs["targets"])
        targets = TargetWords(
            model.attrs["targets"], model.attrs["normalize"], model.attrs["static"]
        )
        model.attrs["target_words"] = targets
    return targets


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


def resize(model: VSLT, nO: int) -> None:
    """Add classes to an initialized model.

    model (Model): The VSL.
    nO (int): Classes wanted.
    """
    shim: Any = model.shims[0]
    model.set_dim("nO", nO, force=True)
    shim.module.resize(nO)
    shim.cfg["nO"] = nO
    shim.version += 1
    shim.renew_id()


def prune(model: VSLT) -> None:
    """Remove the generator and its vocabulary; predictions stay the same to the bit.

    model (Model): The VSL.
    """
    shim: Any = model.shims[0]
    shim.module.prune()
    shim.cfg["generator"] = False
    model.attrs["targets"] = []
