"""Tasks of Label Studio, with predictions and with the answers of several people."""

import pytest

from spacy_semivae.analysis.exchange.labelstudio import read, write
from spacy_semivae.analysis.exchange.records import Mark


def with_span(value):
    return {"data": {"text": "Ann saw"}, "annotations": [{"result": [{"value": value}]}]}


def test_tasks(entities, classes):
    record = write(entities)
    assert record["data"] == {"text": entities.text, **entities.meta}
    (prediction,) = record["predictions"]
    assert prediction["score"] == 0.25
    assert prediction["result"][0] == {
        "id": "0",
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "value": {"start": 2, "end": 5, "text": "Ann", "labels": ["PER"]},
        "score": 0.9,
    }
    (region,) = write(classes)["predictions"][0]["result"]
    assert (region["type"], region["value"]) == ("choices", {"choices": ["talk"]})


@pytest.mark.parametrize(("start", "end"), [(2, 5), (3, 6)])
def test_offsets_count_as_the_text_of_a_span_says(start, end, entities):
    value = {"start": start, "end": end, "text": "Ann", "labels": ["PER"]}
    record = {
        "data": {"text": entities.text},
        "annotations": [{"result": [{"type": "labels", "value": value}]}],
    }
    assert read(record).marks == [Mark(2, 5, "PER")]


def test_several_annotators():
    value = {"start": 0, "end": 3, "text": "Ann", "labels": ["PER"]}
    one = {"result": [{"value": value}]}
    record = {"data": {"text": "Ann saw"}, "annotations": [one, one]}
    assert read(record).marks == [Mark(0, 3, "PER")]
    skipped = {"result": [], "was_cancelled": True}
    assert read({**record, "annotations": [skipped, one]}).marks == [Mark(0, 3, "PER")]
    assert read({**record, "annotations": [skipped]}).reason == "ignored by the annotator"
    assert read({**record, "annotations": []}).reason == "not annotated"
    differ = read({**record, "annotations": [one, {"result": []}]})
    assert (differ.verdict, differ.reason) == ("ignore", "annotators disagree")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"text": "a", "label": []}, 'must have "data" and "annotations"'),
        (with_span({"start": 0, "end": 3, "labels": ["A", "B"]}), "a span must have one label"),
        (
            with_span({"start": 1, "end": 4, "text": "Ann", "labels": ["PER"]}),
            "the text of a span must stand at its offsets in 'Ann saw'",
        ),
    ],
)
def test_bad_records(record, message, refused):
    assert message in refused("labelstudio", record)
