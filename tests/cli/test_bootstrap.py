"""`semivae bootstrap`: from a word list to a partially annotated corpus."""

import pytest
import srsly


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "raw.txt"
    path.write_text("Ann saw Rome\nBob likes us\nno names here\n", encoding="utf8")
    return path


def test_bootstrap(semivae, raw, tmp_path):
    words, out = tmp_path / "words.txt", tmp_path / "out.spacy"
    words.write_text("ann\nBob\n")
    options = ["--label", "PER", "--ignore-case", "--rest", tmp_path / "rest.jsonl"]
    code, output = semivae("bootstrap", words, raw, out, *options)
    assert code == 0
    assert "2 of 3 texts have an entity" in output
    assert [r["tokens"] for r in srsly.read_jsonl(tmp_path / "rest.jsonl")] == [
        ["no", "names", "here"]
    ]
    code, output = semivae("bootstrap", words, raw, out)
    assert code == 1
    assert "a line must be a text, a TAB and its label" in output
