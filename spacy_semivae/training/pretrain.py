"""Train the language model that starts a text classifier on the raw corpus of a config.

The loop is a generator of epochs; logging and saving stand outside of it. Everything random is
seeded anew in each epoch, so that a run that is resumed goes on as if it had not stopped.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from timeit import default_timer as timer
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import load_model_from_config, minibatch, resolve_dot_names
from thinc.api import Config, Model, fix_random_seed, set_gpu_allocator

from ..layers.shim import clip_gradients
from ..layers.targets import set_vocabulary
from ..layers.terms import check_finite
from ..layers.text_lm import TextLMT, text_lm
from ..layers.texts import take_excerpts
from ..layers.words import count_words
from .initialize import find_textcat
from .raw_text import normalize_text
from .schema import (
    Pretraining,
    SemiVAESchema,
    check_paths,
    check_training_keys,
    complete_pretraining,
    resolve_semivae,
)

HELDOUT_BATCH = 64  # Docs whose perplexity is measured at once


@dataclass
class Progress:
    """What a run has done so far."""

    epoch: int = 0  # complete ones
    steps: int = 0
    best_epoch: int = 0
    perplexity: float = math.inf  # of the held-out texts, in the best epoch


@dataclass
class EpochReport:
    """What an epoch gave."""

    epoch: int  # counted from 1
    steps: int  # since the beginning of the run
    words: int
    seconds: float
    training: float  # perplexity while the weights changed, with dropout
    heldout: float  # perplexity after the epoch
    is_best: bool


@dataclass
class Streams:
    """The raw corpus, cut into texts to learn from and texts to measure on.

    nlp (Language): The pipeline, which tokenizes raw text.
    corpus (Callable): The raw corpus's reader.
    heldout (list[Doc]): Texts to measure on.
    """

    nlp: Language
    corpus: Callable[[Language], Iterable[Example]]
    heldout: list[Doc] = field(default_factory=list)

    def read(self, epoch: int) -> Iterator[Example]:
        """Read the corpus in the order of an epoch.

        epoch (int): The epoch.
        RETURNS (Iterator[Example]): All raw texts.
        """
        if hasattr(self.corpus, "epoch"):  # a reader that has an order for each
            self.corpus.epoch = epoch
        return iter(self.corpus(self.nlp))

    def hold_out(self, docs: Iterable[Doc], n: int) -> Iterator[Doc]:
        """Keep every n-th Doc, the first among them, to measure on.

        docs (Iterable[Doc]): Docs with a token.
        n (int): The distance.
        YIELDS (Doc): All of them.
        """
        for i, doc in enumerate(docs):
            if i % n == 0:
                self.heldout.append(doc)
            yield doc

    def training(self, epoch: int) -> Iterator[Example]:
        """Read what an epoch learns from.

        epoch (int): The epoch.
        YIELDS (Example): Raw texts with a token, without those held out.
        """
        # a text without letters and digits would leave out all others of its kind
        left_out = {normalize_text(doc.text) for doc in self.heldout} - {""}
        for eg in self.read(epoch):
            if len(eg.predicted) and normalize_text(eg.predicted.text) not in left_out:
                yield eg


@dataclass
class Run:
    """A run of pretraining, ready to begin."""

    lm: TextLMT
    reader: Model[Any, Any]  # the classifier's model, which numbers the words of Docs
    streams: Streams
    settings: Pretraining
    seed: int | None
    config: dict[str, Any]  # the settings that a run has to keep when it goes on
    progress: Progress = field(default_factory=Progress)


def prepare(config: Config, *, use_gpu: int = -1) -> Run:
    """Read a config, choose the vocabulary and build the language model.

    config (Config): A training config, not interpolated.
    use_gpu (int): The GPU, -1 for none.
    RETURNS (Run): A run at its beginning.
    RAISES (ValueError): When a setting is unknown, or a corpus or the component is missing.
    """
    check_training_keys(config)
    interpolated = config.interpolate()
    settings = resolve_semivae(interpolated)
    check_paths(interpolated)
    nlp = build_tokenizing(config, use_gpu=use_gpu)
    reader = find_textcat(nlp, settings.pretraining.component).model
    streams = choose_words(nlp, reader, settings)
    P = settings.pretraining
    lm = text_lm(reader, dropout=P.dropout, autoencoder=P.autoencoder)
    seed = nlp.config.interpolate()["training"]["seed"]
    kept = complete_pretraining(interpolated["semivae"])
    del kept["max_epochs"]
    return Run(lm, reader, streams, P, seed, {"seed": seed, **kept})


def build_tokenizing(config: Config, *, use_gpu: int) -> Language:
    """Build a pipeline of which only the vocabulary and the tokenizer are initialized.

    config (Config): A training config, not interpolated.
    use_gpu (int): The GPU, -1 for none.
    RETURNS (Language): The pipeline.
    """
    training = config.interpolate()["training"]
    if training.get("seed") is not None:
        fix_random_seed(training["seed"])
    if use_gpu >= 0 and training.get("gpu_allocator"):
        set_gpu_allocator(training["gpu_allocator"])
    nlp = load_model_from_config(config, auto_fill=True)
    interpolated = nlp.config.interpolate()
    (corpus,) = resolve_dot_names(interpolated, [interpolated["training"]["train_corpus"]])
    with nlp.select_pipes(disable=nlp.pipe_names):
        nlp.initialize(lambda: corpus(nlp))
    return nlp


def choose_words(nlp: Language, reader: Model[Any, Any], settings: SemiVAESchema) -> Streams:
    """Choose the vocabulary, as the component itself would, and the held-out texts.

    nlp (Language): The pipeline, whose config names the corpora.
    reader (Model): The classifier's model; gains the vocabulary.
    settings (SemiVAESchema): The [semivae] block.
    RETURNS (Streams): The raw corpus.
    RAISES (ValueError): Without a raw text.
    """
    config = nlp.config.interpolate()
    if settings.unlabeled_corpus is None:
        raise ValueError("pretraining reads raw text, but semivae.unlabeled_corpus is null")
    names = [config["training"]["train_corpus"], settings.unlabeled_corpus]
    labeled, raw = resolve_dot_names(config, names)
    streams = Streams(nlp, raw)
    seen = islice(streams.read(0), settings.init_unlabeled)
    docs = (eg.predicted for eg in seen if len(eg.predicted))
    counts = count_words(streams.hold_out(docs, settings.pretraining.heldout))
    if not streams.heldout:
        raise ValueError(
            f"pretraining needs raw text, but there is none among the first "
            f"{settings.init_unlabeled} (semivae.init_unlabeled) of {settings.unlabeled_corpus}"
        )
    counts += count_words(eg.reference for eg in labeled(nlp))
    set_vocabulary(reader, counts, nlp.vocab)
    return streams


def train_epochs(run: Run, watch: Callable[[int], None] = lambda n: None) -> Iterator[EpochReport]:
    """Train epoch by epoch.

    run (Run): The run; its progress is kept up to date.
    watch (Callable): Told the number of texts after each update.
    YIELDS (EpochReport): Each epoch's report, when its progress is complete.
    RAISES (FloatingPointError): When the loss or a gradient is not finite, naming the step.
    """
    progress = run.progress
    for epoch in range(progress.epoch, run.settings.max_epochs):
        if run.seed is not None:
            fix_random_seed(run.seed + epoch)
        start, nats, words = timer(), 0.0, 0
        for batch in run.settings.batcher(run.streams.training(epoch)):
            loss, n = update(run, [eg.predicted for eg in batch])
            nats, words = nats + n * loss, words + n
            watch(len(batch))
        if not words:
            raise ValueError("no raw text is left to learn from: all are held out")
        seconds, heldout = timer() - start, measure(run)
        is_best = heldout < progress.perplexity
        progress.epoch = epoch + 1
        if is_best:
            progress.perplexity, progress.best_epoch = heldout, epoch + 1
        yield EpochReport(
            epoch + 1, progress.steps, words, seconds, to_perplexity(nats, words), heldout, is_best
        )


def update(run: Run, docs: Sequence[Doc]) -> tuple[float, int]:
    """Learn from a batch.

    run (Run): The run.
    docs (Sequence[Doc]): The batch, each Doc with a token.
    RETURNS (tuple[float, int]): The mean of -log p in nats, and the words that it is of.
    RAISES (FloatingPointError): When the loss or a gradient is not finite, naming the step.
    """
    excerpts = take_excerpts(run.reader, docs, True)
    try:
        loss, backprop = run.lm.begin_update(excerpts)
        check_finite({"language model": loss})
        backprop(1.0)  # type: ignore[arg-type]
        clip_gradients(run.lm, run.settings.max_grad_norm)
    except FloatingPointError as error:
        raise FloatingPointError(f"Pretraining, step {run.progress.steps}: {error}") from None
    run.lm.finish_update(run.settings.optimizer)
    run.settings.optimizer.step_schedules()
    run.progress.steps += 1
    return loss, len(excerpts.words)


def measure(run: Run) -> float:
    """Measure the perplexity of the held-out texts.

    run (Run): The run.
    RETURNS (float): The exponential of the mean of -log p.
    """
    nats, words = 0.0, 0
    for docs in minibatch(run.streams.heldout, HELDOUT_BATCH):
        excerpts = take_excerpts(run.reader, docs, False)
        nats += len(excerpts.words) * run.lm.predict(excerpts)
        words += len(excerpts.words)
    return to_perplexity(nats, words)


def to_perplexity(nats: float, words: int) -> float:
    """Give a perplexity.

    nats (float): Sum of -log p.
    words (int): Words that it is of, at least one.
    RETURNS (float): The perplexity; infinite where it is too large to tell.
    """
    return math.exp(nats / words) if nats / words < 700 else math.inf
