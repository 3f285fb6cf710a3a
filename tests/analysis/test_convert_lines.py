"""Lines of text files, and the error that names one."""

import gzip

import pytest

from spacy_semivae.analysis.convert_lines import bad_line, read_lines


def test_lines_are_numbered_and_stripped_of_mark_and_end(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\r\ntwo")
    assert list(read_lines(path)) == [(1, "one"), (2, ""), (3, "two")]


def test_compressed_files_and_encodings(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress("é\n".encode("latin1")))
    assert list(read_lines(path, "latin1")) == [(1, "é")]
    with pytest.raises(ValueError, match=r"a\.txt\.gz.*line 1"):
        list(read_lines(path))


def test_an_error_names_file_line_rule_and_value(tmp_path):
    message = str(bad_line(tmp_path / "x.conll", 3, "a rule", "a value"))
    for part in ("x.conll", "3", "a rule", "a value"):
        assert part in message
