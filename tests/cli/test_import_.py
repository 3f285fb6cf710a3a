"""`semivae import`: notes, the tokenizer, errors."""

import pytest
import spacy
import srsly
from spacy.tokens import DocBin

RECORDS = [
    {"text": "Pre-war Ann", "label": [[8, 11, "PER"]]},
    {"text": "Rome", "label": [[0, 2, "LOC"]]},
]


@pytest.fixture
def export(tmp_path):
    path = tmp_path / "export.jsonl"
    srsly.write_jsonl(path, RECORDS)
    return path


def test_notes_and_the_tokenizer_of_a_model(semivae, export, tmp_path):
    nlp, out = spacy.blank("en"), tmp_path / "out.spacy"
    nlp.tokenizer = spacy.tokenizer.Tokenizer(nlp.vocab)  # by spaces alone
    nlp.to_disk(tmp_path / "model")
    options = [
        "--model",
        tmp_path / "model",
        "--as",
        "partial",
        "--on-misaligned",
        "skip",
        "--format",
        "doccano",
    ]
    code, output = semivae("import", export, out, *options)
    assert code == 0, output
    assert "spans not aligned with tokens skipped: 1" in output
    assert f"2 Docs: {out}" in output
    first, second = DocBin().from_disk(out).get_docs(nlp.vocab)
    assert len(first) == 2
    assert [(ent.text, ent.label_) for ent in first.ents] == [("Ann", "PER")]
    assert not second.has_annotation("ENT_IOB")


def test_errors_are_messages_and_nothing_is_written(semivae, export, tmp_path):
    for options, message in [
        (["--format", "doccano"], "line 2: spans must begin and end with tokens"),
        (["--format", "prodigy", "--as", "all"], "known must be one of full, partial, negative"),
        (["--format", "x"], "must be one of prodigy, doccano, labelstudio, argilla"),
        (["--format", "doccano", "--model", "no_such_model"], "no_such_model"),
    ]:
        code, output = semivae("import", export, tmp_path / "out.spacy", *options)
        assert code == 1
        assert message in output
    assert not (tmp_path / "out.spacy").exists()
