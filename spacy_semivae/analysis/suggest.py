"""What to label next: the texts of a raw corpus from which a component would learn most.

The corpus is read once. The best texts so far stay in a pool of a fixed size; from it those are
chosen that differ. What is held does not grow with the corpus: the pool, a batch, and the texts
that are excluded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappush, heappushpop
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import minibatch

from ..pipeline.base import SemiSupervisedPipe
from ..training.raw_text import (
    RawRecord,
    find_files,
    raise_error,
    read_records,
    read_texts,
)
from .exchange.records import Task
from .raw_texts import make_doc, text_key
from .suggest_diversity import k_center, text_vectors
from .suggest_measures import MEASURES, Scored, measure
from .suggest_tasks import make_tasks

DIVERSITIES = ("none", "kcenter")
DIGITS = 6  # of scores


@dataclass(frozen=True, kw_only=True)
class SuggestSettings:
    """How to choose.

    n (int): Texts wanted.
    by (str): A key of `suggest_measures.MEASURES`.
    component (str | None): The component; None for the only one of this package.
    diversity (str): One of `DIVERSITIES`: the first of the pool, or k-center greedy on the
        encoder's states within it.
    pool (int): Texts of the pool, for k-center; 0 for ten times those wanted.
    per_token (bool): Whether a measure is divided by the text's tokens.
    samples (int): Samples of the latents, for disagreement.
    seed (int): Seed of the samples.
    exclude (Sequence[str | Path]): Corpora whose texts are left out, as of those labelled already.
    batch_size (int | None): Texts of a batch; None for the pipeline's.
    """

    n: int = 50
    by: str = "margin"
    component: str | None = None
    diversity: str = "none"
    pool: int = 0
    per_token: bool = False
    samples: int = 8
    seed: int = 0
    exclude: Sequence[str | Path] = ()
    batch_size: int | None = None

    def __post_init__(self) -> None:
        if self.by not in MEASURES:
            raise ValueError(f"by must be one of {', '.join(MEASURES)}, got {self.by!r}")
        if self.diversity not in DIVERSITIES:
            rule = f"diversity must be one of {', '.join(DIVERSITIES)}"
            raise ValueError(f"{rule}, got {self.diversity!r}")
        if self.n < 1 or self.samples < 1:
            raise ValueError(f"n and samples must be positive, got {self.n} and {self.samples}")
        if self.pool and self.diversity == "none":
            raise ValueError("without diversity there is no pool to choose from: use kcenter")
        if self.pool and self.pool < self.n:
            raise ValueError(f"the pool must hold the {self.n} texts wanted, got {self.pool}")


@dataclass(order=True)
class Candidate:
    """A text of the pool; those of a higher value and, among equals, earlier ones are better."""

    value: float
    order: int  # less is later
    key: str = field(compare=False)  # what is compared to find texts that say the same
    task: Task = field(compare=False)
    vector: NDArray[numpy.float32] = field(compare=False)


class Pool:
    """The best texts so far, no two of which say the same.

    size (int): Texts at most.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.heap: list[Candidate] = []
        self.keys: set[str] = set()

    def wants(self, value: float, key: str) -> bool:
        """Tell whether a text would be taken in.

        value (float): Its value.
        key (str): What is compared.
        RETURNS (bool): Whether it is new, and better than the worst of a full pool.
        """
        full = len(self.heap) >= self.size
        return key not in self.keys and not (full and value <= self.heap[0].value)

    def add(self, candidate: Candidate) -> None:
        """Take in a text if it is wanted; the worst one leaves a full pool.

        candidate (Candidate): The text.
        """
        if not self.wants(candidate.value, candidate.key):
            return
        self.keys.add(candidate.key)
        if len(self.heap) < self.size:
            heappush(self.heap, candidate)
        else:
            self.keys.remove(heappushpop(self.heap, candidate).key)

    def best(self) -> list[Candidate]:
        """RETURNS (list[Candidate]): All, the best first."""
        return sorted(self.heap, reverse=True)


