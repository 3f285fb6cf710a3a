"""Sections about a run, from its log."""

from dataclasses import replace

import pytest

from spacy_semivae.analysis.report import training
from spacy_semivae.analysis.report.blocks import Note, Plot


def texts(section):
    return [block.text for block in section.blocks if isinstance(block, Note)]


def test_the_score_is_that_of_the_log(source):
    section = training.show_scores(source)
    (plot,) = section.blocks
    line = plot.figure.data[0]
    assert list(line.x) == [2, 4, 6]
    assert list(line.y) == pytest.approx([100 * row["score"] for row in source.rows])
    assert f"Best at step {max(source.rows, key=lambda row: row['score'])['step']}" in section.lead


def test_every_loss_term_has_a_plot(source):
    plots = training.show_terms(source, "ssvae_textcat").blocks
    keys = [key for key in source.rows[0]["losses"] if key.startswith("ssvae_textcat")]
    assert len(plots) == len(keys)
    drawn = {plot.title: plot for plot in plots}
    assert drawn["KL"].caption.startswith("weight ")
    assert drawn["Active units"].caption == "watched, not part of the loss"
    values = [row["losses"]["ssvae_textcat_kl"] for row in source.rows]
    assert list(drawn["KL"].figure.data[0].y) == pytest.approx(values)


def test_terms_of_a_component_whose_name_begins_alike(source):
    rows = [{"step": 1, "losses": {"ner": 1.0, "ner_kl": 2.0, "ner_b": 3.0, "ner_b_kl": 4.0}}]

    class Two:
        pipeline = (("ner", None), ("ner_b", None))

    two = replace(source, rows=rows, nlp=Two())
    assert training.read_series(two, "ner") == {"": ([1], [1.0]), "kl": ([1], [2.0])}
    assert training.read_series(two, "ner_b") == {"": ([1], [3.0]), "kl": ([1], [4.0])}


def test_without_a_log(source):
    bare = replace(source, rows=[])
    found = [training.show_scores(bare), training.show_terms(bare, "vsl_tagger")]
    for section in found:
        (text,) = texts(section)
        assert "there is no log" in text
        assert "semivae.Logger.v1" in text


@pytest.mark.parametrize(
    ("name", "key", "per"),
    [
        ("ssvae_textcat", "cats_unit_kl", "nats a text"),
        ("vsl_tagger", "vsl_tagger_unit_kl", "nats a token"),
    ],
)
def test_units_are_ordered_by_their_last_kl(source, name, key, per):
    section = training.show_units(source, source.nlp.get_pipe(name))
    assert per in section.lead
    heat, active = (block.figure.data[0] for block in section.blocks if isinstance(block, Plot))
    kl = [row["scores"][key] for row in source.rows]
    assert [row[-1] for row in heat.z] == pytest.approx(sorted(kl[-1]), abs=1e-4)
    assert list(active.y) == [sum(value > 0.01 for value in row) for row in kl]


@pytest.mark.parametrize(("kl", "weight", "warns"), [(0.001, 1.0, 1), (0.001, 0.1, 0), (1, 1, 0)])
def test_a_collapse_is_a_warning(source, kl, weight, warns):
    scores = {"cats_unit_kl": [kl, kl / 2]}
    row = {"step": 9, "losses": {}, "scores": scores, "score": 0.5}
    row["weights"] = {"ssvae_textcat": {"kl": weight}}
    pipe = source.nlp.get_pipe("ssvae_textcat")
    blocks = training.show_units(replace(source, rows=[row]), pipe).blocks
    assert [b.warning for b in blocks if isinstance(b, Note)] == [True] * warns


def test_a_collapse_of_a_vsl(source):
    row = {"step": 9, "losses": {}, "scores": {"vsl_tagger_unit_kl": [0.001]}, "score": 0.5}
    row["weights"] = {"vsl_tagger": {"kl": 0.08, "reconstruction": 0.1}}
    pipe = source.nlp.get_pipe("vsl_tagger")
    (text,) = texts(training.show_units(replace(source, rows=[row]), pipe))
    assert "0.001 nats a token" in text
    assert "word_dropout" not in text


@pytest.mark.parametrize(("share", "warns"), [(0.9999, 1), (0.01, 1), (0.9, 0)])
def test_a_recognizer_that_says_o_everywhere(source, share, warns):
    row = {"step": 9, "losses": {"crf_vae_ner_decoded_outside": share}}
    blocks = training.show_units(
        replace(source, rows=[row]), source.nlp.get_pipe("crf_vae_ner")
    ).blocks
    assert sum(block.warning for block in blocks) == warns
    assert "has no units" in blocks[-1].text


def test_discrimination_beside_accuracy(source):
    pipe = source.nlp.get_pipe("ssvae_textcat")
    (section,) = training.show_discrimination(source, pipe)
    lines = {line.name: list(line.y) for line in section.blocks[0].figure.data}
    for name, key in {
        "accuracy": "cats_micro_f",
        "discrimination index": "cats_discrimination",
    }.items():
        assert lines[name] == pytest.approx([100 * row["scores"][key] for row in source.rows])
    assert training.show_discrimination(source, source.nlp.get_pipe("vsl_tagger")) == []


def test_an_ssvae_whose_generator_was_not_looked_at(source):
    rows = [{**row, "scores": {"cats_micro_f": 0.5}} for row in source.rows]
    bare, pipe = replace(source, rows=rows), source.nlp.get_pipe("ssvae_textcat")
    assert "Left out" in texts(training.show_units(bare, pipe))[0]
    assert "discrimination_docs" in texts(*training.show_discrimination(bare, pipe))[0]
