"""The package as a user gets it: the installed copy, and a pipeline packaged as a wheel."""

import os
import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZipFile

import pytest
import spacy
from spacy.cli.package import package
from spacy.tokens import Doc
from spacy.util import load_config

import spacy_semivae
from spacy_semivae.training.initialize import initialize_nlp

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "assets" / "demo"
GROUPS = ("spacy_", "thinc_")
USE = """
import sys
import spacy
nlp = spacy.load("en_tiny_demo")
assert nlp.path.is_relative_to(sys.argv[1]), nlp.path
print(" ".join(token.tag_ for token in nlp(sys.argv[2])))
"""


def make_pipeline():
    paths = {"train": "train.spacy", "dev": "dev.spacy", "unlabeled": "unlabeled.txt"}
    overrides = {f"paths.{name}": str(DEMO / file) for name, file in paths.items()}
    path = ROOT / "configs" / "test" / "tagger.cfg"
    nlp, _ = initialize_nlp(load_config(path, overrides=overrides, interpolate=False))
    return nlp


def run(*args, cwd, env=None):
    done = subprocess.run(
        [sys.executable, *map(str, args)], cwd=cwd, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif("SEMIVAE_INSTALLED" not in os.environ, reason="only under make test")
def test_tests_run_on_the_installed_package():
    found = Path(spacy_semivae.__file__).resolve()
    assert found.is_relative_to(Path(sys.prefix).resolve())


def test_every_entry_point_can_be_loaded():
    points = distribution("spacy-semivae").entry_points
    assert {"vsl_tagger", "vsl_ner", "semivae"} <= {p.name for p in points}
    for point in points:
        assert point.group.startswith(GROUPS), point
        assert point.load() is not None, point


def test_type_annotations_are_installed():
    assert (Path(spacy_semivae.__file__).parent / "py.typed").exists()


def test_a_packaged_pipeline_loads_by_name(tmp_path, monkeypatch):
    nlp = make_pipeline()
    text = "the cat can see some dogs ."
    expected = [token.tag_ for token in nlp(text)]
    assert all(expected)
    model, packages, target = tmp_path / "model", tmp_path / "packages", tmp_path / "site"
    nlp.to_disk(model)
    packages.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    package(model, packages, name="tiny_demo", create_sdist=False, create_wheel=True)
    (wheel,) = packages.glob("*/dist/*.whl")
    (name,) = [name for name in ZipFile(wheel).namelist() if name.endswith("/METADATA")]
    metadata = ZipFile(wheel).read(name).decode("utf8")
    assert re.search("^Requires-Dist: spacy[-_]semivae", metadata, re.MULTILINE)
    install = ("install", "--no-deps", "--no-index", "--target", target, wheel)
    run("-m", "pip", "--disable-pip-version-check", *install, cwd=tmp_path)
    env = {**os.environ, "PYTHONPATH": str(target)}
    assert run("-c", USE, target, text, cwd=tmp_path, env=env).split() == expected


def test_a_disk_round_trip_keeps_predictions(tmp_path):
    nlp = make_pipeline()
    nlp.to_disk(tmp_path / "model")
    loaded = spacy.load(tmp_path / "model")
    words = ["the", "cat", "sleeps"]
    before, after = (p(Doc(p.vocab, words)) for p in (nlp, loaded))
    assert [t.tag_ for t in before] == [t.tag_ for t in after]
