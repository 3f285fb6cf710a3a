"""Rows for TensorBoard: which numbers are shown, in event files for real, and after a stop."""

import importlib
import sys

import pytest

from spacy_semivae.training.log_board import Board, scalars


def row(step, score):
    return {
        "step": step,
        "time": "2026-01-01T00:00:00+00:00",
        "epoch": 0,
        "learn_rate": None,
        "losses": {"tagger_kl": 1.0},
        "weights": {"tagger": {"kl": 0.5}},
        "score": score,
        "scores": {"tag_acc": score, "per_tag": {"A": 0.25}, "units": [0.1, 0.2]},
    }


def write(folder, *rows, after=0):
    board = Board(str(folder))
    board.resume(after)
    for each in rows:
        board.write(each)
    board.close()


def test_the_numbers_of_a_row():
    assert dict(scalars(row(3, 0.5))) == {
        "score": 0.5,
        "epoch": 0.0,
        "losses/tagger_kl": 1.0,
        "weights/tagger/kl": 0.5,
        "scores/tag_acc": 0.5,
        "scores/per_tag/A": 0.25,
        "scores/units/0": 0.1,
        "scores/units/1": 0.2,
    }
    assert dict(scalars({"step": 4, "score": None, "scores": None, "losses": {}})) == {}


def read_events(folder):
    module = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    events = module.EventAccumulator(str(folder))
    events.Reload()
    names = events.Tags()["scalars"]
    return {name: [(e.step, e.value) for e in events.Scalars(name)] for name in names}


def test_event_files(tmp_path):
    pytest.importorskip("tensorboard")
    write(tmp_path, *[row(i, i / 10) for i in (1, 2, 3)])
    found = read_events(tmp_path)
    assert [step for step, _ in found["losses/tagger_kl"]] == [1, 2, 3]
    assert [value for _, value in found["scores/tag_acc"]] == pytest.approx([0.1, 0.2, 0.3])
    assert set(found) == set(dict(scalars(row(1, 0.1))))


def test_event_files_of_a_run_that_goes_on(tmp_path):
    pytest.importorskip("tensorboard")
    write(tmp_path, *[row(i, i / 10) for i in (1, 2, 3)])
    write(tmp_path, *[row(i, i / 20) for i in (2, 3, 4)], after=1)
    found = dict(read_events(tmp_path)["score"])
    assert found == pytest.approx({1: 0.1, 2: 0.1, 3: 0.15, 4: 0.2})


def test_without_tensorboard(monkeypatch, tmp_path):
    for name in [n for n in sys.modules if n.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ImportError, match=r"spacy-semivae\[tensorboard\]"):
        Board(str(tmp_path))
