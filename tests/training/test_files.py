"""Files and folders that are written whole or not at all."""

from contextlib import suppress

import pytest

from spacy_semivae.training.files import replace_folder, replacing, restore_folder


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


def test_a_file_takes_its_place_when_it_is_whole(tmp_path):
    path = tmp_path / "rows"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    with suppress(KeyboardInterrupt), replacing(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["rows"]
