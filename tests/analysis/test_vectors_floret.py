"""floret's table, and the message where a package is not installed."""

import sys

import pytest
import spacy
from numpy.testing import assert_array_equal

from spacy_semivae.analysis.vectors import VectorSettings, make_vectors
from spacy_semivae.analysis.vectors_floret import import_extra


def test_floret_vectors_cover_unseen_words(tmp_path):
    pytest.importorskip("floret")
    raw = tmp_path / "raw.txt"
    raw.write_text("The cats sat. The dogs sat.\n" * 20, encoding="utf8")
    tables = []
    for _ in range(2):
        nlp = spacy.blank("en")
        make_vectors(nlp, raw, VectorSettings(dim=6, mode="floret"))
        tables.append(nlp.vocab.vectors.data)
    assert_array_equal(*tables)
    assert nlp.vocab.vectors.mode == "floret"
    assert nlp("catsit")[0].vector.any()
    nlp.to_disk(tmp_path / "package")
    loaded = spacy.load(tmp_path / "package")
    assert_array_equal(loaded("CATSIT")[0].vector, nlp("catsit")[0].vector)
    with pytest.raises(ValueError, match="must occur 99 times"):
        make_vectors(nlp, raw, VectorSettings(dim=6, mode="floret", min_count=99))


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "floret", None)
    with pytest.raises(ImportError, match=r"needs floret: pip install 'spacy-semivae\[vectors\]'"):
        import_extra("floret")
