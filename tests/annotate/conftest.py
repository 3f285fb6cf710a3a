"""Pipelines, corpora and readers for the tests of annotation."""

import gzip
import json
import os

import pytest
import spacy
import srsly
from spacy.tokens import DocBin
from spacy.util import fix_random_seed
from tiny import make_examples, model_of

from spacy_semivae.annotate.run import AnnotateSettings, annotate

TEXTS = [
    "Ann saw Bob Lee in Rome !",
    "no names here",
    "Rome",
    "",
    "Zoë 😀 likes New Rome, Ann",
    "Lee",
    "We like Rome and Bob Lee",
    "zebras zebras",
    "Ann Ann Ann",
    "naïve Bob",
    "x",
]
KILLER = '''
"""Kill the worker that is about to finish the third shard, or has just done so, once."""
import os
import signal
from pathlib import Path

replace = os.replace

def kill(moment, path):
    flag = Path(__file__).with_name("killed")
    if moment == "{moment}" and Path(path).stem == "shard-000002" and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)

def replace_and_kill(source, target):
    kill("before", target)
    replace(source, target)
    kill("after", target)

os.replace = replace_and_kill
'''


@pytest.fixture(scope="session")
def make_pipeline(tmp_path_factory):
    """Save an initialized pipeline of tiny components and give its folder."""

    def make(*factories, threshold=None):
        fix_random_seed(0)
        nlp = spacy.blank("en")
        for factory in factories:
            config = {"model": model_of(factory)}
            if factory == "crf_vae_ner":
                config["threshold"] = threshold
            nlp.add_pipe(factory, config=config)
        examples = make_examples(nlp, raw=())
        nlp.initialize(lambda: examples)
        path = tmp_path_factory.mktemp("nlp") / "model"
        nlp.to_disk(path)
        return path

    return make


@pytest.fixture(scope="session")
def trained(make_pipeline):
    """A pipeline with tags, entities with exact probabilities, and cats."""
    return make_pipeline("vsl_tagger", "crf_vae_ner", "ssvae_textcat")


@pytest.fixture(scope="session")
def vsl(make_pipeline):
    """A pipeline with a `vsl_ner`."""
    return make_pipeline("vsl_ner")


@pytest.fixture(scope="session")
def ruler(tmp_path_factory):
    """A pipeline without weights: entities and tags by rules."""
    nlp = spacy.blank("en")
    names = [("PER", "Ann"), ("PER", "Bob Lee"), ("LOC", "Rome"), ("PER", "Zoë"), ("SYM", "😀")]
    nlp.add_pipe("entity_ruler").add_patterns([{"label": a, "pattern": b} for a, b in names])
    nlp.add_pipe("attribute_ruler").add([[{"IS_ALPHA": True}]], {"TAG": "W"})
    path = tmp_path_factory.mktemp("ruler") / "model"
    nlp.to_disk(path)
    return path


@pytest.fixture
def corpus(tmp_path):
    """Write texts to a file of any format and give its path."""

    def write(name="raw.jsonl", texts=TEXTS):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        plain = name.removesuffix(".gz")
        if plain.endswith(".spacy"):
            nlp = spacy.blank("en")
            data = DocBin(docs=map(nlp.make_doc, texts)).to_bytes()
        elif plain.endswith(".parquet"):
            arrow = pytest.importorskip("pyarrow")
            pytest.importorskip("pyarrow.parquet").write_table(arrow.table({"text": texts}), path)
            return path
        elif plain.endswith(".jsonl"):
            data = "".join(json.dumps({"text": t}) + "\n" for t in texts).encode()
        else:
            data = "".join(f"{t}\n" for t in texts).encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


@pytest.fixture
def run():
    """Annotate with settings given by name."""

    def call(model, source, output, progress=None, **settings):
        return annotate(model, source, output, AnnotateSettings(**settings), progress=progress)

    return call


@pytest.fixture
def read():
    """Read annotated Docs of any format as (text, entities)."""

    def rows(path):
        if path.suffix == ".parquet":
            return pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()
        if path.suffix == ".jsonl":
            return list(srsly.read_jsonl(path))
        docs = DocBin().from_disk(path).get_docs(spacy.blank("en").vocab)
        return [
            {
                "text": doc.text,
                "tokens": [t.text for t in doc],
                "tag": [t.tag_ for t in doc],
                "entities": [
                    {"start": e.start_char, "end": e.end_char, "label": e.label_} for e in doc.ents
                ],
            }
            for doc in docs
        ]

    def read_all(path):
        files = [path] if path.is_file() else sorted(path.glob("shard-*"))
        return [row for file in files for row in rows(file)]

    return read_all


@pytest.fixture
def contents():
    """Give the bytes of every file that stays of an output, by name."""

    def collect(path):
        files = [path] if path.is_file() else path.rglob("*")
        found = {f.relative_to(path.parent).as_posix(): f.read_bytes() for f in files}
        rejects = path.with_name(f"{path.name}.rejects.jsonl")
        if rejects.exists():
            found[rejects.name] = rejects.read_bytes()
        return found

    return collect


@pytest.fixture
def many(corpus):
    """A corpus of 40 texts in which words come back."""
    words = [f"{a}{b}" for a in "Abcd" for b in "aeiou"]
    texts = [" ".join(words[i::7] + ["Ann", "saw", "Rome"][: i % 4]) for i in range(39)]
    return corpus("raw.jsonl", [*texts, "Lee"])


@pytest.fixture
def killer(tmp_path, monkeypatch):
    """Code that kills a worker once, before or after its file takes its place."""
    monkeypatch.setattr(os, "replace", os.replace)  # undoes what the code does to this process

    def make(moment):
        path = tmp_path / "killer.py"
        path.write_text(KILLER.replace("{moment}", moment))
        return path

    return make
