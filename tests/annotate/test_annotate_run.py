"""Annotating whole corpora: formats in and out, what is written, and what is refused."""

from itertools import product

import pytest
import spacy
import srsly
from spacy.tokens import DocBin

from spacy_semivae.annotate.output import find_output
from spacy_semivae.annotate.run import AnnotateSettings
from spacy_semivae.training.raw_text import FORMATS as SOURCES
from spacy_semivae.training.raw_text import RawTextError

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


def test_several_files_and_an_output_as_input(ruler, corpus, run, read, tmp_path):
    corpus("in/b.txt", TEXTS[2:])
    corpus("in/a/a.jsonl", TEXTS[:2])
    run(ruler, tmp_path / "in", tmp_path / "one", shard_size=3)
    rows = read(tmp_path / "one")
    assert [(row["file"], row["line"]) for row in rows] == [
        ("a/a.jsonl", 1),
        ("a/a.jsonl", 2),
        ("b.txt", 1),
        ("b.txt", 2),
        ("b.txt", 3),
    ]
    run(ruler, tmp_path / "one", tmp_path / "two.jsonl")
    for key in ("text", "tokens", "spaces", "entities", "tag"):
        assert [row[key] for row in read(tmp_path / "two.jsonl")] == [row[key] for row in rows]
    run(ruler, str(tmp_path / "in" / "*.txt"), tmp_path / "three.jsonl")
    assert [row["text"] for row in read(tmp_path / "three.jsonl")] == TEXTS[2:]


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


def test_progress_counts_every_text(ruler, corpus, run, tmp_path):
    path, told = corpus("raw.txt", TEXTS), []

    def annotate():
        settings = {"shard_size": 3, "batch_size": 2}
        return run(ruler, path, tmp_path / "out", lambda *args: told.append(args), **settings)

    annotate()
    assert told == [(2, False), (1, False), (2, False)]
    told.clear()
    done = run(
        ruler, path, tmp_path / "out", lambda *args: told.append(args), shard_size=3, batch_size=2
    )
    assert told == [(3, True), (2, True)]
    assert (done.docs, done.skipped) == (5, 5)


BROKEN = b'{"text": "Ann"}\n{"text": 3}\n{"text": "Bob Lee"}\nnothing\n\xff\n{"text": "Rome"}\n'


def test_broken_rows(ruler, run, read, tmp_path):
    path, out = tmp_path / "raw.jsonl", tmp_path / "out"
    path.write_bytes(BROKEN)
    with pytest.raises(RawTextError, match="line 2: text must be a string"):
        run(ruler, path, out, shard_size=1)
    assert [row["text"] for row in read(out)] == ["Ann"]
    done = run(ruler, path, out, shard_size=1, on_error="skip")
    assert (done.docs, done.rejected, done.skipped) == (3, 3, 1)
    assert [row["text"] for row in read(out)] == ["Ann", "Bob Lee", "Rome"]
    rejects = list(srsly.read_jsonl(tmp_path / "out.rejects.jsonl"))
    assert [row["line"] for row in rejects] == [2, 4, 5]
    run(ruler, path, out, shard_size=1, on_error="skip")
    assert list(srsly.read_jsonl(tmp_path / "out.rejects.jsonl")) == rejects


CODE = """
from spacy.language import Language

@Language.component("picky", assigns=["doc.ents"])
def picky(doc):
    if "bad" in doc.text:
        raise RuntimeError("too bad")
    return doc
"""


@pytest.fixture
def picky(tmp_path):
    """A pipeline that fails at some texts, and the code of its component."""
    code = tmp_path / "picky.py"
    code.write_text(CODE)
    spacy.util.import_file("picky", code)
    nlp = spacy.blank("en")
    nlp.add_pipe("picky")
    nlp.to_disk(tmp_path / "picky")
    return {"model": tmp_path / "picky", "code": code}


