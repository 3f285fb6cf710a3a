"""Runs the blocks of a page of the documentation, from top to bottom, in a folder of its own.

A block is left out only by a marker with a reason above it: `<!-- skip: next "downloads" -->`, or
`<!-- skip: next if(short, reason="minutes") -->` where only the short run does without it. The
short run has few texts and takes few steps.
"""

import gzip
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import SkipTest

import pytest
import spacy
from spacy.cli import app
from spacy.schemas import ConfigSchemaTraining
from spacy.tokens import DocBin
from spacy.util import load_model_from_config, registry
from spacy.vocab import Vocab
from thinc.api import Config
from typer.testing import CliRunner

import spacy_semivae
import spacy_semivae.cli
from spacy_semivae.training.schema import check_training_keys, resolve_semivae
from spacy_semivae.training.template import COMPONENTS, make_config

sybil = pytest.importorskip("sybil")
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser  # noqa: E402

ROOT = Path(__file__).parents[2]
PARTS = ("configs", "assets/demo", "assets/README.md", "assets/verify.py", "project.yml")
STEPS, TEXTS = 3, {"dev": 40, "test": 40, "unlabeled": 330}
CUT = {
    "train": {"--training.max_steps": STEPS, "--training.eval_frequency": STEPS},
    "pretrain": {"--semivae.pretraining.max_epochs": 1},
}
# pages that use a trained pipeline, that of crf_vae.md
TRAINED = ("annotate.md", "recipes.md", "report.md", "suggest.md", "trust.md")
SMALL = "--components.crf_vae_ner.model"
TRAIN = f"""
python -m spacy semivae init-config ner.cfg --pipeline crf_vae_ner
python -m spacy semivae train ner.cfg --output training/ner --semivae.unlabeled_corpus null \
    --paths.train assets/demo/train.spacy --paths.dev assets/demo/dev.spacy \
    --training.max_steps 80 --training.eval_frequency 80 --training.optimizer.learn_rate 0.01 \
    {SMALL}.generator null {SMALL}.width 32 {SMALL}.tok2vec.width 16 {SMALL}.tok2vec.hidden 16 \
    {SMALL}.tok2vec.char_width 8 {SMALL}.tok2vec.char_hidden 8
"""


class Shell:
    """Runs commands; those of spaCy in this process, which has it loaded.

    Training is cut in the short run, and where the page leaves its length to the config.
    """

    def __init__(self, *, short):
        self.short = short

    def __call__(self, example):
        self.run(example.parsed)

    def run(self, text):
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:3] == ["python", "-m", "spacy"] and "--num-workers" not in words:
                self.run_spacy(words[3:])
            elif words:
                self.run_program(line)

    def run_spacy(self, words):
        if self.short:  # the tokenizer of Indonesian takes seconds to make
            words = ["xx" if word == "id" else word for word in words]
        for option, value in CUT.get(words[1], {}).items() if words[0] == "semivae" else ():
            if self.short or option not in words:
                words = [*words, option, str(value)]
        done = CliRunner().invoke(app, words)
        if done.exit_code:
            raise AssertionError(f"{shlex.join(words)}\n{done.output}") from done.exception

    def run_program(self, line):
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        done = subprocess.run(
            ["bash", "-e", "-c", line],
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise AssertionError(f"{line}\n{done.stdout}{done.stderr}")
        importlib.invalidate_caches()  # it may have installed something


def check_config(example):
    """Put a block into the config that `init-config` writes, and build the pipeline of it."""
    names = re.findall(r"^\[(?:initialize\.)?components\.(\w+)", example.parsed, re.MULTILINE)
    base = make_config([next((n for n in names if n in COMPONENTS), "vsl_tagger")], lang="en")
    changes = Config().from_str(with_parents(example.parsed), interpolate=False)
    config = Config().from_str(base, interpolate=False).merge(changes)
    check_training_keys(config)
    config = load_model_from_config(config, auto_fill=True, validate=True).config.interpolate()
    registry.resolve(config["training"], schema=ConfigSchemaTraining)
    resolve_semivae(config)


def with_parents(text):
    """Put the sections that a nested one stands in before it."""
    lines, seen = [], set()
    for line in text.splitlines():
        name = line[1:-1].split(".") if re.fullmatch(r"\[[\w.]+\]", line) else []
        sections = [".".join(name[: i + 1]) for i in range(len(name))]
        lines += [f"[{section}]" for section in sections[:-1] if section not in seen]
        seen.update(sections)
        lines.append(line)
    return "\n".join(lines)


def make_folder(folder, *, short):
    """Copy what a user of the repository finds in it."""
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / part, folder / part)
    demo = folder / "assets" / "demo"
    if short:
        for part in ("dev", "test"):
            docs = read_docs(demo / f"{part}.spacy")[: TEXTS[part]]
            DocBin(docs=docs, store_user_data=True).to_disk(demo / f"{part}.spacy")
        raw = (demo / "unlabeled.txt").read_text(encoding="utf8").splitlines()
        (demo / "unlabeled.txt").write_text("\n".join(raw[: TEXTS["unlabeled"]]) + "\n")


