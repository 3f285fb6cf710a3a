"""`semivae annotate` from the command line."""

import subprocess
import sys
from io import StringIO

import pytest
import spacy
import srsly

from spacy_semivae.cli.annotate import Bar


@pytest.fixture
def model(tmp_path):
    nlp = spacy.blank("en")
    patterns = [{"label": "PER", "pattern": "Ann"}, {"label": "LOC", "pattern": "Rome"}]
    nlp.add_pipe("entity_ruler").add_patterns(patterns)
    nlp.to_disk(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "raw.txt"
    path.write_text("Ann in Rome\nno one\nRome\n", encoding="utf8")
    return path


def test_a_file_and_a_folder(semivae, model, raw, tmp_path):
    code, output = semivae("annotate", model, raw, tmp_path / "new" / "out.jsonl")
    assert code == 0, output
    assert f"3 Docs: {tmp_path}/new/out.jsonl" in output
    rows = list(srsly.read_jsonl(tmp_path / "new" / "out.jsonl"))
    assert [[entity["label"] for entity in row["entities"]] for row in rows] == [
        ["PER", "LOC"],
        [],
        ["LOC"],
    ]
    args = ["annotate", model, raw, tmp_path / "out", "--format", "spacy", "--shard-size", 2]
    code, output = semivae(*args)
    assert code == 0, output
    assert len(list((tmp_path / "out").glob("*.spacy"))) == 2
    code, output = semivae(*args)
    assert code == 0
    assert "3 Docs (3 of them finished before)" in output


def test_what_is_left_out_is_said(semivae, model, raw, tmp_path):
    raw.write_bytes(b"one\n\xff\xff\ntwo\n")
    code, output = semivae("annotate", model, raw, tmp_path / "out")
    assert code == 1
    assert "line 2: a line must be UTF-8" in output
    code, output = semivae("annotate", model, raw, tmp_path / "out", "--on-error", "skip")
    assert code == 0
    assert f"1 lines or texts left out: {tmp_path}/out.rejects.jsonl" in output
    assert "2 Docs" in output


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--format", "csv"], "got 'csv'"),
        (["--engine", "spark"], "engine must be one of local, ray, got 'spark'"),
        (["--on-error", "ignore"], "on_error must be 'raise' or 'skip', got 'ignore'"),
        (["--code", "missing.py"], "missing.py"),
    ],
)
def test_wrong_options(semivae, model, raw, tmp_path, args, message):
    code, output = semivae("annotate", model, raw, tmp_path / "out", *args)
    assert code == 1
    assert message in output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--shard-size", "--batch-size", "--n-process"])
def test_numbers_out_of_range(semivae, model, raw, tmp_path, option):
    assert semivae("annotate", model, raw, tmp_path / "out", option, 0)[0] == 2


def test_a_run_that_was_made_of_something_else(semivae, model, raw, tmp_path):
    assert semivae("annotate", model, raw, tmp_path / "out")[0] == 0
    raw.write_text("other\n")
    code, output = semivae("annotate", model, raw, tmp_path / "out")
    assert code == 1
    assert "input.raw.txt: 24 then, 6 now" in output
    assert semivae("annotate", model, raw, tmp_path / "out", "--overwrite")[0] == 0


def test_speed_does_not_count_what_was_finished_before():
    bar = Bar(total=100, file=StringIO(), disable=False, mininterval=1000)
    bar.advance(60, True)
    bar.advance(20, False)
    bar.start_t -= 10
    assert "80/100 [00:10<00:10,  2.00it/s]" in str(bar)
    bar.close()


@pytest.mark.slow
def test_two_processes_from_the_shell(model, raw, tmp_path):
    options = ["--n-process", "2", "--shard-size", "1"]
    paths = map(str, (model, raw, tmp_path / "out"))
    command = [sys.executable, "-m", "spacy", "semivae", "annotate", *paths, *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").glob("shard-*.jsonl"))) == 3
