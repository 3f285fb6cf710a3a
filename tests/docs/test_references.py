"""What pages name exists: tests, files, other pages; and the site builds without a warning."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
NAMED_TEST = re.compile(r"`(?:(tests/[\w/]+\.py))?::(test_\w+)`")
NAMED_FILE = re.compile(r"`((?:[\w.]+/)+[\w.]+\.(?:py|cfg|yml|md)|(?:benchmarks|configs)/[\w/]*)`")
MADE = ("corpus/", "training/", "runs/", "out/")  # by the commands of the page


def named_tests(text):
    """Give file and name of each test that a text names; the file may be told before."""
    file = None
    for path, name in NAMED_TEST.findall(text):
        file = path or file
        yield file, name


def defined_tests(path):
    tree = ast.parse((ROOT / path).read_text(encoding="utf8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_named_tests_are_read():
    text = "`tests/a.py::test_b`, `::test_c` and `tests/d.py::test_e`"
    pairs = [("tests/a.py", "test_b"), ("tests/a.py", "test_c"), ("tests/d.py", "test_e")]
    assert list(named_tests(text)) == pairs


def test_the_tests_of_the_formulas_exist():
    found = list(named_tests((DOCS / "mathematics.md").read_text(encoding="utf8")))
    assert len(found) > 40
    assert [(file, name) for file, name in found if name not in defined_tests(file)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page):
    names = NAMED_FILE.findall(page.read_text(encoding="utf8"))
    names = [name for name in names if not name.startswith(MADE)]
    places = (ROOT, ROOT / "spacy_semivae")
    assert [name for name in names if not any((place / name).exists() for place in places)] == []


def test_links_of_the_readme_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)", (ROOT / "README.md").read_text(encoding="utf8"))
    local = [link for link in links if "://" not in link]
    assert {"docs/index.md", "docs/tutorial.md", "docs/results.md"} <= set(local)
    assert [link for link in local if not (ROOT / link).exists()] == []


def build(folder, *options):
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder, *options],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )


def test_the_site_builds_without_a_warning_and_loads_nothing(tmp_path):
    pytest.importorskip("material")
    done = build(tmp_path / "site")
    assert done.returncode == 0, done.stderr
    pages = list((tmp_path / "site").glob("*.html"))
    assert {page.stem for page in pages} - {"404"} == {page.stem for page in PAGES[1:]}
    loaded = re.compile(r'<(?:script|link rel="stylesheet")[^>]*(?:src|href)="(?:https?:)?//')
    assert [page.name for page in pages if loaded.search(page.read_text(encoding="utf8"))] == []


def test_a_broken_link_fails_the_build(tmp_path):
    pytest.importorskip("material")
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf8").partition("\nnav:")[0]
    (tmp_path / "mkdocs.yml").write_text(settings)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("[nowhere](index.md#nothing)\n")
    done = build(tmp_path / "site", "--config-file", tmp_path / "mkdocs.yml")
    assert done.returncode != 0
    assert "#nothing" in done.stderr
