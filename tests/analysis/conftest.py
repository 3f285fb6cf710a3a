"""Conversion of a small file, and tiny pipelines, as several tests need them."""

import gzip

import pytest
import spacy
from spacy.tokens import DocBin
from spacy.util import fix_random_seed
from tiny import make_examples, model_of

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


@pytest.fixture
def tiny_pipeline():
    """Make a pipeline of tiny components, trained for some steps."""

    def make(*factories, model=None, steps=0, **settings):
        fix_random_seed(0)
        nlp = spacy.blank("en")
        for factory in factories:
            found = model_of(factory) | (model or {})
            nlp.add_pipe(factory, config={"model": found, **settings})
        examples = make_examples(nlp)
        sgd = nlp.initialize(lambda: examples)
        sgd.learn_rate = 0.02
        for _ in range(steps):
            nlp.update(examples, sgd=sgd)
        return nlp

    return make
