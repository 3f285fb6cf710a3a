"""One result whoever does the work: one process, two, or Ray, and when a worker is killed."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import spacy
from thinc.api import Model

from spacy_semivae.annotate.annotator import Annotator, forget
from spacy_semivae.annotate.engines import WorkerDied, run_here
from spacy_semivae.annotate.output import find_output
from spacy_semivae.annotate.run import AnnotateSettings, make_job
from spacy_semivae.annotate.shards import cut_shards
from spacy_semivae.layers.cache import VectorCache
from spacy_semivae.training.raw_text import raise_error, read_records

SETTINGS = {"shard_size": 9, "batch_size": 4}


def test_one_and_two_processes(trained, many, run, read, contents, tmp_path):
    run(trained, many, tmp_path / "a" / "out", **SETTINGS)
    run(trained, many, tmp_path / "b" / "out", n_process=2, **SETTINGS)
    expected = contents(tmp_path / "a" / "out")
    assert len(expected) == 7
    assert contents(tmp_path / "b" / "out") == expected
    assert len(read(tmp_path / "a" / "out")) == 40


@pytest.mark.parametrize("order", [[3, 1], [4], [0, 0, 2]])
def test_a_shard_does_not_depend_on_those_before(trained, many, run, contents, tmp_path, order):
    out = tmp_path / "out"
    run(trained, many, out, **SETTINGS)
    expected = contents(out)
    job = make_job(trained, [many], find_output(out, None), AnnotateSettings(batch_size=4))
    shards = list(cut_shards(read_records([many], on_error=raise_error), 9))
    for number in order:
        (out / f"shard-00000{number}.jsonl").unlink(missing_ok=True)
    assert [done.number for done in run_here(job, [shards[i] for i in order], print)] == order
    assert contents(out) == expected


def test_no_number_is_taken_from_a_shard_before(trained, many, tmp_path):
    job = make_job(trained, [many], find_output(tmp_path, "spacy"), AnnotateSettings())
    annotator, path = Annotator(job), tmp_path / "shard-000000.spacy"
    shard = next(cut_shards(read_records([many], on_error=raise_error), 9))
    annotator.run(shard)
    expected = path.read_bytes()
    model = annotator.nlp.get_pipe("crf_vae_ner").model
    kept = [node.attrs["spellings"] for node in model.walk() if "spellings" in node.attrs]
    assert kept[0].states.values.abs().sum() > 0
    kept[0].states.values.mul_(-100)  # who takes it predicts something else
    annotator.run(shard)
    assert path.read_bytes() == expected


def test_vectors_of_texts_are_not_kept():
    node = Model("encoder", lambda model, X, is_train: (X, lambda dY: dY))
    node.attrs["cache"] = VectorCache(limit_mb=10)
    forget(SimpleNamespace(pipeline=[("a", SimpleNamespace(model=node)), ("b", None)]))
    assert node.attrs["cache"].limit == 0


def test_predictions_are_those_of_the_pipeline(trained, many, run, read, tmp_path):
    run(trained, many, tmp_path / "out", **SETTINGS)
    nlp = spacy.load(trained)
    rows = read(tmp_path / "out")
    for row, doc in zip(rows, nlp.pipe([row["text"] for row in rows], batch_size=3), strict=True):
        assert row["tag"] == [token.tag_ for token in doc]
        assert [(e["start"], e["end"], e["label"]) for e in row["entities"]] == [
            (ent.start_char, ent.end_char, ent.label_) for ent in doc.ents
        ]
        assert row["cats"] == pytest.approx(doc.cats, abs=1e-5)


def test_the_vocabulary_does_not_grow(ruler, corpus, tmp_path):
    path = corpus("raw.txt", [f"word{i} other{i}" for i in range(50)])
    output, settings = find_output(tmp_path / "out", None), AnnotateSettings(batch_size=5)
    annotator = Annotator(make_job(ruler, [path], output, settings))
    (tmp_path / "out").mkdir()
    vocab = annotator.nlp.vocab
    before = len(list(vocab)), len(vocab.strings)
    for shard in cut_shards(read_records([path], on_error=raise_error), 25):
        assert annotator.run(shard).docs == 25
    assert (len(list(vocab)), len(vocab.strings)) == before


def test_a_killed_process(ruler, many, killer, run, contents, tmp_path):
    args = {"model": ruler, "source": many, "output": tmp_path / "out", **SETTINGS}
    with pytest.raises(WorkerDied, match="finished shards are kept"):
        run(n_process=2, code=killer("before"), **args)
    assert (tmp_path / "killed").exists()
    run(code=tmp_path / "killer.py", **args)
    run(code=tmp_path / "killer.py", **{**args, "output": tmp_path / "whole" / "out"})
    assert contents(tmp_path / "out") == contents(tmp_path / "whole" / "out")


def test_a_pipeline_that_workers_cannot_load(corpus, run, tmp_path):
    spacy.blank("en").to_disk(tmp_path / "model")
    config = tmp_path / "model" / "config.cfg"
    config.write_text(config.read_text().replace('lang = "en"', 'lang = "english"'))
    with pytest.raises((ValueError, ImportError), match="english"):
        run(tmp_path / "model", corpus("raw.txt"), tmp_path / "out", n_process=2)


SLOW = '''
"""A component that says which process it is in, and never ends."""
import os
import time
from pathlib import Path
from spacy.language import Language

@Language.component("slow")
def slow(doc):
    Path(__file__).with_name(f"{os.getpid()}.pid").touch()
    time.sleep(600)
    return doc
'''
START = """
import sys
from spacy_semivae.annotate.run import AnnotateSettings, annotate
if __name__ == "__main__":
    settings = AnnotateSettings(n_process=2, shard_size=1, code=sys.argv[4])
    annotate(*sys.argv[1:4], settings)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="processes are looked up in /proc")
@pytest.mark.parametrize("signal", [9, 2])
def test_processes_end_with_the_one_that_started_them(corpus, tmp_path, signal):
    code = tmp_path / "slow.py"
    code.write_text(SLOW)
    spacy.util.import_file("slow", code)
    nlp = spacy.blank("en")
    nlp.add_pipe("slow")
    nlp.to_disk(tmp_path / "slow")
    (tmp_path / "start.py").write_text(START)
    args = [tmp_path / "slow", corpus("raw.txt", ["a", "b"]), tmp_path / "out", code]
    command = [sys.executable, tmp_path / "start.py", *args]
    process = subprocess.Popen(list(map(str, command)), start_new_session=True)
    try:
        pids = wait_for(lambda: [int(path.stem) for path in tmp_path.glob("*.pid")], 2, seconds=60)
        assert process.pid not in pids
        if signal == 2:
            os.killpg(process.pid, signal)  # as Ctrl-C does
        else:
            process.kill()
        assert process.wait(30) != 0
        wait_for(lambda: [pid for pid in pids if Path(f"/proc/{pid}").exists()], 0, seconds=30)
    finally:
        process.kill()


def wait_for(find, number, *, seconds):
    until = time.time() + seconds
    while len(found := find()) != number:
        assert time.time() < until, found
        time.sleep(0.05)
    return found
