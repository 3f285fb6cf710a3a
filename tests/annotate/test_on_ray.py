"""The engine on Ray: the same bytes as without it, whatever happens to workers."""

import pytest
import spacy

from spacy_semivae.annotate.engines import WorkerDied
from spacy_semivae.annotate.on_ray import MAX_RETRIES

ray = pytest.importorskip("ray")

SETTINGS = {"shard_size": 9, "batch_size": 4}


@pytest.fixture(scope="module")
def cluster():
    """Ray on this machine with two workers."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield
    ray.shutdown()


@pytest.mark.slow
def test_the_same_bytes_as_without(cluster, trained, many, run, contents, tmp_path):
    many.write_bytes(b"broken\n" + many.read_bytes())
    settings = {**SETTINGS, "on_error": "skip"}
    run(trained, many, tmp_path / "a" / "out", **settings)
    run(trained, many, tmp_path / "b" / "out", engine="ray", n_process=2, **settings)
    assert len(contents(tmp_path / "a" / "out")) == 8
    assert contents(tmp_path / "b" / "out") == contents(tmp_path / "a" / "out")
    again = run(trained, many, tmp_path / "b" / "out", engine="ray", **settings)
    assert (again.docs, again.skipped, again.rejected) == (40, 40, 1)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_worker_that_is_killed(cluster, ruler, many, killer, run, contents, tmp_path, moment):
    code = killer(moment)
    done = run(ruler, many, tmp_path / "out", engine="ray", n_process=2, code=code, **SETTINGS)
    assert (tmp_path / "killed").exists()
    assert (done.docs, done.skipped) == (40, 0)
    run(ruler, many, tmp_path / "whole" / "out", code=code, **SETTINGS)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole" / "out")


@pytest.mark.slow
def test_workers_that_always_die(cluster, ruler, many, run, tmp_path):
    code = tmp_path / "die.py"
    code.write_text("import os\nopen(__file__ + '.log', 'a').write('x')\nos._exit(1)\n")
    with pytest.raises(WorkerDied, match=f"died {MAX_RETRIES + 1} times"):
        run(ruler, many, tmp_path / "out", engine="ray", code=code, shard_size=100)
    assert len((tmp_path / "die.py.log").read_text()) == MAX_RETRIES + 1


@pytest.mark.slow
def test_errors_of_workers_are_those_of_the_local_engine(cluster, corpus, run, tmp_path):
    code = tmp_path / "code.py"
    code.write_text("raise ValueError('no such thing')\n")
    spacy.blank("en").to_disk(tmp_path / "model")
    for engine in ("local", "ray"):
        with pytest.raises(ValueError, match=r"^no such thing$"):
            run(tmp_path / "model", corpus("raw.txt"), tmp_path / "out", engine=engine, code=code)
