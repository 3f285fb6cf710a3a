"""Runs that are killed or whose texts change, and what the same command makes of them."""

import multiprocessing
import os
import signal

import pytest
import spacy

from spacy_semivae.annotate.manifest import MANIFEST
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


def test_bad_lines_that_are_skipped_later(ruler, corpus, run, contents, tmp_path):
    source = corpus("raw.jsonl")
    source.write_bytes(source.read_bytes() + b"broken\n")
    run(ruler, source, tmp_path / "whole", **SETTINGS)
    with pytest.raises(RawTextError, match="line 12"):
        run(ruler, source, tmp_path / "out", **{**SETTINGS, "on_error": "raise"})
    assert run(ruler, source, tmp_path / "out", **SETTINGS).skipped == 8
    assert [*contents(tmp_path / "out").values()] == [*contents(tmp_path / "whole").values()]
