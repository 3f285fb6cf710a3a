"""The page as text: one file, safe, and complete or saying why not."""

import re

import pytest
import spacy

from spacy_semivae.analysis.report import make_report

from .conftest import EVIL, EVIL_LABEL

MEGABYTE = 2**20
HEADINGS = [
    "Score over time",
    *["Loss terms", "Latent units over training", "Labels", "Confusion matrix"],
    *["Reliability", "Latents", "Most and least certain Docs", "Discrimination index"],
    *["Generated texts", "Corpora", "Settings"],
]


def own_part(html):
    """The page less Plotly, which is packed."""
    return re.sub(r'(<script type="text/plain" id="plotly">)[^<]*', r"\1", html)


@pytest.fixture
def html(page_path):
    return own_part(page_path.read_text(encoding="utf8"))


def test_all_parts_are_there(html):
    for heading in HEADINGS:
        assert f"<h3>{heading}</h3>" in html
    for name in ("vsl_tagger", "crf_vae_ner", "ssvae_textcat"):
        assert f">{name}</h2>" in html


def test_it_is_one_small_file(page_path, html):
    assert page_path.stat().st_size < 5 * MEGABYTE
    assert page_path.read_text().count('id="plotly"') == 1
    assert "default-src 'none'" in html
    assert not re.search(r"""(src|href)=["'](?!#)""", html)
    assert "@import" not in html
    assert "url(" not in html


def test_texts_and_labels_do_not_become_markup(html):
    assert EVIL not in html
    assert EVIL_LABEL not in html
    assert "window.hacked" in html  # it is shown
    scripts = re.findall(r"<script[^>]*>", html)
    plots = html.count('<figure class="plot')
    assert len(scripts) == plots + 2
    assert html.count("</script>") == len(scripts)


def test_without_a_log_it_says_so(output, tmp_path):
    (output / "training.jsonl").unlink()
    page = make_report(output, None, tmp_path / "new" / "page.html", projection="pca")
    html = own_part(page.read_text())
    assert html.count("there is no log") == 4
    assert "<h3>Reliability</h3>" in html
    assert not (output / "report.html").exists()


def test_pruned_and_without_annotation(output, tmp_path):
    nlp = spacy.load(output / "model-best")
    for name in nlp.pipe_names:
        nlp.get_pipe(name).prune()
    nlp.to_disk(output / "model-best")
    docs = [nlp.make_doc("Ann saw Rome"), nlp.make_doc("no names")]
    for doc in docs:
        doc.cats = {"trip": 1.0, "talk": 0.0}
    dev = tmp_path / "dev.spacy"
    spacy.tokens.DocBin(docs=docs).to_disk(dev)
    html = own_part(make_report(output, dev, projection="pca").read_text())
    assert html.count("has annotation for this component") == 2
    assert html.count("the generator was pruned") == 2
    assert html.count("<h3>Confusion matrix</h3>") == 1
