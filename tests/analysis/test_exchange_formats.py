"""Each tool's format: what is written is what its documentation shows, and comes back the same."""

import copy

import pytest
import srsly

from spacy_semivae.analysis.exchange.files import FORMATS, read_answers, write_tasks
from spacy_semivae.analysis.exchange.records import Mark, Task

TEXT = "\U0001f600 Ann saw Bob Lee !"
TOKENS = [(0, 1), (2, 5), (6, 9), (10, 13), (14, 17), (18, 19)]
MARKS = [Mark(2, 5, "PER", 0.9), Mark(10, 17, "PER", 0.25)]
META = {"score": 1.5, "by": "entropy", "file": "raw.txt", "line": 7}
ENTITIES = Task(TEXT, TOKENS, MARKS, {}, META)
CLASSES = Task("Ann saw Bob", [(0, 3), (4, 7), (8, 11)], [], {"trip": 0.25, "talk": 0.75}, META)


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
def test_round_trip(format_, suffix, tmp_path):
    path, back = tmp_path / f"tasks.{suffix}", tmp_path / f"answers.{suffix}"
    write_tasks(path, [ENTITIES, CLASSES], format_)
    written = srsly.read_json(path) if suffix == "json" else list(srsly.read_jsonl(path))
    answers = [answer(format_, record) for record in written]
    (srsly.write_json if suffix == "json" else srsly.write_jsonl)(back, answers)
    (first, entities), (second, classes) = read_answers(back, format_)
    assert (first, second) == (1, 2)
    assert entities.text == TEXT
    assert [m.to_dict() for m in entities.marks] == [m.to_dict() for m in MARKS]
    assert not entities.is_class
    assert (classes.text, list(classes.labels), list(classes.marks)) == (
        CLASSES.text,
        ["talk"],
        [],
    )
    assert classes.is_class
    assert entities.verdict == classes.verdict == "accept"
    assert not entities.asked
    if format_ == "prodigy":
        assert entities.words == [TEXT[i:j] for i, j in TOKENS]
        assert list(classes.options) == ["trip", "talk"]


def test_prodigy_task():
    record = FORMATS["prodigy"].write(ENTITIES)
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
    assert record["meta"] == META
    choice = FORMATS["prodigy"].write(CLASSES)
    assert choice["options"] == [{"id": "trip", "text": "trip"}, {"id": "talk", "text": "talk"}]
    assert choice["accept"] == ["talk"]


def test_doccano_counts_units_of_utf16():
    assert FORMATS["doccano"].write(ENTITIES) == {
        "text": TEXT,
        "label": [[3, 6, "PER"], [11, 18, "PER"]],
        **META,
    }
    assert FORMATS["doccano"].write(CLASSES)["label"] == ["talk"]


def test_label_studio_task():
    record = FORMATS["labelstudio"].write(ENTITIES)
    assert record["data"] == {"text": TEXT, **META}
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
    (region,) = FORMATS["labelstudio"].write(CLASSES)["predictions"][0]["result"]
    assert (region["type"], region["value"]) == ("choices", {"choices": ["talk"]})


def test_argilla_record():
    record = FORMATS["argilla"].write(ENTITIES)
    assert record["fields"] == {"text": TEXT}
    assert record["suggestions"]["spans"] == {
        "value": [
            {"start": 3, "end": 6, "label": "PER"},
            {"start": 11, "end": 18, "label": "PER"},
        ],
        "score": [0.9, 0.25],
        "agent": "spacy_semivae",
    }
    assert FORMATS["argilla"].write(CLASSES)["suggestions"]["label"] == {
        "value": "talk",
        "score": 0.75,
        "agent": "spacy_semivae",
    }
    # 20 units, but 19 characters, and the server counts characters
    last = Task(TEXT, TOKENS, [Mark(18, 19, "SYM", 0.5)], {})
    assert FORMATS["argilla"].write(last)["suggestions"]["spans"]["value"] == []


def test_prodigy_answers():
    read = FORMATS["prodigy"].read
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


def test_doccano_of_other_projects_and_versions():
    read = FORMATS["doccano"].read
    mark = [Mark(2, 5, "PER")]
    assert read({"text": TEXT, "labels": [[3, 6, "PER"]]}).marks == mark
    entity = {"id": 1, "label": "PER", "start_offset": 3, "end_offset": 6}
    assert read({"text": TEXT, "entities": [entity], "relations": []}).marks == mark
    both = read({"text": TEXT, "cats": ["talk"], "entities": [[3, 6, "PER"]]})
    assert (both.marks, list(both.labels)) == (mark, ["talk"])


