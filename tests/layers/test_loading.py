"""What every loader is built from: named errors, checksums, settings and files that are refused."""

import gc
import hashlib
import json

import pytest
import srsly

from spacy_semivae.layers.loading import (
    CHECKSUMS,
    check_config,
    check_depth,
    check_files,
    check_parts,
    checksum,
    file_checksum,
    reading,
    write_checksums,
    write_files,
)


@pytest.mark.parametrize(
    "error", [KeyError("a"), RuntimeError("a"), MemoryError("a"), OSError("a")]
)
def test_errors_of_all_kinds_are_named(error):
    with pytest.raises(
        ValueError, match=rf"The part cannot be loaded: {type(error).__name__}: .*a"
    ):
        with reading("The part"):
            raise error


def test_errors_that_are_clear_stay(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"), reading("The part"):
        (tmp_path / "missing").read_bytes()
    with pytest.raises(ValueError, match=r"^The part cannot be loaded: why$"), reading("The part"):
        raise ValueError("why")
    with pytest.raises(KeyboardInterrupt), reading("The part"):
        raise KeyboardInterrupt


def test_the_garbage_collector_goes_on():
    with pytest.raises(ValueError, match="The part"), reading("The part"):
        srsly.msgpack_loads(b"\xdd\xff\xff\xff\xff")
    assert gc.isenabled()
    gc.disable()
    try:
        with reading("The part"):
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_checksums_of_files(tmp_path, monkeypatch):
    data = bytes(range(256)) * 10
    (tmp_path / "a").write_bytes(data)
    (tmp_path / "b").write_bytes(b"")
    expected = hashlib.blake2b(data, digest_size=16).hexdigest()
    monkeypatch.setattr("spacy_semivae.layers.loading.BLOCK", 7)
    assert checksum(data) == file_checksum(tmp_path / "a") == expected
    check_files(tmp_path, ["a", "b", "c"])  # nothing is known of them
    write_checksums(tmp_path, ["a", "b"])
    check_files(tmp_path, ["a", "b", "c"])
    (tmp_path / "b").write_bytes(b"x")
    check_files(tmp_path, ["a"])
    with pytest.raises(ValueError, match="b is not what was written"):
        check_files(tmp_path, ["a", "b"])
    (tmp_path / "a").unlink()
    with pytest.raises(FileNotFoundError, match="a"):
        check_files(tmp_path, ["a"])


@pytest.mark.parametrize("text", ["", "[1]", "{", '"a"', "[" * 100_000, "\ud800"])
def test_broken_checksums(text, tmp_path):
    (tmp_path / CHECKSUMS).write_bytes(text.encode("utf8", "surrogatepass"))
    with pytest.raises(ValueError, match=CHECKSUMS):
        check_files(tmp_path, ["a"])


def test_checksums_of_parts():
    check_parts({"a": b"1"}, {})
    check_parts({"a": b"1", "b": b"2"}, {"a": checksum(b"1")})
    for parts in ({"a": b"2"}, {}):
        with pytest.raises(ValueError, match="'a' is not what was written"):
            check_parts(parts, {"a": checksum(b"1")})


def test_depth():
    check_depth({"layers": 3, "heads": 99, "layer_norm": 1e-5, "deep": [{"n_layer": 2}]}, 3)
    for settings in ({"layers": 4}, {"a": {"n_layer": 4}}, {"a": [{"b": {"num_layers": 1e9}}]}):
        with pytest.raises(ValueError, match="there are 3 weights"):
            check_depth(settings, 3)


def test_configs():
    check_config({"attn_implementation": "sdpa", "_attn_implementation": None, "name": "a/b"})
    with pytest.raises(ValueError, match="asks for code"):
        check_config({"parts": [{"text": {"_attn_implementation_internal": "a/b:c"}}]})


def test_files_stay_in_their_folder(tmp_path):
    write_files({"a.json": b"1", ".hidden": b"2"}, tmp_path)
    assert (tmp_path / "a.json").read_bytes() == b"1"
    for name in ("..", ".", "", "/a", "../a", "a/b", "\\a", "c:a", "c:\\a"):
        with pytest.raises(ValueError, match="a file of the name"):
            write_files({name: b"1"}, tmp_path)
    assert json.dumps(sorted(p.name for p in tmp_path.iterdir())) == '[".hidden", "a.json"]'
