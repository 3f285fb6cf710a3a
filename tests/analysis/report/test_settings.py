"""Sizes and settings."""

from dataclasses import replace

from spacy_semivae.analysis.report.settings import count_corpora, count_docs, flatten, show_settings


def test_corpora_are_counted(source):
    rows = {row[0]: row[1] for row in count_corpora(source)}
    assert rows["dev"].startswith("8 (")
    assert rows["train"] == "4"
    assert rows["raw"] == "3"
    assert int(rows["seen labeled"]) > 0


def test_corpora_that_are_gone(tmp_path):
    assert count_docs(str(tmp_path / "gone.spacy")) == "not found here"
    (tmp_path / "raw.txt.gz").write_bytes(b"")
    assert count_docs(str(tmp_path / "raw.txt.gz")) == "compressed, not counted"


def test_settings_are_named_by_dots():
    found = dict(flatten({"a": {"b": 1, "c": {"@d": "e"}}, "f": None, "g": {}}))
    assert found == {"a.b": "1", "a.c.@d": "e", "f": "None", "g": "{}"}


def test_every_component_has_its_settings(source):
    chapter = show_settings(source)
    captions = [table.caption for table in chapter.sections[1].blocks]
    components = [f"[components.{pipe.name}]" for pipe in source.pipes]
    assert captions == [*components, "[training]", "[semivae]"]
    rows = dict(chapter.sections[1].blocks[0].rows)
    assert rows["model.width_y"] == "4"


def test_without_a_log_nothing_was_seen(source):
    rows = [row[0] for row in count_corpora(replace(source, rows=[]))]
    assert rows == ["dev", "train", "raw"]
