"""Where Docs go: a file or a folder by its name, and what is there already."""

import pytest

from spacy_semivae.annotate.output import find_output
from spacy_semivae.training.raw_text import RawTextError


@pytest.mark.parametrize(
    ("name", "format", "message"),
    [
        ("out", "csv", "one of jsonl, spacy, parquet.*got 'csv'"),
        ("out.csv", None, "got 'csv'"),
        ("out.jsonl.gz", None, "got 'gz'"),
        ("out.jsonl", "spacy", "got 'spacy' for"),
    ],
)
def test_unknown_formats(ruler, corpus, run, tmp_path, name, format, message):
    with pytest.raises(ValueError, match=message):
        run(ruler, corpus("raw.txt"), tmp_path / name, format=format)
    assert [path.name for path in tmp_path.iterdir()] == ["raw.txt"]


def test_what_is_a_file_and_what_a_folder(tmp_path):
    assert find_output("a/b.jsonl", None).is_file
    assert find_output("a/b.PARQUET", None).format == "parquet"
    assert not find_output("a/b", None).is_file
    assert find_output("a/b", None).format == "jsonl"
    assert not find_output("a/b.v2", "spacy").is_file
    (tmp_path / "x.jsonl").mkdir()
    (tmp_path / "y").touch()
    with pytest.raises(ValueError, match="must be a file"):
        find_output(tmp_path / "x.jsonl", None)
    with pytest.raises(ValueError, match="must be a folder"):
        find_output(tmp_path / "y", None)


def test_files_of_others_are_not_touched(ruler, corpus, run, tmp_path):
    source = corpus("raw.txt")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    for overwrite in (True, False):
        with pytest.raises(ValueError, match="got other files"):
            run(ruler, source, tmp_path / "out", overwrite=overwrite)
    (tmp_path / "out" / "thesis.tex").unlink()
    run(ruler, source, tmp_path / "out")
    (tmp_path / "out" / "notes").touch()
    run(ruler, source, tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "notes").exists()


def test_a_file_that_is_whole(ruler, corpus, run, tmp_path):
    source, out = corpus("raw.txt"), tmp_path / "out.jsonl"
    run(ruler, source, out)
    before = out.read_bytes()
    with pytest.raises(ValueError, match="exists; --overwrite replaces it"):
        run(ruler, source, out)
    run(ruler, source, out, overwrite=True)
    assert out.read_bytes() == before


def test_nothing_was_finished(ruler, corpus, run, tmp_path):
    source, out = corpus("raw.jsonl"), tmp_path / "out"
    whole = source.read_bytes()
    source.write_bytes(b"broken\n" + whole)
    with pytest.raises(RawTextError, match="line 1"):
        run(ruler, source, out)
    source.write_bytes(whole)
    assert run(ruler, source, out, shard_size=2).docs == 11
