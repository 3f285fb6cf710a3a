"""Exports of annotation tools as full, partial and negative annotation."""

import pytest
import spacy
import srsly
from spacy.tokens import DocBin
from spacy.training import Example

from spacy_semivae.analysis.import_answers import ImportSettings, import_answers
from spacy_semivae.labels import SpanLabels

ANN = {"start": 0, "end": 3, "label": "PER"}
ROME = {"start": 11, "end": 15, "label": "LOC"}
TEXT = "Ann saw in Rome"


@pytest.fixture
def load(tmp_path):
    """Import records and read the Docs back."""

    def run(records, format_="prodigy", **settings):
        source, out = tmp_path / "export.jsonl", tmp_path / "new" / "out.spacy"
        srsly.write_jsonl(source, records)
        nlp = spacy.blank("en")
        done = import_answers(source, out, ImportSettings(format=format_, **settings), nlp=nlp)
        docs = list(DocBin().from_disk(out).get_docs(nlp.vocab))
        assert len(docs) == done.docs
        return docs, done.notes

    return run


def iob(doc):
    return [f"{t.ent_iob_}-{t.ent_type_}".strip("-") for t in doc]


def rejected(doc):
    return [(span.text, span.label_) for span in doc.spans.get("incorrect_spans", ())]


def task(*spans, **keys):
    return {"text": TEXT, "spans": list(spans), "_view_id": "ner_manual", **keys}


def test_full_partial_and_negative(load):
    (doc,), notes = load([task(ANN, answer="accept")])
    assert iob(doc) == ["B-PER", "O", "O", "O"]
    assert not notes
    (doc,), _ = load([task(ANN, answer="accept")], known="partial")
    assert iob(doc) == ["B-PER", "", "", ""]
    (doc,), _ = load([task(ANN, ROME, answer="accept")], known="negative")
    assert iob(doc) == [""] * 4
    assert rejected(doc) == [("Ann", "PER"), ("Rome", "LOC")]


def test_what_is_missing_is_missing_to_the_components(load):
    scheme = SpanLabels(["LOC", "PER"])
    (doc,), _ = load([task(ANN, answer="accept")], known="partial")
    assert scheme.encode(Example(doc.copy(), doc)).tolist() == [8, -1, -1, -1]
    (doc,), _ = load([task(ANN, answer="accept")], known="negative")
    example = Example(doc.copy(), doc)
    assert scheme.encode(example).tolist() == [-1] * 4
    assert scheme.negatives(example, "incorrect_spans") == [(0, 1, 1)]


def test_answers_of_prodigy(load):
    ask = {"_view_id": "ner"}
    records = [
        task(ANN, **ask, answer="accept"),
        task(ROME, **ask, answer="reject"),
        task(ANN, **ask, answer="accept"),
        {**task(ANN, ROME, **ask, answer="reject"), "text": "Ann was in Rome"},
        {**task(ANN, **ask, answer="ignore"), "text": "Ann"},
        {**task(ANN, answer="reject"), "text": "Ann ran"},
        {**task(ANN, answer="accept"), "text": "Ann sat"},
    ]
    (first, second), notes = load(records)
    assert iob(first) == ["B-PER", "", "", ""]  # answers about one text are one Doc
    assert rejected(first) == [("Rome", "LOC")]
    assert iob(second) == ["B-PER", "O"]
    assert notes == {
        "left out (rejected, without saying which span is wrong)": 1,
        "left out (ignored by the annotator)": 1,
        "left out (rejected as a whole)": 1,
    }


def test_only_what_is_rejected_is_negative(load):
    records = [task(ANN, _view_id="ner"), task(ROME, _view_id="ner", answer="reject")]
    (doc,), notes = load(records, known="negative")
    assert rejected(doc) == [("Rome", "LOC")]
    assert notes == {"left out (accepted, where only what is rejected was asked for)": 1}


@pytest.mark.parametrize("known", ["partial", "negative"])
def test_no_span_says_nothing_where_the_rest_is_unknown(known, load):
    docs, notes = load([task(ANN), {**task(), "text": "so"}], known=known)
    assert len(docs) == 1
    assert notes == {"left out (without a span, where nothing is known of the rest)": 1}
    docs, notes = load([task(ANN), {**task(), "text": "so"}])
    assert iob(docs[1]) == ["O"]
    assert not notes


