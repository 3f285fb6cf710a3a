"""Train points in several processes at once; one that fails does not stop the others."""

import signal
from collections.abc import Callable, Sequence
from multiprocessing import connection, get_context
from multiprocessing.context import SpawnProcess
from typing import Any

from .point import ERROR, SIGNAL, Job, run_job


def run_jobs(
    jobs: Sequence[Job],
    n_jobs: int,
    *,
    on_start: Callable[[Job], None] = lambda job: None,
    on_end: Callable[[Job, str | None], None] = lambda job, error: None,
) -> None:
    """Run each job in a process of its own, some at a time.

    jobs (Sequence[Job]): The jobs, in the order in which they start.
    n_jobs (int): Processes at a time.
    on_start (Callable): Called with each job when it starts.
    on_end (Callable): Called with each job when it ends, and what went wrong.
    RAISES (KeyboardInterrupt): On Ctrl-C, once the processes have ended.
    """
    context = get_context("spawn")
    waiting = list(reversed(jobs))
    running: dict[Any, tuple[SpawnProcess, Job]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < n_jobs:
                job = waiting.pop()
                on_start(job)
                (job.folder / ERROR).unlink(missing_ok=True)
                process = context.Process(target=run_job, args=(job,))
                process.start()
                running[process.sentinel] = (process, job)
            for sentinel in connection.wait(list(running)):
                process, job = running.pop(sentinel)
                process.join()
                on_end(job, find_error(job, process.exitcode))
    finally:
        for process, _ in running.values():
            process.terminate()  # a training saves a checkpoint and ends
        for process, _ in running.values():
            process.join()


def find_error(job: Job, code: int | None) -> str | None:
    """Say what went wrong with a job.

    job (Job): The job.
    code (int | None): Exit code of its process.
    RETURNS (str | None): The error, None without one.
    """
    if code == 0:
        return None
    if (job.folder / ERROR).exists():
        return (job.folder / ERROR).read_text("utf8")
    number = code - SIGNAL if code and code > SIGNAL else -(code or 0)
    if number <= 0:
        return f"the process ended with exit code {code}"
    name = signal.Signals(number).name
    hint = ", perhaps for want of memory" if name == "SIGKILL" else ""
    return f"the process was ended by {name}{hint}"
