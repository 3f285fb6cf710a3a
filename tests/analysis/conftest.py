"""Conversion of a small file, and tiny pipelines, as several tests need them."""

import gzip

import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from spacy.util import fix_random_seed

from spacy_semivae.analysis.convert import ConvertSettings, convert


@pytest.fixture(scope="module")
def nlp():
    return spacy.blank("en")


@pytest.fixture
def run(nlp, tmp_path):
    """Write content to a file, convert it and read the Docs back from disk."""

    def run(content, name="input.conll", **settings):
        source = tmp_path / name
        data = content if isinstance(content, bytes) else content.encode("utf8")
        source.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        report = convert(source, tmp_path / "out", ConvertSettings(**settings), nlp=nlp)
        docs = list(DocBin().from_disk(report.files[0]).get_docs(nlp.vocab))
        assert len(docs) == report.n_docs
        return docs, report.notes

    return run


SENTENCES = [
    ("Ann saw Bob Lee in Rome !", "N V N N P N .", [(0, 1, "PER"), (2, 4, "PER"), (5, 6, "LOC")]),
    ("We like New Rome .", "P V N N .", [(2, 4, "LOC")]),
    ("no names here", "D N R", []),
    ("Bob likes us", "N V P", [(0, 1, "PER")]),
]
ENCODER = {
    "@architectures": "semivae.CharWordBiGRU.v1",
    "width": 8,
    "char_width": 6,
    "char_hidden": 6,
    "hidden": 8,
    "min_count": 1,
}
MODELS = {
    "vsl": {"variant": "hier", "width_y": 4, "width_z": 6, "hidden": 8, "width": 8}
    | {"tok2vec": ENCODER},
    "crf": {"width": 8, "generator": None, "tok2vec": ENCODER},
    "ssvae": {"width": 8, "hidden": 12, "width_z": 4, "width_y": 4},
}


def annotated(nlp):
    """Examples with tags, entities and cats, and one without."""
    for i, (text, tags, ents) in enumerate(SENTENCES):
        words = text.split()
        reference = Doc(nlp.vocab, words, tags=tags.split())
        reference.ents = [Span(reference, *ent) for ent in ents]
        reference.cats = {"trip": float(i < 2), "talk": float(i >= 2)}
        yield Example(Doc(nlp.vocab, words), reference)
    yield Example(Doc(nlp.vocab, ["raw", "text"]), Doc(nlp.vocab, ["raw", "text"]))


@pytest.fixture
def tiny_pipeline():
    """Make a pipeline of tiny components, trained for some steps."""

    def make(*factories, model=None, steps=0, **settings):
        fix_random_seed(0)
        nlp = spacy.blank("en")
        for factory in factories:
            found = MODELS[factory.split("_")[0]] | (model or {})
            nlp.add_pipe(factory, config={"model": found, **settings})
        examples = list(annotated(nlp))
        sgd = nlp.initialize(lambda: examples)
        sgd.learn_rate = 0.02
        for _ in range(steps):
            nlp.update(examples, sgd=sgd)
        return nlp

    return make
