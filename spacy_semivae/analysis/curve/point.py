"""One point of a curve: a process that trains, measures and writes the result whole."""

import shutil
import sys
import time
import traceback
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import spacy
import srsly
import torch
from spacy.language import Language
from spacy.scorer import Scorer
from spacy.training import Example
from spacy.util import import_file, load_config, resolve_dot_names
from thinc.api import require_gpu

from ...annotate.engines import follow_parent
from ...training.files import replacing
from ...training.initialize import initialize_nlp
from ...training.resume import FOLDER as CHECKPOINTS
from ...training.resume import open_run
from ...training.run import train_nlp
from ...training.snapshots import find_snapshot
from ..doc_counts import count_docs
from .plan import Point

CONFIG, RESULT, LOG, ERROR, RUN = "config.cfg", "result.json", "log.txt", "error.txt", "run"
SIGNAL = 128  # exit codes above it tell the signal that ended a training


@dataclass(frozen=True)
class Job:
    """A point and where it is trained.

    point (Point): The point.
    folder (Path): Its folder, with its config.
    metric (str): What is measured.
    test (Path | None): Docs that are measured; None for the dev corpus.
    code (Path | None): Python file with registered functions.
    gpu_id (int): GPU, or -1 for the CPU.
    """

    point: Point
    folder: Path
    metric: str
    test: Path | None = None
    code: Path | None = None
    gpu_id: int = -1


def run_job(job: Job) -> None:
    """Train and measure a point in a process of its own; an error goes to a file of the folder.

    job (Job): The point.
    """
    follow_parent()
    torch.set_num_threads(1)  # the same numbers for any number of processes
    with (job.folder / LOG).open("a", encoding="utf8", buffering=1) as stream:
        with redirect_stdout(stream), redirect_stderr(stream):
            try:
                result = measure_point(job)
            except Exception as error:
                traceback.print_exc()
                (job.folder / ERROR).write_text(f"{type(error).__name__}: {error}", "utf8")
                sys.exit(1)
    with replacing(job.folder / RESULT) as file:
        file.write(srsly.json_dumps(result).encode())
    (job.folder / ERROR).unlink(missing_ok=True)
    shutil.rmtree(job.folder / RUN)


def measure_point(job: Job) -> dict[str, Any]:
    """Train a point and measure its best pipeline.

    job (Job): The point.
    RETURNS (dict[str, Any]): The result.
    """
    if job.code is not None:
        import_file("python_code", job.code)
    if job.gpu_id >= 0:
        require_gpu(job.gpu_id)
    start = time.time()
    summary = train_point(job.folder, job.gpu_id)
    if "signal" in summary:
        sys.exit(SIGNAL + summary["signal"])
    nlp = spacy.load(job.folder / RUN / "model-best")
    examples = predict(nlp, job.test)
    scores = Scorer(nlp).score(examples)
    counts = count_docs(examples, job.metric, scores)
    return {
        **vars(job.point),
        "metric": job.metric,
        "score": scores[job.metric],
        "scores": {key: value for key, value in scores.items() if isinstance(value, float)},
        **summary,
        "seconds": round(time.time() - start, 1),
        "counts": counts.tolist(),
    }


def train_point(folder: Path, gpu_id: int) -> dict[str, Any]:
    """Train a point, going on from its last checkpoint if it has one.

    folder (Path): The point's folder.
    gpu_id (int): GPU, or -1 for the CPU.
    RETURNS (dict[str, Any]): What `train_nlp` gives.
    """
    config = load_config(folder / CONFIG, interpolate=False)
    output, checkpoint = folder / RUN, None
    if find_snapshot(output / CHECKPOINTS)[0] is not None:
        nlp, settings, checkpoint, notes = open_run(config, output)
        sys.stdout.writelines(f"{note}\n" for note in notes)
    else:
        nlp, settings = initialize_nlp(config, use_gpu=gpu_id)
    return train_nlp(
        nlp,
        settings,
        output,
        overwrite=True,
        config=config,
        checkpoint=checkpoint,
        stdout=sys.stdout,
        stderr=sys.stderr,
    )


def predict(nlp: Language, test: Path | None) -> list[Example]:
    """Annotate the Docs that are measured.

    nlp (Language): The pipeline.
    test (Path | None): A .spacy file or folder, read like the dev corpus; None for that.
    RETURNS (list[Example]): Predicted and gold Docs.
    """
    config = nlp.config.interpolate()
    name = config["training"]["dev_corpus"]
    if test is not None:
        config["corpora"][name.removeprefix("corpora.")]["path"] = str(test)
    (corpus,) = resolve_dot_names(config, [name])
    examples = list(corpus(nlp))
    docs = nlp.pipe(eg.predicted for eg in examples)
    return [Example(doc, eg.reference) for doc, eg in zip(docs, examples)]
