"""What tests of the commands share: a runner, the demo corpus and tiny settings."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from spacy_semivae.cli import app

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "assets" / "demo"


@pytest.fixture
def semivae():
    """Run a command; its output comes in one line. A traceback is a failure of the test."""

    def run(*args):
        done = CliRunner().invoke(app, [str(arg) for arg in args])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, " ".join(done.output.split())

    return run


@pytest.fixture
def tiny():
    """Arguments of `train`: a tiny config on some texts of the demo corpus."""
    settings = {
        "paths.train": DEMO / "train.spacy",
        "paths.dev": DEMO / "dev.spacy",
        "paths.unlabeled": DEMO / "unlabeled.txt",
        "corpora.train.limit": 20,
        "corpora.dev.limit": 20,
        "corpora.unlabeled.limit": 60,
    }

    def arguments(name="tagger", **overrides):
        merged = {**settings, **{key.replace("__", "."): v for key, v in overrides.items()}}
        options = [part for key, value in merged.items() for part in (f"--{key}", value)]
        return ["train", ROOT / "configs" / "test" / f"{name}.cfg", *options]

    return arguments
