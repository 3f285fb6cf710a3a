"""What a restart reads: shards that are whole, and changes since that are refused."""

import pytest
import spacy

from spacy_semivae.annotate.manifest import FINISHED, MANIFEST, hash_files

SETTINGS = {"shard_size": 4, "batch_size": 2, "on_error": "skip"}


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


@pytest.mark.parametrize("length", [0, 10])
def test_a_shard_that_was_cut_off(ruler, corpus, run, contents, tmp_path, caplog, length):
    source, out = corpus("raw.jsonl"), tmp_path / "out"
    run(ruler, source, out, **SETTINGS)
    expected = contents(out)
    shard = out / "shard-000001.jsonl"
    shard.write_bytes(shard.read_bytes()[:length])
    (out / "shard-000002.jsonl").unlink()
    with caplog.at_level("WARNING", "spacy"):
        done = run(ruler, source, out, **SETTINGS)
    assert done.skipped == 4
    assert f"shard-000001.jsonl has {length} bytes instead of" in caplog.text
    assert "shard-000002.jsonl is gone" in caplog.text
    assert contents(out) == expected
    assert run(ruler, source, out, **SETTINGS).skipped == 11


def test_an_empty_shard_that_is_gone(ruler, corpus, run, contents, tmp_path):
    source, out = corpus("raw.txt", []), tmp_path / "out"
    run(ruler, source, out, **SETTINGS)
    expected = contents(out)
    (out / "shard-000000.jsonl").unlink()
    run(ruler, source, out, **SETTINGS)
    assert contents(out) == expected


def test_a_line_of_the_log_that_was_cut_off(ruler, corpus, run, contents, tmp_path):
    source, out = corpus("raw.jsonl"), tmp_path / "out"
    run(ruler, source, out, **SETTINGS)
    expected = contents(out)
    log = out / FINISHED
    log.write_bytes(log.read_bytes()[:-20])
    assert run(ruler, source, out, **SETTINGS).skipped == 8
    assert run(ruler, source, out, **SETTINGS).skipped == 11
    assert contents(out) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shard_size": 3}, "shard_size: 4 then, 3 now"),
        ({"batch_size": 3}, "batch_size: 2 then, 3 now"),
        ({"format": "spacy"}, "format: 'jsonl' then, 'spacy' now"),
    ],
)
def test_other_settings(ruler, corpus, run, contents, tmp_path, change, message):
    source, out = corpus("raw.jsonl"), tmp_path / "out"
    run(ruler, source, out, **SETTINGS)
    before = contents(out)
    with pytest.raises(ValueError, match=f"{message}") as caught:
        run(ruler, source, out, **{**SETTINGS, **change})
    assert "--overwrite" in str(caught.value)
    assert contents(out) == before
    run(ruler, source, out, overwrite=True, **{**SETTINGS, **change})
    assert contents(out) != before
    run(ruler, source, out, overwrite=True, **SETTINGS)
    assert contents(out) == before


def test_another_length_of_the_input(ruler, corpus, run, tmp_path):
    source = corpus("raw.txt", ["Ann", "Bob"])
    run(ruler, source, tmp_path / "out", **SETTINGS)
    corpus("raw.txt", ["Ann", "Bob", "Rome"])
    with pytest.raises(ValueError, match=r"input\.raw\.txt: 8 then, 13 now"):
        run(ruler, source, tmp_path / "out", **SETTINGS)


def test_another_model(ruler, corpus, run, tmp_path):
    source, model = corpus("raw.txt"), tmp_path / "model"
    nlp = spacy.load(ruler)
    nlp.to_disk(model)
    run(model, source, tmp_path / "out")
    nlp.get_pipe("entity_ruler").add_patterns([{"label": "X", "pattern": "zebras"}])
    nlp.to_disk(model)
    with pytest.raises(ValueError, match="model: '"):
        run(model, source, tmp_path / "out")


def test_a_damaged_manifest(ruler, corpus, run, tmp_path):
    source = corpus("raw.txt")
    run(ruler, source, tmp_path / "out")
    (tmp_path / "out" / MANIFEST).write_text("[")
    with pytest.raises(ValueError, match="holds a damaged manifest"):
        run(ruler, source, tmp_path / "out")
    run(ruler, source, tmp_path / "out", overwrite=True)


def test_a_model_and_a_corpus_that_have_moved(ruler, corpus, run, contents, tmp_path):
    source, model = corpus("one/raw.txt"), tmp_path / "model"
    spacy.load(ruler).to_disk(model)
    run(model, source, tmp_path / "out", **SETTINGS)
    before = contents(tmp_path / "out")
    model.rename(tmp_path / "other")
    source.rename(tmp_path / "raw.txt")
    run(tmp_path / "other", tmp_path / "raw.txt", tmp_path / "out", **SETTINGS)
    assert contents(tmp_path / "out") == before
