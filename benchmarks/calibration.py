"""Probabilities and thresholds of trained models, before and after `calibrate` and `thresholds`.

    python benchmarks/calibration.py                      # the queue below
    python benchmarks/calibration.py --only btc10/s/0

Each run trains a row of `rows.py` anew, fits the temperature on dev, and reads test twice: before
and after. Then thresholds for a precision of .9 are chosen on dev and looked at on test. A run with
a result file is skipped.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy
import spacy
import srsly
from accuracy import find_row, run_vsl
from rows import Row
from spacy.training import Example

from spacy_semivae.analysis.calibrate import calibrate
from spacy_semivae.analysis.reliability import Reliability, judge
from spacy_semivae.analysis.thresholds import set_thresholds
from spacy_semivae.analysis.trust import find_pipes, predict_corpus

RESULTS = Path(__file__).parent / "results"
# the components, with few labels and with many, and the least calibrated of the rows
JOBS = ["btc10/s/0", "btc/hier/0", "news200/minilm/0", "news800/lstm/0", "twitter/hier/0"]
JOBS += ["psl/s-prior-trained/0", "wnut/s/0"]
PRECISION = 0.9


def run(row: Row, seed: int) -> dict[str, Any]:
    """Train, calibrate, choose thresholds; give what the result file holds."""
    start = time.time()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "log.txt").open("w", encoding="utf8") as log:
            run_vsl(row, seed, folder, log, {})
        nlp = spacy.load(folder / "model-best")
    dev_path = nlp.config.interpolate()["paths"]["dev"]
    dev, test = predict_corpus(nlp, dev_path), predict_corpus(nlp, row.corpus.test)
    (done,) = calibrate(nlp, dev, test)
    return {
        "corpus": row.corpus.name,
        "row": row.name,
        "seed": seed,
        "component": done.name,
        "temperature": done.temperature,
        "before": {what: summarize(found) for what, found in done.before.items()},
        "after": {what: summarize(found) for what, found in done.after.items()},
        "thresholds": measure_thresholds(nlp, dev, test),
        "seconds": round(time.time() - start),
    }


def summarize(found: Reliability) -> dict[str, float]:
    """Give what is reported of a reliability."""
    return {"n": found.n, "ece": found.ece, "brier": found.brier}


def measure_thresholds(
    nlp: spacy.Language, dev: list[Example], test: list[Example]
) -> dict[str, Any]:
    """Choose thresholds on dev and count what they keep of the predictions on test."""
    (pipe,) = find_pipes(nlp)
    if not pipe.has_thresholds:
        return {}
    judged = judge(pipe, test, threshold=1.0)
    (chosen,) = set_thresholds(nlp, dev, PRECISION).values()
    found = {}
    for choice in chosen:
        mine = numpy.array([label == choice.label for label in judged.labels], dtype=bool)
        kept = mine & (judged.P > choice.threshold)
        found[choice.label] = {
            "threshold": choice.threshold,
            "reached": choice.reached,
            "predicted": int(mine.sum()),
            "right": int(judged.correct[mine].sum()),
            "kept": int(kept.sum()),
            "right_kept": int(judged.correct[kept].sum()),
        }
    return found


def main() -> None:
    """Run the queue."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", default="", help="runs that start so")
    args = parser.parse_args()
    for job in JOBS:
        path = RESULTS / f"calibration-{job.replace('/', '-')}.json"
        if not job.startswith(args.only) or path.exists():
            continue
        corpus, name, seed = job.split("/")
        result = run(find_row(corpus, name), int(seed))
        srsly.write_json(path, result, indent=0)
        ece = [[x["ece"] for x in result[when].values()] for when in ("before", "after")]
        print(
            f"{job}: T {result['temperature']:.2f}, ECE {ece} ({result['seconds']} s)", flush=True
        )


if __name__ == "__main__":
    main()
