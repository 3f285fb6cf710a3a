"""Runs that are killed, damaged or changed, and what the same command makes of them afterwards."""

import multiprocessing
import os
import signal

import pytest
import spacy

from spacy_semivae.annotate.manifest import FINISHED, MANIFEST
from spacy_semivae.training.raw_text import RawTextError

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
SETTINGS = {"shard_size": 4, "batch_size": 2, "on_error": "skip"}
MOMENTS = ("fsync", "replace", "unlink", "rmdir", "rename", "mkdir")  # what changes the disk


class Countdown:
    """Stands for functions of `os`: kills the process before the call that is due."""

    def __init__(self, due):
        self.due = due
        self.calls = 0

    def wrap(self, function):
        def call(*args, **kwargs):
            self.calls += 1
            if self.calls == self.due:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call


@pytest.fixture
def loaded(ruler, monkeypatch):
    """The folder of a pipeline that is loaded only once, for tests with many runs."""
    nlp = spacy.load(ruler)
    monkeypatch.setattr(spacy, "load", lambda path: nlp)
    return ruler


@pytest.fixture
def killed_run(run, monkeypatch):
    """Annotate in a process that dies before its n-th change of the disk; gives the exit code."""

    def work(due, counted, *args, **settings):
        countdown = Countdown(due)
        for name in MOMENTS:
            monkeypatch.setattr(os, name, countdown.wrap(getattr(os, name)))
        run(*args, **settings)
        counted.put(countdown.calls)

    def call(due, *args, **settings):
        context = multiprocessing.get_context("fork")
        counted = context.SimpleQueue()
        process = context.Process(target=work, args=(due, counted, *args), kwargs=settings)
        process.start()
        process.join(60)
        return process.exitcode, None if process.exitcode else counted.get()

    return call


@needs_fork
@pytest.mark.parametrize("name", ["out", "out.jsonl"])
def test_killed_at_every_change_of_the_disk(
    loaded, corpus, run, killed_run, contents, tmp_path, name
):
    source, settings = corpus("raw.jsonl"), {**SETTINGS, "shard_size": 6}
    source.write_bytes(b"broken\n" + source.read_bytes())
    whole = tmp_path / "whole" / name
    run(loaded, source, whole, **settings)
    expected = contents(whole)
    code, moments = killed_run(0, loaded, source, tmp_path / "counted" / name, **settings)
    assert (code, moments > 15) == (0, True)
    skipped = set()
    for due in range(1, moments + 1):
        out = tmp_path / str(due) / name
        assert killed_run(due, loaded, source, out, **settings)[0] == -signal.SIGKILL
        skipped.add(run(loaded, source, out, **settings).skipped)
        assert contents(out) == expected
        assert {path.name for path in out.parent.iterdir()} == {
            path.name for path in whole.parent.iterdir()
        }
    assert {0, 6} <= skipped


@needs_fork
def test_killed_twice(loaded, corpus, run, killed_run, contents, tmp_path):
    source = corpus("raw.jsonl")
    run(loaded, source, tmp_path / "whole", **SETTINGS)
    for due in (9, 9):
        killed_run(due, loaded, source, tmp_path / "out", **SETTINGS)
    run(loaded, source, tmp_path / "out", **SETTINGS)
    found = contents(tmp_path / "out")
    assert [*found.values()] == [*contents(tmp_path / "whole").values()]


@pytest.mark.parametrize("length", [0, 10])
def test_a_shard_that_was_cut_off(ruler, corpus, run, contents, tmp_path, caplog, length):
    source, out = corpus("raw.jsonl"), tmp_path / "out"
    run(ruler, source, out, **SETTINGS)
    expected = contents(out)
    shard = out / "shard-000001.jsonl"
    shard.write_bytes(shard.read_bytes()[:length])
    (out / "shard-000002.jsonl").unlink()
    with caplog.at_level("WARNING", "spacy"):
        done = run(ruler, source, out, **SETTINGS)
    assert done.skipped == 4
    assert f"shard-000001.jsonl has {length} bytes instead of" in caplog.text
    assert "shard-000002.jsonl is gone" in caplog.text
    assert contents(out) == expected
    assert run(ruler, source, out, **SETTINGS).skipped == 11


def test_an_empty_shard_that_is_gone(ruler, corpus, run, contents, tmp_path):
    source, out = corpus("raw.txt", []), tmp_path / "out"
    run(ruler, source, out, **SETTINGS)
    expected = contents(out)
    (out / "shard-000000.jsonl").unlink()
    run(ruler, source, out, **SETTINGS)
    assert contents(out) == expected


