"""Texts, modules and pipelines on which the speed of `ssvae_textcat` is measured."""

import random
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import spacy
import torch
from rows_ssvae import SAMPLED
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Adam, Optimizer, fix_random_seed

from spacy_semivae.modules.ssvae import SSVAE
from spacy_semivae.modules.text_words import END, UNKNOWN, Texts
from spacy_semivae.training.notebook import bare
from spacy_semivae.training.unlabeled import create_unlabeled_corpus

MARGINALS = {"exact": {"marginal": "exact"}} | {
    name: {"marginal": "sample", **settings} for name, settings in SAMPLED.items()
}
WORD_DROPOUT = 0.4
WIDTH, WIDTH_Z, WIDTH_Y = 100, 50, 50
MEAN, SHAPE, SHORTEST, LONGEST = 36.0, 9.0, 6, 160  # tokens of AG's News
MADE_UP = 25000  # words of the made-up texts
BATCH = 16
TAUGHT = 200  # labelled Docs


def make_docs(data: Path | None, texts: int) -> list[Doc]:
    """Read raw texts, or make some up: words by Zipf's law.

    data (Path | None): A file of raw texts; None makes them up.
    texts (int): How many.
    RETURNS (list[Doc]): Docs without annotation.
    """
    nlp = spacy.blank("en")
    if data is not None:
        reader = create_unlabeled_corpus(data, shuffle_buffer=0, limit=texts)
        return [eg.predicted for eg in reader(nlp)]
    rng = random.Random(0)
    names = [f"w{rank:x}" for rank in range(MADE_UP)]
    shares = list(accumulate(1 / (rank + 2.7) for rank in range(MADE_UP)))
    lengths = [rng.gammavariate(SHAPE, MEAN / SHAPE) for _ in range(texts)]
    sizes = [min(max(round(n), SHORTEST), LONGEST) for n in lengths]
    return [Doc(nlp.vocab, rng.choices(names, cum_weights=shares, k=n)) for n in sizes]


def number_words(docs: Sequence[Doc], size: int, words: int, device: str) -> Texts:
    """Give a batch as the module reads it.

    docs (Sequence[Doc]): Texts, of which the most frequent words are told apart.
    size (int): How many of them are the batch.
    words (int): Word ids.
    device (str): Where the ids are wanted.
    RETURNS (Texts): The batch.
    """
    counts = Counter(t.text for doc in docs for t in doc)
    ids = {name: i for i, (name, _) in enumerate(counts.most_common(words - END - 1), END + 1)}
    rows = [[*(ids.get(t.text, UNKNOWN) for t in doc), END] for doc in docs[:size]]
    flat = torch.tensor([i for row in rows for i in row], device=device)
    return Texts(flat, torch.tensor([len(row) for row in rows]))


def build_module(hidden: int, *, words: int, classes: int, marginal: str, device: str) -> SSVAE:
    """Build the module with new weights.

    hidden (int): Units.
    words (int): Words.
    classes (int): Classes.
    marginal (str): Key of `MARGINALS`.
    device (str): "cpu" or "cuda".
    RETURNS (SSVAE): The module, in training.
    """
    torch.manual_seed(0)
    settings: dict[str, Any] = {"samples": 2, "replacement": True, "baseline": "mean"}
    settings |= MARGINALS[marginal]
    module = SSVAE(
        nV=words,
        nO=classes,
        nI=None,
        width=WIDTH,
        hidden=hidden,
        width_z=WIDTH_Z,
        width_y=WIDTH_Y,
        decoder="clstm2",
        dropout=0.2,
        length_normalize=settings["baseline"] == "length",
        **settings,
    )
    return module.to(device).train()


def run_loss(module: SSVAE, texts: Texts) -> None:
    """Compute the loss of raw texts and its gradients.

    module (SSVAE): The module, in training.
    texts (Texts): The texts.
    """
    labels = torch.full((len(texts.lengths),), -1)
    sum(module(texts, labels, WORD_DROPOUT).terms.values()).backward()
    module.zero_grad(set_to_none=True)


def build_pipeline(
    factory: str, model: dict[str, Any], docs: Sequence[Doc], classes: int
) -> tuple[Language, Optimizer, list[Example]]:
    """Build a pipeline of one classifier that has learned a little.

    factory (str): "ssvae_textcat" or "textcat".
    model (dict): Settings of its model; without any the default.
    docs (Sequence[Doc]): Texts of which vocabularies are taken.
    classes (int): Classes, which say nothing of the texts.
    RETURNS (tuple): The pipeline, its optimizer, and what it learned from.
    """
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe(factory, config={"model": model} if model else {})
    names = [f"class {i}" for i in range(classes)]
    examples = [Example(bare(nlp, doc), bare(nlp, doc)) for doc in docs]
    for i, eg in enumerate(examples[:TAUGHT]):
        eg.reference.cats = {name: float(name == names[i % classes]) for name in names}
    # the stock component takes no raw text
    known = examples if factory == "ssvae_textcat" else examples[:TAUGHT]
    sgd = nlp.initialize(lambda: known, sgd=Adam(0.002, grad_clip=0.0))
    for start in range(0, len(examples[:TAUGHT]), BATCH):
        nlp.update(examples[:TAUGHT][start : start + BATCH], sgd=sgd)
    return nlp, sgd, examples[:TAUGHT]
