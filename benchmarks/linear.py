"""Logistic regression on TF-IDF and on frozen MiniLM: what an SSVAE has to beat.

    pip install scikit-learn
    python benchmarks/linear.py news200 news800 imdb

Corpora, dev and test sets are those of rows_ssvae.py, result files as of accuracy.py. The strength
of the regularisation is chosen on dev.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import spacy
import srsly
from rows import Corpus
from rows_crf import MINILM
from rows_ssvae import IMDB, NEWS, NEWS800
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from spacy.tokens import Doc, DocBin
from spacy.util import registry

RESULTS = Path(__file__).parent / "results"
CORPORA = {corpus.name: corpus for corpus in (NEWS, NEWS800, IMDB)}
STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
Features = Callable[[list[Doc]], Any]


def read(path: str) -> tuple[list[Doc], list[str]]:
    """Read Docs and their classes."""
    docs = list(DocBin().from_disk(path).get_docs(spacy.blank("en").vocab))
    return docs, [max(doc.cats, key=doc.cats.__getitem__) for doc in docs]


def tfidf(docs: list[Doc]) -> Features:
    """Fit a TF-IDF of words and pairs of words."""
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    vectorizer.fit([doc.text for doc in docs])
    return lambda docs: vectorizer.transform([doc.text for doc in docs])


def minilm(docs: list[Doc]) -> Features:
    """Build the mean of frozen MiniLM's token vectors, as the SSVAE's classifier reads it."""
    encoder = registry.resolve({"encoder": MINILM | {"cache": "none"}})["encoder"]
    encoder.initialize(X=docs[:10])

    def mean(docs: list[Doc]) -> Any:
        return numpy.array([X.mean(0) for X in encoder.predict(docs)])

    return mean


def run(corpus: Corpus, name: str, fit: Callable[[list[Doc]], Features]) -> dict[str, Any]:
    """Train, choose on dev, and read the test set once.

    corpus (Corpus): The corpus.
    name (str): The row's name.
    fit (Callable): Makes features from the labelled Docs.
    RETURNS (dict): What the result file holds.
    """
    start = time.process_time()
    limit = corpus.settings.get("components.ssvae_textcat.model.max_length", 0)
    parts = [read(corpus.settings[f"paths.{part}"]) for part in ("train", "dev")]
    parts.append(read(corpus.test))
    (docs, y), (dev_docs, dev_y), (test_docs, test_y) = [
        ([doc[:limit].as_doc() if limit else doc for doc in docs], y) for docs, y in parts
    ]
    features = fit(docs)
    X, dev_X = features(docs), features(dev_docs)
    models = [LogisticRegression(C=C, max_iter=2000).fit(X, y) for C in STRENGTHS]
    model = max(models, key=lambda model: model.score(dev_X, dev_y))
    right = (model.predict(features(test_docs)) == numpy.array(test_y)).astype(int)
    return {
        "corpus": corpus.name,
        "row": name,
        "seed": 0,
        "settings": {"C": model.C},
        "metric": corpus.metric,
        "dev": model.score(dev_X, dev_y),
        "test": float(right.mean()),
        "counts": [[int(x), 1] for x in right],
        "cpu_seconds": round(time.process_time() - start),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


def main() -> None:
    """Run what has no result yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("corpora", nargs="+", choices=list(CORPORA))
    parser.add_argument("--features", nargs="+", default=["tfidf", "minilm"])
    args = parser.parse_args()
    for corpus in args.corpora:
        for kind in args.features:
            path = RESULTS / f"{corpus}-{kind}-lr-0.json"
            if not path.exists():
                fit = {"tfidf": tfidf, "minilm": minilm}[kind]
                result = run(CORPORA[corpus], f"{kind}-lr", fit)
                srsly.write_json(path, result, indent=0)
                print(f"{path.name}: dev {result['dev']:.4f}, test {result['test']:.4f}")


if __name__ == "__main__":
    main()
