"""The latents of dev Docs in the plane: y and z of a VSL, z of an SSVAE."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from spacy.training import Example
from spacy.util import minibatch

from ...labels import SpanLabels
from ...layers.vsl import infer
from ...pipeline.base import SemiSupervisedPipe
from ...pipeline.ssvae import SSVAETextcat
from ...pipeline.vsl import VSLPipe
from ..reliability import BATCH, read_gold
from .blocks import Block, Note, Plot, Section
from .generated import lack_of_generator
from .plots import draw_points

MAX_POINTS = 1000
SHARE = 4  # no label has more than this part of them: nearly all tokens are O
MAX_COLORS = 12  # labels
ACTIVE = 0.01  # variance of a unit's mean over Docs from which on it is active
CONTEXT = 3  # words to each side of one under the pointer
METHODS = ("tsne", "pca")


@dataclass(frozen=True)
class Latents:
    """Posterior means with labels.

    values (dict[str, ndarray]): By name of the latent, (n, Z).
    labels (list[str]): Of each.
    words (list[str]): The token with its context, or the text.
    unit (str): What they are of: "tokens" or "texts".
    """

    values: dict[str, NDArray[np.float32]]
    labels: list[str]
    words: list[str]
    unit: str


def show_latents(
    pipe: SemiSupervisedPipe, examples: Sequence[Example], *, method: str, seed: int
) -> Section:
    """Show the latents in the plane, coloured by label.

    pipe (SemiSupervisedPipe): The component.
    examples (Sequence[Example]): Predicted and annotated Docs.
    method (str): "tsne" or "pca".
    seed (int): Of the choice of points and of t-SNE.
    RETURNS (Section): A plot of each latent, or why there is none.
    """
    title = "Latents"
    latents = read_latents(pipe, examples, seed=seed)
    if isinstance(latents, str):
        return Section(title, blocks=[Note(f"Left out: {latents}.")])
    blocks = [
        block
        for name, values in latents.values.items()
        for block in show_latent(name, project(values, method=method, seed=seed), latents)
    ]
    how = "t-SNE" if method == "tsne" else "the first two principal components"
    lead = (
        f"Posterior means of {len(latents.labels)} {latents.unit} of the dev corpus by {how}; "
        "colours and shapes are the annotated labels."
    )
    return Section(title, lead, blocks)


def show_latent(name: str, points: NDArray[np.float64], latents: Latents) -> Iterator[Block]:
    """Show a latent in the plane.

    name (str): The latent.
    points (ndarray): Its values in the plane, (n, 2).
    latents (Latents): The values themselves, their labels and words.
    YIELDS (Block): The plot, and a warning if it carries nothing.
    """
    values, unit = latents.values[name], latents.unit
    active = int((values.var(0) > ACTIVE).sum())
    if not active:
        what = f"Posterior collapse: {name} is all but the same for all {unit}."
        yield Note(what, warning=True)
    order = [label for label, _ in Counter(latents.labels).most_common(MAX_COLORS)]
    yield Plot(
        draw_points(points, latents.labels, latents.words, order),
        f"{name} of {len(values)} {unit} in the plane, coloured by label",
        f"Latent {name}",
        f"{active} of {values.shape[1]} units vary over the {unit} (variance > {ACTIVE})",
        "half" if len(latents.values) > 1 else "full",
    )


def read_latents(
    pipe: SemiSupervisedPipe, examples: Sequence[Example], *, seed: int
) -> Latents | str:
    """Choose annotated tokens or texts and infer their latents.

    pipe (SemiSupervisedPipe): The component.
    examples (Sequence[Example]): Predicted and annotated Docs.
    seed (int): Of the choice.
    RETURNS (Latents | str): The posterior means, or why there are none.
    """
    if not isinstance(pipe, VSLPipe | SSVAETextcat):
        return "the latent of a CRF-VAE is the tag sequence, shown by the other parts"
    if isinstance(pipe, VSLPipe) and not pipe.model.attrs["has_latents"]:
        return "this variant has no latents"
    if isinstance(pipe, SSVAETextcat) and (why := lack_of_generator(pipe)):
        return why
    order = np.random.default_rng(seed).permutation(len(examples))
    some, places, labels = choose(pipe, [examples[i] for i in order])
    if len(places) < 3:
        return "fewer than three tokens or texts are annotated"
    if isinstance(pipe, SSVAETextcat):
        docs = [eg.predicted for eg in some]
        words = [clip(doc.text) for doc in docs]
        return Latents({"z": pipe.encode(docs)}, labels, words, "texts")
    found: dict[str, list[Any]] = {}
    for batch in minibatch(some, BATCH):
        try:
            posteriors = infer(pipe.model, [eg.predicted for eg in batch])
        except ValueError:
            return "the component was pruned"
        for name, q in posteriors.items():
            found.setdefault(name, []).append(q.mean.cpu().numpy())
    tokens = [token for eg in some for token in eg.predicted]
    words = [show_token(tokens[place]) for place in places]
    values = {name: np.concatenate(parts)[places] for name, parts in found.items()}
    return Latents(values, labels, words, "tokens")


def choose(
    pipe: SemiSupervisedPipe, examples: Sequence[Example]
) -> tuple[list[Example], list[int], list[str]]:
    """Choose tokens or texts so that no label has more than its share.

    pipe (SemiSupervisedPipe): The component.
    examples (Sequence[Example]): In the order in which they are taken.
    RETURNS (tuple): The Docs they are in, their places among the tokens or texts of these, and
        their labels.
    """
    some, places, labels = list[Example](), list[int](), list[str]()
    counts: Counter[str] = Counter()
    size = 0
    texts = isinstance(pipe, SSVAETextcat)
    for eg in examples:
        names = read_gold(pipe, eg)
        taken = []
        for i, name in enumerate(names):
            if name is not None and isinstance(pipe.scheme, SpanLabels):
                name = name.partition("-")[2] or name
            if name is not None and counts[name] < MAX_POINTS // SHARE:
                counts[name] += 1
                taken.append((size + i, name))
        if taken or not texts:
            some.append(eg)
            size += len(names)
            places += [place for place, _ in taken]
            labels += [name for _, name in taken]
        if len(places) >= MAX_POINTS:
            break
    return some, places, labels


def project(values: NDArray[np.float32], *, method: str, seed: int) -> NDArray[np.float64]:
    """Bring latents to the plane.

    values (ndarray): Posterior means, (n, Z), n at least 3.
    method (str): "tsne" or "pca"; few points and narrow latents are always by "pca".
    seed (int): Of t-SNE.
    RETURNS (ndarray): (n, 2).
    RAISES (ValueError): For another method.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, but got {method!r}")
    n, width = values.shape
    if np.allclose(values, values[0]):  # both divide by the spread
        return np.zeros((n, 2))
    if method == "pca" or n < 10 or width < 2:
        points = PCA(min(2, width), random_state=seed).fit_transform(values - values.mean(0))
        return np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
    perplexity = min(30.0, (n - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(values)


def show_token(token: Any) -> str:
    """RETURNS (str): A token in brackets between some words of its context."""
    doc, i = token.doc, token.i
    before = " ".join(t.text for t in doc[max(0, i - CONTEXT) : i])
    after = " ".join(t.text for t in doc[i + 1 : i + 1 + CONTEXT])
    return f"{before} [{token.text}] {after}".strip()


def clip(text: str, size: int = 80) -> str:
    """RETURNS (str): The beginning of a text."""
    text = " ".join(text.split())
    return text if len(text) <= size else f"{text[: size - 1]}…"
