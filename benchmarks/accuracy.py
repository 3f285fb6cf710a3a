"""Train and test the rows of `rows.py`, one process a core; rows with a result file are skipped.

    python benchmarks/accuracy.py --jobs 2            # the whole queue, most important rows first
    python benchmarks/accuracy.py --only twitter/hier # rows by prefix
    python benchmarks/accuracy.py --run twitter/hier/0

The corpora are made by `spacy project run` with `twitter-corpus`, `ud-corpus`, `btc-corpus`,
`btc-partial-corpus`, `wnut17-corpus`, `ag-news-corpus`, `ag-news-lm`, `imdb-corpus` and `imdb-lm`,
and by sentences.py. A result in benchmarks/results/ holds scores, updates, the raw text's loss
terms and counts by Doc.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import spacy
import srsly
from counts import predict, test
from rows import ROWS as VSL_ROWS
from rows import Row
from rows_crf import ROWS as CRF_ROWS
from rows_ssvae import ROWS as SSVAE_ROWS
from spacy.cli.init_config import init_config
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.training.loop import train as train_stock
from spacy.util import load_config, load_config_from_str, minibatch
from thinc.api import Config

from spacy_semivae.analysis.split import read_docs
from spacy_semivae.training.initialize import initialize_nlp
from spacy_semivae.training.run import train_nlp
from spacy_semivae.training.unlabeled import create_unlabeled_corpus

RESULTS = Path(__file__).parent / "results"
ROWS = [*VSL_ROWS, *CRF_ROWS, *SSVAE_ROWS]
HELDOUT_DOCS = 500
STOCK = {"tag_acc": "tagger", "pos_acc": "morphologizer", "ents_f": "ner"} | {
    "cats_score": "textcat"
}
CANDIDATE = 0.05  # spans less likely than this are no candidates
HELDOUT_TERMS = ("unlabeled_reconstruction", "unlabeled_kl", "reconstruction", "kl", "entropy")


def jobs(rows: list[Row], prefix: str) -> list[tuple[Row, int]]:
    """List what is to be run: two seeds of every row, then the third ones."""
    every = [(row, seed) for row in rows for seed in row.seeds]
    every.sort(key=lambda job: job[1] // 2)  # stable: rows keep their order
    return [
        (row, seed) for row, seed in every if f"{row.corpus.name}/{row.name}".startswith(prefix)
    ]


def result_path(row: Row, seed: int) -> Path:
    """Name the result file of a run."""
    return RESULTS / f"{row.corpus.name}-{row.name}-{seed}.json"


def find_row(corpus: str, name: str) -> Row:
    """Find a row by its names."""
    (row,) = [row for row in ROWS if (row.corpus.name, row.name) == (corpus, name)]
    return row


def run_queue(prefix: str, n_jobs: int) -> None:
    """Run what has no result yet, `n_jobs` processes at a time."""
    waiting = [(r, s) for r, s in jobs(ROWS, prefix) if not result_path(r, s).exists()]
    running: list[tuple[subprocess.Popen[bytes], str]] = []
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    while waiting or running:
        while waiting and len(running) < n_jobs:
            row, seed = waiting.pop(0)
            if result_path(row, seed).exists():  # another queue was quicker
                continue
            name = f"{row.corpus.name}/{row.name}/{seed}"
            command = [sys.executable, __file__, "--run", name]
            running.append((subprocess.Popen(command, env=env), name))
        time.sleep(2)
        for process, name in [job for job in running if job[0].poll() is not None]:
            print(f"{name}: {'done' if process.returncode == 0 else 'FAILED'}", flush=True)
            running = [job for job in running if job[0] is not process]


def run_one(row: Row, seed: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Train a row with one seed, then read its test set once."""
    start = time.time()
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder)
        log = output / "log.txt"
        with log.open("w", encoding="utf8", buffering=1) as stream:
            if row.stock:
                summary, first = run_stock(row, seed, output, stream), {}
            else:
                summary, first = run_vsl(row, seed, output, stream, settings)
        lines = [line for line in log.read_text(encoding="utf8").splitlines() if line.strip()]
        history = [line for line in lines if line.split()[0].isdigit() or line.split()[0] == "E"]
        nlp = spacy.load(output / "model-best")
    seconds, cpu_seconds = time.time() - start, time.process_time()
    result = {
        "corpus": row.corpus.name,
        "row": row.name,
        "seed": seed,
        "settings": {**({} if row.stock else row.corpus.budget), **row.settings, **settings},
        "metric": row.corpus.metric,
        "dev": nlp.meta["performance"][row.corpus.metric],
        **test_row(nlp, row),
        **summary,
        "heldout_before": first,
        "heldout_after": {} if row.stock else heldout_terms(nlp, row),
        "seconds": round(seconds),
        "cpu_seconds": round(cpu_seconds),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, 1 thread",
        "spacy": spacy.__version__,
        "log": history[-60:],
    }
    return result


def run_vsl(
    row: Row, seed: int, output: Path, log: Any, settings: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, float]]:
    """Train one of this package's components; give the summary and the first raw loss terms."""
    corpus = row.corpus
    overrides = {
        **corpus.settings,
        **corpus.budget,
        "system.seed": seed,
        **row.settings,
        **settings,
    }
    if row.warm:
        teacher = find_row(corpus.name, row.warm)
        run_vsl(teacher, seed, output / "teacher", log, settings)
        overrides["semivae.warm_start.path"] = str(output / "teacher" / "model-best")
    config = change(load_config(corpus.config, interpolate=False), overrides)
    nlp, semivae = initialize_nlp(config)
    first = heldout_terms(nlp, row)
    return train_nlp(nlp, semivae, output, stdout=log), first


