"""Numbered checkpoints: written whole, checked before they are read, the last few stay."""

import resource
import shutil
import signal

import pytest

from spacy_semivae.training.snapshots import (
    MANIFEST,
    check_snapshot,
    find_snapshot,
    list_snapshots,
    save_snapshot,
)


def write(path):
    (path / "sub").mkdir()
    (path / "sub" / "weights").write_bytes(bytes(range(100)))
    (path / "state").write_bytes(b"abc")


def save(folder, *steps, keep=2):
    return [save_snapshot(folder, step, write, keep=keep) for step in steps]


@pytest.mark.parametrize("keep", [1, 2, 5])
def test_the_last_stay(keep, tmp_path):
    paths = save(tmp_path, 1, 20, 300, keep=keep)
    assert list_snapshots(tmp_path) == paths[::-1][:keep]
    assert sorted(tmp_path.iterdir()) == paths[-keep:]
    assert find_snapshot(tmp_path) == (paths[-1], [])


def test_a_folder_without_checkpoints(tmp_path):
    assert find_snapshot(tmp_path / "none") == (None, [])


def flip(path):
    file = path / "sub" / "weights"
    data = bytearray(file.read_bytes())
    data[50] ^= 1
    file.write_bytes(data)


def foreign(path):
    shutil.rmtree(path)
    write_other = path / MANIFEST
    path.mkdir()
    write_other.write_text('{"format": "other", "files": {}}', encoding="utf8")


DAMAGES = {
    "flipped": (flip, "weights is not what was written"),
    "truncated": (lambda path: (path / "state").write_bytes(b"ab"), "state is not what"),
    "lost": (lambda path: (path / "state").unlink(), "state is missing"),
    "added": (lambda path: (path / "more").touch(), "more is not what was written"),
    "no manifest": (lambda path: (path / MANIFEST).unlink(), "no readable manifest"),
    "no JSON": (lambda path: (path / MANIFEST).write_text("{"), "no readable manifest"),
    "a list": (lambda path: (path / MANIFEST).write_text("[1]"), "no readable manifest"),
    "foreign": (foreign, "is not that of a spacy_semivae checkpoint"),
    "a file": (lambda path: (shutil.rmtree(path), path.touch()), "no readable manifest"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(damage, tmp_path):
    first, second = save(tmp_path, 1, 2)
    spoil, what = DAMAGES[damage]
    spoil(second)
    with pytest.raises(ValueError, match=what):
        check_snapshot(second)
    found, complaints = find_snapshot(tmp_path)
    assert found == first
    assert len(complaints) == 1
    assert str(second) in complaints[0]


def test_all_are_damaged(tmp_path):
    for path in save(tmp_path, 1, 2):
        flip(path)
    found, complaints = find_snapshot(tmp_path)
    assert found is None
    assert len(complaints) == 2


def test_a_full_disk_leaves_what_was_there(tmp_path):
    (path,) = save(tmp_path, 1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50, limits[1]))  # no file may be larger
        with pytest.raises(OSError, match="too large"):
            save(tmp_path, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert list(tmp_path.iterdir()) == [path]
    assert find_snapshot(tmp_path) == (path, [])
