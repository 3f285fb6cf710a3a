"""A stream of raw Docs whose position can be saved: order, state, and the iterator itself.

The order of an epoch comes from a seeded buffer. Its state is small: where reading has come to,
which pieces wait in the buffer, and the generator's state. It is taken every so many Docs; the
Docs since are given out again, unseen, when a stream goes on.
"""

import random
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from timeit import default_timer as timer
from typing import Any, Protocol

from spacy.training import Example

from .prefetch import Prefetch
from .raw_docs import Item, Place

SNAPSHOT_EVERY = 256  # Docs
RNG_VERSION = 3  # of the state that Python's generator gives


@dataclass(frozen=True)
class Snapshot:
    """The state of a stream between two Docs, as plain data.

    epoch (int): The epoch, from 0.
    place (Sequence[int]): File, line and piece that were read last.
    read (int): Pieces read in this epoch.
    ended (bool): Whether all is read and only the buffer is left.
    buffer (Sequence): Places of the pieces that wait in the buffer.
    rng (list[int] | None): State of the generator; None at the start of an epoch.
    rejects (dict | None): What has been rejected so far.
    """

    epoch: int = 0
    place: Sequence[int] = Place()
    read: int = 0
    ended: bool = False
    buffer: Sequence[Sequence[int]] = ()
    rng: list[int] | None = None
    rejects: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (dict[str, Any]): The fields, as JSON and msgpack take them."""
        plain = {**vars(self), "place": list(self.place)}
        return {**plain, "buffer": [list(place) for place in self.buffer]}


class Reader(Protocol):
    """What a stream asks of a corpus."""

    seed: int
    shuffle_buffer: int
    limit: int

    def read(self, after: Place) -> Iterator[Item]:
        """Read the pieces behind a place."""

    def find(self, places: Sequence[Place]) -> list[Item]:
        """Read the pieces at some places again."""

    def rejected(self) -> dict[str, Any] | None:
        """Say what has been rejected so far."""

    def make_example(self, item: Item) -> Example:
        """Make the Example of a piece."""


@dataclass
class Epoch:
    """The pieces of an epoch in their order.

    reader (Reader): The corpus.
    start (Snapshot): Where to begin.
    """

    reader: Reader
    start: Snapshot
    buffer: list[Item] = field(init=False)

    def __post_init__(self) -> None:
        start = self.start
        self.rng = random.Random(f"{self.reader.seed}/{start.epoch}")
        if start.rng is not None:
            self.rng.setstate((RNG_VERSION, tuple(start.rng), None))
        self.place, self.read, self.ended = Place(*start.place), start.read, start.ended
        self.buffer = self.reader.find([Place(*place) for place in start.buffer])
        self.items = self.reader.read(self.place)

    def snapshot(self) -> Snapshot:
        """RETURNS (Snapshot): The present state."""
        return Snapshot(
            epoch=self.start.epoch,
            place=self.place,
            read=self.read,
            ended=self.ended,
            buffer=[item.place for item in self.buffer],
            rng=list(self.rng.getstate()[1]),
            rejects=self.reader.rejected(),
        )

    def draw(self) -> Item | None:
        """Give out the next piece.

        RETURNS (Item | None): The piece; None at the end of the epoch.
        """
        item = self._read()
        while item is not None and len(self.buffer) < max(self.reader.shuffle_buffer, 1):
            self.buffer.append(item)
            item = self._read()
        if item is not None:
            i = self.rng.randrange(len(self.buffer))
            drawn, self.buffer[i] = self.buffer[i], item
            return drawn
        if not self.ended:
            self.ended = True
            self.rng.shuffle(self.buffer)
            self.buffer.reverse()
        return self.buffer.pop() if self.buffer else None

    def _read(self) -> Item | None:
        if self.ended or (self.reader.limit and self.read >= self.reader.limit):
            return None
        item = next(self.items, None)
        if item is not None:
            self.place = item.place
            self.read += 1
        return item


Drawn = tuple[Snapshot | None, Item | None]


def draw_items(reader: Reader, start: Snapshot, *, endless: bool) -> Iterator[Drawn]:
    """Draw pieces, epoch after epoch or to the end of one.

    reader (Reader): The corpus.
    start (Snapshot): Where to begin.
    endless (bool): Whether another epoch follows.
    YIELDS (tuple): Now and then the state before this piece, else None; and the piece. None in its
        place ends an epoch.
    """
    while True:
        epoch = Epoch(reader, start)
        for number in count():
            state = epoch.snapshot() if number % SNAPSHOT_EVERY == 0 else None
            item = epoch.draw()
            if item is None:
                break
            yield state, item
        start = Snapshot(start.epoch + 1, rejects=reader.rejected())
        yield start, None
        if not endless:
            return


def make_examples(
    reader: Reader, start: Snapshot, skip: int, *, endless: bool
) -> Generator[tuple[Snapshot | None, Example | None], None, None]:
    """Draw pieces and make Examples.

    reader (Reader): The corpus.
    start (Snapshot): Where to begin.
    skip (int): Pieces to draw first and leave out.
    endless (bool): Whether another epoch follows.
    YIELDS (tuple): As `draw_items` does, with an Example for the piece.
    """
    drawn = draw_items(reader, start, endless=endless)
    for _ in islice(drawn, skip):
        pass
    for state, item in drawn:
        yield state, None if item is None else reader.make_example(item)


class RawStream(Iterator[Example]):
    """Iterate over raw Examples; `position` says how far the caller has come.

    Iteration stops at the end of each epoch; who asks again gets the next one.

    reader (Reader): The corpus.
    files (list): Name and size of each file.
    start (Snapshot): Where to begin.
    skip (int): Docs given out since then.
    endless (bool): Whether another epoch follows the first.
    prefetch (int): Docs that a thread makes ahead; 0 makes them when they are asked for.

    `waited` counts the seconds that the caller has waited for Docs.
    """

    def __init__(
        self,
        reader: Reader,
        files: list[tuple[str, int]],
        start: Snapshot,
        *,
        skip: int = 0,
        endless: bool = True,
        prefetch: int = 0,
    ) -> None:
        self._files = files
        self._base, self._since = start, skip
        made = make_examples(reader, start, skip, endless=endless)
        self._made = Prefetch(made, prefetch) if prefetch else made
        self.waited = 0.0

    def __next__(self) -> Example:
        """RETURNS (Example): The next Example."""
        begin = timer()
        try:
            state, example = next(self._made)
        finally:
            self.waited += timer() - begin
        if state is not None:
            self._base, self._since = state, 0
        if example is None:
            raise StopIteration
        self._since += 1
        return example

    @property
    def epoch(self) -> int:
        """RETURNS (int): The epoch of the last Example, from 0."""
        return self._base.epoch

    @property
    def position(self) -> dict[str, Any]:
        """RETURNS (dict[str, Any]): Plain data from which `UnlabeledCorpus.stream` goes on behind
        the last Example that was given out, also in another process."""
        files = [list(file) for file in self._files]
        return {**self._base.to_dict(), "files": files, "skip": self._since}

    def close(self) -> None:
        """End the stream and its thread."""
        self._made.close()
