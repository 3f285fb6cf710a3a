"""Files of every tool's records come back as they were written; what is no record is refused."""

import copy

import pytest
import srsly

from spacy_semivae.analysis.exchange.files import FORMATS, read_answers, write_tasks


def answer(format_, record):
    """Do what a tool does when a person accepts the suggestion."""
    record = copy.deepcopy(record)
    if format_ == "prodigy":
        record |= {"_input_hash": 1, "_task_hash": 2, "_session_id": None, "answer": "accept"}
        record["_view_id"] = "choice" if "options" in record else "ner_manual"
    elif format_ == "doccano":
        record |= {"id": 1, "Comments": []}
    elif format_ == "labelstudio":
        (prediction,) = record["predictions"]
        result = [{**region, "origin": "prediction"} for region in prediction["result"]]
        record["annotations"] = [{"id": 1, "result": result, "was_cancelled": False}]
    else:
        for name, suggestion in record["suggestions"].items():
            record["responses"] = {name: [{"value": suggestion["value"], "user_id": "u"}]}
    return record


@pytest.mark.parametrize("suffix", ["jsonl", "json"])
@pytest.mark.parametrize("format_", FORMATS)
def test_round_trip(format_, suffix, entities, classes, tmp_path):
    path, back = tmp_path / f"tasks.{suffix}", tmp_path / f"answers.{suffix}"
    write_tasks(path, [entities, classes], format_)
    written = srsly.read_json(path) if suffix == "json" else list(srsly.read_jsonl(path))
    answers = [answer(format_, record) for record in written]
    (srsly.write_json if suffix == "json" else srsly.write_jsonl)(back, answers)
    (first, spans), (second, label) = read_answers(back, format_)
    assert (first, second) == (1, 2)
    assert spans.text == entities.text
    assert [m.to_dict() for m in spans.marks] == [m.to_dict() for m in entities.marks]
    assert not spans.is_class
    assert (label.text, list(label.labels), list(label.marks)) == (
        classes.text,
        ["talk"],
        [],
    )
    assert label.is_class
    assert spans.verdict == label.verdict == "accept"
    assert not spans.asked
    if format_ == "prodigy":
        assert spans.words == [spans.text[i:j] for i, j in entities.tokens]
        assert list(label.options) == ["trip", "talk"]


def test_what_is_no_list_of_records(tmp_path, refused):
    assert "a record must be an object" in refused("prodigy", [])
    path = tmp_path / "export.json"
    for text, message in (
        ('{"a": 1}', "must hold a list of records"),
        ('[{"a": 1', "must be JSON"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            list(read_answers(path, "labelstudio"))
    srsly.write_json(path, [{"text": "a"}, {}])
    with pytest.raises(ValueError, match='line 2: "text" must be a string'):
        list(read_answers(path, "prodigy"))


def test_unknown_formats(tmp_path):
    with pytest.raises(ValueError, match="one of prodigy, doccano, labelstudio, argilla, got 'x'"):
        write_tasks(tmp_path / "new" / "tasks.json", [], "x")
    assert not list(tmp_path.iterdir())