def change(config: Config, settings: dict[str, Any]) -> Config:
    """Set settings and replace whole blocks of a config.

    config (Config): The config, changed in place.
    settings (dict): Values and blocks by dotted name.
    RETURNS (Config): The same.
    """
    for name, value in settings.items():
        *sections, key = name.split(".")
        block = config
        for section in sections:
            block = block[section]
        if key not in block:
            raise KeyError(f"{name} is no setting of the config")
        block[key] = value
    return config


def read_settings(values: Sequence[str]) -> dict[str, Any]:
    """Read what --set is given.

    values (Sequence[str]): setting=value, the value as JSON.
    RETURNS (dict): Values by dotted name.
    """
    return {key: srsly.json_loads(value) for key, value in (s.split("=", 1) for s in values)}


def run_stock(row: Row, seed: int, output: Path, log: Any) -> dict[str, Any]:
    """Train spaCy's own component with spaCy's own loop and, but for the row's, settings."""
    corpus = row.corpus
    kind = STOCK[corpus.metric]
    lang, gpu = corpus.settings.get("nlp.lang", "en"), row.stock == "gpu"
    optimize = "accuracy" if gpu else row.stock
    text = init_config(lang=lang, pipeline=[kind], optimize=optimize, gpu=gpu).to_str()
    names = ("paths.train", "paths.dev", "nlp.tokenizer.@tokenizers", "nlp.lang")
    overrides = {k: v for k, v in corpus.settings.items() if k in names}
    overrides |= {**row.settings, "system.seed": seed}
    if kind == "tagger":
        overrides["components.tagger.neg_prefix"] = "\u0000"  # "!" is a tag of this corpus
    nlp = init_nlp(load_config_from_str(text, overrides=overrides))
    train_stock(nlp, output, stdout=log)
    return {}


def test_row(nlp: Language, row: Row) -> dict[str, Any]:
    """Score the test set, count what is right in each Doc and how well probabilities are met."""
    examples = predict(nlp, row.corpus.test)
    found = test(examples, row.corpus.metric)
    if row.corpus.component == "crf_vae_ner" and not row.stock:
        found["calibration"] = calibration(nlp, examples)
    return found


def calibration(nlp: Language, examples: list[Example]) -> dict[str, list[list[float]]]:
    """Sort the probabilities of spans into ten bins: how many, their sum, how many are right.

    nlp (Language): The pipeline.
    examples (list[Example]): Predicted and gold Docs.
    RETURNS (dict): Bins of the spans of the best paths ("path") and of every span above
        `CANDIDATE` ("all").
    """
    pipe: Any = nlp.get_pipe("crf_vae_ner")
    bins = {"path": [[0, 0.0, 0] for _ in range(10)], "all": [[0, 0.0, 0] for _ in range(10)]}
    found_in: list[Any] = []
    for batch in minibatch(examples, size=64):  # a transformer holds all it is given at once
        found_in += pipe.posterior([eg.predicted for eg in batch]).candidates(CANDIDATE)
    for eg, candidates in zip(examples, found_in):
        path = {(e.start, e.end, e.label_) for e in eg.predicted.ents}
        gold = {(e.start, e.end, e.label_) for e in eg.reference.ents}
        for found in candidates:
            span = (found.start, found.end, pipe.labels[found.label])
            for name in ("path", "all") if span in path else ("all",):
                row = bins[name][min(9, int(10 * found.probability))]
                row[0] += 1
                row[1] += found.probability
                row[2] += span in gold
    return bins


def heldout_terms(nlp: Language, row: Row) -> dict[str, float]:
    """Measure the loss terms of raw text that training does not see, per token or per Doc."""
    pipe: Any = nlp.get_pipe(row.corpus.component)
    totals: dict[str, float] = {}
    units = 0
    for docs in minibatch(heldout_docs(nlp, row), size=50):
        is_text = row.corpus.component == "ssvae_textcat"
        size = len(docs) if is_text else sum(len(doc) for doc in docs)
        units += size
        for term, value in pipe.evaluate_terms(docs).items():
            totals[term] = totals.get(term, 0.0) + value * size
    return {term: total / units for term, total in totals.items() if term in HELDOUT_TERMS}


def heldout_docs(nlp: Language, row: Row) -> Iterator[Doc]:
    """Read raw text behind the part that training reads."""
    path, skip = row.corpus.heldout
    if path.endswith(".spacy"):
        yield from islice(read_docs(Path(path), nlp.vocab), HELDOUT_DOCS)
        return
    reader = create_unlabeled_corpus(path, shuffle_buffer=0, limit=skip + HELDOUT_DOCS)
    for eg in islice(reader(nlp), skip, None):
        yield eg.predicted


def main() -> None:
    """Run the queue, or one row of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="rows whose corpus/name starts so")
    parser.add_argument("--run", help="corpus/name/seed, in this process")
    parser.add_argument("--probe", help="with --run: save under this name, do not read test")
    parser.add_argument("--set", nargs="*", default=[], help="with --run: setting=value")
    args = parser.parse_args()
    if not args.run:
        run_queue(args.only, args.jobs)
        return
    corpus, name, seed = args.run.split("/")
    row = find_row(corpus, name)
    result = run_one(row, int(seed), read_settings(args.set))
    path = result_path(row, int(seed))
    if args.probe:
        result = {k: v for k, v in result.items() if k not in ("test", "counts")}
        path = RESULTS / f"probe-{args.probe}-{corpus}-{name}-{seed}.json"
    RESULTS.mkdir(exist_ok=True)
    srsly.write_json(path, result, indent=0)


if __name__ == "__main__":
    main()