def suggest(
    nlp: Language,
    source: str | Path,
    settings: SuggestSettings | None = None,
    *,
    progress: Callable[[int], None] | None = None,
) -> list[Task]:
    """Choose texts to be labelled.

    nlp (Language): A trained pipeline.
    source (str | Path): Raw text: a file, a glob pattern or a folder.
    settings (SuggestSettings | None): How to choose.
    progress (Callable | None): Called with the number of texts after each batch.
    RETURNS (list[Task]): The texts with the component's predictions, the best first.
    RAISES (ValueError): For a bad line, and where the component does not have what is measured.
    """
    settings = settings or SuggestSettings()
    chooser = Chooser(nlp, settings)
    size = settings.batch_size or nlp.batch_size
    for records in minibatch(read_records(find_files(source), on_error=raise_error), size):
        with nlp.memory_zone():  # new words leave with their batch
            chooser.read(records)
        if progress is not None:
            progress(len(records))
    return chooser.choose()


class Chooser:
    """Reads texts and keeps the best.

    nlp (Language): A trained pipeline.
    settings (SuggestSettings): How to choose.
    """

    def __init__(self, nlp: Language, settings: SuggestSettings) -> None:
        self.nlp = nlp
        self.settings = settings
        self.pipe = find_component(nlp, settings.component)
        self.later = nlp.pipe_names[nlp.pipe_names.index(self.pipe.name) :]
        self.excluded = {text_key(text) for path in settings.exclude for text in read_texts(path)}
        spread = 10 if settings.diversity == "kcenter" else 1
        self.pool = Pool(settings.pool or spread * settings.n)
        self.order = 0

    def read(self, records: Sequence[RawRecord]) -> None:
        """Read texts into the pool.

        records (Sequence[RawRecord]): The texts.
        RAISES (ValueError): When the tokenizer refuses one.
        """
        docs = [make_doc(self.nlp, record) for record in records]
        keys = [text_key(doc.text) for doc in docs]
        some = [i for i, doc in enumerate(docs) if len(doc) and keys[i] not in self.excluded]
        with self.nlp.select_pipes(disable=self.later):
            for i, doc in zip(some, self.nlp.pipe([docs[i] for i in some], batch_size=len(docs))):
                docs[i] = doc
        values = dict(zip(some, self._measure([docs[i] for i in some]).tolist()))
        some = [i for i in some if self.pool.wants(values[i], keys[i])]
        chosen = [docs[i] for i in some]
        vectors = self._find_vectors(chosen)
        tasks = make_tasks(self.pipe, chosen, [self._explain(values[i], records[i]) for i in some])
        for i, task, vector in zip(some, tasks, vectors):
            self.pool.add(Candidate(values[i], -self.order - i, keys[i], task, vector))
        self.order += len(records)

    def choose(self) -> list[Task]:
        """RETURNS (list[Task]): The texts wanted, the best first."""
        best, n = self.pool.best(), self.settings.n
        if self.settings.diversity == "kcenter" and len(best) > n:
            rows = k_center(numpy.stack([candidate.vector for candidate in best]), n)
            best = [best[i] for i in sorted(rows)]
        return [candidate.task for candidate in best[:n]]

    def _measure(self, docs: Sequence[Doc]) -> NDArray[numpy.float64]:
        settings = self.settings
        scores = self.pipe.predict(docs) if docs else None
        scored = Scored(self.pipe, docs, scores, settings.samples, settings.seed)
        values = measure(settings.by, scored)
        return values / [len(doc) for doc in docs] if settings.per_token else values

    def _find_vectors(self, docs: Sequence[Doc]) -> NDArray[numpy.float32]:
        if self.settings.diversity == "none":
            return numpy.zeros((len(docs), 0), dtype="f")
        return text_vectors(self.pipe, docs)

    def _explain(self, value: float, record: RawRecord) -> dict[str, Any]:
        meta = {"by": self.settings.by, "file": record.path.name, "line": record.line}
        # JSON has no infinity: a margin without a second best is no score
        return {"score": round(value, DIGITS), **meta} if numpy.isfinite(value) else meta


def find_component(nlp: Language, name: str | None) -> SemiSupervisedPipe:
    """Find the component that is to learn.

    nlp (Language): The pipeline.
    name (str | None): Its name; None for the only one of this package.
    RETURNS (SemiSupervisedPipe): The component.
    RAISES (ValueError): When there is none, or several and no name.
    """
    own = {n: pipe for n, pipe in nlp.pipeline if isinstance(pipe, SemiSupervisedPipe)}
    if name is None and len(own) == 1:
        (name,) = own
    if name not in own:
        rule = "the component must be one of this package's in the pipeline"
        raise ValueError(f"{rule}, {list(own)}, got {name!r}")
    return own[name]
