"""Shards, the unit of annotation: a run of texts of the input, and what became of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path

from ..training.raw_text import RawRecord

Reject = tuple[str, int, str, str]  # file, line, rule and the beginning of the text

DIGEST_SIZE = 16


@dataclass(frozen=True)
class Shard:
    """Texts that stand one after the other in the input."""

    number: int  # from 0
    records: list[RawRecord]

    def digest(self) -> str:
        """Hash the texts.

        RETURNS (str): Equal for the same texts in the same order.
        """
        found = blake2b(digest_size=DIGEST_SIZE)
        for record in self.records:
            found.update(repr((record.text, record.words, record.spaces)).encode("utf8"))
        return found.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a worker must know beside the shard.

    model (str): The pipeline, a folder or package.
    model_hash (str): Of its files: a worker that is kept for a later run must not keep another.
    code (str | None): Python file with registered functions.
    gpu_id (int): GPU, or -1 for the CPU.
    batch_size (int | None): Docs of a batch; None for the pipeline's own setting.
    stop (bool): Whether the first bad text ends the run.
    format (str): A name of `writers.FORMATS`.
    folder (Path): Where shards are written.
    root (Path): The folder that the names of input files start from.
    """

    model: str
    model_hash: str
    code: str | None
    gpu_id: int
    batch_size: int | None
    stop: bool
    format: str
    folder: Path
    root: Path

    def path(self, number: int) -> Path:
        """Name the file of a shard.

        number (int): The shard.
        RETURNS (Path): Its file.
        """
        return self.folder / f"shard-{number:06}.{self.format}"


@dataclass(frozen=True)
class Done:
    """A shard that was annotated; with `Job.stop` and a bad text in it, it was not written."""

    number: int
    docs: int  # in the file
    bytes: int  # of the file
    digest: str  # of the shard
    rejected: list[Reject]


def cut_shards(records: Iterable[RawRecord], size: int) -> Iterator[Shard]:
    """Cut the input into shards.

    records (Iterable[RawRecord]): The texts, read lazily.
    size (int): Texts of a shard; the last may have fewer.
    YIELDS (Shard): The shards; one without texts where there are none.
    """
    stream = iter(records)
    number = 0
    while (found := list(islice(stream, size))) or number == 0:
        yield Shard(number, found)
        number += 1
