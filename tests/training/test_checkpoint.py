"""Folders that are replaced as a whole, and the optimizer's state."""

import numpy
import pytest
from thinc.api import Adam, RAdam

from spacy_semivae.training.checkpoint import (
    load_optimizer,
    replace_folder,
    restore_folder,
    save_optimizer,
)


def write(name):
    return lambda folder: (folder / name).write_text(name, encoding="utf8")


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_folder_takes_the_place_of_another(tmp_path):
    path = tmp_path / "last"
    replace_folder(path, write("a"))
    replace_folder(path, write("b"))
    assert names(tmp_path) == ["last", "last/b"]


def test_what_cannot_be_written_leaves_the_old_state(tmp_path):
    path = tmp_path / "last"
    replace_folder(path, write("a"))

    def fail(folder):
        (folder / "half").write_text("", encoding="utf8")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        replace_folder(path, fail)
    assert names(path) == ["a"]
    replace_folder(path, write("c"))
    assert names(tmp_path) == ["last", "last/c"]


@pytest.mark.parametrize("has_new", [True, False])
def test_a_replacement_that_was_cut_off(has_new, tmp_path):
    path = tmp_path / "last"
    (tmp_path / ".last.old").mkdir()
    write("a")(tmp_path / ".last.old")
    if has_new:
        path.mkdir()
        write("b")(path)
    restore_folder(path)
    assert names(tmp_path) == ["last", f"last/{'b' if has_new else 'a'}"]


@pytest.mark.parametrize("create", [Adam, RAdam])
def test_an_optimizer_goes_on_as_it_would_have(create, tmp_path):
    def make():
        rates = iter([0.1, 0.2, 0.3, 0.4, 0.5])
        return create(rates, use_averages=False)

    def step(optimizer, weights, n):
        for i in range(n):
            optimizer((7, "a.b"), weights, numpy.full(3, i + 1.0, dtype="f"))
            optimizer.step_schedules()

    optimizer, weights = make(), numpy.ones(3, dtype="f")
    step(optimizer, weights, 2)
    optimizer((8, "other"), numpy.ones(2, dtype="f"), numpy.ones(2, dtype="f"))
    save_optimizer(optimizer, {(7, "a.b"): "tagger/0/a.b"}, tmp_path)
    other, copied = make(), weights.copy()
    load_optimizer(other, {(9, "a.b"): "tagger/0/a.b"}, tmp_path, steps=2)
    assert set(other.nr_update) == {(9, "a.b")}
    step(optimizer, weights, 2)
    for i in range(2):
        other((9, "a.b"), copied, numpy.full(3, i + 1.0, dtype="f"))
        other.step_schedules()
    assert numpy.array_equal(weights, copied)
    assert other.learn_rate == optimizer.learn_rate