@pytest.mark.parametrize(("start", "end"), [(2, 5), (3, 6)])
def test_label_studio_counts_as_its_text_says(start, end):
    value = {"start": start, "end": end, "text": "Ann", "labels": ["PER"]}
    record = {
        "data": {"text": TEXT},
        "annotations": [{"result": [{"type": "labels", "value": value}]}],
    }
    assert FORMATS["labelstudio"].read(record).marks == [Mark(2, 5, "PER")]


def test_several_annotators():
    value = {"start": 0, "end": 3, "text": "Ann", "labels": ["PER"]}
    one = {"result": [{"value": value}]}
    record = {"data": {"text": "Ann saw"}, "annotations": [one, one]}
    read = FORMATS["labelstudio"].read
    assert read(record).marks == [Mark(0, 3, "PER")]
    skipped = {"result": [], "was_cancelled": True}
    assert read({**record, "annotations": [skipped, one]}).marks == [Mark(0, 3, "PER")]
    assert read({**record, "annotations": [skipped]}).reason == "ignored by the annotator"
    assert read({**record, "annotations": []}).reason == "not annotated"
    differ = read({**record, "annotations": [one, {"result": []}]})
    assert (differ.verdict, differ.reason) == ("ignore", "annotators disagree")


def test_argilla_discarded_and_pending():
    record = {"fields": {"text": "Ann"}, "responses": {}}
    read = FORMATS["argilla"].read
    assert read(record).reason == "not annotated"
    record["responses"] = {"spans": [{"value": [], "user_id": "u", "status": "discarded"}]}
    assert read(record).reason == "ignored by the annotator"


@pytest.mark.parametrize(
    ("format_", "record", "message"),
    [
        ("prodigy", [], "a record must be an object"),
        ("prodigy", {"txt": "a"}, '"text" must be a string, got None'),
        ("prodigy", {"text": "a", "answer": "yes"}, "accept, reject or ignore, got 'yes'"),
        ("prodigy", {"text": "a", "spans": ["x"]}, '"spans" must be a list of objects'),
        ("prodigy", {"text": "a", "accept": [1], "options": []}, '"accept" must be a list of str'),
        ("prodigy", {"text": "a", "spans": [{"start": 0, "end": 0, "label": "X"}]}, "0 <= start"),
        ("doccano", {"text": "a"}, "one of label, entities, cats, labels"),
        ("doccano", {"text": "a", "label": [[0, 1]]}, "a list of start, end and label"),
        ("doccano", {"text": "a\U0001f600", "label": [[0, 2, "X"]]}, "units of UTF-16"),
        ("labelstudio", {"text": "a", "label": []}, 'must have "data" and "annotations"'),
        ("argilla", {"text": "a"}, 'objects "fields" and "responses"'),
        ("argilla", {"fields": {"text": "a"}, "responses": {"q": [{"value": 3}]}}, "a list, got 3"),
    ],
)
def test_bad_records_give_file_line_rule_and_value(format_, record, message, tmp_path):
    path = tmp_path / "export.jsonl"
    path.write_text(f"\n{srsly.json_dumps(record)}\n")
    with pytest.raises(ValueError, match="line 2: ") as caught:
        list(read_answers(path, format_))
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_label_studio_text_elsewhere(tmp_path):
    value = {"start": 1, "end": 4, "text": "Ann", "labels": ["PER"]}
    record = {"data": {"text": "Ann saw"}, "annotations": [{"result": [{"value": value}]}]}
    path = tmp_path / "export.json"
    srsly.write_json(path, [record])
    with pytest.raises(ValueError, match="line 1: the text of a span must stand at its offsets"):
        list(read_answers(path, "labelstudio"))
    path.write_text('{"a": 1}')
    with pytest.raises(ValueError, match="must hold a list of records"):
        list(read_answers(path, "labelstudio"))
    path.write_text('[{"a": 1')
    with pytest.raises(ValueError, match="must be JSON"):
        list(read_answers(path, "labelstudio"))
    with pytest.raises(ValueError, match="one of prodigy, doccano, labelstudio, argilla, got 'x'"):
        write_tasks(path, [], "x")
