"""Engines: shards in, notes of what was written out; how many at once is all that differs.

An engine takes shards from a lazy stream, only as many ahead as its workers can do.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from .annotator import Annotator, run_shard
from .shards import Done, Job, Shard

ProgressT = Callable[[int], None]


class WorkerDied(RuntimeError):
    """A worker process ended before its shard was written."""


def run_here(job: Job, shards: Iterable[Shard], progress: ProgressT) -> Iterator[Done]:
    """Annotate shards one after the other in this process.

    job (Job): What is to be done.
    shards (Iterable[Shard]): The shards.
    progress (Callable): Called with the number of texts after each batch.
    YIELDS (Done): Each shard's result.
    """
    annotator = Annotator(job)
    for shard in shards:
        yield annotator.run(shard, progress)


def run_pool(
    job: Job, shards: Iterable[Shard], progress: ProgressT, *, n_process: int
) -> Iterator[Done]:
    """Annotate shards in several processes of this machine.

    Each process loads the pipeline for itself: Docs are never sent from one to another, no
    thread is lost in a fork, and each process has a GPU context of its own.

    job (Job): What is to be done.
    shards (Iterable[Shard]): The shards.
    progress (Callable): Called with the number of texts after each shard.
    n_process (int): Processes.
    YIELDS (Done): Each shard's result, in the order in which they end.
    RAISES (WorkerDied): When a process was killed; the shards of the others are written.
    """
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(n_process, context, initializer=follow_parent)
    pending: set[Future[Done]] = set()
    try:
        for shard in shards:
            pending.add(pool.submit(run_shard, job, shard))
            if len(pending) > n_process:  # one more than is worked on, so that none waits
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from collect(done, progress)
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            yield from collect(done, progress)
    finally:
        pool.shutdown(cancel_futures=True)


def collect(futures: Iterable["Future[Done]"], progress: ProgressT) -> Iterator[Done]:
    """Read results.

    futures (Iterable[Future]): Calls that have ended.
    progress (Callable): Called with the number of texts of each.
    YIELDS (Done): Each shard's result.
    RAISES (WorkerDied): When a process was killed.
    """
    for future in futures:
        try:
            done = future.result()
        except BrokenProcessPool as error:
            raise WorkerDied(
                "a worker process was killed, perhaps for want of memory; finished shards are "
                "kept: the same command goes on with the rest"
            ) from error
        progress(done.docs + len(done.rejected))
        yield done


def follow_parent() -> None:
    """Set a worker process to end with Ctrl-C, and when the process that started it has died."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
