"""From a config to an initialized pipeline that has also seen raw text."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import spacy
from spacy.attrs import LOWER
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training.initialize import init_nlp
from spacy.util import minibatch, resolve_dot_names
from thinc.api import Config

from ..pipeline.base import SemiSupervisedPipe
from ..pipeline.ssvae import SSVAETextcat
from ..pipeline.vsl import VSLPipe
from .raw_text import normalize_text
from .schema import SemiVAESchema, WarmStart, check_paths, check_training_keys, resolve_semivae

INIT_CORPUS = "semivae_init"
LOW_COVERAGE = 0.6


def initialize_nlp(config: Config, *, use_gpu: int = -1) -> tuple[Language, SemiVAESchema]:
    """Build and initialize a pipeline; `init_unlabeled` raw Docs join the vocabularies.

    config (Config): A training config, not interpolated.
    use_gpu (int): The GPU, -1 for none.
    RETURNS (tuple): The pipeline and its [semivae] settings.
    RAISES (ValueError): When a setting is unknown or a corpus is missing.
    """
    check_training_keys(config)
    settings = resolve_semivae(config.interpolate())
    check_paths(config.interpolate())
    nlp = init_nlp(with_init_corpus(config, settings), use_gpu=use_gpu)
    for key in ("train_corpus", "max_epochs"):
        if key in config["training"]:
            nlp.config["training"][key] = config["training"][key]
    nlp.config["corpora"].pop(INIT_CORPUS, None)
    if settings.warm_start.path:
        warm_start(nlp, settings)
    return nlp, settings


def with_init_corpus(config: Config, settings: SemiVAESchema) -> Config:
    """Let `init_nlp` read the labelled corpus and, behind it, raw Docs.

    config (Config): The training config.
    settings (SemiVAESchema): Its [semivae] block.
    RETURNS (Config): A copy with a mixed training corpus.
    """
    config = config.copy()
    if settings.unlabeled_corpus and settings.init_unlabeled:
        corpora = config["corpora"]
        labeled = config["training"]["train_corpus"].removeprefix("corpora.")
        raw = settings.unlabeled_corpus.removeprefix("corpora.")
        missing = [name for name in (labeled, raw) if name not in corpora]
        if missing:
            raise ValueError(
                f"The config names the corpus 'corpora.{missing[0]}', but [corpora] has "
                f"{sorted(corpora)}"
            )
        corpora[INIT_CORPUS] = {
            "@readers": "semivae.MixedCorpus.v1",
            "labeled": dict(corpora[labeled]),
            "unlabeled": dict(corpora[raw]),
            "ratio": None,
            "limit": settings.init_unlabeled,
        }
        config["training"]["train_corpus"] = f"corpora.{INIT_CORPUS}"
        # with a streamed corpus (-1) spaCy would show the first 100 Examples only
        config["training"]["max_epochs"] = 0
    return config


def warm_start(nlp: Language, settings: SemiVAESchema) -> None:
    """Begin with a trained pipeline's posteriors as priors, and its weights where wanted.

    nlp (Language): The initialized pipeline.
    settings (SemiVAESchema): Names the trained pipeline.
    RAISES (ValueError): When it has no component of the same name and kind, and where nothing is to
        be handed on.
    """
    start: WarmStart = settings.warm_start
    teacher = spacy.load(Path(str(start.path)))
    for name, pipe in nlp.pipeline:
        if not isinstance(pipe, SemiSupervisedPipe):
            continue
        if not (start.weights or (start.prior and isinstance(pipe, VSLPipe))):
            raise ValueError(
                f"[semivae.warm_start] has nothing for '{name}': set weights = true, or "
                "prior = true for a component with learned priors"
            )
        old: Any = teacher.get_pipe(name) if name in teacher.pipe_names else None
        if type(old) is not type(pipe):
            raise ValueError(f"warm_start.path {start.path} has no component like '{name}'")
        if start.weights and old.labels != pipe.labels:
            raise ValueError(
                f"warm_start.weights needs the labels of {start.path}, {list(old.labels)}, but "
                f"'{name}' has {list(pipe.labels)}"
            )
        if start.weights:
            pipe.model.from_bytes(old.model.to_bytes())
        if start.prior and isinstance(pipe, VSLPipe):
            for docs in minibatch(init_docs(nlp, settings), size=64):
                pipe.prior.warm_start(old.model, docs)


def init_docs(nlp: Language, settings: SemiVAESchema) -> Iterator[Doc]:
    """Read the Docs that `initialize` saw: labelled, then raw.

    nlp (Language): The pipeline, which tokenizes raw text.
    settings (SemiVAESchema): Names the raw corpus.
    YIELDS (Doc): Docs with at least a token.
    """
    config = nlp.config.interpolate()
    names = [config["training"]["train_corpus"]]
    if settings.unlabeled_corpus:
        names.append(settings.unlabeled_corpus)
    for name, corpus in zip(names, resolve_dot_names(config, names)):
        limit = settings.init_unlabeled if name == settings.unlabeled_corpus else None
        for eg in islice(corpus(nlp), limit):
            if len(eg.predicted):
                yield eg.predicted


def check_streams(
    labeled: Iterable[Doc], dev: Iterable[Doc], raw: Iterable[Doc]
) -> tuple[float, int]:
    """Measure whether raw text fits the labelled tokens and leaves the dev corpus alone.

    labeled (Iterable[Doc]): Labelled Docs.
    dev (Iterable[Doc]): Dev Docs.
    raw (Iterable[Doc]): The raw Docs that `initialize` saw.
    RETURNS (tuple[float, int]): Share of labelled tokens seen in the raw text, and number of raw
        texts that stand in dev. Warns below 60 % and above 0.
    """
    dev_texts = {normalize_text(doc.text) for doc in dev}
    words, overlap = set(), 0
    for doc in raw:
        words.update(doc.to_array(LOWER).tolist())
        overlap += normalize_text(doc.text) in dev_texts
    tokens = [lower for doc in labeled for lower in doc.to_array(LOWER).tolist()]
    coverage = sum(lower in words for lower in tokens) / max(1, len(tokens))
    if coverage < LOW_COVERAGE:
        warnings.warn(
            f"Only {coverage:.0%} of the labelled tokens occur in the raw text: another domain or "
            "another tokenization; set [nlp.tokenizer] to fit the labelled corpus",
            stacklevel=2,
        )
    if overlap:
        warnings.warn(
            f"{overlap} raw texts stand in the dev corpus: set exclude in the raw corpus's reader",
            stacklevel=2,
        )
    return coverage, overlap


def semi_supervised_pipes(nlp: Language, frozen: Sequence[str] = ()) -> list[SemiSupervisedPipe]:
    """Find the components that learn from raw text.

    nlp (Language): The pipeline.
    frozen (Sequence[str]): Components that do not learn.
    RETURNS (list[SemiSupervisedPipe]): The components.
    """
    return [
        pipe
        for name, pipe in nlp.pipeline
        if isinstance(pipe, SemiSupervisedPipe) and name not in frozen
    ]


def find_textcat(nlp: Language, name: str | None) -> SSVAETextcat:
    """Find a text classifier of this package.

    nlp (Language): The pipeline.
    name (str | None): Its name; None for the only one.
    RETURNS (SSVAETextcat): The component.
    RAISES (ValueError): When there is none, not this one, or more than one.
    """
    found = {n: pipe for n, pipe in nlp.components if isinstance(pipe, SSVAETextcat)}
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    if name is None or name not in found:
        wanted = "one ssvae_textcat, or its name" if name is None else f"ssvae_textcat {name!r}"
        raise ValueError(f"The pipeline needs {wanted}: got {list(found)} of {nlp.component_names}")
    return found[name]