def test_a_line_of_the_log_that_was_cut_off(ruler, corpus, run, contents, tmp_path):
    source, out = corpus("raw.jsonl"), tmp_path / "out"
    run(ruler, source, out, **SETTINGS)
    expected = contents(out)
    log = out / FINISHED
    log.write_bytes(log.read_bytes()[:-20])
    assert run(ruler, source, out, **SETTINGS).skipped == 8
    assert run(ruler, source, out, **SETTINGS).skipped == 11
    assert contents(out) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shard_size": 3}, "shard_size: 4 then, 3 now"),
        ({"batch_size": 3}, "batch_size: 2 then, 3 now"),
        ({"format": "spacy"}, "format: 'jsonl' then, 'spacy' now"),
    ],
)
def test_other_settings(ruler, corpus, run, contents, tmp_path, change, message):
    source, out = corpus("raw.jsonl"), tmp_path / "out"
    run(ruler, source, out, **SETTINGS)
    before = contents(out)
    with pytest.raises(ValueError, match=f"{message}") as caught:
        run(ruler, source, out, **{**SETTINGS, **change})
    assert "--overwrite" in str(caught.value)
    assert contents(out) == before
    run(ruler, source, out, overwrite=True, **{**SETTINGS, **change})
    assert contents(out) != before
    run(ruler, source, out, overwrite=True, **SETTINGS)
    assert contents(out) == before


def test_another_length_of_the_input(ruler, corpus, run, tmp_path):
    source = corpus("raw.txt", ["Ann", "Bob"])
    run(ruler, source, tmp_path / "out", **SETTINGS)
    corpus("raw.txt", ["Ann", "Bob", "Rome"])
    with pytest.raises(ValueError, match=r"input\.raw\.txt: 8 then, 13 now"):
        run(ruler, source, tmp_path / "out", **SETTINGS)


def test_another_input_of_the_same_length(ruler, corpus, run, contents, tmp_path):
    source = corpus("raw.txt", [*"abcdefgh"])
    run(ruler, source, tmp_path / "out", **SETTINGS)
    before = contents(tmp_path / "out")
    corpus("raw.txt", [*"abcdefgx"])
    with pytest.raises(ValueError, match=r"the texts of .*shard-000001.jsonl have changed"):
        run(ruler, source, tmp_path / "out", **SETTINGS)
    assert {**contents(tmp_path / "out"), f"out/{MANIFEST}": b""} == {
        **before,
        f"out/{MANIFEST}": b"",
    }


def test_another_model(ruler, corpus, run, tmp_path):
    source, model = corpus("raw.txt"), tmp_path / "model"
    nlp = spacy.load(ruler)
    nlp.to_disk(model)
    run(model, source, tmp_path / "out")
    nlp.get_pipe("entity_ruler").add_patterns([{"label": "X", "pattern": "zebras"}])
    nlp.to_disk(model)
    with pytest.raises(ValueError, match="model: '"):
        run(model, source, tmp_path / "out")


def test_a_damaged_manifest(ruler, corpus, run, tmp_path):
    source = corpus("raw.txt")
    run(ruler, source, tmp_path / "out")
    (tmp_path / "out" / MANIFEST).write_text("[")
    with pytest.raises(ValueError, match="holds a damaged manifest"):
        run(ruler, source, tmp_path / "out")
    run(ruler, source, tmp_path / "out", overwrite=True)


def test_a_model_and_a_corpus_that_have_moved(ruler, corpus, run, contents, tmp_path):
    source, model = corpus("one/raw.txt"), tmp_path / "model"
    spacy.load(ruler).to_disk(model)
    run(model, source, tmp_path / "out", **SETTINGS)
    before = contents(tmp_path / "out")
    model.rename(tmp_path / "other")
    source.rename(tmp_path / "raw.txt")
    run(tmp_path / "other", tmp_path / "raw.txt", tmp_path / "out", **SETTINGS)
    assert contents(tmp_path / "out") == before


def test_a_file_that_is_whole(ruler, corpus, run, tmp_path):
    source, out = corpus("raw.txt"), tmp_path / "out.jsonl"
    run(ruler, source, out)
    before = out.read_bytes()
    with pytest.raises(ValueError, match="exists; --overwrite replaces it"):
        run(ruler, source, out)
    run(ruler, source, out, overwrite=True)
    assert out.read_bytes() == before


def test_bad_lines_that_are_skipped_later(ruler, corpus, run, contents, tmp_path):
    source = corpus("raw.jsonl")
    source.write_bytes(source.read_bytes() + b"broken\n")
    run(ruler, source, tmp_path / "whole", **SETTINGS)
    with pytest.raises(RawTextError, match="line 12"):
        run(ruler, source, tmp_path / "out", **{**SETTINGS, "on_error": "raise"})
    assert run(ruler, source, tmp_path / "out", **SETTINGS).skipped == 8
    assert [*contents(tmp_path / "out").values()] == [*contents(tmp_path / "whole").values()]


def test_nothing_was_finished(ruler, corpus, run, tmp_path):
    source, out = corpus("raw.jsonl"), tmp_path / "out"
    whole = source.read_bytes()
    source.write_bytes(b"broken\n" + whole)
    with pytest.raises(RawTextError, match="line 1"):
        run(ruler, source, out)
    source.write_bytes(whole)
    assert run(ruler, source, out, shard_size=2).docs == 11
