"""`semivae convert`."""

import spacy
from spacy.tokens import DocBin


def test_convert_passes_its_options_on(semivae, tmp_path):
    source = tmp_path / "data.tsv"
    source.write_bytes("caf\xe9\tA\n".encode("latin-1"))
    out = tmp_path / "out.spacy"
    args = ["--columns", "text,label", "--labels", "A,B", "--encoding", "latin-1", "--lang", "fr"]
    code, output = semivae("convert", source, out, "--format", "textcat", *args)
    assert code == 0, output
    (doc,) = DocBin().from_disk(out).get_docs(spacy.blank("fr").vocab)
    assert (doc.text, doc.cats) == ("café", {"A": 1.0, "B": 0.0})
    source.write_text("a ? X B-Y\n", encoding="utf8")
    args = ["--tag-column", "2", "--ner-column", "-1", "--missing", "?"]
    code, output = semivae("convert", source, out, "--format", "conll", *args)
    assert code == 0, output
    (doc,) = DocBin().from_disk(out).get_docs(spacy.blank("en").vocab)
    assert (doc[0].tag_, doc.ents[0].label_) == ("", "Y")


def test_an_error_is_a_message_and_nothing_is_written(semivae, tmp_path):
    bad = tmp_path / "bad.conll"
    bad.write_text("a\tO\nb\n", encoding="utf8")
    code, output = semivae("convert", bad, tmp_path / "out", "--format", "conll")
    assert code == 1
    assert "line 2: a token's line must have 2 columns" in output
    assert not (tmp_path / "out").exists()
