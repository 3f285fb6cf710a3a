"""Records of doccano, of today's and older versions."""

import pytest

from spacy_semivae.analysis.exchange.doccano import read, write
from spacy_semivae.analysis.exchange.records import Mark


def test_units_of_utf16_are_counted(entities, classes):
    assert write(entities) == {
        "text": entities.text,
        "label": [[3, 6, "PER"], [11, 18, "PER"]],
        **entities.meta,
    }
    assert write(classes)["label"] == ["talk"]


def test_other_projects_and_versions(entities):
    text = entities.text
    mark = [Mark(2, 5, "PER")]
    assert read({"text": text, "labels": [[3, 6, "PER"]]}).marks == mark
    entity = {"id": 1, "label": "PER", "start_offset": 3, "end_offset": 6}
    assert read({"text": text, "entities": [entity], "relations": []}).marks == mark
    both = read({"text": text, "cats": ["talk"], "entities": [[3, 6, "PER"]]})
    assert (both.marks, list(both.labels)) == (mark, ["talk"])


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"text": "a"}, "one of label, entities, cats, labels"),
        ({"text": "a", "label": [[0, 1]]}, "a list of start, end and label"),
        ({"text": "a\U0001f600", "label": [[0, 2, "X"]]}, "units of UTF-16"),
    ],
)
def test_bad_records(record, message, refused):
    assert message in refused("doccano", record)
