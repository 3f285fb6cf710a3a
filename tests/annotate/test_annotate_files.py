"""Small parts: counting lines, names of input files, files that are replaced whole, cutting."""

import gzip
from pathlib import Path

import pytest

from spacy_semivae.annotate.corpus import count_lines, count_texts, find_root
from spacy_semivae.annotate.manifest import hash_files
from spacy_semivae.annotate.shards import cut_shards
from spacy_semivae.training.files import replacing
from spacy_semivae.training.raw_text import RawRecord


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


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "out"
    path.write_text("old")

    def write(error):
        with replacing(path) as stream:
            stream.write(b"new")
            assert path.read_text() == "old"
            if error:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(error=True)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("out", "old")]
    write(error=False)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("out", "new")]


def test_shards_are_cut_as_they_are_asked_for():
    read = []

    def records():
        for i in range(7):
            read.append(i)
            yield RawRecord(Path("a"), i, text=str(i))

    shards = cut_shards(records(), 3)
    assert read == []
    assert [record.text for record in next(shards).records] == ["0", "1", "2"]
    assert read == [0, 1, 2]
    rest = list(shards)
    assert [(shard.number, len(shard.records)) for shard in rest] == [(1, 3), (2, 1)]
    assert [(shard.number, shard.records) for shard in cut_shards([], 3)] == [(0, [])]


def test_digests_tell_texts_apart():
    def digest(*records):
        (shard,) = cut_shards([RawRecord(Path("a"), 1, **record) for record in records], 10)
        return shard.digest()

    found = [
        digest({"text": "ab"}),
        digest({"text": "a"}, {"text": "b"}),
        digest({"text": "b"}, {"text": "a"}),
        digest({"words": ["a", "b"]}),
        digest({"words": ["a", "b"], "spaces": [True, True]}),
        digest({"text": "\ud800"}),
        digest(),
    ]
    assert len(set(found)) == len(found)
    assert digest({"text": "ab"}) == found[0]


def test_the_hash_of_a_folder_sees_names_and_contents(tmp_path):
    def write(name, data):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
        return hash_files(tmp_path)

    first = write("a", b"12")
    assert write("a", b"13") != first
    assert write("a", b"12") == first
    assert write("b", b"") != first
    assert write("__pycache__/a.pyc", b"x") == hash_files(tmp_path) != first
    (tmp_path / "b").unlink()
    assert hash_files(tmp_path) == first
