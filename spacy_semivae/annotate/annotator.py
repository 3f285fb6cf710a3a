"""A worker: it loads the pipeline once, annotates shards and writes each to its file.

A shard's bytes depend on its texts and the pipeline alone, not on the process or on what the
process did before: batches start anew with each shard, caches of numbers are emptied, and PyTorch
computes with one thread.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import spacy
import torch
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import import_file, minibatch

from ..layers.cache import VectorCache
from ..layers.char_word import Spellings
from ..training.files import replacing
from ..training.raw_text import RawRecord
from .rows import Annotated, find_fields
from .scores import EntityScorer
from .shards import Done, Job, Reject, Shard
from .writers import FORMATS, Writer

MAX_REPORTED = 80  # characters of a text that is rejected
Pair = tuple[RawRecord, Doc]
RejectT = Callable[[RawRecord, Exception], None]


class Stopped(Exception):
    """A text was bad, and the first bad text is to end the run."""


class Annotator:
    """Annotates shards.

    job (Job): What is to be done.
    RAISES (ValueError, OSError): When the pipeline cannot be loaded.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        if job.code is not None:
            import_file("python_code", job.code)
        if job.gpu_id >= 0:
            spacy.require_gpu(job.gpu_id)
        self.nlp = spacy.load(job.model)
        self.batch_size = job.batch_size or self.nlp.batch_size
        self.scorer = EntityScorer(self.nlp)
        self.fields = find_fields(self.nlp, probabilities=bool(self.scorer))

    def run(self, shard: Shard, progress: Callable[[int], None] | None = None) -> Done:
        """Annotate a shard and write its file.

        shard (Shard): The texts.
        progress (Callable | None): Called with the number of texts after each batch.
        RETURNS (Done): What was written, and the texts that were rejected.
        """
        path, rejected = self.job.path(shard.number), list[Reject]()
        forget(self.nlp)
        try:
            with one_thread(), replacing(path) as stream:
                writer = FORMATS[self.job.format](stream, self.fields)
                for records in minibatch(shard.records, self.batch_size):
                    self._run_batch(records, writer, rejected)
                    if progress is not None:
                        progress(len(records))
                writer.finish()
        except Stopped:
            return Done(shard.number, 0, 0, "", rejected)
        docs = len(shard.records) - len(rejected)
        return Done(shard.number, docs, path.stat().st_size, shard.digest(), rejected)

    def _run_batch(
        self, records: Sequence[RawRecord], writer: Writer, rejected: list[Reject]
    ) -> None:
        def reject(record: RawRecord, error: Exception) -> None:
            rule = f"the pipeline must be able to annotate a text ({error})"
            text = record.join()[:MAX_REPORTED].encode("utf8", "backslashreplace").decode()
            rejected.append((str(record.path), record.line, rule, text))
            if self.job.stop:
                raise Stopped

        # each batch brings new words, which the vocabulary would keep for good
        with self.nlp.memory_zone():
            pairs = self._annotate(records, reject)
            scores = self.scorer.score([doc for _, doc in pairs])
            names = [record.path.relative_to(self.job.root).as_posix() for record, _ in pairs]
            writer.add(
                [
                    Annotated(doc, p, name, record.line)
                    for (record, doc), p, name in zip(pairs, scores, names)
                ]
            )

    def _annotate(self, records: Sequence[RawRecord], reject: RejectT) -> list[Pair]:
        try:
            docs = [make_doc(self.nlp, record) for record in records]
            found = list(self.nlp.pipe(docs, batch_size=len(docs)))
            return list(zip(records, found, strict=True))
        except Exception:  # whatever a component raises: the texts are tried one by one
            return list(self._annotate_singly(records, reject))

    def _annotate_singly(self, records: Sequence[RawRecord], reject: RejectT) -> Iterator[Pair]:
        for record in records:
            try:
                (doc,) = self.nlp.pipe([make_doc(self.nlp, record)], batch_size=1)
            except Exception as error:
                reject(record, error)
            else:
                yield record, doc


@lru_cache(maxsize=1)
def load_annotator(job: Job) -> Annotator:
    """Load the pipeline, once in a process.

    job (Job): What is to be done.
    RETURNS (Annotator): The worker.
    """
    return Annotator(job)


def run_shard(job: Job, shard: Shard) -> Done:
    """Annotate a shard in a process that is kept for many.

    job (Job): What is to be done.
    shard (Shard): The texts.
    RETURNS (Done): What was written.
    RAISES (ValueError, OSError): When the pipeline cannot be loaded or the file not be written.
    """
    try:
        return load_annotator(job).run(shard)
    except ValueError as error:
        # some kinds cannot be sent to another process
        raise ValueError(str(error)) from error


def make_doc(nlp: Language, record: RawRecord) -> Doc:
    """Make the Doc of a text.

    nlp (Language): The pipeline.
    record (RawRecord): The text, perhaps with tokens.
    RETURNS (Doc): The Doc, not annotated.
    RAISES (ValueError): When the tokenizer refuses the text.
    """
    if record.words is None:
        return nlp.make_doc(record.text)
    return Doc(nlp.vocab, words=record.words, spaces=record.spaces)


def forget(nlp: Language) -> None:
    """Empty the caches of computed numbers: they differ in the last digit with the batch.

    nlp (Language): The pipeline.
    """
    for _, pipe in nlp.pipeline:
        model = getattr(pipe, "model", None)
        for node in model.walk() if model is not None else ():
            if "spellings" in node.attrs:
                node.attrs.update(index=None, spellings=Spellings())
            if isinstance(node.attrs.get("cache"), VectorCache):
                node.attrs["cache"] = VectorCache(limit_mb=0)  # no text is met twice


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch compute with one thread, so that sums do not depend on the machine's cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
