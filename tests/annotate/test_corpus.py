"""The input: its lines are counted, its names found, an output in it refused."""

import gzip
from pathlib import Path

import pytest

from spacy_semivae.annotate.corpus import count_lines, count_texts, find_root


@pytest.mark.parametrize(
    ("data", "lines"),
    [(b"", 0), (b"a", 1), (b"a\n", 1), (b"a\nb", 2), (b"\n\n", 2), (b"x" * 2**20 + b"\ny", 2)],
)
def test_lines_are_counted_with_and_without_a_last_end(tmp_path, data, lines):
    path = tmp_path / "raw.txt"
    path.write_bytes(data)
    assert count_lines(path) == lines


def test_only_plain_text_is_counted(tmp_path):
    names = ["a.txt", "b.jsonl", "c.txt.gz", "d.spacy"]
    paths = [tmp_path / name for name in names]
    for path in paths:
        path.write_bytes(gzip.compress(b"x\n") if path.suffix == ".gz" else b"x\ny\n")
    assert count_texts(paths[:2]) == 4
    assert count_texts(paths[:3]) is None
    assert count_texts([paths[0], paths[3]]) is None


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["/x/a.txt"], ["a.txt"]),
        (["/x/y/a.txt", "/x/z/a.txt"], ["y/a.txt", "z/a.txt"]),
        (["a.txt"], ["a.txt"]),
        (["a.txt", "b/c.txt"], ["a.txt", "b/c.txt"]),
        (["../a/b.txt", "../a/c/d.txt"], ["b.txt", "c/d.txt"]),
    ],
)
def test_names_start_where_all_files_are(files, names):
    paths = [Path(file) for file in files]
    assert [path.relative_to(find_root(paths)).as_posix() for path in paths] == names


@pytest.mark.parametrize("out", ["in", "in/out", "in/out.jsonl"])
def test_an_output_within_the_input(ruler, corpus, run, tmp_path, out):
    corpus("in/raw.txt")
    with pytest.raises(ValueError, match="must not be part of the input"):
        run(ruler, tmp_path / "in", tmp_path / out)


def test_an_output_that_a_pattern_takes_in(ruler, corpus, run, tmp_path):
    source = str(corpus("raw.jsonl").parent / "*.jsonl")
    run(ruler, source, tmp_path / "out.jsonl")
    with pytest.raises(ValueError, match="must not be part of the input"):
        run(ruler, source, tmp_path / "out.jsonl", overwrite=True)
    assert (tmp_path / "out.jsonl").stat().st_size > 0
