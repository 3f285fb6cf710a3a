"""Annotating whole corpora: several files, progress, broken rows, settings that are refused."""

import pytest
import srsly

from spacy_semivae.annotate.run import AnnotateSettings
from spacy_semivae.training.raw_text import RawTextError

TEXTS = ["Ann saw Bob Lee in Rome !", "Rome", "Zoë 😀 likes Rome, Ann", "x y", "Bob Lee"]


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
