"""`semivae report`."""

import sys

import pytest

pytest.importorskip("plotly")


def test_a_page_from_train_to_report(semivae, tiny, tmp_path):
    out = tmp_path / "out"
    logger = {"training__logger__@loggers": "semivae.Logger.v1"}
    code, output = semivae(*tiny(**logger), "--output", out)
    assert code == 0, output
    code, output = semivae("report", out, "--projection", "pca")
    assert code == 0, output
    assert "report.html" in output
    html = (out / "report.html").read_text()
    assert "<h3>Score over time</h3>" in html
    assert "there is no log" not in html
    page = tmp_path / "pages" / "page.html"
    dev = tmp_path / "none.spacy"
    code, output = semivae("report", out, "--dev", dev, "--output", page)
    assert code == 1
    assert "there is no file" in output
    assert not page.exists()


def test_a_folder_without_pipeline(semivae, tmp_path):
    code, output = semivae("report", tmp_path)
    assert code == 1
    assert "holds no trained pipeline" in output


def test_without_the_extra(semivae, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly", None)
    code, output = semivae("report", tmp_path)
    assert code == 1
    assert "pip install 'spacy-semivae[report]'" in output
