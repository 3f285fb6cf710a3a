"""Several processes that share the work of one run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy
import pytest
import spacy
from spacy.tokens import Doc, DocBin

SECONDS = 120
PLAIN = {  # no noise, so that sums are all that differs
    "semivae__unlabeled_corpus": "null",
    "components__vsl_tagger__model__variant": "baseline",
    "training__max_steps": 6,
    "training__eval_frequency": 3,
    "training__optimizer__learn_rate": 0.05,
}


@pytest.fixture
def corpus(tmp_path):
    """Docs of one length, so that a mean over processes is one over their tokens."""
    nlp, rng, docs = spacy.blank("en"), numpy.random.default_rng(0), []
    for _ in range(16):
        words = [f"{'ab'[i]}{rng.integers(9)}" for i in rng.integers(0, 2, 5)]
        docs.append(Doc(nlp.vocab, words=words, tags=[word[0].upper() for word in words]))
    path = tmp_path / "docs.spacy"
    DocBin(docs=docs).to_disk(path)
    return {"paths__train": path, "paths__dev": path, "corpora__train__limit": 0}


def start(*args):
    """Start a command in a process of its own; its output is one stream."""
    command = [sys.executable, "-m", "spacy", "semivae", *map(str, args)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, text=True, env=env, **pipes)


def run(*args):
    process = start(*args)
    output, _ = process.communicate(timeout=SECONDS)
    return process.returncode, " ".join(output.split())


def weights(path):
    model = spacy.load(path).get_pipe("vsl_tagger").model
    shims = [shim for node in model.walk() for shim in node.shims]
    return [p.detach().numpy() for shim in shims for p in shim.module.parameters()]


def test_two_processes_are_one_with_the_joined_batch(corpus, semivae, tiny, tmp_path):
    settings = {**PLAIN, **corpus}
    one, two = tmp_path / "one", tmp_path / "two"
    joined = tiny(training__batcher__size=4, **settings)
    assert semivae(*joined, "--output", one)[0] == 0
    halves = tiny(training__batcher__size=2, **settings)
    code, output = run(*halves, "--output", two, "--num-workers", 2)
    assert code == 0, output
    assert output.count("Pipeline:") == output.count("Saved pipeline to") == 1
    found, wanted = weights(two / "model-last"), weights(one / "model-last")
    for a, b in zip(found, wanted, strict=True):
        numpy.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    untrained = tiny(training__batcher__size=4, **{**settings, "training__max_steps": 1})
    assert semivae(*untrained, "--output", tmp_path / "first")[0] == 0
    moved = [abs(a - b).max() for a, b in zip(weights(tmp_path / "first" / "model-last"), wanted)]
    assert max(moved) > 0.05


@pytest.mark.slow
def test_a_run_of_two_processes_goes_on(tiny, tmp_path):
    settings = {"training__max_steps": 4, "semivae__checkpoint_every": 2}
    args = tiny(**settings)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        code, output = run(*args, "--output", folder, "--num-workers=2")
        assert code == 0, output
    (cut / "checkpoints" / "step-00000004" / "manifest.json").unlink()
    code, output = run(*args, "--output", cut, "--resume", "--num-workers=2")
    assert code == 0, output
    assert "Resumed at step 2" in output
    for a, b in zip(weights(cut / "model-last"), weights(whole / "model-last"), strict=True):
        # what other processes had in their tables of priors is lost
        numpy.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_a_lost_process_ends_the_run_and_leaves_a_checkpoint(tiny, tmp_path):
    settings = {"training__max_steps": 100000, "semivae__checkpoint_every": 1}
    settings["training__eval_frequency"] = 100000
    process = start(*tiny(**settings), "--output", tmp_path, "--num-workers", 2)
    limit = time.monotonic() + SECONDS
    while len(list(tmp_path.glob("checkpoints/step-*"))) < 2 and process.poll() is None:
        assert time.monotonic() < limit
        time.sleep(0.05)
    os.kill(find_worker(tmp_path, rank=1), signal.SIGKILL)
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode != 0
    last = max(path.name for path in tmp_path.glob("checkpoints/step-*"))
    settings["training__max_steps"] = int(last.removeprefix("step-")) + 1
    args = [*tiny(**settings), "--output", tmp_path, "--resume", "--allow-config-change"]
    code, output = run(*args)
    assert code == 0, output
    assert f"Resumed at step {int(last.removeprefix('step-'))}" in output


def find_worker(argument, rank):
    """Find the process of a rank that was started with an argument."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environ = (folder / "environ").read_bytes().split(b"\0")
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if str(argument).encode() in arguments and f"RANK={rank}".encode() in environ:
            return int(folder.name)
    raise AssertionError("no such process")
