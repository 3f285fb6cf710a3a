"""Batches in which every class has the same part."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import cycle, islice

from spacy.training import Example
from spacy.util import minibatch, registry
from thinc.types import Generator

from ..pipeline.text_labels import read_class

Batcher = Callable[[Iterable[Example]], Iterable[list[Example]]]


@registry.batchers("semivae.batch_balanced.v1")
def create_batch_balanced(size: int | Generator = 16) -> Batcher:
    """Create a batcher that repeats Docs of rare classes until no class is rarer than another.

    size (int | Iterator[int]): Docs a batch, or a schedule.
    RETURNS (Callable): Examples to batches. Cats are exclusive; Docs without cats are spread among
        the others and not repeated. All Examples of an epoch are held in memory.
    """
    return partial(batch_balanced, size=size)


def batch_balanced(
    examples: Iterable[Example], *, size: int | Generator
) -> Iterator[list[Example]]:
    """Batch Examples so that any stretch has the classes in equal parts.

    examples (Iterable[Example]): The Examples of an epoch.
    size (int | Iterator[int]): Docs a batch.
    YIELDS (list[Example]): A batch.
    RAISES (ValueError): For cats that name no one class.
    """
    groups: dict[str | None, list[Example]] = {}
    for example in examples:
        groups.setdefault(read_class(example.reference), []).append(example)
    most = max((len(group) for label, group in groups.items() if label is not None), default=0)
    placed: list[tuple[float, Example]] = []
    for label, group in groups.items():
        n = len(group) if label is None else most
        placed += [((i + 0.5) / n, eg) for i, eg in enumerate(islice(cycle(group), n))]
    placed.sort(key=lambda pair: pair[0])
    yield from minibatch((eg for _, eg in placed), size)
