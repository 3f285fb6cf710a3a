"""Every block of every page runs, or is marked with the reason why it does not."""

import re
from pathlib import Path

import pytest
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile("^```", re.MULTILINE)
WITH_BLOCKS = [page for page in PAGES if FENCE.search(page.read_text(encoding="utf8"))]
LANGUAGE = re.compile(r"(?P<language>.*)$\n", re.MULTILINE)


def find_unmarked(document):
    """Describe the blocks that nothing runs, and the markers without a reason or a block."""
    text, examples = document.text, list(document.examples())
    markers = [e for e in examples if isinstance(e.parsed, tuple)]
    known = {e.start for e in examples if not isinstance(e.parsed, tuple)}
    found = [
        f"line {text[: fence.start].count(chr(10)) + 1}: nothing runs a block of this language"
        for fence in RawFencedCodeBlockLexer(LANGUAGE)(document)
        if fence.start not in known
    ]
    for marker in markers:
        if marker.parsed[0] != "next" or not re.search(r"[\"'].{5}", marker.parsed[1] or ""):
            found.append(f"line {marker.line}: not `skip: next` with a reason")
        if not text[marker.end :].partition("-->")[2].startswith("\n```"):
            found.append(f"line {marker.line}: no block right below")
    return found


@pytest.mark.parametrize(
    "short", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["short", "as-printed"]
)
@pytest.mark.parametrize("page", WITH_BLOCKS, ids=lambda page: page.name)
def test_the_blocks_of_a_page_run_in_order(pages, page, short):
    pages.run(page, short=short)


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=lambda page: page.name)
def test_every_block_runs_or_says_why_not(pages, page):
    assert find_unmarked(pages.parse(page)) == []


def test_pages_with_blocks_are_found():
    assert {"README.md", "tutorial.md", "recipes.md", "extend.md"} <= {p.name for p in WITH_BLOCKS}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```\nls\n```\n", "line 1: nothing runs"),
        ("```console\nls\n```\n", "line 1: nothing runs"),
        ("<!-- skip: next -->\n```bash\nls\n```\n", "line 1: not `skip: next` with a reason"),
        ('<!-- skip: next "needs a GPU" -->\n\nText.\n', "line 1: no block right below"),
    ],
)
def test_unmarked_blocks_are_found(pages, tmp_path, text, message):
    page = tmp_path / "page.md"
    page.write_text(text)
    (found,) = find_unmarked(pages.parse(page))
    assert found.startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```python\nraise ValueError('of the page')\n```\n", "of the page"),
        ("```bash\nfalse\n```\n", "false"),
        ("```bash\npython -m spacy semivae train nothing.cfg\n```\n", "nothing.cfg"),
        ("```ini\n[training]\ndropuot = 0.1\n```\n", "dropuot"),
        ('```ini\n[components.vsl_ner]\nfactory = "vsl_ner"\nalhpa = 1\n```\n', "alhpa"),
    ],
)
def test_a_block_that_fails_fails_the_page(pages, tmp_path, text, message):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(Exception, match=message):
        pages.run(page)


def test_a_marked_block_is_left_out_with_its_reason(pages, tmp_path):
    page = tmp_path / "page.md"
    marker = '<!-- skip: next if(short, reason="takes hours") -->'
    page.write_text(f"{marker}\n```bash\nfalse\n```\n\n```python\nran = short\n```\n")
    assert pages.run(page) == ["takes hours"]
