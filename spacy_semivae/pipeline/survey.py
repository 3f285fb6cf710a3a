"""One pass over the Examples that `initialize` is given."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from spacy.tokens import Doc
from spacy.training import Example

from ..layers.words import count_words

SAMPLE = 10  # Docs that a model sees to infer its shapes


class Survey:
    """What one pass over the Examples tells: counts of tokens and classes, labelled Docs, a sample.

    is_labeled (Callable): Tells labelled Examples from raw ones.
    count_classes (Callable): Counts the classes of a reference Doc annotated in full.
    """

    def __init__(
        self,
        is_labeled: Callable[[Example], bool],
        count_classes: Callable[[Doc], Counter[str]],
    ) -> None:
        self.is_labeled = is_labeled
        self.count_classes = count_classes
        self.counts: Counter[str] = Counter()
        self.classes: Counter[str] = Counter()
        self.docs = self.labeled = self.latent = 0
        self.sample: list[Doc] = []

    def watch(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Pass Examples on and take note of them.

        examples (Iterable[Example]): The Examples.
        YIELDS (Example): The same ones; `latent` counts those that are not annotated in full.
        """
        for example in examples:
            self.docs += 1
            self.labeled += self.is_labeled(example)
            self.counts.update(count_words([example.predicted]))
            classes = self.count_classes(example.reference)
            self.classes.update(classes)
            self.latent += not classes and len(example.reference) > 0
            if len(example.predicted) and len(self.sample) < SAMPLE:
                self.sample.append(example.predicted)
            yield example
