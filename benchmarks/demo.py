"""Train the demo's tagger with other settings on three grammars; a result file is not made again.

    python benchmarks/demo.py

Each run has the updates and the dev probes of `make demo`; the best weights read the test texts.
Results go to benchmarks/results/demo-GRAMMAR-NAME.json.
"""

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import spacy
import srsly
from spacy.training import Corpus
from spacy.util import load_config
from tqdm import tqdm

from spacy_semivae.analysis.vectors import make_vectors
from spacy_semivae.training.initialize import initialize_nlp
from spacy_semivae.training.run import train_nlp

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "assets" / "demo"
RESULTS = Path(__file__).parent / "results"
GRAMMARS = (0, 1, 2)
STANDARD = {"prior": {"@misc": "semivae.StandardPrior.v1"}}
TWIN = {"alpha": 0.0}
# Settings of the component; "dropout" is the training's.
RUNS: dict[str, dict[str, Any]] = {
    "raw": {},
    "twin": TWIN,
    "standard-raw": STANDARD,
    "standard-twin": {**STANDARD, **TWIN},
    "dropout-twin": {**STANDARD, **TWIN, "labelled_weight": 1.0, "dropout": 0.25},
}

sys.path.insert(0, str(DEMO))
from run import VECTORS  # noqa: E402


def make_corpus(folder: Path, grammar: int) -> None:
    """Write the corpus of a grammar and its word vectors.

    folder (Path): Where to.
    grammar (int): The grammar's seed.
    """
    command = [sys.executable, str(DEMO / "generate.py"), str(folder), "--seed", str(grammar)]
    subprocess.run(command, check=True)
    nlp = spacy.blank("en")
    make_vectors(nlp, folder / "unlabeled.txt", VECTORS, progress=False)
    (folder / "vectors").mkdir()
    nlp.to_disk(folder / "vectors")


def run(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Train a pipeline and test it.

    folder (Path): The corpus.
    settings (dict): Settings of the component.
    RETURNS (dict): Scores.
    """
    files = {"train": "train.spacy", "dev": "dev.spacy", "unlabeled": "unlabeled.txt"}
    paths = {f"paths.{name}": str(folder / file) for name, file in files.items()}
    paths["paths.vectors"] = str(folder / "vectors")
    config = load_config(ROOT / "configs" / "demo.cfg", overrides=paths, interpolate=False)
    settings = dict(settings)
    config["training"]["dropout"] = settings.pop("dropout", config["training"]["dropout"])
    config["components"]["vsl_tagger"].update(settings)
    nlp, semivae = initialize_nlp(config)
    if not config["components"]["vsl_tagger"]["alpha"]:
        # only now, so that the twin has the same vocabulary and so the same first weights
        semivae = semivae.model_copy(update={"unlabeled_corpus": None})
    with tempfile.TemporaryDirectory() as output:
        summary = train_nlp(nlp, semivae, Path(output), stdout=io.StringIO(), stderr=io.StringIO())
        best = spacy.load(Path(output) / "model-best")
    test = best.evaluate(list(Corpus(folder / "test.spacy")(best)))["tag_acc"]
    return {"dev": summary["score"], "best_step": summary["best_step"], "test": test}


def main() -> None:
    """Make every run that has no result yet."""
    names = [(grammar, name) for grammar in GRAMMARS for name in RUNS]
    with tempfile.TemporaryDirectory() as folder:
        for grammar, name in tqdm(names):
            path = RESULTS / f"demo-{grammar}-{name}.json"
            corpus = Path(folder) / str(grammar)
            if path.exists():
                continue
            if not corpus.exists():
                make_corpus(corpus, grammar)
            machine = f"{os.cpu_count()} cores, {os.environ.get('OMP_NUM_THREADS', 'all')} threads"
            result = {"grammar": grammar, "run": name, **run(corpus, RUNS[name])}
            srsly.write_json(path, {**result, "machine": machine}, indent=0)


if __name__ == "__main__":
    main()
