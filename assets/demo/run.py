"""Train a tagger on the demo corpus with and without raw text, and compare both on its test texts.

The supervised twin is the same model from the same first weights, with as many updates and as many
looks at the dev texts; only the raw text is missing from its updates. The word vectors are trained
on the raw text and serve both. Usage: `run.py CONFIG OUT`.
"""

import argparse
from pathlib import Path
from typing import Any

import spacy
from spacy.training import Corpus
from spacy.util import load_config
from wasabi import msg

from spacy_semivae.analysis.vectors import VectorSettings, make_vectors
from spacy_semivae.training.initialize import initialize_nlp
from spacy_semivae.training.run import train_nlp

DEMO = Path(__file__).parent
RAW = DEMO / "unlabeled.txt"
VECTORS = VectorSettings(dim=50, min_count=2, window=2, epochs=20)


def save_vectors(folder: Path) -> None:
    """Train word vectors on the raw text and save them as a vectors package.

    folder (Path): The package's folder.
    """
    nlp = spacy.blank("en")
    make_vectors(nlp, RAW, VECTORS, progress=True)
    folder.mkdir(parents=True, exist_ok=True)
    nlp.to_disk(folder)


def train(config_path: Path, vectors: Path, output: Path, *, raw: bool) -> None:
    """Train a pipeline and save it.

    config_path (Path): The training config; its paths are filled in here.
    vectors (Path): A vectors package.
    output (Path): Folder for model-best and model-last.
    raw (bool): Whether the raw text is learned from.
    """
    paths = {"train": DEMO / "train.spacy", "dev": DEMO / "dev.spacy"}
    paths |= {"unlabeled": RAW, "vectors": vectors}
    overrides: dict[str, Any] = {f"paths.{name}": str(path) for name, path in paths.items()}
    if not raw:
        overrides["components.vsl_tagger.alpha"] = 0.0
    config = load_config(config_path, overrides=overrides, interpolate=False)
    nlp, settings = initialize_nlp(config)
    if not raw:
        # Only now, so that the twin has the same vocabulary and so the same first weights.
        settings = settings.model_copy(update={"unlabeled_corpus": None})
    train_nlp(nlp, settings, output, overwrite=True)


def test(model: Path) -> float:
    """Score a pipeline on the test texts.

    model (Path): The pipeline.
    RETURNS (float): Its tag accuracy.
    """
    nlp = spacy.load(model)
    return float(nlp.evaluate(list(Corpus(DEMO / "test.spacy")(nlp)))["tag_acc"])


def main() -> None:
    """Train both pipelines and print their test scores and the difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="training config")
    parser.add_argument("out", type=Path, help="folder for the vectors and both pipelines")
    args = parser.parse_args()
    msg.divider("word vectors of the raw texts")
    save_vectors(args.out / "vectors")
    scores = {}
    for name, raw in (("supervised", False), ("semi-supervised", True)):
        msg.divider(f"{name}: labelled {'and raw texts' if raw else 'texts alone'}")
        train(args.config, args.out / "vectors", args.out / name, raw=raw)
        scores[name] = 100 * test(args.out / name / "model-best")
    msg.divider("Tag accuracy on the test texts, in percent")
    gain = scores["semi-supervised"] - scores["supervised"]
    rows = [(name, f"{score:.2f}") for name, score in scores.items()]
    msg.table([*rows, ("difference", f"{gain:+.2f}")], aligns=("l", "r"))


if __name__ == "__main__":
    main()
