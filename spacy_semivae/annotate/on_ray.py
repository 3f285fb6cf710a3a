"""The engine on Ray: each shard is a task of its own, on one machine or a cluster.

Tasks rather than Ray Data's blocks: a shard keeps its texts, its place and its name whoever works
on it, so that files are the same to the byte as those of the local engines, and a task that Ray
repeats after a worker has died writes the same file again.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any, cast

from .annotator import run_shard
from .engines import ProgressT, WorkerDied
from .shards import Done, Job, Shard

MAX_RETRIES = 3  # of a shard whose worker dies


def run_ray(
    job: Job, shards: Iterable[Shard], progress: ProgressT, *, n_process: int
) -> Iterator[Done]:
    """Annotate shards on Ray: on the cluster that RAY_ADDRESS names, else on this machine.

    job (Job): What is to be done; all machines must see the pipeline and the output's folder
        under the same path.
    shards (Iterable[Shard]): The shards.
    progress (Callable): Called with the number of texts after each shard.
    n_process (int): Shards annotated at once, each with a processor, and a GPU where one is asked.
    YIELDS (Done): Each shard's result, in the order in which they end.
    RAISES (WorkerDied): When a shard's worker has died several times.
    """
    ray = import_ray()
    started = not ray.is_initialized()
    if started:
        start_ray(ray, n_process)
    on_gpu = job.gpu_id >= 0
    options = {"num_cpus": 1, "num_gpus": int(on_gpu), "max_retries": MAX_RETRIES, "max_calls": 0}
    call = ray.remote(**options)(run_shard)
    shared = replace(job, gpu_id=0) if on_gpu else job  # Ray shows a worker its own GPU alone
    try:
        pending: list[Any] = []
        for shard in shards:
            pending.append(call.remote(shared, shard))
            if len(pending) >= n_process:
                done, pending = ray.wait(pending)
                yield from collect(ray, done, progress)
        while pending:
            done, pending = ray.wait(pending)
            yield from collect(ray, done, progress)
    finally:
        if started:
            ray.shutdown()


def collect(ray: ModuleType, references: Iterable[Any], progress: ProgressT) -> Iterator[Done]:
    """Read results.

    ray (ModuleType): Ray.
    references (Iterable): Tasks that have ended.
    progress (Callable): Called with the number of texts of each.
    YIELDS (Done): Each shard's result.
    RAISES (WorkerDied): When a shard's worker has died several times.
    """
    for reference in references:
        try:
            done: Done = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except ray.exceptions.RayError as error:
            raise WorkerDied(
                f"the workers of a shard died {MAX_RETRIES + 1} times; finished shards are kept: "
                f"the same command goes on with the rest ({error})"
            ) from error
        progress(done.docs + len(done.rejected))
        yield done


def start_ray(ray: ModuleType, n_process: int) -> None:
    """Start Ray on this machine, or join the cluster that the environment names.

    ray (ModuleType): Ray.
    n_process (int): Processors that Ray may use on this machine.
    """
    here = (
        {} if "RAY_ADDRESS" in os.environ else {"num_cpus": n_process, "include_dashboard": False}
    )
    ray.init(log_to_driver=False, logging_level="error", **here)


def import_ray() -> ModuleType:
    """RETURNS (ModuleType): Ray; raises a ValueError where it is not installed."""
    try:
        import ray
    except ImportError as error:
        rule = "the engine ray needs the package ray: pip install 'spacy-semivae[ray]'"
        raise ValueError(f"{rule}, got {error}") from error
    return cast(ModuleType, ray)
