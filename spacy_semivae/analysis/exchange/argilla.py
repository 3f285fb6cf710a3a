"""Argilla: records with suggestions for a span or a label question, and exported responses.

Documentation: "Importing and exporting datasets and records", "rg.Record", "Questions"
(`SpanQuestion`, `LabelQuestion`), "rg.Suggestion", "rg.Response". Spans count units of UTF-16, as
issue 5729 ("Emojis cause wrong start:end indexes in SpanQuestion") says.
"""

from collections.abc import Mapping
from typing import Any

from .records import (
    AGENT,
    Answer,
    RecordError,
    Task,
    agree,
    from_units,
    get_objects,
    get_text,
    make_mark,
    to_units,
)

SPANS, LABEL = "spans", "label"  # names of the questions


def write(task: Task) -> dict[str, Any]:
    """Write a record, as `rg.Record.from_dict` and `dataset.records.from_json` read it.

    task (Task): The text.
    RETURNS (dict[str, Any]): The record.
    """
    if task.cats:
        best = {"value": task.best, "score": task.cats[task.best]}
        suggestions = {LABEL: best | {"agent": AGENT}}
    else:
        suggestions = {SPANS: suggest_spans(task) | {"agent": AGENT}}
    metadata = dict(task.meta)
    return {"fields": {"text": task.text}, "metadata": metadata, "suggestions": suggestions}


def suggest_spans(task: Task) -> dict[str, Any]:
    """Write spans; the server refuses one that ends behind the text in characters.

    RETURNS (dict[str, Any]): Value and score, a probability for each span where all have one.
    """
    value, scores = [], []
    for mark in task.marks:
        start, end = to_units(mark, task.text)
        if end <= len(task.text):
            value.append({"start": start, "end": end, "label": mark.label})
            scores.append(mark.probability)
    return {"value": value, "score": None if None in scores else scores or None}


def read(record: Mapping[str, Any]) -> Answer:
    """Read a record of an export.

    record (Mapping): The record.
    RETURNS (Answer): What those who responded agree on.
    RAISES (RecordError): If it breaks the format.
    """
    fields, responses = record.get("fields"), record.get("responses") or {}
    if not isinstance(fields, dict) or not isinstance(responses, dict):
        raise RecordError('a record must have objects "fields" and "responses"', dict(record))
    text = get_text(fields)
    given = [item for name in responses for item in get_objects(responses, name)]
    return agree((read_one(item, text) for item in given), text)


def read_one(response: Mapping[str, Any], text: str) -> Answer:
    """RETURNS (Answer): What one person says."""
    value = response.get("value")
    if value is None or response.get("status", "submitted") != "submitted":
        return Answer.ignored(text, "ignored by the annotator")
    if isinstance(value, str):
        return Answer(text, labels=[value], is_class=True)
    marks = [
        make_mark(item.get("start"), item.get("end"), item.get("label"))
        for item in get_objects(response, "value")
    ]
    return Answer(text, marks=[from_units(mark, text) for mark in marks])
