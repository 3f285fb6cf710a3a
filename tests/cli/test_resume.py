"""`semivae train --resume` after real ends of a process, and what it refuses."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

STEPS = {"training__max_steps": 30, "training__eval_frequency": 10, "training__patience": 0}
EVERY = {"semivae__checkpoint_every": 1}
SECONDS = 60


@pytest.fixture
def start_process(tmp_path):
    """Start a command in a process of its own; its output goes to a file."""
    running = []

    def start(*args, largest_file=None):
        command = [sys.executable, "-m", "spacy", "semivae", *map(str, args)]
        if largest_file:  # a real end of the room on a disk
            command = ["prlimit", f"--fsize={largest_file}", *command]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        with (tmp_path / "log.txt").open("ab") as log:
            running.append(subprocess.Popen(command, stdout=log, stderr=log, env=env))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()


def files(folder):
    found = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def wait_for(process, condition):
    limit = time.monotonic() + SECONDS
    while process.poll() is None and not condition():
        assert time.monotonic() < limit
        time.sleep(0.005)


def last_step(folder):
    names = [path.name for path in (folder / "checkpoints").glob("step-*")]
    return max((int(name.removeprefix("step-")) for name in names), default=0)


def has_gone_on(folder, step):
    return last_step(folder) > step


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments(kills, semivae, tiny, start_process, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    args = tiny(**STEPS, **EVERY)
    assert semivae(*args, "--output", whole)[0] == 0
    rng, done = random.Random(kills), 0
    for _ in range(kills):
        resume = ["--resume"] if done else []
        process = start_process(*args, "--output", cut, *resume)
        wait_for(process, partial(has_gone_on, cut, done))
        time.sleep(rng.uniform(0.0, 2.0 / kills))  # most of the time a checkpoint is being written
        process.kill()
        process.wait()
        done = last_step(cut)
        if done >= STEPS["training__max_steps"]:
            break
    assert done
    code, output = semivae(*args, "--output", cut, "--resume")
    assert code == 0, output
    for last in ("model-last", "model-best"):
        assert files(cut / last) == files(whole / last)


def test_a_run_that_is_over_stays_as_it_is(semivae, tiny, tmp_path):
    args = [*tiny(**{**STEPS, "training__max_steps": 6}, **EVERY), "--output", tmp_path]
    assert semivae(*args)[0] == 0
    before = files(tmp_path / "model-last")
    code, output = semivae(*args, "--resume")
    assert code == 0, output
    assert files(tmp_path / "model-last") == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_that_goes_on_later(number, semivae, tiny, start_process, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    args = tiny(**{**STEPS, "training__max_steps": 200, "training__eval_frequency": 200})
    process = start_process(*args, "--output", cut)
    wait_for(process, lambda: "Pipeline:" in (tmp_path / "log.txt").read_text(encoding="utf8"))
    time.sleep(0.5)
    process.send_signal(number)
    assert process.wait(SECONDS) == 128 + number
    step = last_step(cut)
    assert 0 < step < 200
    log = " ".join((tmp_path / "log.txt").read_text(encoding="utf8").split())
    assert f"Interrupted; saved pipeline to {cut}" in log
    code, output = semivae(*args, "--output", cut, "--resume")
    assert code == 0, output
    assert f"Resumed at step {step}" in output
    assert semivae(*args, "--output", whole)[0] == 0
    assert files(cut / "model-last") == files(whole / "model-last")


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit")
def test_no_room_for_a_checkpoint(semivae, tiny, start_process, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    args = tiny(**STEPS, **EVERY)
    process = start_process(*args, "--output", cut)
    wait_for(process, partial(has_gone_on, cut, 2))
    process.send_signal(signal.SIGTERM)
    process.wait(SECONDS)
    step, held = last_step(cut), files(cut / "checkpoints")
    process = start_process(*args, "--output", cut, "--resume", largest_file=20_000)
    assert process.wait(SECONDS) == 1
    log = " ".join((tmp_path / "log.txt").read_text(encoding="utf8").split())
    assert "File too large" in log
    assert files(cut / "checkpoints") == held
    code, output = semivae(*args, "--output", cut, "--resume")
    assert code == 0, output
    assert f"Resumed at step {step}" in output
    assert semivae(*args, "--output", whole)[0] == 0
    assert files(cut / "model-last") == files(whole / "model-last")


def test_a_changed_config(semivae, tiny, tmp_path):
    assert semivae(*tiny(), "--output", tmp_path)[0] == 0
    changes = {"training__max_steps": 6, "components__vsl_tagger__alpha": 0.25}
    code, output = semivae(*tiny(**changes), "--output", tmp_path, "--resume")
    assert code == 1
    assert "training.max_steps: 4 then, 6 now" in output
    assert "components.vsl_tagger.alpha: 0.1 then, 0.25 now" in output
    args = [*tiny(**changes), "--output", tmp_path, "--resume", "--allow-config-change"]
    code, output = semivae(*args)
    assert code == 0, output
    plain = re.sub(r"\x1b\[\d[;\d]*m", "", output)
    assert "Setting changed: training.max_steps: 4 then, 6 now" in plain
    assert "Setting kept as it was: components.vsl_tagger.alpha" in plain
    assert last_step(tmp_path) == 6


def test_a_damaged_checkpoint(semivae, tiny, tmp_path):
    args = [*tiny(**EVERY), "--output", tmp_path]
    assert semivae(*args)[0] == 0
    (tmp_path / "checkpoints" / "step-00000004" / "state.msgpack").write_bytes(b"")
    code, output = semivae(*args, "--resume")
    assert code == 0
    assert "A later checkpoint is damaged" in output
    assert "step-00000004/state.msgpack is not what was written" in output
    assert "Resumed at step 3" in output
    assert last_step(tmp_path) == 4


def test_what_cannot_be_resumed(semivae, tiny, tmp_path):
    code, output = semivae(*tiny(), "--output", tmp_path / "none", "--resume")
    assert code == 1
    assert "holds no checkpoint to resume from" in output
    for options in (["--resume"], ["--output", tmp_path, "--resume", "--overwrite"]):
        code, output = semivae(*tiny(), *options)
        assert code == 1
        assert "--resume goes on with the run of --output" in output
