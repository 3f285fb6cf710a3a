"""Conversion of a small file, as several tests need it."""

import gzip

import pytest
import spacy
from spacy.tokens import DocBin

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
