"""A tiny config on some texts of the demo corpus, and curves without training."""

from pathlib import Path

import numpy
import pytest
from spacy.util import load_config

from spacy_semivae.analysis.curve.curve import Curve
from spacy_semivae.analysis.curve.plan import Point

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "assets" / "demo"


@pytest.fixture
def make_config():
    """Gives a function from overrides, `__` for a dot, to a config."""

    def make(name="tagger", **overrides):
        settings = {
            "paths.train": str(DEMO / "train.spacy"),
            "paths.dev": str(DEMO / "dev.spacy"),
            "paths.unlabeled": str(DEMO / "unlabeled.txt"),
            "corpora.train.limit": 20,
            "corpora.dev.limit": 10,
            "corpora.unlabeled.limit": 30,
            "training.max_steps": 2,
            **{key.replace("__", "."): value for key, value in overrides.items()},
        }
        return load_config(ROOT / "configs" / "test" / f"{name}.cfg", overrides=settings)

    return make


@pytest.fixture
def make_curve():
    """Gives a function from mean accuracies by (labelled, raw) to a curve of three seeds."""

    def make(means, *, seeds=3, noise=1.0, failed=None):
        results = {}
        for seed in range(seeds):
            rng = numpy.random.default_rng(seed)
            known = rng.integers(5, 20, size=60)
            draws = rng.random((60, 20))  # the same for all, so that runs are alike as in training
            for (labeled, raw), mean in means.items():
                right = [
                    int((d[:k] < mean + noise * seed / 100).sum()) for d, k in zip(draws, known)
                ]
                counts = [[[r, int(k), int(k)]] for r, k in zip(right, known)]
                score = sum(right) / int(known.sum())
                results[Point(seed, labeled, raw)] = {"score": score, "counts": counts}
        labeled, raw = (sorted({key[i] for key in means}) for i in (0, 1))
        return Curve("tag_acc", labeled, raw, results, failed or {})

    return make