def test_texts_at_which_the_pipeline_fails(picky, corpus, run, read, tmp_path):
    texts = ["good", "bad one", "x", "\ud800", "bad two", "y" * 1_000_001, "z"]
    source, out = corpus("raw.jsonl", texts), tmp_path / "out"
    with pytest.raises(
        RawTextError, match=r"line 2: the pipeline must .* \(too bad\), got 'bad one'"
    ):
        run(source=source, output=out, **picky)
    assert {path.name for path in out.iterdir()} == {"finished.log", "manifest.json"}
    done = run(source=source, output=out, on_error="skip", shard_size=4, **picky)
    assert (done.docs, done.rejected) == (3, 4)
    assert [row["text"] for row in read(out)] == ["good", "x", "z"]
    rejects = list(srsly.read_jsonl(tmp_path / "out.rejects.jsonl"))
    assert [row["line"] for row in rejects] == [2, 4, 5, 6]
    again = run(source=source, output=out, on_error="skip", shard_size=4, **picky)
    assert (again.skipped, again.rejected) == (3, 4)
    assert list(srsly.read_jsonl(tmp_path / "out.rejects.jsonl")) == rejects
    with pytest.raises(RawTextError, match="line 2"):
        run(source=source, output=out, shard_size=4, **picky)


@pytest.mark.parametrize(
    ("name", "format", "message"),
    [
        ("out", "csv", "one of jsonl, spacy, parquet.*got 'csv'"),
        ("out.csv", None, "got 'csv'"),
        ("out.jsonl.gz", None, "got 'gz'"),
        ("out.jsonl", "spacy", "got 'spacy' for"),
    ],
)
def test_unknown_formats(ruler, corpus, run, tmp_path, name, format, message):
    with pytest.raises(ValueError, match=message):
        run(ruler, corpus("raw.txt"), tmp_path / name, format=format)
    assert [path.name for path in tmp_path.iterdir()] == ["raw.txt"]


def test_what_is_a_file_and_what_a_folder(tmp_path):
    assert find_output("a/b.jsonl", None).is_file
    assert find_output("a/b.PARQUET", None).format == "parquet"
    assert not find_output("a/b", None).is_file
    assert find_output("a/b", None).format == "jsonl"
    assert not find_output("a/b.v2", "spacy").is_file
    (tmp_path / "x.jsonl").mkdir()
    (tmp_path / "y").touch()
    with pytest.raises(ValueError, match="must be a file"):
        find_output(tmp_path / "x.jsonl", None)
    with pytest.raises(ValueError, match="must be a folder"):
        find_output(tmp_path / "y", None)


@pytest.mark.parametrize(
    "wrong",
    [{"shard_size": 0}, {"batch_size": 0}, {"n_process": 0}, {"engine": "x"}, {"on_error": "x"}],
)
def test_settings_out_of_range(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        AnnotateSettings(**wrong)


def test_inputs_and_models_that_are_not_there(ruler, corpus, run, tmp_path):
    with pytest.raises(ValueError, match="got none"):
        run(ruler, tmp_path / "none.txt", tmp_path / "out")
    with pytest.raises(ValueError, match="a pipeline is a folder or a package"):
        run(tmp_path / "none", corpus("raw.txt"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", ["in", "in/out", "in/out.jsonl"])
def test_an_output_within_the_input(ruler, corpus, run, tmp_path, out):
    corpus("in/raw.txt")
    with pytest.raises(ValueError, match="must not be part of the input"):
        run(ruler, tmp_path / "in", tmp_path / out)


def test_an_output_that_a_pattern_takes_in(ruler, corpus, run, tmp_path):
    source = str(corpus("raw.jsonl").parent / "*.jsonl")
    run(ruler, source, tmp_path / "out.jsonl")
    with pytest.raises(ValueError, match="must not be part of the input"):
        run(ruler, source, tmp_path / "out.jsonl", overwrite=True)
    assert (tmp_path / "out.jsonl").stat().st_size > 0


def test_files_of_others_are_not_touched(ruler, corpus, run, tmp_path):
    source = corpus("raw.txt")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    for overwrite in (True, False):
        with pytest.raises(ValueError, match="got other files"):
            run(ruler, source, tmp_path / "out", overwrite=overwrite)
    (tmp_path / "out" / "thesis.tex").unlink()
    run(ruler, source, tmp_path / "out")
    (tmp_path / "out" / "notes").touch()
    run(ruler, source, tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "notes").exists()
