"""An annotated Doc as a JSON object: its tokens, entities, tags and cats."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from spacy.attrs import SPACY
from spacy.language import Language
from spacy.pipeline import AttributeRuler
from spacy.tokens import Doc, Span

from ..labels import TOKEN_ATTRS, TokenLabels

SpanKey = tuple[int, int, str]  # first token, token after the last, label

DIGITS = 6  # of probabilities


@dataclass(frozen=True)
class Fields:
    """What a pipeline annotates.

    entities (bool): `doc.ents`.
    probabilities (bool): The entities' probabilities.
    attrs (tuple[str, ...]): Of "tag", "pos" and "morph".
    cats (bool): `doc.cats`.
    """

    entities: bool
    probabilities: bool
    attrs: tuple[str, ...]
    cats: bool


@dataclass(frozen=True)
class Annotated:
    """A Doc with all that is written of it."""

    doc: Doc
    scores: Mapping[SpanKey, float]  # probabilities of entities
    file: str
    line: int


def find_fields(nlp: Language, *, probabilities: bool) -> Fields:
    """Read from a pipeline's components what they annotate.

    nlp (Language): The pipeline.
    probabilities (bool): Whether entities have probabilities.
    RETURNS (Fields): What they say that they assign.
    """
    assigned: set[str] = set()
    for name, pipe in nlp.pipeline:
        scheme = getattr(pipe, "scheme", None)
        if isinstance(scheme, TokenLabels):  # the factory names all attributes, the pipe sets one
            assigned.add(f"token.{scheme.attr}")
        elif isinstance(pipe, AttributeRuler):  # its factory names none, its patterns do
            patterns = cast(list[dict[str, Any]], pipe.patterns)
            assigned.update(f"token.{key.lower()}" for found in patterns for key in found["attrs"])
        else:
            assigned.update(nlp.get_pipe_meta(name).assigns)
    attrs = tuple(attr for attr in TOKEN_ATTRS if f"token.{attr}" in assigned)
    return Fields("doc.ents" in assigned, probabilities, attrs, "doc.cats" in assigned)


def make_row(item: Annotated, fields: Fields) -> dict[str, Any]:
    """Describe a Doc.

    item (Annotated): The Doc.
    fields (Fields): What the pipeline annotates.
    RETURNS (dict[str, Any]): Text, tokens, spaces unless they are unknown, entities by characters
        of the text, an entry a token for each attribute, cats, and where the text stands.
    """
    doc = item.doc
    row: dict[str, Any] = {"text": doc.text, "tokens": [token.text for token in doc]}
    if not doc.has_unknown_spaces:
        row["spaces"] = doc.to_array(SPACY).astype("bool").tolist()
    if fields.entities:
        row["entities"] = [make_entity(ent, item.scores, fields) for ent in doc.ents]
    for attr in fields.attrs:
        row[attr] = [str(getattr(token, READERS[attr])) for token in doc]
    if fields.cats:
        row["cats"] = {label: round(float(p), DIGITS) for label, p in doc.cats.items()}
    return {**row, "file": item.file, "line": item.line}


READERS = {"tag": "tag_", "pos": "pos_", "morph": "morph"}


def make_entity(ent: Span, scores: Mapping[SpanKey, float], fields: Fields) -> dict[str, Any]:
    """Describe an entity.

    ent (Span): The entity.
    scores (Mapping): Probabilities of entities.
    fields (Fields): What the pipeline annotates.
    RETURNS (dict[str, Any]): Characters, label, and the probability, None where none is known.
    """
    entity = {"start": ent.start_char, "end": ent.end_char, "label": ent.label_}
    if fields.probabilities:
        p = scores.get((ent.start, ent.end, ent.label_))
        entity["probability"] = None if p is None else round(p, DIGITS)
    return entity
