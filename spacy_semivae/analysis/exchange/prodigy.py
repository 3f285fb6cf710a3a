"""Prodigy: tasks for `ner_manual`, `pos_manual` and `choice`, and what `db-out` gives.

Documentation: "Annotation interfaces", "Built-in Recipes" (`db-in`, `db-out`).
"""

from collections.abc import Mapping
from typing import Any

from .records import (
    ACCEPT,
    AGENT,
    IGNORE,
    REJECT,
    Answer,
    RecordError,
    Task,
    get_objects,
    get_strings,
    get_text,
    make_mark,
)

# interfaces whose question is whether what they show is right
BINARY = ("ner", "spans", "pos", "classification")


def write(task: Task) -> dict[str, Any]:
    """Write a task.

    task (Task): The text.
    RETURNS (dict[str, Any]): For the interface `choice`, the best class chosen; else for
        `ner_manual`, `spans_manual` or `pos_manual`.
    """
    meta = dict(task.meta)
    if task.cats:
        options = [{"id": label, "text": label} for label in task.cats]
        return {"text": task.text, "options": options, "accept": [task.best], "meta": meta}
    tokens = [
        {"text": task.text[i:j], "start": i, "end": j, "id": number}
        | {"ws": task.text[j : j + 1] == " "}
        for number, (i, j) in enumerate(task.tokens)
    ]
    starts = {token["start"]: token["id"] for token in tokens}
    ends = {token["end"]: token["id"] for token in tokens}  # Prodigy's last token is inclusive
    spans = []
    for mark in task.marks:
        span = mark.to_dict() | {"token_start": starts[mark.start], "token_end": ends[mark.end]}
        score = {} if mark.probability is None else {"score": mark.probability}
        spans.append(span | score | {"source": AGENT})
    return {"text": task.text, "tokens": tokens, "spans": spans, "meta": meta}


def read(record: Mapping[str, Any]) -> Answer:
    """Read an answer.

    record (Mapping): A record of `db-out`.
    RETURNS (Answer): The answer.
    RAISES (RecordError): If it breaks the format.
    """
    text = get_text(record)
    verdict = record.get("answer", ACCEPT)
    if verdict not in (ACCEPT, REJECT, IGNORE):
        raise RecordError('"answer" must be accept, reject or ignore', verdict)
    if verdict == IGNORE:
        return Answer.ignored(text, "ignored by the annotator")
    spans, label = get_objects(record, "spans"), record.get("label")
    options = [str(option.get("id")) for option in get_objects(record, "options")]
    single = [label] if isinstance(label, str) and not spans else []
    return Answer(
        text,
        words=[get_text(token) for token in get_objects(record, "tokens")] or None,
        marks=[make_mark(x.get("start"), x.get("end"), x.get("label")) for x in spans],
        labels=[*get_strings(record, "accept"), *single],
        options=options,
        verdict=verdict,
        asked=bool(record.get("_is_binary")) or record.get("_view_id") in BINARY or bool(single),
        is_class=bool(options or single),
    )
