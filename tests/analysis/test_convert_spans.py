"""Reading spans."""

import pytest
import srsly


def iob_of(doc):
    """One letter a token: missing is "-"."""
    return "".join("-IOB"[token.ent_iob] for token in doc)


def spans(run, *records, **settings):
    content = "\n".join(srsly.json_dumps(record) for record in records)
    return run(content, "input.jsonl", format="spans", **settings)


ANN = {"start": 0, "end": 3, "label": "PER"}
ROME = {"start": 8, "end": 12, "label": "LOC"}
TEXT = {"text": "Ann saw Rome ."}


@pytest.mark.parametrize(
    ("keys", "iob"),
    [
        ({"spans": [ANN, ROME]}, "BOBO"),
        ({"spans": []}, "OOOO"),
        ({"spans": [ANN], "missing": [{"start": 9, "end": 14}]}, "BO--"),
        ({"spans": [ROME, ANN], "missing": True}, "B-B-"),
        ({"spans": [], "missing": True}, "----"),
        ({"missing": [{"start": 4, "end": 7}]}, "O-OO"),
        ({"spans": [ANN], "missing": [{"start": 2, "end": 7}]}, "B-OO"),
        ({}, "----"),
        ({"spans": None}, "----"),
        ({"rejected": [ANN]}, "----"),
        ({"rejected": [ANN], "spans": [ROME]}, "OOBO"),
    ],
)
@pytest.mark.parametrize("tokens", [False, True])
def test_span_records_state_what_is_known(run, keys, iob, tokens):
    source = {"tokens": ["Ann", "saw", "Rome", "."]} if tokens else TEXT
    (doc,), notes = spans(run, source | keys)
    assert iob_of(doc) == iob
    assert [ent.label_ for ent in doc.ents] == [
        "PER" if letter == 0 else "LOC" for letter in (i for i, x in enumerate(iob) if x == "B")
    ]
    rejected = [(span.text, span.label_) for span in doc.spans.get("incorrect_spans", [])]
    assert rejected == ([("Ann", "PER")] if "rejected" in keys else [])
    assert doc.has_annotation("ENT_IOB") == (iob != "----")
    assert notes == {}


def test_tokens_with_text_or_spaces_know_their_spaces(run):
    record = {"tokens": ["Ann", "'s", "hat"]}
    docs, _ = spans(run, record | {"text": "Ann's hat"}, record | {"spaces": [False, True, False]})
    assert [doc.text for doc in docs] == ["Ann's hat"] * 2


def test_misaligned_spans_are_an_error_or_missing(run):
    cut = {"start": 0, "end": 2, "label": "PER"}
    with pytest.raises(ValueError, match=r"line 1: spans must .*'An' is cut from the tokens"):
        spans(run, TEXT | {"spans": [cut]})
    record = TEXT | {"spans": [cut, ROME], "rejected": [{"start": 5, "end": 7, "label": "PER"}]}
    (doc,), notes = spans(run, record, on_misaligned="skip")
    assert iob_of(doc) == "-OBO"
    assert "incorrect_spans" not in doc.spans
    assert notes == {
        "spans not aligned with tokens skipped": 1,
        "rejected not aligned with tokens skipped": 1,
    }


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"spans": [ANN, {"start": 2, "end": 7, "label": "X"}]}, "spans must begin and end"),
        ({"spans": [{"start": 0, "end": 7, "label": "X"}, ANN]}, "spans must not overlap"),
        ({"spans": [ANN], "rejected": [ANN]}, "must not be an entity and rejected, got 'Ann'"),
        ({"spans": [ANN | {"end": 99}]}, "0 <= start < end <= 14"),
        ({"spans": [ANN | {"start": 3}]}, "0 <= start < end <= 14"),
        ({"spans": [{"start": 0, "end": 3}]}, "spans must have a label"),
        ({"missing": [{"start": 3}]}, "missing must have 0 <= start"),
        ({"spans": ["PER"]}, '"spans" must be a list of objects'),
        ({"answer": "reject"}, "only accepted answers can be read, got 'reject'"),
        ({"tokens": ["Bob"]}, '"tokens" must fit "text"'),
        ({"tokens": [""]}, '"tokens" must be non-empty strings'),
        ({"text": 3}, '"text" must be a string'),
    ],
)
def test_wrong_records_name_the_line(run, record, message):
    with pytest.raises(ValueError, match=f"input.jsonl, line 2: .*{message}"):
        spans(run, TEXT, TEXT | record)


def test_a_line_that_is_no_record_is_named(run):
    with pytest.raises(ValueError, match="line 1: a line must be JSON"):
        run("{", format="spans")
    with pytest.raises(ValueError, match='line 1: a record must be an object with "text"'):
        run("[1]", format="spans")
