"""Files of raw text and tiny training configs for the tests of this folder."""

import gzip
from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
from spacy.tokens import DocBin
from spacy.util import load_config
from thinc.api import Config

from spacy_semivae.training.initialize import initialize_nlp
from spacy_semivae.training.template import make_config
from spacy_semivae.training.unlabeled import UnlabeledCorpus

ROOT = Path(__file__).parents[2]
WIDTHS = {
    *("width", "hidden", "tagger_hidden", "width_z", "width_y", "char_width", "char_hidden"),
}


def write_file(path: Path, data: str | bytes) -> Path:
    data = data.encode("utf8") if isinstance(data, str) else data
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.fixture
def write():
    """Write a file, compressed where its name ends in .gz."""
    return write_file


@pytest.fixture
def write_lines():
    """Write lines of text to a file."""
    return lambda path, lines: write_file(path, "".join(f"{line}\n" for line in lines))


@pytest.fixture
def write_docs():
    """Write Docs to a file as a DocBin."""
    return lambda path, docs: write_file(path, DocBin(docs=docs).to_bytes())


@pytest.fixture
def read():
    """Read the texts of a raw corpus, by default in the order of the files."""

    def read_corpus(nlp, path, **settings) -> list[str]:
        settings = {"shuffle_buffer": 0, **settings}
        return [eg.predicted.text for eg in UnlabeledCorpus(path, **settings)(nlp)]

    return read_corpus


@pytest.fixture
def load_tiny():
    """Load configs/test/<name>.cfg with the demo corpus, some texts of it, and overrides."""

    def load(name: str = "tagger", **overrides) -> Config:
        paths = {
            "paths.train": str(ROOT / "assets/demo/train.spacy"),
            "paths.dev": str(ROOT / "assets/demo/dev.spacy"),
            "paths.unlabeled": str(ROOT / "assets/demo/unlabeled.txt"),
            "corpora.train.limit": 20,
            "corpora.dev.limit": 20,
            "corpora.unlabeled.limit": 60,
        }
        overrides = {key.replace("__", "."): value for key, value in overrides.items()}
        path = ROOT / "configs" / "test" / f"{name}.cfg"
        return load_config(path, overrides={**paths, **overrides}, interpolate=False)

    return load


@pytest.fixture
def make_tiny(load_tiny):
    """Make the config of any component, as `init-config` writes it but for small layers."""

    def make(component, **overrides) -> Config:
        config = Config().from_str(make_config([component], lang="en"), interpolate=False)
        tiny = load_tiny()
        for block in ("paths", "corpora"):
            config = config.merge({block: tiny[block]})
        config["paths"].setdefault("language_model", None)
        shrink(config["components"])
        for key, value in overrides.items():
            *sections, name = key.split("__")
            reduce(getitem, sections, config)[name] = value
        return config

    return make


def shrink(block: Config) -> None:
    for key, value in block.items():
        if isinstance(value, dict):
            shrink(value)
        elif key in WIDTHS:
            block[key] = 8


@pytest.fixture
def start(load_tiny):
    """Initialize the pipeline of a tiny config; gives it and its [semivae] settings."""
    return lambda name="tagger", **overrides: initialize_nlp(load_tiny(name, **overrides))
