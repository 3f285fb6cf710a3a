"""A learning curve from a config: plan, corpora, runs that are not finished yet, and their results.

A curve's folder has `corpora/`, a folder for each point in `points/`, and `curve.json`, which says
what all of them were made of.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import srsly
from spacy.util import load_model_from_config
from thinc.api import Config

from ...training.schema import check_paths, check_training_keys, resolve_semivae
from . import corpora
from .configs import choose_metric, make_point_config
from .manifest import POINTS, describe_curve, open_folder
from .plan import LABELED, Point, plan_points, read_labeled, read_raw
from .point import CONFIG, RESULT, Job
from .pool import run_jobs


@dataclass(frozen=True)
class CurveSettings:
    """How a curve is made.

    labeled (str): Amounts of labelled Docs: numbers, shares such as 25%, all.
    raw (str | None): Amounts of raw Docs in the same form; None chooses them by the corpora.
    seeds (int): Runs of each amount.
    metric (str | None): Score that is compared; None for the one of the highest weight.
    test (Path | None): Docs that are measured; None for the dev corpus.
    twin (dict): Further settings of the supervised twin by dotted name.
    jobs (int): Processes at a time.
    gpu_id (int): GPU, or -1 for the CPU.
    code (Path | None): Python file with registered functions.
    overwrite (bool): Delete what an earlier curve left in the folder.
    RAISES (ValueError): If a number is too small.
    """

    labeled: str = LABELED
    raw: str | None = None
    seeds: int = 3
    metric: str | None = None
    test: Path | None = None
    twin: dict[str, Any] = field(default_factory=dict)
    jobs: int = 1
    gpu_id: int = -1
    code: Path | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name in ("seeds", "jobs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1 (got {getattr(self, name)})")


@dataclass(frozen=True)
class Curve:
    """What there is of a curve.

    metric (str): What was measured.
    labeled (list[int]): Amounts of labelled Docs.
    raw (list[int]): Amounts of raw Docs, beginning with 0, the supervised twin.
    results (dict[Point, dict]): The results of the points that are finished.
    failed (dict[Point, str]): What went wrong with the others.
    """

    metric: str
    labeled: list[int]
    raw: list[int]
    results: dict[Point, dict[str, Any]]
    failed: dict[Point, str]


def plan_curve(config: Config, output: Path, settings: CurveSettings) -> list[Job]:
    """Check what can be checked beforehand, and write what the points read.

    config (Config): The training config, not interpolated.
    output (Path): The curve's folder.
    settings (CurveSettings): How it is made.
    RETURNS (list[Job]): The points.
    RAISES (ValueError): When a setting is wrong, a corpus is missing, or the folder holds a curve
        that was made of something else.
    """
    whole = config.interpolate()
    check_training_keys(config)
    check_paths(whole)
    resolve_semivae(whole)
    nlp = load_model_from_config(config, auto_fill=True)
    metric, test, code = choose_metric(nlp, settings.metric), settings.test, settings.code
    manifest = describe_curve(whole, metric=metric, twin=settings.twin, test=test, code=code)
    docs = corpora.read_labeled_docs(nlp, whole)
    labeled = read_labeled(settings.labeled, len(docs))
    open_folder(output, manifest, overwrite=settings.overwrite)
    raw = read_raw(settings.raw, corpora.write_raw(nlp, whole, output), labeled=len(docs))
    first = whole.get("system", {}).get("seed") or 0
    points = plan_points(labeled, raw, range(first, first + settings.seeds))
    jobs = []
    for point in points:
        ordered = corpora.write_labeled(docs, output, point.seed)
        folder = output / POINTS / point.name
        folder.mkdir(parents=True, exist_ok=True)
        done = make_point_config(config, point, ordered, output / corpora.RAW, settings.twin)
        done.to_disk(folder / CONFIG)
        jobs.append(Job(point, folder, metric, test, code, settings.gpu_id))
    return jobs


def run_curve(
    jobs: list[Job],
    n_jobs: int,
    *,
    on_start: Callable[[Job], None] = lambda job: None,
    on_end: Callable[[Job, dict[str, Any] | None], None] = lambda job, result: None,
) -> Curve:
    """Train the points that have no result yet.

    jobs (list[Job]): The points.
    n_jobs (int): Processes at a time.
    on_start (Callable): Called with each point whose training starts.
    on_end (Callable): Called with each finished point and its result, None where it failed.
    RETURNS (Curve): All results, and what failed.
    """
    results = {job.point: result for job in jobs if (result := read_result(job))}
    failed: dict[Point, str] = {}
    for job in jobs:
        if job.point in results:
            on_end(job, results[job.point])

    def note(job: Job, error: str | None) -> None:
        result = read_result(job) if error is None else None
        if result is None:
            failed[job.point] = error or "the process wrote no result"
        else:
            results[job.point] = result
        on_end(job, result)

    waiting = [job for job in jobs if job.point not in results]
    run_jobs(waiting, n_jobs, on_start=on_start, on_end=note)
    points = [job.point for job in jobs]
    return Curve(
        jobs[0].metric,
        sorted({point.labeled for point in points}),
        sorted({point.raw for point in points}),
        {point: results[point] for point in points if point in results},
        failed,
    )


def read_result(job: Job) -> dict[str, Any] | None:
    """Read the result of a point.

    job (Job): The point.
    RETURNS (dict[str, Any] | None): The result; None when there is none that can be read.
    """
    try:
        return dict(srsly.read_json(job.folder / RESULT))
    except (ValueError, TypeError, OSError):
        return None
