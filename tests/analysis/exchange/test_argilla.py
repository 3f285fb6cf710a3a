"""Records of Argilla with suggestions and responses."""

import pytest

from spacy_semivae.analysis.exchange.argilla import read, write
from spacy_semivae.analysis.exchange.records import Mark, Task


def test_records(entities, classes):
    record = write(entities)
    assert record["fields"] == {"text": entities.text}
    assert record["suggestions"]["spans"] == {
        "value": [
            {"start": 3, "end": 6, "label": "PER"},
            {"start": 11, "end": 18, "label": "PER"},
        ],
        "score": [0.9, 0.25],
        "agent": "spacy_semivae",
    }
    assert write(classes)["suggestions"]["label"] == {
        "value": "talk",
        "score": 0.75,
        "agent": "spacy_semivae",
    }
    # 20 units, but 19 characters, and the server counts characters
    last = Task(entities.text, entities.tokens, [Mark(18, 19, "SYM", 0.5)], {})
    assert write(last)["suggestions"]["spans"]["value"] == []


def test_discarded_and_pending():
    record = {"fields": {"text": "Ann"}, "responses": {}}
    assert read(record).reason == "not annotated"
    record["responses"] = {"spans": [{"value": [], "user_id": "u", "status": "discarded"}]}
    assert read(record).reason == "ignored by the annotator"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"text": "a"}, 'objects "fields" and "responses"'),
        ({"fields": {"text": "a"}, "responses": {"q": [{"value": 3}]}}, "a list, got 3"),
    ],
)
def test_bad_records(record, message, refused):
    assert message in refused("argilla", record)
