"""Label schemes: a token attribute or an entity annotation as class ids, and back.

A token whose annotation is absent or does not fit the predicted tokens is MISSING, never "O".
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.morphology import Morphology
from spacy.parts_of_speech import IDS as POS_IDS
from spacy.strings import StringStore, get_string_id
from spacy.tokens import Doc, Span
from spacy.training import Example

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

MISSING = -1
TOKEN_ATTRS = ("tag", "pos", "morph")
INSIDE, OUTSIDE, BEGIN = 1, 2, 3  # values of ENT_IOB; 0 is unset
CLOSED = -1  # no entity type is open


@dataclass(frozen=True)
class TransitionMask:
    """Which classes may start a sequence, follow one another, and end it."""

    start: BoolArray  # (C,)
    pair: BoolArray  # (C, C), indexed [from, to]
    end: BoolArray  # (C,)


class LabelScheme(ABC):
    """What both schemes share: class names, allowed classes, the count of misaligned tokens."""

    def __init__(self, what: str, names: list[str]) -> None:
        self._what = what  # the annotation in messages
        self._names = names
        self._tokens = 0
        self.misaligned = 0

    @property
    def names(self) -> list[str]:
        """RETURNS (list[str]): The name of every class; a class id is an index into it."""
        return list(self._names)

    @abstractmethod
    def encode(self, example: Example) -> IntArray:
        """RETURNS (IntArray): A class id or MISSING for each predicted token, (N,)."""

    def allowed(self, example: Example) -> BoolArray:
        """RETURNS (BoolArray): The one class of an annotated token, else every class, (N, C)."""
        ids = self.encode(example)[:, None]
        return (ids == np.arange(len(self._names))) | (ids == MISSING)

    def _count(self, doc: Doc, misaligned: int, tokens: int) -> None:
        self._tokens += tokens
        if misaligned and not self.misaligned:
            share = f"{misaligned} of the first {self._tokens} ({misaligned / self._tokens:.1%})"
            message = "tokens have annotation that does not fit the tokenizer and counts as missing"
            warnings.warn(f"{self._what}: {share} {message}: {shorten(doc)}", stacklevel=3)
        self.misaligned += misaligned

    def _unseen(self, label: str, doc: Doc) -> ValueError:
        known = f"none of the {len(self._names)} classes known since initialize"
        return ValueError(f"{self._what}: {label!r} in {shorten(doc)} is {known}")

    def _checked(self, doc: Doc, ids: Any) -> IntArray:
        checked, size = np.asarray(ids, dtype=np.int64), len(self._names)
        if checked.shape != (len(doc),) or ((checked < 0) | (checked >= size)).any():
            rule = f"need {len(doc)} class ids from 0 to {size - 1} for {shorten(doc)}"
            raise ValueError(f"{self._what}: {rule}, got {checked}")
        return checked


class TokenLabels(LabelScheme):
    """The values of a token attribute as classes."""

    def __init__(self, attr: str, names: Iterable[str] = ()) -> None:
        """attr (str): "tag", "pos" or "morph".
        names (Iterable[str]): The labels in the order of their class ids.
        """
        if attr not in TOKEN_ATTRS:
            raise ValueError(f"attr must be one of {', '.join(TOKEN_ATTRS)}: got {attr!r}")
        super().__init__(f"token attribute {attr!r}", [])
        self.attr = attr
        # Value of the attribute -> class id. 0 is an unset value, None one that does not align.
        self._ids: dict[int | None, int] = {0: MISSING, None: MISSING}
        self._values = np.zeros(0, dtype=np.uint64)  # (C,)
        for name in names:
            self.add(name)

    def add(self, label: str) -> bool:
        """Add a class. FEATS strings are normalised as spaCy does; "_" is the empty morph.

        label (str): Any string but the empty one; for "pos" one that spaCy knows.
        RETURNS (bool): False when the label exists already; a wrong one is a ValueError.
        """
        if not isinstance(label, str) or not label:
            raise ValueError(f"{self._what}: a label is a non-empty string, got {label!r}")
        if self.attr == "pos" and label not in POS_IDS:
            raise ValueError(f"{self._what}: {label!r} is no part of speech of spaCy")
        if self.attr == "morph" and label != Morphology.EMPTY_MORPH:
            if any(feature.count("=") != 1 for feature in label.split("|")):
                raise ValueError(f"{self._what}: {label!r} is no FEATS string")
            label = Morphology(StringStore()).normalize_features(label)
        value = get_string_id(label)
        if value in self._ids:
            return False
        self._ids[value] = len(self._names)
        self._names.append(label)
        self._values = np.append(self._values, np.uint64(value))
        return True

    def collect(self, examples: Iterable[Example]) -> list[str]:
        """RETURNS (list[str]): The distinct labels of the reference Docs, sorted."""
        found: set[str] = set()
        for example in examples:
            values = set(example.reference.to_array(self.attr).tolist()) - {0}
            found.update(example.reference.vocab.strings[value] for value in values)
        return sorted(found)

    def encode(self, example: Example) -> IntArray:
        """A predicted token takes the label on which all of its reference tokens agree.
        RETURNS (IntArray): A class id or MISSING for each predicted token, (N,).
        RAISES: ValueError for a label that is no class.
        """
        values = _aligned_values(example, self.attr)
        try:
            ids = np.array([self._ids[value] for value in values], dtype=np.int64)
        except KeyError as error:
            label = example.reference.vocab.strings[error.args[0]]
            raise self._unseen(label, example.reference) from None
        doc = example.predicted
        lost = sum(v is None and not doc[i].text.isspace() for i, v in enumerate(values))
        self._count(doc, lost, len(ids))
        return ids

    def annotate(self, doc: Doc, ids: Any, *, overwrite: bool) -> None:
        """Write class ids, (N,), to a Doc.
        overwrite (bool): Whether to replace values that tokens have already.
        RAISES: ValueError for ids that do not fit the Doc.
        """
        ids = self._checked(doc, ids)
        for i in set(ids.tolist()):
            doc.vocab.strings.add(self._names[i])
        values = self._values[ids]
        if not overwrite:
            present = doc.to_array(self.attr)
            values = np.where(present == 0, values, present)
        doc.from_array([self.attr], values)

    def transitions(self) -> TransitionMask:
        """RETURNS (TransitionMask): A mask that allows every sequence."""
        free = np.ones(len(self._names), dtype=bool)
        return TransitionMask(free, np.outer(free, free), free.copy())


class SpanLabels(LabelScheme):
    """Entities as BILOU classes: O, then B, I, L and U of each type, C = 4 * types + 1."""

    def __init__(self, types: Iterable[str] = ()) -> None:
        """types (Iterable[str]): The entity types in the order of their classes."""
        super().__init__("entities", ["O"])
        self.types: list[str] = []
        for type_ in types:
            self.add(type_)

    def add(self, type_: str) -> bool:
        """type_ (str): Any string but the empty one; it gets four classes.
        RETURNS (bool): False when the type exists already; an empty one is a ValueError.
        """
        if not isinstance(type_, str) or not type_:
            raise ValueError(f"{self._what}: a type is a non-empty string, got {type_!r}")
        if type_ in self.types:
            return False
        self.types.append(type_)
        self._names.extend(f"{kind}-{type_}" for kind in "BILU")
        return True

    def collect(self, examples: Iterable[Example], *, key: str | None = None) -> list[str]:
        """key (str | None): The span group of rejected spans, whose types count too.
        RETURNS (list[str]): The distinct entity types of the reference Docs, sorted.
        """
        found: set[str] = set()
        for example in examples:
            doc = example.reference
            found.update(span.label_ for span in (*doc.ents, *doc.spans.get(key, ())))
        return sorted(found)

    def encode(self, example: Example) -> IntArray:
        """An entity whose ends are not ends of predicted tokens leaves all tokens that it touches
        MISSING. Blocked tokens are MISSING, as in spaCy.
        RETURNS (IntArray): A class id or MISSING for each predicted token, (N,).
        RAISES: ValueError for an entity type that is unknown.
        """
        values, ents = _aligned_values(example, "ent_iob"), example.reference.ents
        ids = np.array([0 if value == OUTSIDE else MISSING for value in values], dtype=np.int64)
        first_class = {ent.label: 1 + 4 * self._type_index(ent) for ent in ents}
        same = _same_tokens(example)
        for ent in ents if same else example.get_aligned_spans_y2x(ents):
            first = first_class[ent.label]  # B, then I, L, U
            ids[ent.start : ent.end] = first + 1
            ids[ent.end - 1] = first + 2
            ids[ent.start] = first if len(ent) > 1 else first + 3
        lost = 0 if same else _fill_blanks(ids, values, example.predicted)
        self._count(example.predicted, lost, len(ids))
        return ids

    def negatives(self, example: Example, key: str | None) -> list[tuple[int, int, int]]:
        """The tokens of a rejected span that does not align count as misaligned.
        key (str | None): The span group of the reference Doc; None for none.
        RETURNS (list[tuple[int, int, int]]): Start, end and type index of each aligned span.
        RAISES: ValueError for an unknown type, or a span that is an entity as well.
        """
        doc = example.reference
        output: list[tuple[int, int, int]] = []
        entities = {(ent.start, ent.end, ent.label) for ent in doc.ents}
        for span in doc.spans.get(key, ()):
            if (span.start, span.end, span.label) in entities:
                where = f"{span.text!r} ({span.label_}) in {shorten(doc)}"
                raise ValueError(f"{self._what}: {where} is an entity and rejected in {key!r}")
            index, aligned = self._type_index(span), example.get_aligned_spans_y2x([span])
            output.extend((found.start, found.end, index) for found in aligned)
            self._count(doc, 0 if aligned else len(span), len(span))
        return output

    def transitions(self) -> TransitionMask:
        """RETURNS (TransitionMask): The well-formed sequences of BILOU classes."""
        before, after = _open_types(np.arange(len(self._names)))
        return TransitionMask(before == CLOSED, after[:, None] == before, after == CLOSED)

    def decode(self, doc: Doc, ids: Any) -> list[Span]:
        """RETURNS (list[Span]): The entities of a well-formed sequence of class ids, (N,).
        RAISES: ValueError for ids that do not fit the Doc or are not well-formed.
        """
        ids = self._checked(doc, ids)
        before, after = _open_types(ids)
        if not np.array_equal(np.append(before, CLOSED), np.append(CLOSED, after)):
            raise ValueError(f"{self._what}: not well-formed BILOU in {shorten(doc)}: {ids}")
        starts = np.flatnonzero((ids > 0) & (before == CLOSED)).tolist()
        ends = np.flatnonzero((ids > 0) & (after == CLOSED)).tolist()
        types = [self._names[ids[start]][2:] for start in starts]
        return [Span(doc, i, j + 1, label=type_) for i, j, type_ in zip(starts, ends, types)]

    def annotate(self, doc: Doc, ids: Any, *, overwrite: bool) -> None:
        """Write the entities of class ids, (N,), to a Doc; every other token becomes outside.
        overwrite (bool): False keeps the Doc's entities and blocked tokens, and adds what does
            not overlap with them.
        RAISES: ValueError as `decode` does.
        """
        spans = self.decode(doc, ids)
        if overwrite:
            doc.set_ents(spans)
            return
        taken = np.isin(doc.to_array("ent_iob"), (INSIDE, BEGIN))
        blocked = np.flatnonzero(taken & (doc.to_array("ent_type") == 0)).tolist()
        new = [span for span in spans if not taken[span.start : span.end].any()]
        doc.set_ents([*doc.ents, *new], blocked=[doc[i : i + 1] for i in blocked])

    def _type_index(self, span: Span) -> int:
        if span.label_ not in self.types:
            raise self._unseen(span.label_, span.doc)
        return self.types.index(span.label_)


def is_annotated(doc: Doc, attr: str, *, key: str | None = None) -> bool:
    """Tell whether a Doc has any annotation of an attribute; an empty Doc has none.
    attr (str): "tag", "pos", "morph" or "ents"; anything else is a ValueError.
    key (str | None): With "ents", the span group of rejected spans, which are annotation too.
    """
    if attr == "ents":
        return bool(len(doc.spans.get(key, ())) or doc.to_array("ent_iob").any())
    if attr in TOKEN_ATTRS:
        return bool(doc.to_array(attr).any())
    raise ValueError(f"attr must be one of {', '.join(TOKEN_ATTRS)}, ents: got {attr!r}")


def _open_types(ids: IntArray) -> tuple[IntArray, IntArray]:
    """The type that must be open before each class, and the one that is open after it."""
    kind, type_ = (ids - 1) % 4, (ids - 1) // 4
    before = np.where((ids > 0) & ((kind == 1) | (kind == 2)), type_, CLOSED)  # I, L
    after = np.where((ids > 0) & (kind <= 1), type_, CLOSED)  # B, I
    return before, after


def _same_tokens(example: Example) -> bool:
    return np.array_equal(example.predicted.to_array("orth"), example.reference.to_array("orth"))


def _aligned_values(example: Example, attr: str) -> list[int | None]:
    """An attribute for each predicted token, None where the reference tokens give no one value."""
    if _same_tokens(example):  # a tenth of the cost of an alignment
        return example.reference.to_array(attr).tolist()
    return example.get_aligned(attr.upper())


def _fill_blanks(ids: IntArray, values: list[int | None], doc: Doc) -> int:
    """Make whitespace that the reference lacks "O" where its neighbours are known.
    RETURNS (int): The number of other tokens whose annotation did not align."""
    lost = 0
    for i in np.flatnonzero(ids == MISSING).tolist():
        if values[i] is None and doc[i].text.isspace():
            around = [ids[j] for j in (i - 1, i + 1) if 0 <= j < len(ids)]
            ids[i] = 0 if around and MISSING not in around else MISSING
        else:
            lost += values[i] != 0
    return lost


def shorten(doc: Doc) -> str:
    """RETURNS (str): The start of a Doc's text, quoted, for messages."""
    return repr(doc.text if len(doc.text) <= 60 else doc.text[:60] + "...")