def read_docs(path):
    return list(DocBin().from_disk(path).get_docs(Vocab()))


def write_real_corpora(assets):
    """Write the demo corpus as if it were the corpora of the tutorial."""
    parts = {part: read_docs(assets / "demo" / f"{part}.spacy") for part in ("train", "dev")}
    parts["test"] = read_docs(assets / "demo" / "test.spacy")
    pool = [*parts["train"], *parts["dev"]]
    tweets = assets / "twitter"
    files = {"train": "train/oct27.train", "dev": "oct27.test", "test": "daily547.conll"}
    for part, docs in parts.items():
        write(tweets / files[part], docs, lambda t: f"{t.text}\t{t.tag_}")
        write(assets / "ud" / f"id-ud-{part}.conllu", docs, conllu)
        entities = pool if part == "train" else docs
        write(assets / "btc" / f"btc.{part}", entities, lambda t: f"{t.text}\t{bio(t)}")
    news = [*pool, *parts["test"]]
    lines = [f"{doc.text}\t{max(doc.cats, key=doc.cats.get)}" for doc in news]
    (assets / "ag_news").mkdir()
    (assets / "ag_news" / "pool.tsv").write_text("\n".join(lines) + "\n")
    (assets / "ag_news" / "test.tsv").write_text("\n".join(lines[:40]) + "\n")
    raw = (assets / "demo" / "unlabeled.txt").read_bytes()
    (tweets / "tweets.txt.gz").write_bytes(gzip.compress(raw))


def write(path, docs, row):
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = ["".join(row(token) + "\n" for token in doc) for doc in docs]
    path.write_text("\n".join(texts) + "\n", encoding="utf8")


def conllu(token):
    return "\t".join([str(token.i + 1), token.text, "_", token.pos_, token.tag_, *"_____"])


def bio(token):
    return f"{token.ent_iob_}-{token.ent_type_}" if token.ent_type_ else "O"


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The folder `training` with a small recognizer that finds some entities."""
    folder = tmp_path_factory.mktemp("trained")
    make_folder(folder, short=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Shell(short=False).run(TRAIN)
    return folder / "training"


class Pages:
    """Parses pages, and runs them in a temporary folder."""

    def __init__(self, request, tmp_path, monkeypatch):
        self.request, self.tmp_path, self.monkeypatch = request, tmp_path, monkeypatch

    def parse(self, path, *, short=True):
        parsers = [
            SkipParser(),
            PythonCodeBlockParser(),
            CodeBlockParser("bash", Shell(short=short)),
            CodeBlockParser("ini", check_config),
        ]
        document = sybil.Sybil(parsers).parse(Path(path))
        document.namespace.update(short=short, __name__="__main__")
        return document

    def run(self, path, *, short=True):
        """Run a page; give the reasons of the blocks that were left out."""
        self.make_project(Path(path).name, short=short)
        if short:
            self.shorten_train()
        left_out = []
        for example in self.parse(path, short=short).examples():
            try:
                example.evaluate()
            except SkipTest as reason:
                left_out.append(str(reason))
        return left_out

    def make_project(self, name, *, short):
        project, site = self.tmp_path / "project", str(self.tmp_path / "site")
        make_folder(project, short=short)
        if name == "tutorial.md":
            write_real_corpora(project / "assets")
        if name in TRAINED:
            shutil.copytree(self.request.getfixturevalue("trained"), project / "training")
        self.monkeypatch.chdir(project)
        self.monkeypatch.setenv("PIP_NO_INDEX", "1")
        self.monkeypatch.setenv("PIP_TARGET", site)  # where wheels are installed
        self.monkeypatch.syspath_prepend(site)

    def shorten_train(self):
        train, cut = spacy_semivae.train, {"max_steps": STEPS, "eval_frequency": STEPS}

        def shorter(*args, **kwargs):
            return train(*args, **{**kwargs, **cut})

        self.monkeypatch.setattr(spacy_semivae, "train", shorter, raising=False)


@pytest.fixture
def pages(request, tmp_path, monkeypatch):
    """Runs pages on the CPU."""
    spacy.require_cpu()
    return Pages(request, tmp_path, monkeypatch)
