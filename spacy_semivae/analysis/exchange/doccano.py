"""doccano: JSONL of sequence labelling and of text classification.

Documentation: "Tutorial", and the examples of "Import Dataset" and "Export Dataset". Offsets count
units of UTF-16, as issue 2290 ("Sequence labels are TypeScript/JavaScript-style") says.
"""

from collections.abc import Mapping
from typing import Any

from .records import (
    Answer,
    Mark,
    RecordError,
    Task,
    from_units,
    get_list,
    get_text,
    make_mark,
    to_units,
)

# of today's versions, of relation projects, of intent detection, and of older versions
KEYS = ("label", "entities", "cats", "labels")


def write(task: Task) -> dict[str, Any]:
    """Write a text; what is neither text nor label becomes doccano's metadata.

    task (Task): The text.
    RETURNS (dict[str, Any]): The record.
    """
    label: list[Any] = [task.best] if task.cats else []
    label += [[*to_units(mark, task.text), mark.label] for mark in task.marks]
    return {"text": task.text, "label": label, **task.meta}


def read(record: Mapping[str, Any]) -> Answer:
    """Read an annotated text.

    record (Mapping): A record of an export.
    RETURNS (Answer): The answer.
    RAISES (RecordError): If it breaks the format.
    """
    text, found = get_text(record), [name for name in KEYS if name in record]
    if not found:
        raise RecordError(f"a record must have one of {', '.join(KEYS)}", dict(record))
    items = [item for name in found for item in get_list(record, name)]
    labels = [item for item in items if isinstance(item, str)]
    marks = [from_units(read_mark(x), text) for x in items if not isinstance(x, str)]
    return Answer(text, marks=marks, labels=labels, is_class=bool(labels) and not marks)


def read_mark(item: Any) -> Mark:
    """RETURNS (Mark): A span, as a list or, of a relation project, as an object."""
    if isinstance(item, dict):
        return make_mark(item.get("start_offset"), item.get("end_offset"), item.get("label"))
    if not isinstance(item, list) or len(item) != 3:
        raise RecordError("a label must be a class, or a list of start, end and label", item)
    return make_mark(*item)
