"""What is refused before a page is made."""

import sys

import pytest

from spacy_semivae.analysis.report.make import check_installed, make_report


@pytest.mark.parametrize("name", ["jinja2", "plotly", "sklearn"])
def test_what_is_missing_is_named(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"{name}: pip install 'spacy-semivae\[report\]'"):
        check_installed()


def test_the_extra_is_not_needed_to_import(monkeypatch):
    for name in ("jinja2", "plotly", "sklearn"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "spacy_semivae.cli.report", raising=False)
    __import__("spacy_semivae.cli.report")


def test_other_projections_are_refused(output):
    with pytest.raises(ValueError, match="'umap'"):
        make_report(output, projection="umap")
    assert not (output / "report.html").exists()
