"""One result whoever does the work: one process, two, or Ray, and when a worker is killed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import spacy

from spacy_semivae.annotate.engines import WorkerDied

SETTINGS = {"shard_size": 9, "batch_size": 4}


def test_one_and_two_processes(trained, many, run, read, contents, tmp_path):
    run(trained, many, tmp_path / "a" / "out", **SETTINGS)
    run(trained, many, tmp_path / "b" / "out", n_process=2, **SETTINGS)
    expected = contents(tmp_path / "a" / "out")
    assert len(expected) == 7
    assert contents(tmp_path / "b" / "out") == expected
    assert len(read(tmp_path / "a" / "out")) == 40


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
