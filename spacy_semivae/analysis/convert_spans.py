"""Read entity spans by character offsets: full, partial and negative annotation in JSONL.

A record has "text" or "tokens" (perhaps both, perhaps with "spaces"), and of these keys any:
"spans", what the entities are; "missing", true or the ranges without annotation; "rejected", what
is not an entity. With "spans" or "missing", all that is not missing is annotated, so outside of the
spans there is no entity. With "rejected" alone nothing is known of the rest.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import srsly
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.util import get_words_and_spaces

from .convert_lines import Notes, bad_line, read_lines

REJECTED_KEY = "incorrect_spans"
ON_MISALIGNED = ("raise", "skip")


def read_spans(
    path: Path,
    nlp: Language,
    *,
    notes: Notes,
    on_misaligned: str = "raise",
    encoding: str = "utf-8",
) -> Iterator[Doc]:
    """Read a JSONL file of texts with character spans as one Doc a line.

    path (Path): The file.
    nlp (Language): The pipeline whose tokenizer splits records that have no tokens.
    notes (Notes): Receives the count of spans that were skipped.
    on_misaligned (str): What to do with a span whose ends are not those of tokens: "raise", or
        "skip" to set the tokens it touches to missing (a rejected span is left out).
    encoding (str): The file's encoding.
    YIELDS (Doc): The texts.
    RAISES (ValueError): If a line breaks the format, spans overlap, or one is not aligned.
    """
    if on_misaligned not in ON_MISALIGNED:
        raise ValueError(f"on_misaligned must be one of {ON_MISALIGNED} (got {on_misaligned!r})")
    for number, line in read_lines(path, encoding):
        if line.strip():
            reader = RecordReader(path, number, skip=on_misaligned == "skip", notes=notes)
            yield reader.build(nlp, reader.parse(line))


class RecordReader:
    """Makes the Doc of a record.

    path (Path): The file, for errors.
    number (int): The record's line in it.
    skip (bool): Whether spans that are not aligned are skipped instead of being errors.
    notes (Notes): Receives their count.
    """

    def __init__(self, path: Path, number: int, *, skip: bool, notes: Notes) -> None:
        self.path = path
        self.number = number
        self.skip = skip
        self.notes = notes

    def parse(self, line: str) -> Any:
        """Read a line.

        line (str): The line.
        RETURNS (Any): What it holds, perhaps no record.
        RAISES (ValueError): If it is not JSON.
        """
        try:
            return srsly.json_loads(line)
        except ValueError as err:
            raise self._error(f"a line must be JSON ({err})", line) from err

    def build(self, nlp: Language, record: Any) -> Doc:
        """Make the Doc of a record.

        nlp (Language): The pipeline whose tokenizer splits a record that has no tokens.
        record (Any): What a line holds.
        RETURNS (Doc): The Doc.
        RAISES (ValueError): If it breaks the format.
        """
        self._check_record(record)
        doc = self._make_doc(nlp, record)
        if record.get("spans") is not None or record.get("missing") is not None:
            self._set_entities(doc, record.get("spans") or [], record.get("missing") or [])
        rejected = self._align(doc, record.get("rejected") or [], "rejected")
        if rejected:
            self._check_contradiction(doc, rejected)
            doc.spans[REJECTED_KEY] = rejected
        return doc

    def _check_record(self, record: Any) -> None:
        if not isinstance(record, dict) or not ("text" in record or "tokens" in record):
            raise self._error('a record must be an object with "text" or "tokens"', record)
        if record.get("answer", "accept") != "accept":
            raise self._error("only accepted answers can be read", record["answer"])

    def _make_doc(self, nlp: Language, record: dict[str, Any]) -> Doc:
        text, words, spaces = (record.get(key) for key in ("text", "tokens", "spaces"))
        if text is not None and not isinstance(text, str):
            raise self._error('"text" must be a string', text)
        if words is None:
            return nlp.make_doc(str(text))
        if not isinstance(words, list) or not all(word and isinstance(word, str) for word in words):
            raise self._error('"tokens" must be non-empty strings', words)
        try:
            if text is not None:
                words, spaces = get_words_and_spaces(words, text)
            return Doc(nlp.vocab, words=words, spaces=spaces)
        except ValueError as err:
            raise self._error('"tokens" must fit "text" and "spaces"', record) from err

    def _set_entities(self, doc: Doc, spans: Any, missing: Any) -> None:
        ents = self._align(doc, spans, "spans")
        self._check_overlaps(spans)
        covered = {token.i for ent in ents for token in ent}
        unknown = self._find_missing(doc, spans, missing) - covered
        ranges = [doc[i : i + 1] for i in sorted(unknown)]
        doc.set_ents(ents, missing=ranges, default="missing" if missing is True else "outside")

    def _find_missing(self, doc: Doc, spans: Any, missing: Any) -> set[int]:
        """RETURNS (set[int]): Tokens touched by a missing range or by a span that is skipped."""
        ranges = [] if missing is True else self._check(doc, missing, "missing")
        ranges += [span for span in spans if doc.char_span(*_bounds(span)) is None]
        touched = (doc.char_span(*_bounds(r), alignment_mode="expand") for r in ranges)
        return {token.i for span in touched if span is not None for token in span}

    def _align(self, doc: Doc, spans: Any, key: str) -> list[Span]:
        aligned = []
        for span in self._check(doc, spans, key):
            found = doc.char_span(*_bounds(span), label=self._label(span, key))
            if found is not None:
                aligned.append(found)
            elif self.skip:
                self.notes[f"{key} not aligned with tokens skipped"] += 1
            else:
                rule = f"{key} must begin and end with tokens ({self._explain(doc, span)})"
                raise self._error(rule, span)
        return aligned

    def _explain(self, doc: Doc, span: dict[str, Any]) -> str:
        text = doc.text[slice(*_bounds(span))]
        tokens = doc.char_span(*_bounds(span), alignment_mode="expand") or ()
        return f"{text!r} is cut from the tokens {[token.text for token in tokens]}"

    def _check(self, doc: Doc, spans: Any, key: str) -> list[dict[str, Any]]:
        if not isinstance(spans, list) or not all(isinstance(span, dict) for span in spans):
            raise self._error(f'"{key}" must be a list of objects', spans)
        for span in spans:
            start, end = _bounds(span)
            whole = type(start) is int and type(end) is int
            if not whole or not 0 <= start < end <= len(doc.text):
                rule = f"{key} must have 0 <= start < end <= {len(doc.text)}, the text's length"
                raise self._error(rule, span)
        return spans

    def _label(self, span: dict[str, Any], key: str) -> str:
        label = span.get("label")
        if not isinstance(label, str) or not label:
            raise self._error(f"{key} must have a label", span)
        return label

    def _check_overlaps(self, spans: list[dict[str, Any]]) -> None:
        ordered = sorted(spans, key=_bounds)
        for left, right in pairwise(ordered):
            if right["start"] < left["end"]:
                raise self._error("spans must not overlap", [left, right])

    def _check_contradiction(self, doc: Doc, rejected: list[Span]) -> None:
        ents = {(ent.start, ent.end, ent.label_) for ent in doc.ents}
        for span in rejected:
            if (span.start, span.end, span.label_) in ents:
                raise self._error("a span must not be an entity and rejected", span.text)

    def _error(self, rule: str, value: Any) -> ValueError:
        return bad_line(self.path, self.number, rule, value)


def _bounds(span: dict[str, Any]) -> tuple[Any, Any]:
    return span.get("start"), span.get("end")
