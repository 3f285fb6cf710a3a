"""A log of JSON lines: half lines, foreign lines, full disks, values without a word in JSON."""

import json
import os

import numpy
import pytest

from spacy_semivae.training.log_file import LogFile, read_log, to_line


def rows(*steps):
    return [{"step": step} for step in steps]


def test_rows_are_added(tmp_path):
    file = LogFile(tmp_path / "a" / "log.jsonl")
    assert file.resume(0) == []
    for row in rows(1, 2):
        file.append(row)
    assert read_log(file.path) == rows(1, 2)
    assert file.path.read_bytes() == b'{"step": 1}\n{"step": 2}\n'


def test_no_log():
    assert read_log("nowhere/log.jsonl") == []


@pytest.mark.parametrize("cut", range(12))
def test_half_a_line_is_never_read(cut, tmp_path):
    file = LogFile(tmp_path / "log.jsonl")
    file.append({"step": 1})
    whole = file.path.read_bytes()
    file.append({"step": 2})
    file.path.write_bytes(whole + file.path.read_bytes()[len(whole) :][:cut])
    known = rows(1, 2) if cut == 11 else rows(1)  # only the end of the line is missing
    assert read_log(file.path) == known
    assert LogFile(file.path).resume(9) == known
    file.append({"step": 3})
    assert read_log(file.path) == [*known, {"step": 3}]


def test_lines_of_others_are_left_out(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'[1]\n"a"\n{"step": 1}\n\xff\n{"step": "x"}\n\n{"epoch": 1}\n' + b"[" * 10**5)
    assert read_log(path) == rows(1)
    assert LogFile(path).resume(1) == rows(1)
    assert path.read_bytes() == b'{"step": 1}\n'


def test_later_rows_are_dropped(tmp_path):
    file = LogFile(tmp_path / "log.jsonl")
    for row in rows(1, 2, 3, 4):
        file.append(row)
    assert file.resume(2) == rows(1, 2)
    assert read_log(file.path) == rows(1, 2)
    assert file.resume(0) == []
    assert file.path.read_bytes() == b""
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


def test_a_log_that_stays_is_not_written_again(tmp_path):
    file = LogFile(tmp_path / "log.jsonl")
    file.append({"step": 1})
    before = file.path.stat().st_ino
    file.resume(5)
    assert file.path.stat().st_ino == before


def test_a_run_goes_on_where_rows_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    file = LogFile(tmp_path / "file" / "log.jsonl")
    with pytest.warns(UserWarning, match="lacks rows"):
        file.resume(0)
    with pytest.warns(UserWarning, match="lacks rows"):
        file.append({"step": 1})


def test_a_full_disk_leaves_no_half_line(tmp_path, monkeypatch):
    file = LogFile(tmp_path / "log.jsonl")
    file.append({"step": 1})

    class Full(type(file.path)):
        """A path whose files take three bytes."""

        def open(self, mode, buffering):
            stream = super().open(mode, buffering=buffering)

            class Stream:
                def __enter__(self):
                    return self

                def __exit__(self, *args):
                    stream.close()

                def write(self, data):
                    return stream.write(data[:3])

                seek, truncate = stream.seek, stream.truncate

            return Stream()

    whole, file.path = file.path, Full(file.path)
    with pytest.warns(UserWarning, match="the disk is full"):
        file.append({"step": 2})
    assert whole.read_bytes() == b'{"step": 1}\n'


def test_values_of_all_kinds():
    values = {
        "nan": float("nan"),
        "list": [numpy.float32(0.5), (float("inf"), None)],
        "array": numpy.array([1.0, numpy.nan]),
        "number": numpy.int64(3),
        7: True,
        "path": os.path,
    }
    row = json.loads(to_line(values))
    assert row.pop("path").startswith("<module")
    expected = {"nan": None, "list": [0.5, [None, None]], "array": [1.0, None], "number": 3}
    assert row == {**expected, "7": True}
