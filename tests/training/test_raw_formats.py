"""Formats of raw text: wanted lines, long lines, Parquet, and bytes of any kind."""

import gzip
import json
import sys
import tracemalloc
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import spacy
import srsly
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spacy.tokens import DocBin

from spacy_semivae.training import raw_formats as module
from spacy_semivae.training.raw_errors import RawTextError, raise_error
from spacy_semivae.training.raw_formats import Source, get_suffix, read_file
from spacy_semivae.training.raw_text import find_files, read_texts
from spacy_semivae.training.unlabeled import UnlabeledCorpus

SUFFIXES = [".txt", ".txt.gz", ".jsonl", ".jsonl.gz", ".spacy", ".spacy.gz", ".parquet"]


@pytest.fixture(scope="module")
def nlp():
    return spacy.blank("xx")


@pytest.fixture
def write_parquet():
    """Write columns to a Parquet file, two rows a row group."""
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    def write(path, columns, **options):
        options = {"row_group_size": 2, **options}
        parquet.write_table(pyarrow.table(columns), path, **options)
        return path

    return write


# Lines


def write_five(path, nlp, write_lines, write_docs) -> Path:
    texts = [f"text {i}" for i in range(1, 6)]
    if ".spacy" in path.name:
        return write_docs(path, [nlp.make_doc(text) for text in texts])
    if ".parquet" in path.name:
        parquet = pytest.importorskip("pyarrow.parquet")
        import pyarrow

        parquet.write_table(pyarrow.table({"text": texts}), path, row_group_size=2)
        return path
    as_json = ".jsonl" in path.name
    return write_lines(path, [srsly.json_dumps({"text": t}) if as_json else t for t in texts])


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("lines", [set(), {1}, {2, 5}, {3}, range(3, sys.maxsize), range(9, 99)])
def test_only_wanted_lines_are_given(nlp, tmp_path, suffix, lines, write_lines, write_docs):
    path = write_five(tmp_path / f"a{suffix}", nlp, write_lines, write_docs)
    records = list(read_file(Source(path, raise_error, lines)))
    assert [record.line for record in records] == [i for i in range(1, 6) if i in lines]
    assert [record.join() for record in records] == [f"text {record.line}" for record in records]


def test_errors_of_lines_that_are_not_wanted_are_no_matter(tmp_path, write, write_lines):
    path = write_lines(tmp_path / "a.jsonl", ["{", '{"text": "a"}', "{"])
    assert len(list(read_file(Source(path, raise_error, {2})))) == 1
    data = gzip.compress(b"".join(b'{"text": "%d"}\n' % i for i in range(9999)))
    path = tmp_path / "b.jsonl.gz"
    path.write_bytes(data[:-100])
    assert len(list(read_file(Source(path, raise_error, range(1, 100))))) == 99
    with pytest.raises(RawTextError, match="readable and whole"):
        list(read_file(Source(path, raise_error)))


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_long_lines_are_bad_lines(nlp, tmp_path, name, write, read):
    lines = [b"12345678", b"123456789", b"1" * 200_000, b"", b"1234567\r", b"end", b"9" * 300_000]
    path = write(tmp_path / name, b"\n".join(lines))
    with pytest.raises(ValueError, match="line 2: a line must have at most 8 bytes") as info:
        read(nlp, path, max_line_bytes=8)
    assert str(path) in str(info.value)
    expected = ["12345678", "1234567", "end"]
    assert read(nlp, path, max_line_bytes=8, on_error="skip") == expected
    assert len(read(nlp, path)) == 6
    with pytest.raises(ValueError, match="max_line_bytes must be positive, got 0"):
        UnlabeledCorpus(path, max_line_bytes=0)


