"""Bad lines of raw text: how they are named, counted, logged and written down."""

import logging
from pathlib import Path

import pytest
import spacy
import srsly

from spacy_semivae.training import raw_errors as module
from spacy_semivae.training.raw_errors import RawTextError, StreamRejects
from spacy_semivae.training.unlabeled import UnlabeledCorpus


@pytest.fixture(scope="module")
def nlp():
    return spacy.blank("en")


def test_long_values_are_shortened(nlp, tmp_path, write_lines, read):
    path = write_lines(tmp_path / "a.jsonl", ["x" * 100_000])
    with pytest.raises(ValueError, match="JSON") as info:
        read(nlp, path)
    assert len(str(info.value)) < len(str(path)) + 250


def test_skip_writes_each_reject_once(nlp, tmp_path, caplog, monkeypatch, write_lines):
    monkeypatch.setattr(logging.getLogger("spacy"), "propagate", True)
    path = write_lines(tmp_path / "a.jsonl", ["{", '{"text": "ok"}', '{"text": 1}'])
    rejects = write_lines(tmp_path / "out" / "rejects.jsonl", ["of an earlier run"])
    corpus = UnlabeledCorpus(path, on_error="skip", rejects=str(rejects))
    with caplog.at_level(logging.WARNING, logger="spacy"):
        for _ in range(3):
            assert [eg.predicted.text for eg in corpus(nlp)] == ["ok"]
    first, second = srsly.read_jsonl(rejects)
    assert first["rule"].startswith("a line must be JSON")
    assert (first["file"], first["line"], first["value"]) == (str(path), 1, "'{'")
    expected = {"file": str(path), "line": 3, "rule": "text must be a string", "value": "1"}
    assert second == expected
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert messages[0].startswith(f"Skipped raw text (1 so far): {path}, line 1: ")
    assert f"{path}, line 3: text must be a string, got 1" in messages[1]


def test_skip_without_rejects_counts_and_does_not_flood_the_log(
    nlp, tmp_path, caplog, monkeypatch, write_lines
):
    monkeypatch.setattr(logging.getLogger("spacy"), "propagate", True)
    path = write_lines(tmp_path / "a.jsonl", ["{"] * 25)
    corpus = UnlabeledCorpus(path, on_error="skip")
    with caplog.at_level(logging.WARNING, logger="spacy"):
        assert list(corpus(nlp)) == []
    assert len(caplog.records) == module.MAX_LOGGED_REJECTS
    assert corpus.rejected == 25
    assert list(tmp_path.iterdir()) == [path]


def test_rejects_of_a_stream_go_back_to_an_earlier_state(tmp_path):
    rejects = StreamRejects(tmp_path / "rejects.jsonl")
    errors = [RawTextError(Path(f), i, "a rule", i) for f, i in (("a", 2), ("a", 5), ("b", 1))]
    rejects(errors[0])
    state = rejects.to_dict()
    for error in errors:  # the first is known
        rejects(error)
    whole = rejects.path.read_bytes()
    assert (rejects.count, rejects.last) == (3, {"a": 5, "b": 1})
    again = StreamRejects(rejects.path)
    again.restore(state)
    assert (again.count, len(again.path.read_bytes().splitlines())) == (1, 1)
    for error in errors:
        again(error)
    assert again.path.read_bytes() == whole
    StreamRejects(tmp_path / "none.jsonl").restore(state)  # no file yet
    assert not (tmp_path / "none.jsonl").exists()
