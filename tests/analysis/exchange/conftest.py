"""Texts with predictions that tests of all formats write, and how an export is read."""

import pytest
import srsly

from spacy_semivae.analysis.exchange.files import read_answers
from spacy_semivae.analysis.exchange.records import Mark, Task

TEXT = "\U0001f600 Ann saw Bob Lee !"
TOKENS = [(0, 1), (2, 5), (6, 9), (10, 13), (14, 17), (18, 19)]
MARKS = [Mark(2, 5, "PER", 0.9), Mark(10, 17, "PER", 0.25)]
META = {"score": 1.5, "by": "entropy", "file": "raw.txt", "line": 7}


@pytest.fixture
def entities():
    """A text with entities, whose first character is two units of UTF-16."""
    return Task(TEXT, TOKENS, MARKS, {}, META)


@pytest.fixture
def classes():
    """A text with classes."""
    return Task("Ann saw Bob", [(0, 3), (4, 7), (8, 11)], [], {"trip": 0.25, "talk": 0.75}, META)


@pytest.fixture
def refused(tmp_path):
    """Give the error for a record; it must name the file and the line."""

    def read(format_, record):
        path = tmp_path / "export.jsonl"
        path.write_text(f"\n{srsly.json_dumps(record)}\n")
        with pytest.raises(ValueError, match="line 2: ") as caught:
            list(read_answers(path, format_))
        assert str(path) in str(caught.value)
        return str(caught.value)

    return read
