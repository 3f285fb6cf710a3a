"""Confusions, scores of labels and reliability, against counts by hand."""

import numpy as np
import pytest

from spacy_semivae.analysis.calibrate import measure_all
from spacy_semivae.analysis.report import quality

GOLD = ["A", "A", "A", "B", "B", "C"]
FOUND = ["A", "A", "B", "B", "A", "C"]


def test_confusions_are_counted():
    names, counts = quality.count_confusions(GOLD, FOUND)
    assert names == ["A", "B", "C"]
    assert counts.tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert sorted(quality.list_confusions(names, counts)) == [(1, "A", "B"), (1, "B", "A")]


def test_rare_classes_are_drawn_as_one():
    gold = [f"L{i:02}" for i in range(50)] + ["often"] * 9
    names, counts = quality.count_confusions(gold, gold)
    assert len(names) == quality.MAX_CLASSES
    assert names[0] == "often"
    assert names[-1] == quality.OTHER
    assert counts.sum() == len(gold)


def test_scores_of_labels_are_right(get_pipe):
    pipe, examples = get_pipe("vsl_tagger")
    (table,) = quality.show_labels(pipe, examples, GOLD, FOUND).blocks
    assert table.rows[0] == ("A", "66.7", "66.7", "66.7", "3")
    assert table.rows[1] == ("B", "50.0", "50.0", "50.0", "2")


def test_scores_of_entities_are_those_of_spacy(get_pipe, source):
    pipe, examples = get_pipe("crf_vae_ner")
    (table,) = quality.show_labels(pipe, examples, [], []).blocks
    known = source.scores["ents_per_type"]
    assert {row[0]: row[3] for row in table.rows} == {
        name: f"{100 * score['f']:.1f}" for name, score in known.items()
    }
    assert table.rows[0][0] == "PER"
    assert table.rows[0][4] == "6"


@pytest.mark.parametrize(
    ("name", "key"), [("vsl_tagger", "tag_acc"), ("ssvae_textcat", "cats_micro_f")]
)
def test_classes_are_compared_as_they_are_scored(get_pipe, source, name, key):
    gold, found = quality.compare(*get_pipe(name))
    assert np.mean([a == b for a, b in zip(gold, found)]) == pytest.approx(source.scores[key])
    facts = dict(quality.show_facts(get_pipe(name)[0], source.scores))
    assert facts["Accuracy"] == f"{100 * source.scores[key]:.1f}"


def test_entities_are_compared_by_type(get_pipe):
    pipe, examples = get_pipe("crf_vae_ner")
    gold, found = quality.compare(pipe, examples)
    tokens = [token for eg in examples for token in eg.predicted]
    assert len(gold) == len(found) == len(tokens)
    assert found == [token.ent_type_ or "O" for token in tokens]
    assert gold[:7] == ["PER", "O", "PER", "PER", "O", "O", "O"]


def test_reliability_before_and_after_calibration(get_pipe):
    pipe, examples = get_pipe("vsl_tagger")
    known = measure_all(pipe, examples)["tokens"]
    assert [*quality.measure_both(pipe, examples)] == ["as trained"]
    pipe.calibrate(3.0)
    try:
        found = quality.measure_both(pipe, examples)
        assert pipe.calibration_temperature == 3.0
        section = quality.show_reliability(pipe, found)
    finally:
        pipe.calibrate(1.0)
    assert [*found] == ["before calibration", "after calibration"]
    assert found["before calibration"]["tokens"].brier == pytest.approx(known.brier)
    assert found["after calibration"]["tokens"].brier != pytest.approx(known.brier)
    plot, table = section.blocks
    assert [line.name for line in plot.figure.data if line.type == "scatter"][1:] == [*found]
    assert [row[1] for row in table.rows] == [*found]
    assert "temperature 3" in section.lead


def test_the_errors_of_spans_count_those_off_the_path(get_pipe):
    pipe, examples = get_pipe("crf_vae_ner")
    section = quality.show_reliability(pipe, quality.measure_both(pipe, examples))
    path, every = section.blocks[1].rows
    assert int(every[-1]) > int(path[-1])
