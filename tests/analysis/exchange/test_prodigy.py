"""Tasks and answers of Prodigy."""

import pytest

from spacy_semivae.analysis.exchange.prodigy import read, write


def test_tasks(entities, classes):
    record = write(entities)
    assert record["tokens"][1] == {"text": "Ann", "start": 2, "end": 5, "id": 1, "ws": True}
    assert not record["tokens"][5]["ws"]
    assert record["spans"][1] == {
        "start": 10,
        "end": 17,
        "token_start": 3,
        "token_end": 4,  # the last token itself
        "label": "PER",
        "score": 0.25,
        "source": "spacy_semivae",
    }
    assert record["meta"] == entities.meta
    choice = write(classes)
    assert choice["options"] == [{"id": "trip", "text": "trip"}, {"id": "talk", "text": "talk"}]
    assert choice["accept"] == ["talk"]


def test_answers():
    span = {"start": 0, "end": 3, "label": "PER", "token_start": 0, "token_end": 0}
    ask = {"text": "Ann saw", "spans": [span], "_view_id": "ner"}
    assert read({**ask, "answer": "reject"}).verdict == "reject"
    assert read({**ask, "answer": "reject"}).asked
    assert read({**ask, "_view_id": "ner_manual", "_is_binary": True}).asked
    assert not read({**ask, "_view_id": "ner_manual"}).asked
    assert read({**ask, "answer": "ignore"}).reason == "ignored by the annotator"
    found = read({"text": "Ann saw", "label": "trip", "answer": "accept"})
    assert found.is_class
    assert list(found.labels) == ["trip"]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"txt": "a"}, '"text" must be a string, got None'),
        ({"text": "a", "answer": "yes"}, "accept, reject or ignore, got 'yes'"),
        ({"text": "a", "spans": ["x"]}, '"spans" must be a list of objects'),
        ({"text": "a", "accept": [1], "options": []}, '"accept" must be a list of str'),
        ({"text": "a", "spans": [{"start": 0, "end": 0, "label": "X"}]}, "0 <= start"),
    ],
)
def test_bad_records(record, message, refused):
    assert message in refused("prodigy", record)
