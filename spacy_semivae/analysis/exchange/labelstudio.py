"""Label Studio: tasks with predictions for `<Labels>` and `<Choices>`, and its JSON export.

Documentation: "Import pre-annotated data into Label Studio", "Label Studio Task Format", "Export
annotations". A labelling config that fits has `<Text name="text" value="$text"/>` and
`<Labels name="label" toName="text">` or `<Choices name="label" toName="text">`.
"""

from collections.abc import Mapping
from typing import Any

from .records import (
    AGENT,
    Answer,
    Mark,
    RecordError,
    Task,
    agree,
    from_units,
    get_list,
    get_objects,
    get_strings,
    get_text,
    make_mark,
)

CONTROL, OBJECT = "label", "text"  # names of the tags in the labelling config


def write(task: Task) -> dict[str, Any]:
    """Write a task.

    task (Task): The text.
    RETURNS (dict[str, Any]): The task with its prediction.
    """
    if task.cats:
        result = [make_region("choices", {"choices": [task.best]}, "0")]
        score: float | None = task.cats[task.best]
    else:
        result = [make_span(mark, task.text, str(i)) for i, mark in enumerate(task.marks)]
        known = [mark.probability for mark in task.marks if mark.probability is not None]
        score = min(known, default=None)
    prediction: dict[str, Any] = {"model_version": AGENT, "result": result}
    if score is not None:
        prediction["score"] = score
    data = {"text": task.text, **task.meta}
    return {"data": data, "predictions": [prediction]}


def make_span(mark: Mark, text: str, name: str) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): The region of a span."""
    span = {"start": mark.start, "end": mark.end, "text": text[mark.start : mark.end]}
    region = make_region("labels", {**span, "labels": [mark.label]}, name)
    return region if mark.probability is None else {**region, "score": mark.probability}


def make_region(kind: str, value: dict[str, Any], name: str) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): A region of a prediction."""
    return {"id": name, "from_name": CONTROL, "to_name": OBJECT, "type": kind, "value": value}


def read(record: Mapping[str, Any]) -> Answer:
    """Read a task of an export.

    record (Mapping): The task.
    RETURNS (Answer): What its annotators agree on.
    RAISES (RecordError): If it breaks the format.
    """
    data = record.get("data")
    if not isinstance(data, dict) or "annotations" not in record:
        rule = 'a task must have "data" and "annotations", as in the export format JSON'
        raise RecordError(rule, dict(record))
    text = get_text(data)
    return agree((read_one(x, text) for x in get_objects(record, "annotations")), text)


def read_one(annotation: Mapping[str, Any], text: str) -> Answer:
    """RETURNS (Answer): What one annotator says."""
    if annotation.get("was_cancelled"):
        return Answer.ignored(text, "ignored by the annotator")
    found = [region.get("value") for region in get_objects(annotation, "result")]
    values = [value for value in found if isinstance(value, dict)]
    labels = [label for value in values for label in get_strings(value, "choices")]
    marks = [read_mark(value, text) for value in values if "labels" in value]
    return Answer(text, marks=marks, labels=labels, is_class=bool(labels) and not marks)


def read_mark(value: Mapping[str, Any], text: str) -> Mark:
    """Read a span; its text tells how its offsets were counted, which differs by version.

    RETURNS (Mark): The span.
    RAISES (RecordError): If its text does not stand there.
    """
    labels = get_list(value, "labels")
    if len(labels) != 1:
        raise RecordError("a span must have one label", labels)
    mark = make_mark(value.get("start"), value.get("end"), labels[0])
    shown = value.get("text")
    if shown is None or matches(text[mark.start : mark.end], shown):
        return mark
    mark = from_units(mark, text)
    if not matches(text[mark.start : mark.end], shown):
        raise RecordError(f"the text of a span must stand at its offsets in {text!r}", dict(value))
    return mark


def matches(found: str, shown: Any) -> bool:
    """RETURNS (bool): Whether a text is what is shown of it, with line ends written as \\n."""
    return found == shown or found == str(shown).replace("\\n", "\n")
