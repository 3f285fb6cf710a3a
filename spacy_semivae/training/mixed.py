"""Reader that puts raw Examples between labeled ones, for the stock `spacy train`."""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice

import spacy
from spacy.language import Language
from spacy.training import Example

ReaderT = Callable[[Language], Iterable[Example]]


@spacy.registry.readers("semivae.MixedCorpus.v1")
def create_mixed_corpus(
    labeled: Callable[[Language], Iterable[Example]],
    unlabeled: Callable[[Language], Iterable[Example]],
    ratio: float | None = 1.0,
    limit: int = 0,
) -> Callable[[Language], Iterator[Example]]:
    """Build a reader of labeled and raw Examples; see `MixedCorpus` for the arguments.

    RETURNS (MixedCorpus): The reader.
    """
    return MixedCorpus(labeled, unlabeled, ratio=ratio, limit=limit)


class MixedCorpus:
    """Iterate over a labeled corpus with raw Examples in between.

    An epoch ends with the labeled corpus, while the raw one goes on where the last epoch stopped
    and starts anew when it is used up: over the epochs all raw text is seen. The stock loop
    calls the reader once an epoch with `max_epochs = -1` only; otherwise it keeps the first
    epoch in memory.

    labeled (Callable): The reader of labeled Examples.
    unlabeled (Callable): The reader of raw Examples.
    ratio (float | None): Mean number of raw Examples after each labeled one. With None all labeled
        Examples come first and then the raw ones once, as vocabularies are initialized from.
    limit (int): With `ratio = None`, the number of raw Examples; 0 for all.
    RAISES (ValueError): If a setting is out of range.
    """

    def __init__(
        self, labeled: ReaderT, unlabeled: ReaderT, *, ratio: float | None = 1.0, limit: int = 0
    ) -> None:
        if ratio is not None and not (math.isfinite(ratio) and ratio >= 0):
            raise ValueError(f"ratio must be null or a finite number from 0, got {ratio}")
        if limit < 0 or (limit and ratio is not None):
            raise ValueError(f"limit must be 0, or positive with ratio = null, got {limit}")
        self.labeled = labeled
        self.unlabeled = unlabeled
        self.ratio = ratio
        self.limit = limit
        self._n_labeled = 0
        self._n_raw = 0
        self._raw: Iterator[Example] | None = None
        self._nlp: Language | None = None
        self._warned = False

    def __call__(self, nlp: Language) -> Iterator[Example]:
        """Iterate over one epoch.

        nlp (Language): The pipeline, handed to both readers.
        RETURNS (Iterator[Example]): The labeled and raw examples.
        RAISES (ValueError): If one of the corpora is empty, once that is known.
        """
        self._warn_of_textcat(nlp)
        labeled = _require_any(self.labeled(nlp), "labeled")
        if self.ratio is None:
            return self._append_raw(nlp, labeled)
        return self._interleave(nlp, labeled, self.ratio)

    def _append_raw(self, nlp: Language, labeled: Iterator[Example]) -> Iterator[Example]:
        yield from labeled
        yield from islice(_require_any(self.unlabeled(nlp), "unlabeled"), self.limit or None)

    def _interleave(
        self, nlp: Language, labeled: Iterator[Example], ratio: float
    ) -> Iterator[Example]:
        # The counts outlive the epoch, so that a small ratio is kept on a small corpus too.
        for eg in labeled:
            self._n_labeled += 1
            yield eg
            while self._n_raw < int(self._n_labeled * ratio):
                self._n_raw += 1
                yield self._next_raw(nlp)

    def _next_raw(self, nlp: Language) -> Example:
        # Examples of another pipeline would bring its vocabulary along.
        raw = self._raw if self._nlp is nlp else None
        eg = None if raw is None else next(raw, None)
        if eg is None:
            raw = _require_any(self.unlabeled(nlp), "unlabeled")
            eg = next(raw)
        self._raw, self._nlp = raw, nlp
        return eg

    def _warn_of_textcat(self, nlp: Language) -> None:
        names = [name for name, factory in nlp.pipe_factories.items() if factory == "textcat"]
        if names and self.ratio != 0 and not self._warned:
            self._warned = True
            warnings.warn(
                f"The exclusive text classifier {names[0]!r} learns from raw Docs that every "
                "score is zero. Freeze it, train with 'spacy semivae train' or use a component "
                "of this package.",
                stacklevel=3,
            )


def _require_any(examples: Iterable[Example], kind: str) -> Iterator[Example]:
    iterator = iter(examples)
    first = next(iterator, None)
    if first is None:
        raise ValueError(f"a mixed corpus needs Docs of both kinds: the {kind} corpus has none")
    return chain([first], iterator)
