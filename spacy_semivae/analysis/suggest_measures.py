"""How much a label would tell a component: measures of how unsure it is of each text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from numpy.typing import NDArray
from spacy.tokens import Doc
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..layers.ssvae import read
from ..layers.vsl import encode
from ..modules.viterbi import best_margin, transition_scores
from ..pipeline.base import SemiSupervisedPipe, split
from ..pipeline.crf_vae import CRFVAEPipe
from ..pipeline.ner import EntityMixin
from ..pipeline.ssvae import SSVAETextcat
from ..pipeline.vsl import VSLPipe

Values = NDArray[numpy.float64]


@dataclass(frozen=True)
class Scored:
    """Docs with what a component says of them."""

    pipe: SemiSupervisedPipe
    docs: Sequence[Doc]
    scores: Any  # what `pipe.predict` gave
    samples: int = 8  # of the latents
    seed: int = 0  # of the samples


def measure(by: str, scored: Scored) -> Values:
    """Measure texts.

    by (str): A key of `MEASURES`.
    scored (Scored): The texts.
    RETURNS (ndarray): Of each text, the higher the more there is to be learned from it, (B,).
    RAISES (ValueError): Where the component does not have what is measured.
    """
    if by not in MEASURES:
        raise ValueError(f"texts are chosen by one of {', '.join(MEASURES)}, got {by!r}")
    if not scored.docs:
        return numpy.zeros(0)
    return numpy.asarray(MEASURES[by](scored), dtype="float64")


def entropy(scored: Scored) -> Any:
    """Give the entropy: of the tag sequence (CRF), summed over tokens (VSL), or of the class.

    RETURNS (ndarray): Nats, (B,).
    """
    pipe = scored.pipe
    if isinstance(pipe, CRFVAEPipe):
        return pipe.read(scored.scores).entropies()
    probabilities = pipe.probabilities(scored.scores)
    return [entropies(torch.from_numpy(P)).sum().item() for P in probabilities]


def margin(scored: Scored) -> Values:
    """Give how close the second best tags, or the second class, come to the best.

    RETURNS (ndarray): -log of the ratio of their probabilities: 0 for a tie, (B,).
    """
    pipe = scored.pipe
    if isinstance(pipe, CRFVAEPipe):
        found = numpy.full(len(scored.docs), -numpy.inf)
        for chunk in pipe.read(scored.scores).chunks:
            q = chunk.q
            found[chunk.docs] = -best_margin(q.emissions, q.lengths, **q.ends).cpu().numpy()
        return found
    log_P = [torch.from_numpy(P).log() for P in pipe.probabilities(scored.scores)]
    if isinstance(pipe, SSVAETextcat):
        first, second = torch.stack(log_P).topk(2).values.T
        return (second - first).numpy()
    lengths = torch.tensor([len(x) for x in log_P])
    ends = {name: transition_scores(x) for name, x in vars(pipe.scheme.transitions()).items()}  # type: ignore[union-attr]
    return -best_margin(pad_sequence(log_P, batch_first=True), lengths, **ends).numpy()


def entities(scored: Scored) -> Any:
    """Give the expected number of entities: each has one B or one U tag.

    RETURNS (list[float]): (B,).
    RAISES (ValueError): For a component that finds no entities.
    """
    pipe = scored.pipe
    if not isinstance(pipe, EntityMixin):
        raise ValueError(
            f"expected entities need an entity recognizer, got component '{pipe.name}' "
            f"({type(pipe).__name__})"
        )
    probabilities = pipe.probabilities(scored.scores)  # O, then B, I, L and U of each type
    return [P[:, 1::4].sum() + P[:, 4::4].sum() for P in probabilities]


def disagreement(scored: Scored) -> Any:
    """Give the mutual information of labels and latents, from samples of the latents.

    Of a VSL: the labels that its classifier gives to samples from q(latents | text), summed over
    tokens. Of an SSVAE: the class by Bayes' rule, p(y | x, z) with z sampled for each class.
    RETURNS (list[float]): Nats, (B,).
    RAISES (ValueError): For a component without latents, or whose generator was pruned.
    """
    pipe: Any = scored.pipe
    vsl = isinstance(pipe, VSLPipe) and pipe.model.attrs["has_latents"]
    if not vsl and not (isinstance(pipe, SSVAETextcat) and pipe.uses_unlabeled()):
        raise ValueError(
            f"disagreement needs samples of latents, but component '{pipe.name}' "
            f"({type(pipe).__name__}) has none, or was pruned of them: use entropy or margin"
        )
    if not any(len(doc) for doc in scored.docs):
        return numpy.zeros(len(scored.docs))
    draw = sample_tags if vsl else sample_classes
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(scored.seed)
        log_P = torch.stack([draw(pipe, scored.docs) for _ in range(scored.samples)])
    P = log_P.exp()
    gap = (entropies(P.mean(0)) - entropies(P).mean(0)).clamp(min=0).cpu().numpy()
    return [part.sum() for part in split(gap, scored.scores)] if vsl else gap


def sample_tags(pipe: VSLPipe, docs: Sequence[Doc]) -> Tensor:
    """RETURNS (Tensor): Log-probabilities of the tags at one sample of the latents, (T, C)."""
    module = pipe.model.shims[0].module.eval()  # type: ignore[attr-defined]
    values, _ = module.infer(encode(pipe.model, docs), sample=True)
    return module.classifier(values[module.classifier_on]).log_softmax(1)


def sample_classes(pipe: SSVAETextcat, docs: Sequence[Doc]) -> Tensor:
    """RETURNS (Tensor): log p(y | x, z) at one sample of z for each class, (B, C)."""
    module = pipe.model.shims[0].module.eval()  # type: ignore[attr-defined]
    # in training mode this module samples z; those below it, with the dropout, stay as they are
    module.generator.training = True
    try:
        return (-module.label_costs(read(pipe.model, docs, encode=False))).log_softmax(1)
    finally:
        module.generator.training = False


def entropies(P: Tensor) -> Tensor:
    """RETURNS (Tensor): Entropies of distributions along the last axis, in nats."""
    return torch.special.entr(P).sum(-1)


MEASURES: dict[str, Callable[[Scored], Any]] = {
    "entropy": entropy,
    "margin": margin,
    "entities": entities,
    "disagreement": disagreement,
}
