"""What a row says of a Doc: offsets, tags and cats, and from which components they come."""

import numpy
import spacy
import srsly
from spacy.tokens import Doc, Span

from spacy_semivae.annotate.rows import Annotated, Fields, find_fields, make_row
from spacy_semivae.annotate.scores import EntityScorer

ALL = Fields(entities=True, probabilities=True, attrs=("tag", "pos", "morph"), cats=True)


def test_offsets_are_characters_of_the_text():
    words, spaces = ["😀", "Zoë", "ﬁ", "Rom", "e\u0301"], [True, True, False, False, False]
    doc = Doc(spacy.blank("en").vocab, words, spaces)
    doc.ents = [Span(doc, 0, 1, "X"), Span(doc, 1, 2, "PER"), Span(doc, 3, 5, "LOC")]
    row = make_row(Annotated(doc, {}, "f", 1), ALL)
    found = [(row["text"][e["start"] : e["end"]], e["label"]) for e in row["entities"]]
    assert found == [("😀", "X"), ("Zoë", "PER"), ("Rome\u0301", "LOC")]
    assert [(e["start"], e["end"]) for e in row["entities"]] == [(0, 1), (2, 5), (7, 12)]
    assert {e["probability"] for e in row["entities"]} == {None}


def test_all_that_a_row_holds():
    doc = Doc(
        spacy.blank("en").vocab,
        ["Ann", "runs"],
        [True, False],
        tags=["N", "V"],
        pos=["PROPN", "VERB"],
        morphs=["Number=Sing", ""],
    )
    doc.ents = [Span(doc, 0, 1, "PER")]
    doc.cats = {"b": 0.12345678, "a": numpy.float32(1)}
    assert make_row(Annotated(doc, {(0, 1, "PER"): 0.98765432}, "a/b", 7), ALL) == {
        "text": "Ann runs",
        "tokens": ["Ann", "runs"],
        "spaces": [True, False],
        "entities": [{"start": 0, "end": 3, "label": "PER", "probability": 0.987654}],
        "tag": ["N", "V"],
        "pos": ["PROPN", "VERB"],
        "morph": ["Number=Sing", ""],
        "cats": {"b": 0.123457, "a": 1.0},
        "file": "a/b",
        "line": 7,
    }


def test_fields_are_those_that_components_assign(trained, vsl, ruler):
    nlp = spacy.load(trained)
    scored = bool(EntityScorer(nlp))
    assert find_fields(nlp, probabilities=scored) == Fields(True, True, ("tag",), True)
    assert find_fields(spacy.load(vsl), probabilities=True) == Fields(True, True, (), False)
    nlp = spacy.load(ruler)
    assert not EntityScorer(nlp)
    assert find_fields(nlp, probabilities=False) == Fields(True, False, ("tag",), False)
    nlp = spacy.blank("en")
    assert find_fields(nlp, probabilities=False) == Fields(False, False, (), False)
    nlp.add_pipe("morphologizer")
    assert find_fields(nlp, probabilities=False).attrs == ("pos", "morph")
    nlp.add_pipe("ner")
    nlp.disable_pipe("morphologizer")
    assert find_fields(nlp, probabilities=False) == Fields(True, False, (), False)


def test_tokens_of_the_input_are_kept(ruler, run, read, tmp_path):
    path = tmp_path / "raw.jsonl"
    srsly.write_jsonl(
        path, [{"tokens": ["Bob Lee", "can't"]}, {"tokens": ["a", "b"], "spaces": [False, False]}]
    )
    run(ruler, path, tmp_path / "out.jsonl")
    rows = read(tmp_path / "out.jsonl")
    assert [row["tokens"] for row in rows] == [["Bob Lee", "can't"], ["a", "b"]]
    assert [row["text"] for row in rows] == ["Bob Lee can't ", "ab"]
    assert "spaces" not in rows[0]
    assert rows[1]["spaces"] == [False, False]


def test_a_model_that_annotates_nothing(corpus, run, read, tmp_path):
    spacy.blank("en").to_disk(tmp_path / "blank")
    run(tmp_path / "blank", corpus("raw.txt", ["a b"]), tmp_path / "out.jsonl")
    (row,) = read(tmp_path / "out.jsonl")
    assert row == {
        "text": "a b",
        "tokens": ["a", "b"],
        "spaces": [True, False],
        "file": "raw.txt",
        "line": 1,
    }