def test_a_span_accepted_and_rejected_is_an_error(load):
    ask = {"_view_id": "ner"}
    with pytest.raises(ValueError, match=r"line 1: a span must not be an entity and rejected"):
        load([task(ANN, **ask), task(ANN, **ask, answer="reject")])


def test_tokens_of_the_tool_stay(load):
    tokens = [{"text": t} for t in ("An", "n", "saw", "in", "Rome")]
    (doc,), _ = load([task(ROME, tokens=tokens)])
    assert [t.text for t in doc] == ["An", "n", "saw", "in", "Rome"]
    assert doc.text == TEXT
    with pytest.raises(ValueError, match=r"line 1: .*must fit"):
        load([task(ROME, tokens=tokens[1:])])


def test_spans_that_are_no_tokens(load):
    cut = {**ANN, "end": 2}
    with pytest.raises(ValueError, match=r"line 1: spans must begin and end with tokens"):
        load([task(cut)])
    (doc,), notes = load([task(cut)], on_misaligned="skip")
    assert iob(doc) == ["", "O", "O", "O"]
    assert notes == {"spans not aligned with tokens skipped": 1}


def test_tags(load):
    tags = [
        {**ANN, "label": "PROPN"},
        {"start": 4, "end": 7, "label": "VERB"},
    ]
    (doc,), _ = load([task(*tags)], target="pos")
    assert [t.pos_ for t in doc] == ["PROPN", "VERB", "", ""]
    (doc,), _ = load([task({**ANN, "label": "Number=Sing"})], target="morph")
    assert str(doc[0].morph) == "Number=Sing"
    (doc,), _ = load([task(*tags)], target="tag")
    assert doc[1].tag_ == "VERB"
    with pytest.raises(ValueError, match="line 1: a tag must be a pos of spaCy, got 'PER'"):
        load([task(ANN)], target="pos")
    with pytest.raises(ValueError, match="line 1: a tag must stand on tokens"):
        load([task({**ANN, "end": 2})], target="tag")
    _, notes = load([task({**ANN, "end": 2})], target="tag", on_misaligned="skip")
    assert notes == {"tags not aligned with tokens skipped": 1}
    with pytest.raises(ValueError, match="only entities can be negative, got the target 'tag'"):
        load([task(ANN)], target="tag", known="negative")


def test_classes(load):
    options = [{"id": name, "text": name} for name in ("talk", "trip", "sport")]
    records = [
        {"text": "a", "options": options, "accept": ["trip"], "answer": "accept"},
        {"text": "b", "options": options, "accept": ["talk"], "answer": "accept"},
        {"text": "c", "label": "trip", "answer": "reject"},
        {"text": "d", "options": options, "accept": [], "answer": "accept"},
    ]
    docs, notes = load(records)
    assert [doc.cats for doc in docs] == [
        {"sport": 0.0, "talk": 0.0, "trip": 1.0},
        {"sport": 0.0, "talk": 1.0, "trip": 0.0},
    ]
    assert notes == {
        "left out (rejected: only spans of entities can be negative)": 1,
        "left out (not annotated)": 1,
    }
    (doc,), _ = load([{"text": "a", "label": ["x"]}], "doccano", labels=["x", "y"])
    assert doc.cats == {"x": 1.0, "y": 0.0}
    with pytest.raises(ValueError, match=r"line 1: a text must have one class of \['x', 'y'\]"):
        load([{"text": "a", "label": ["x", "y"]}], "doccano")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"known": "some"}, "known must be one of full, partial, negative, got 'some'"),
        ({"target": "dep"}, "target must be one of ents, tag, pos, morph, cats, got 'dep'"),
        ({"on_misaligned": "x"}, "on_misaligned must be one of raise, skip, got 'x'"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        ImportSettings(format="prodigy", **settings)


def test_nothing_annotated_leaves_the_old_file(load, tmp_path):
    load([task(ANN)])
    before = (tmp_path / "new" / "out.spacy").read_bytes()
    with pytest.raises(ValueError, match="no record is annotated"):
        load([task(ANN, answer="ignore")])
    assert (tmp_path / "new" / "out.spacy").read_bytes() == before