def test_a_line_of_50_megabytes_is_never_held(nlp, tmp_path, write, read):
    path = write(tmp_path / "a.txt.gz", b"one\n" + b"x" * 50_000_000 + b"\nthree\n")
    tracemalloc.start()
    assert list(read_texts(path, on_error=lambda error: None)) == ["one", "three"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * module.MAX_LINE_BYTES


def test_empty_shards_are_passed_over(nlp, tmp_path, write, read, write_docs, write_parquet):
    for name in ("a.txt", "b.txt.gz", "c.jsonl", "d.jsonl.gz"):
        write(tmp_path / name, b"")
    (tmp_path / "e.txt.gz").write_bytes(b"")  # an empty file is taken for an empty archive
    write_docs(tmp_path / "f.spacy", [])
    write_parquet(tmp_path / "g.parquet", {"text": []})
    assert read(nlp, tmp_path) == []
    write(tmp_path / "h.txt", b"last")
    assert read(nlp, tmp_path) == ["last"]


# Parquet


def test_parquet_has_the_keys_of_jsonl_as_columns(nlp, tmp_path, write_parquet, read):
    path = write_parquet(
        tmp_path / "a.parquet", {"id": [1, 2, 3], "text": ["I am", "", "né\u2028e"]}
    )
    assert read(nlp, path) == ["I am", "né\u2028e"]
    columns = {
        "text": ["lost", "don't", None],
        "tokens": [["a", "b."], None, ["New York", "c"]],
        "spaces": [[False, False], None, None],
    }
    path = write_parquet(tmp_path / "b.parquet", columns)
    docs = [eg.predicted for eg in UnlabeledCorpus(path, shuffle_buffer=0)(nlp)]
    found = [[token.text for token in doc] for doc in docs]
    assert found == [["a", "b."], ["don't"], ["New York", "c"]]
    assert [doc.has_unknown_spaces for doc in docs] == [False, False, True]


@pytest.mark.parametrize(
    ("columns", "rule"),
    [
        ({"body": ["a"] * 4}, ": the file must have a column text or tokens, got ['body']"),
        ({"text": ["a", "b", None, "c"]}, ", line 3: text must be a string, got None"),
        ({"text": [1, 2, 3, 4]}, ", line 1: text must be a string, got 1"),
        (
            {"tokens": [["a"], ["b"], [""], ["c"]]},
            ", line 3: tokens must be a list of non-empty strings, got ['']",
        ),
    ],
)
def test_bad_rows_of_parquet(nlp, tmp_path, write_parquet, read, columns, rule):
    path = write_parquet(tmp_path / "a.parquet", columns)
    with pytest.raises(ValueError, match="must") as info:
        read(nlp, path)
    assert str(info.value) == f"{path}{rule}"
    expected = ["a", "b", "c"] if "line 3" in rule else []
    assert [text.strip() for text in read(nlp, path, on_error="skip")] == expected


def test_row_groups_are_read_one_by_one(tmp_path, write_parquet, monkeypatch):
    from pyarrow.parquet import ParquetFile

    path = write_parquet(tmp_path / "a.parquet", {"text": [str(i) for i in range(10)]})
    groups, read = [], ParquetFile.iter_batches
    monkeypatch.setattr(
        ParquetFile,
        "iter_batches",
        lambda self, *args, **rest: groups.extend(rest["row_groups"]) or read(self, *args, **rest),
    )
    records = read_file(Source(path, raise_error))
    assert [next(records).text for _ in range(3)] == ["0", "1", "2"]
    assert groups == [0, 1]
    groups.clear()
    assert [r.text for r in read_file(Source(path, raise_error, {4, 9}))] == ["3", "8"]
    assert groups == [1, 4]


def test_parquet_without_pyarrow_names_the_extra(nlp, tmp_path, monkeypatch, write, read):
    path = write(tmp_path / "a.parquet", b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for on_error in ("raise", "skip"):
        with pytest.raises(ImportError, match=r"a\.parquet: .* spacy-semivae\[parquet\]"):
            read(nlp, path, on_error=on_error)


def test_parquet_is_not_read_from_gzip(tmp_path, write):
    assert get_suffix(Path("A.TXT.GZ")) == ".txt"
    assert get_suffix(Path("a.parquet.gz")) == ".gz"
    write(tmp_path / "a.parquet.gz", b"")
    with pytest.raises(ValueError, match="got none"):
        find_files(tmp_path)


# Bytes of any kind

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["text", "tokens", "spaces", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)
LINES = st.lists(
    st.binary(max_size=40)
    | JSON.map(lambda value: srsly.json_dumps(str(value)).encode())
    | JSON.map(lambda value: json.dumps(value).encode()),
    max_size=6,
).map(b"\n".join)
DOCBIN = st.fixed_dictionaries(
    {},
    optional={
        "attrs": st.lists(st.integers(0, 100), max_size=4) | JSON,
        "tokens": st.binary(max_size=64) | JSON,
        "spaces": st.binary(max_size=8) | JSON,
        "lengths": st.binary(max_size=12) | JSON,
        "strings": st.lists(st.text(max_size=3), max_size=3) | JSON,
        "cats": st.lists(JSON, max_size=2) | JSON,
        "flags": st.lists(JSON, max_size=2) | JSON,
        "span_groups": st.lists(st.binary(max_size=8), max_size=2) | JSON,
        "user_data": st.lists(st.binary(max_size=8), max_size=2) | JSON,
    },
)


def pack(message) -> bytes:
    try:
        return zlib.compress(srsly.msgpack_dumps(message))
    except (OverflowError, ValueError):
        return b""


def check(nlp, suffix, data) -> None:
    """Read bytes as a file: Docs or our error, and with "skip" never an error."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        path.write_bytes(data)
        options = {"shuffle_buffer": 2, "max_line_bytes": 30, "max_length": 3}
        try:
            n_docs = sum(len(eg) > 0 for eg in UnlabeledCorpus(path, **options)(nlp))
        except RawTextError:
            pass
        else:
            again = UnlabeledCorpus(path, **options, on_error="skip")
            assert sum(1 for _ in again(nlp)) == n_docs
            assert again.rejected == 0
        assert all(len(eg) for eg in UnlabeledCorpus(path, **options, on_error="skip")(nlp))


few = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


@few
@given(suffix=st.sampled_from(SUFFIXES[:6]), data=st.binary(max_size=200) | LINES)
def test_any_bytes_give_docs_or_our_error(nlp, suffix, data):
    check(nlp, suffix, data)
    check(nlp, suffix, gzip.compress(data))


@few
@given(message=DOCBIN)
def test_any_packed_docbin_gives_docs_or_our_error(nlp, message):
    check(nlp, ".spacy", pack(message))


@few
@given(data=st.data())
def test_damaged_files_give_docs_or_our_error(nlp, data):
    docs = [nlp.make_doc("one two three four"), nlp.make_doc("five")]
    whole = {
        ".spacy": DocBin(docs=docs).to_bytes(),
        ".txt.gz": gzip.compress(b"one two\nthree\n" * 20),
        ".jsonl.gz": gzip.compress(b'{"text": "one two"}\n' * 20),
    }
    suffix = data.draw(st.sampled_from(sorted(whole)))
    check(nlp, suffix, damage(data, whole[suffix]))


@few
@given(data=st.data())
def test_damaged_parquet_gives_docs_or_our_error(nlp, data):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    columns = {"text": ["one two three four", "five", "six"], "tokens": [["a"], None, ["b", "c"]]}
    parquet.write_table(pyarrow.table(columns), sink, row_group_size=2)
    whole = sink.getvalue().to_pybytes()
    check(nlp, ".parquet", data.draw(st.binary(max_size=80)))
    check(nlp, ".parquet", damage(data, whole))


def damage(data, whole: bytes) -> bytes:
    """Cut bytes off, or change some."""
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 3))):
        changed[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    return bytes(changed[: data.draw(st.integers(0, len(whole)) | st.just(len(whole)))])
