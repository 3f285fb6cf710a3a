"""From the answers of people in an annotation tool to Docs: full, partial or negative annotation.

| known | its marks | the rest of the text |
|---|---|---|
| full | are its entities | has none |
| partial | are entities | is unknown |
| negative | are no entities | is unknown |

A question about given marks, as Prodigy's yes-or-no interfaces ask, is partial when it is accepted
and negative when it is rejected. What is rejected otherwise says nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.util import get_words_and_spaces

from ..labels import TOKEN_ATTRS
from ..training.files import replacing
from .convert_lines import Notes, bad_line
from .convert_spans import ON_MISALIGNED, RecordReader
from .exchange.files import read_answers
from .exchange.records import ACCEPT, IGNORE, Answer

FULL, PARTIAL, NEGATIVE = "full", "partial", "negative"
KNOWN = (FULL, PARTIAL, NEGATIVE)
ENTITIES, CATS = "ents", "cats"
TARGETS = (ENTITIES, *TOKEN_ATTRS, CATS)
Numbered = tuple[int, Answer]  # line and answer


@dataclass(frozen=True, kw_only=True)
class ImportSettings:
    """How to read an export.

    format (str): A key of `exchange.files.FORMATS`.
    known (str | None): One of `KNOWN`; None is partial or negative for questions about given
        marks and full for all else.
    target (str | None): One of `TARGETS`, what the labels are; None for entities, or for cats
        where the labels are classes of texts.
    labels (Sequence[str] | None): Of cats: all classes; None for those in the export.
    on_misaligned (str): "raise", or "skip" for spans that do not fit the tokens.
    """

    format: str
    known: str | None = None
    target: str | None = None
    labels: Sequence[str] | None = None
    on_misaligned: str = "raise"

    def __post_init__(self) -> None:
        allowed = {"known": (None, *KNOWN), "target": (None, *TARGETS)}
        for name, values in {**allowed, "on_misaligned": ON_MISALIGNED}.items():
            if getattr(self, name) not in values:
                rule = ", ".join(value for value in values if value)
                raise ValueError(f"{name} must be one of {rule}, got {getattr(self, name)!r}")


@dataclass(frozen=True)
class Imported:
    """What `import_answers` did.

    docs (int): Docs written.
    notes (dict[str, int]): Counts of what was left out.
    """

    docs: int
    notes: dict[str, int]


def import_answers(source: Path, out: Path, settings: ImportSettings, *, nlp: Language) -> Imported:
    """Read an export and write its Docs.

    source (Path): The export, `.jsonl` or `.json`.
    out (Path): The `.spacy` file.
    settings (ImportSettings): How to read it.
    nlp (Language): Tokenizes texts that come without tokens.
    RETURNS (Imported): What was done.
    RAISES (ValueError): For a record that breaks a rule, or when none says anything.
    """
    notes = Notes()
    answers = list(read_answers(source, settings.format))
    is_class = any(answer.is_class for _, answer in answers)
    target = settings.target or (CATS if is_class else ENTITIES)
    given = [numbered for numbered in answers if says_something(numbered[1], settings, notes)]
    importer = Importer(source, nlp, settings, notes)
    docs = list(importer.read(given, target))
    if not docs:
        raise ValueError(f"{source}: no record is annotated, {dict(notes)}")
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as stream:
        stream.write(DocBin(docs=docs).to_bytes())
    return Imported(len(docs), dict(notes))


def says_something(answer: Answer, settings: ImportSettings, notes: Notes) -> bool:
    """Tell whether an answer can be learned from, and count those that cannot.

    answer (Answer): The answer.
    settings (ImportSettings): What is wanted.
    notes (Notes): Receives the counts.
    RETURNS (bool): Whether it is.
    """
    reason, known, rejected = "", known_of(answer, settings), answer.verdict != ACCEPT
    if answer.verdict == IGNORE:
        reason = answer.reason
    elif rejected and known == FULL:
        reason = "rejected as a whole"
    elif rejected and (answer.is_class or settings.target not in (None, ENTITIES)):
        reason = "rejected: only spans of entities can be negative"
    elif rejected and len(answer.marks) > 1 and known != NEGATIVE:
        reason = "rejected, without saying which span is wrong"
    elif known == NEGATIVE and answer.asked and not rejected:
        reason = "accepted, where only what is rejected was asked for"
    elif known != FULL and not (answer.marks or answer.is_class):
        reason = "without a span, where nothing is known of the rest"
    if reason:
        notes[f"left out ({reason})"] += 1
    return not reason


def known_of(answer: Answer, settings: ImportSettings) -> str:
    """RETURNS (str): What an answer tells, one of `KNOWN`."""
    return settings.known or (PARTIAL if answer.asked else FULL)


@dataclass
class Importer:
    """Makes Docs of answers.

    path (Path): The export, for errors.
    nlp (Language): Tokenizes.
    settings (ImportSettings): How to read it.
    notes (Notes): Receives counts.
    """

    path: Path
    nlp: Language
    settings: ImportSettings
    notes: Notes

    def read(self, answers: Sequence[Numbered], target: str) -> Iterable[Doc]:
        """Make Docs.

        answers (Sequence[Numbered]): What says something.
        target (str): One of `TARGETS`.
        RETURNS (Iterable[Doc]): The Docs.
        RAISES (ValueError): For an answer that breaks a rule.
        """
        if target == ENTITIES:
            return self._read_entities(answers)
        if self.settings.known == NEGATIVE:
            raise ValueError(f"only entities can be negative, got the target {target!r}")
        if target == CATS:
            return self._read_cats(answers)
        return (self._read_tags(number, answer, target) for number, answer in answers)

    # Entities

    def _read_entities(self, answers: Iterable[Numbered]) -> list[Doc]:
        records: list[tuple[int, dict[str, Any]]] = []
        partial: dict[str, dict[str, Any]] = {}  # by text: questions about one text are one Doc
        for number, answer in answers:
            record = self._make_record(answer)
            first = partial.get(answer.text) if "missing" in record else None
            if first is None:
                records.append((number, record))
                if "missing" in record:
                    partial[answer.text] = record
                continue
            for name in ("spans", "rejected"):
                first[name] += [span for span in record[name] if span not in first[name]]
        return [self._make_doc(number, record) for number, record in records]

    def _make_record(self, answer: Answer) -> dict[str, Any]:
        """RETURNS (dict[str, Any]): A record as `convert_spans` reads it."""
        known = known_of(answer, self.settings)
        spans = [mark.to_dict() for mark in answer.marks]
        record: dict[str, Any] = {"text": answer.text}
        if answer.words is not None:
            record["tokens"] = answer.words
        if known == FULL:
            return record | {"spans": spans}
        wrong = known == NEGATIVE or answer.verdict != ACCEPT
        right, rejected = ([], spans) if wrong else (spans, [])
        return record | {"missing": True, "spans": right, "rejected": rejected}

    def _make_doc(self, number: int, record: dict[str, Any]) -> Doc:
        skip = self.settings.on_misaligned == "skip"
        reader = RecordReader(self.path, number, skip=skip, notes=self.notes)
        return reader.build(self.nlp, record)

    # Other targets

    def _read_tags(self, number: int, answer: Answer, attr: str) -> Doc:
        doc = self._tokenize(number, answer)
        for mark in answer.marks:
            span = doc.char_span(mark.start, mark.end)
            if span is None and self.settings.on_misaligned == "skip":
                self.notes["tags not aligned with tokens skipped"] += 1
            elif span is None:
                rule = f"a tag must stand on tokens, which are {[token.text for token in doc]}"
                raise bad_line(self.path, number, rule, mark.to_dict())
            else:
                self._tag(number, span, attr, mark.label)
        return doc

    def _tag(self, number: int, span: Span, attr: str, label: str) -> None:
        try:
            for token in span:
                if attr == "morph":
                    token.set_morph(label)  # type: ignore[attr-defined]
                else:
                    setattr(token, f"{attr}_", label)
        except ValueError as error:
            raise bad_line(self.path, number, f"a tag must be a {attr} of spaCy", label) from error

    def _read_cats(self, answers: Sequence[Numbered]) -> list[Doc]:
        found = {label for _, answer in answers for label in (*answer.labels, *answer.options)}
        labels, docs = list(self.settings.labels or sorted(found)), []
        for number, answer in answers:
            if not answer.labels:
                self.notes["left out (not annotated)"] += 1
                continue
            if len(answer.labels) != 1 or answer.labels[0] not in labels:
                rule = f"a text must have one class of {labels}"
                raise bad_line(self.path, number, rule, list(answer.labels))
            doc = self._tokenize(number, answer)
            doc.cats = {label: float(label == answer.labels[0]) for label in labels}
            docs.append(doc)
        return docs

    def _tokenize(self, number: int, answer: Answer) -> Doc:
        if answer.words is None:
            return self.nlp.make_doc(answer.text)
        try:
            words, spaces = get_words_and_spaces(answer.words, answer.text)
        except ValueError as error:
            rule = "the tokens must fit the text"
            raise bad_line(self.path, number, rule, answer.words) from error
        return Doc(self.nlp.vocab, words=words, spaces=spaces)
