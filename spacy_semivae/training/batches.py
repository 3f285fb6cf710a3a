"""Batches of labelled and of raw Examples that a run can go on with where another one stopped.

A position is plain data. A batcher may read ahead and keep Examples for a later batch, so that
a position is where it started last, an epoch or a window of raw Examples, and how many batches
it gave since: these are made again and left out.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from hashlib import blake2b
from itertools import islice
from typing import Any

from spacy.language import Language
from spacy.training import Example

WINDOW = 9600  # raw Examples; a multiple of usual batch sizes, so that few batches are cut short

Corpus = Callable[[Language], Iterable[Example]]
Batcher = Callable[[Iterable[Example]], Iterable[list[Example]]]


class LabeledBatches:
    """Iterate over epoch and batch as spaCy's training does, with a position.

    nlp (Language): The pipeline.
    corpus (Callable): The labelled corpus's reader.
    batcher (Callable): Batches Examples.
    max_epochs (int): Epochs; 0 for no end, -1 for no end without shuffling, read anew each time.
    RAISES (ValueError): When the corpus is empty.
    """

    def __init__(self, nlp: Language, corpus: Corpus, batcher: Batcher, max_epochs: int) -> None:
        self.nlp = nlp
        self.corpus = corpus
        self.batcher = batcher
        self.max_epochs = max_epochs
        self.draws = Draws(batcher)
        self.examples = list(corpus(nlp)) if max_epochs >= 0 else []
        if max_epochs >= 0 and not self.examples:
            raise ValueError("The labelled corpus is empty: check paths.train and the reader")
        self.texts = digest(self.examples)
        self.order = list(range(len(self.examples)))
        self.epoch = self.given = 0
        self.started = self.resumed = False

    @property
    def position(self) -> dict[str, Any]:
        """Where the stream stands."""
        return {
            "epoch": self.epoch,
            "given": self.given,
            "order": list(self.order),
            "started": self.started,
            "draws": self.draws.before,
            "texts": self.texts,
        }

    def seek(self, position: dict[str, Any]) -> None:
        """Go to a position.

        position (dict): The position of another stream.
        RAISES (ValueError): When the corpus is another one.
        """
        if position["texts"] != self.texts:
            raise ValueError("The labelled corpus is not the one of the checkpoint")
        self.epoch, self.given = position["epoch"], position["given"]
        self.order = list(position["order"])
        self.draws.forward(position["draws"])
        self.resumed = position["started"]

    def __iter__(self) -> Iterator[tuple[int, list[Example]]]:
        while self.max_epochs < 1 or self.epoch != self.max_epochs:
            if not self.resumed:
                self.given = 0
                self.draws.mark()
                random.shuffle(self.order)
            self.started, self.resumed = True, False
            for batch in islice(self.batcher(self._read()), self.given, None):
                self.given += 1
                yield self.epoch, batch
            self.epoch += 1

    def _read(self) -> Iterable[Example]:
        if self.max_epochs < 0:
            return self.corpus(self.nlp)
        return (self.examples[i] for i in self.order)


def digest(examples: list[Example]) -> str:
    """Hash the texts of Examples.

    examples (list[Example]): The Examples.
    RETURNS (str): 32 hexadecimal digits.
    """
    found = blake2b(digest_size=16)
    for eg in examples:
        found.update(eg.reference.text.encode("utf8", "surrogatepass") + b"\n")
    return found.hexdigest()


class RawBatches:
    """Iterate over batches of raw Examples without end, with a position.

    nlp (Language): The pipeline, which tokenizes raw text.
    corpus (Callable): The raw corpus's reader, read again when it ends.
    batcher (Callable): Batches Examples.
    """

    def __init__(self, nlp: Language, corpus: Corpus, batcher: Batcher) -> None:
        self.batcher = batcher
        self.draws = Draws(batcher)
        self.open: Any = getattr(corpus, "stream", partial(Reread, corpus))
        self.nlp = nlp
        self.reader: Any = None
        self.start: Any = None
        self.given = 0

    @property
    def position(self) -> dict[str, Any]:
        """Where the stream stands."""
        return {"start": self.start, "given": self.given, "draws": self.draws.before}

    def seek(self, position: dict[str, Any]) -> None:
        """Go to a position.

        position (dict): The position of another stream.
        RAISES (ValueError): When the files are other ones.
        """
        self.start, self.given = position["start"], position["given"]
        self.draws.forward(position["draws"])

    def __iter__(self) -> Iterator[list[Example]]:
        """RAISES (ValueError): When the corpus has nothing to batch."""
        reader, barren = self.open(self.nlp, self.start), 0
        while barren < 2:  # an epoch may end where a window does
            for batch in islice(self.batcher(islice(reader, WINDOW)), self.given, None):
                self.given += 1
                yield batch
            barren = 0 if self.given else barren + 1
            self.start, self.given = reader.position, 0
            self.draws.mark()
        raise ValueError("The raw corpus is empty: check paths.unlabeled and the reader")


class Reread(Iterator[Example]):
    """Read a corpus that has no positions of its own, and count; it stops after each epoch.

    corpus (Callable): The reader.
    nlp (Language): The pipeline.
    position (dict | None): Where to begin: epochs read before, and Examples to leave out.
    """

    def __init__(self, corpus: Corpus, nlp: Language, position: dict[str, int] | None) -> None:
        self.position = {"epoch": 0, "given": 0} | (position or {})
        self.open = partial(corpus, nlp)
        for _ in range(self.position["epoch"]):
            next(iter(self.open()), None)  # it may count epochs, and give each another order
        self.examples: Iterator[Example] | None = None

    def __next__(self) -> Example:
        epoch, given = self.position["epoch"], self.position["given"]
        if self.examples is None:
            self.examples = islice(self.open(), given, None)
        eg = next(self.examples, None)
        if eg is None:
            self.examples, self.position = None, {"epoch": epoch + 1, "given": 0}
            raise StopIteration
        self.position = {"epoch": epoch, "given": given + 1}
        return eg


class Draws:
    """Count what a batcher draws from schedules of its size.

    batcher (Callable): A batcher; schedules are found among the settings that it was made with.
    """

    def __init__(self, batcher: Batcher) -> None:
        keywords = batcher.keywords if isinstance(batcher, partial) else {}
        self.schedules = {k: Counted(v) for k, v in keywords.items() if isinstance(v, Iterator)}
        keywords.update(self.schedules)
        self.before: dict[str, int] = {}
        self.mark()

    def mark(self) -> None:
        """Keep how much was drawn until now, in `before`."""
        self.before = {name: schedule.drawn for name, schedule in self.schedules.items()}

    def forward(self, draws: dict[str, int]) -> None:
        """Draw what another batcher has drawn.

        draws (dict): Its `before`.
        """
        for name, schedule in self.schedules.items():
            for _ in range(schedule.drawn, draws.get(name, 0)):
                next(schedule)
        self.mark()


class Counted(Iterator[Any]):
    """An iterator that counts.

    values (Iterator): The iterator.
    """

    def __init__(self, values: Iterator[Any]) -> None:
        self.values = values
        self.drawn = 0

    def __next__(self) -> Any:
        value = next(self.values)
        self.drawn += 1
        return value
