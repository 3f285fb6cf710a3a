import operator
import os
from types import SimpleNamespace

import pytest

from spacy_semivae.analysis.curve import pool
from spacy_semivae.analysis.curve.point import ERROR


def make_job(folder, seed=0):
    """What a pool knows of a job; to read a real one, a process would have to import PyTorch."""
    path = folder / str(seed)
    path.mkdir()
    return SimpleNamespace(folder=path, point=SimpleNamespace(seed=seed))


def run(jobs, n_jobs, monkeypatch, target):
    """Run jobs by a function that other processes can import."""
    events = []
    monkeypatch.setattr(pool, "run_job", target)
    pool.run_jobs(
        jobs,
        n_jobs,
        on_start=lambda job: events.append(("start", job.point.seed)),
        on_end=lambda job, error: events.append((error, job.point.seed)),
    )
    return events


def test_jobs_run_one_after_the_other_or_at_once(tmp_path, monkeypatch):
    jobs = [make_job(tmp_path, seed) for seed in range(3)]
    (jobs[1].folder / ERROR).write_text("an earlier one")
    events = run(jobs, 1, monkeypatch, operator.attrgetter("folder"))
    assert events == [(what, seed) for seed in range(3) for what in ("start", None)]
    assert not (jobs[1].folder / ERROR).exists()
    events = run(jobs, 2, monkeypatch, operator.attrgetter("folder"))
    assert events[:2] == [("start", 0), ("start", 1)]
    assert {event for event in events if event[0] is None} == {(None, seed) for seed in range(3)}


def test_a_job_that_fails_does_not_stop_the_others(tmp_path, monkeypatch, capfd):
    jobs = [make_job(tmp_path, seed) for seed in range(2)]
    events = run(jobs, 1, monkeypatch, operator.attrgetter("no_such"))
    error = "the process ended with exit code 1"
    assert events == [("start", 0), (error, 0), ("start", 1), (error, 1)]
    assert "no_such" in capfd.readouterr().err


def test_processes_end_with_the_one_that_started_them(tmp_path, monkeypatch):
    ended = []

    class Process:
        sentinel, exitcode = os.open(os.devnull, os.O_RDONLY), 0

        def __init__(self, **kwargs):
            pass

        def start(self):
            pass

        def join(self):
            ended.append("join")

        def terminate(self):
            ended.append("terminate")

    def interrupt(sentinels):
        raise KeyboardInterrupt

    monkeypatch.setattr(pool, "get_context", lambda kind: type("C", (), {"Process": Process}))
    monkeypatch.setattr(pool.connection, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        pool.run_jobs([make_job(tmp_path)], 1)
    os.close(Process.sentinel)
    assert ended == ["terminate", "join"]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (0, None),
        (3, "the process ended with exit code 3"),
        (-9, "the process was ended by SIGKILL, perhaps for want of memory"),
        (128 + 15, "the process was ended by SIGTERM"),
    ],
)
def test_what_went_wrong(tmp_path, code, error):
    job = make_job(tmp_path)
    assert pool.find_error(job, code) == error
    (job.folder / ERROR).write_text("ValueError: no", encoding="utf8")
    assert pool.find_error(job, code) == (error and "ValueError: no")
