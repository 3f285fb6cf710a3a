"""What a component predicts for a text, as annotation tools are to show it."""

from collections.abc import Mapping, Sequence
from typing import Any

from spacy.tokens import Doc

from ..annotate.scores import key_of, read_group, score_by_tags, score_rest
from ..pipeline.base import SemiSupervisedPipe
from ..pipeline.ner import EntityMixin
from ..pipeline.ssvae import SSVAETextcat
from ..pipeline.vsl import VSLNer
from .exchange.records import Mark, Task

DIGITS = 6  # of probabilities


def make_tasks(
    pipe: SemiSupervisedPipe, docs: Sequence[Doc], metas: Sequence[Mapping[str, Any]]
) -> list[Task]:
    """Annotate texts and describe them.

    pipe (SemiSupervisedPipe): The component, which writes to the Docs.
    docs (Sequence[Doc]): The texts.
    metas (Sequence[Mapping]): What is to be known of each beside its annotation.
    RETURNS (list[Task]): A task for each.
    """
    if not docs:
        return []
    marks: list[list[Mark]] = [[] for _ in docs]
    cats: list[dict[str, float]] = [{} for _ in docs]
    if isinstance(pipe, SSVAETextcat):
        probabilities = pipe.predict_probabilities(docs)
        cats = [{y: round(float(p), DIGITS) for y, p in zip(pipe.labels, P)} for P in probabilities]
    elif isinstance(pipe, EntityMixin):
        marks = mark_entities(pipe, docs)
    else:
        marks = mark_tags(pipe, docs)
    return [
        Task(doc.text, [(t.idx, t.idx + len(t)) for t in doc], found, classes, meta)
        for doc, found, classes, meta in zip(docs, marks, cats, metas)
    ]


def mark_entities(pipe: Any, docs: Sequence[Doc]) -> list[list[Mark]]:
    """Find entities and their probabilities.

    pipe (CRFVAENer | VSLNer): The recognizer.
    docs (Sequence[Doc]): The Docs.
    RETURNS (list[list[Mark]]): The entities of each.
    """
    scores = pipe.predict(docs)
    pipe.set_annotations(docs, scores)
    if isinstance(pipe, VSLNer):
        for doc, P in zip(docs, pipe.probabilities(scores)):
            doc.user_data[f"{pipe.name}_probabilities"] = P
        found = [score_by_tags(pipe, doc) for doc in docs]
    else:
        found = [read_group(doc, pipe.spans_key) for doc in docs]
        score_rest(pipe, docs, found)
    return [
        [
            Mark(ent.start_char, ent.end_char, ent.label_, round(P[key_of(ent)], DIGITS))
            for ent in doc.ents
            if ent.label_ in pipe.labels
        ]
        for doc, P in zip(docs, found)
    ]


def mark_tags(pipe: SemiSupervisedPipe, docs: Sequence[Doc]) -> list[list[Mark]]:
    """Find the tags of words and their probabilities.

    pipe (SemiSupervisedPipe): The tagger.
    docs (Sequence[Doc]): The Docs.
    RETURNS (list[list[Mark]]): The tag of each token but spaces.
    """
    scores, names = pipe.predict(docs), pipe.scheme.names
    return [
        [
            Mark(t.idx, t.idx + len(t), names[y], round(float(p[y]), DIGITS))
            for t, y, p in zip(doc, ids.tolist(), P)
            if not t.is_space
        ]
        for doc, ids, P in zip(docs, pipe.decode(scores), pipe.probabilities(scores))
    ]
