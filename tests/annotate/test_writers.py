"""Files of all formats: what is in them, with entities, probabilities and tags, or with nothing."""

from itertools import product

import pytest
import spacy
from spacy.tokens import DocBin

from spacy_semivae.training.raw_text import FORMATS as SOURCES

TEXTS = ["Ann saw Bob Lee in Rome !", "Rome", "Zoë 😀 likes Rome, Ann", "x y", "Bob Lee"]
SUFFIXES = [".txt", ".txt.gz", ".jsonl", ".jsonl.gz", ".spacy", ".parquet"]
FOUND = {"Ann": "PER", "Bob Lee": "PER", "Rome": "LOC", "Zoë": "PER", "😀": "SYM"}


def expected(text):
    ends = [
        (text.index(name), text.index(name) + len(name), FOUND[name])
        for name in FOUND
        if name in text
    ]
    return [dict(zip(("start", "end", "label"), entity)) for entity in sorted(ends)]


@pytest.mark.parametrize(("source", "format"), [*product(SUFFIXES, ["jsonl", "spacy", "parquet"])])
@pytest.mark.parametrize("as_file", [True, False])
def test_every_format_in_and_out(ruler, corpus, run, read, tmp_path, source, format, as_file):
    if source.split(".")[1] not in {suffix.strip(".") for suffix in SOURCES}:
        pytest.skip("no reader")
    if "parquet" in (source.strip("."), format):
        pytest.importorskip("pyarrow")
    path = corpus(f"raw{source}", TEXTS)
    out = tmp_path / ("out" + (f".{format}" if as_file else ""))
    done = run(ruler, path, out, format=format, shard_size=2)
    assert (done.docs, done.rejected, done.skipped) == (5, 0, 0)
    assert done.files == (
        [out] if as_file else [out / f"shard-00000{i}.{format}" for i in range(3)]
    )
    rows = read(out)
    assert [row["text"] for row in rows] == TEXTS
    for row in rows:
        assert "".join(row["tokens"]) == row["text"].replace(" ", "")
        assert row["tag"] == ["W" if token.isalpha() else "" for token in row["tokens"]]
        assert row["entities"] == expected(row["text"])
    if format != "spacy":
        assert [row["line"] for row in rows] == [1, 2, 3, 4, 5]
        assert {row["file"] for row in rows} == {path.name}
        assert rows[0]["spaces"] == [True] * 6 + [False]
        assert "cats" not in rows[0]
        assert "probability" not in rows[0]["entities"][0]
    assert not list(tmp_path.rglob(".*"))
    assert not (tmp_path / "out.jsonl.parts").exists()


@pytest.mark.parametrize("format", ["jsonl", "spacy", "parquet"])
def test_an_empty_input(ruler, corpus, run, read, tmp_path, format):
    if format == "parquet":
        pytest.importorskip("pyarrow")
    path = corpus("raw.txt", ["", "  "])
    for out in (tmp_path / "out", tmp_path / f"out.{format}"):
        done = run(ruler, path, out, format=format)
        assert (done.docs, len(done.files)) == (0, 1)
        assert done.files[0].exists()
        assert read(out) == []


def test_texts_without_tokens_and_with_one(ruler, corpus, run, read, tmp_path):
    run(ruler, corpus("raw.jsonl", ["", "Rome", " "]), tmp_path / "out.jsonl")
    one, two, three = read(tmp_path / "out.jsonl")
    assert (one["text"], one["tokens"], one["entities"], one["tag"]) == ("", [], [], [])
    assert two["entities"] == [{"start": 0, "end": 4, "label": "LOC"}]
    assert three["text"] == " "
    run(ruler, tmp_path / "raw.jsonl", tmp_path / "out.spacy")
    docs = DocBin().from_disk(tmp_path / "out.spacy").get_docs(spacy.blank("en").vocab)
    assert [len(doc) for doc in docs] == [0, 1, 1]


@pytest.mark.parametrize("format", ["jsonl", "parquet", "spacy"])
def test_probabilities_in_files(trained, corpus, run, read, tmp_path, format):
    if format == "parquet":
        pytest.importorskip("pyarrow")
    run(trained, corpus("raw.jsonl", TEXTS), tmp_path / f"out.{format}")
    nlp = spacy.load(trained)
    docs = list(nlp.pipe(TEXTS))
    assert any(doc.ents for doc in docs)
    exact = [nlp.get_pipe("crf_vae_ner").score_spans(doc, doc.ents) for doc in docs]
    if format == "spacy":
        loaded = list(DocBin().from_disk(tmp_path / "out.spacy").get_docs(nlp.vocab))
        found = [doc.spans["crf_vae_ner"].attrs["scores"].tolist() for doc in loaded]
        cats = [doc.cats for doc in loaded]
    else:
        rows = read(tmp_path / f"out.{format}")
        found = [[entity["probability"] for entity in row["entities"]] for row in rows]
        cats = [dict(row["cats"]) for row in rows]
    for i, doc in enumerate(docs):
        assert found[i] == pytest.approx(exact[i], abs=2e-6)
        assert cats[i] == pytest.approx(doc.cats, abs=2e-6)
