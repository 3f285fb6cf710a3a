"""The console logger: its header, its rows, and the same as JSON lines."""

import io

import pytest
import spacy
import srsly
from spacy.util import registry


@pytest.fixture
def nlp():
    nlp = spacy.blank("en")
    nlp.add_pipe("vsl_tagger")
    nlp.add_pipe("tagger")
    weights = {"tag_acc": 1.0, "speed": 0.0, "pos_acc": None, "morph_acc": None}
    nlp.config["training"]["score_weights"] = weights
    return nlp


def report(step, losses, score, *, seconds=1.0, words=100):
    scores = {"tag_acc": score, "speed": 1234.5, "pos_acc": 0.1}
    counts = {"epoch": step // 10, "step": step, "seconds": seconds, "words": words}
    return {**counts, "losses": losses, "score": score, "other_scores": scores}


LOSSES = {
    "vsl_tagger": 8.0,
    "vsl_tagger_supervised": 4.0,
    "vsl_tagger_kl": 1.0,
    "vsl_tagger_unlabeled_kl": 2.0,
    "vsl_tagger_entropy": 0.5,
    "tagger": 40.0,
}


def log(nlp, *reports, **settings):
    stdout = io.StringIO()
    logger = registry.loggers.get("semivae.ConsoleLogger.v1")(**settings)
    log_step, finalize = logger(nlp, stdout, io.StringIO())
    for info in reports:
        log_step(info)
    finalize()
    return stdout.getvalue().splitlines()


def cells_of(line):
    return line.split()


def test_the_header_names_components_terms_and_scores(nlp):
    header, row = log(nlp, report(4, LOSSES, 0.5))
    names = "E # LOSS VSL_TAGGER SUP KL RAW KL ENTROPY LOSS TAGGER TAG_ACC SPEED SCORE W/S"
    assert cells_of(header) == names.split()
    assert len(header) == len(row)


def test_losses_are_means_per_step_since_the_last_row(nlp):
    later = {key: 10 * value for key, value in LOSSES.items()}
    lines = log(nlp, report(4, LOSSES, 0.5), report(14, later, 0.75, seconds=3.0, words=500))
    assert [cells_of(line)[:8] for line in lines[1:]] == [
        ["0", "4", "2.000", "1.000", "0.250", "0.500", "0.125", "10.000"],
        ["1", "14", "8.000", "4.000", "1.000", "2.000", "0.500", "40.000"],
    ]
    assert [cells_of(line)[8:] for line in lines[1:]] == [
        ["50.00", "1234.50", "50.00", "100"],
        ["75.00", "1234.50", "75.00", "200"],
    ]


def test_nothing_is_logged_between_evaluations(nlp):
    assert log(nlp, None, None) == []
    assert len(log(nlp, None, report(2, LOSSES, 0.1), None)) == 2


def test_a_term_or_score_that_is_not_there_is_zero(nlp):
    short = {"vsl_tagger": 1.0, "tagger": 1.0}
    info = report(2, short, 0.0)
    info["other_scores"] = {"tag_acc": None}
    lines = log(nlp, report(1, LOSSES, 0.5), info)
    assert cells_of(lines[2])[2:8] == ["1.000", "0.000", "0.000", "0.000", "0.000", "1.000"]
    assert cells_of(lines[2])[8:10] == ["0.00", "0.00"]


def test_no_time_between_two_rows(nlp):
    lines = log(nlp, report(1, LOSSES, 0.5, seconds=0.0))
    assert cells_of(lines[1])[-1] == "0"


def test_names_that_begin_alike_keep_their_terms():
    nlp = spacy.blank("en")
    nlp.add_pipe("vsl_ner", name="vsl")
    nlp.add_pipe("vsl_ner", name="vsl_ner")
    losses = {"vsl": 1.0, "vsl_kl": 2.0, "vsl_ner": 3.0, "vsl_ner_kl": 4.0}
    header, row = log(nlp, report(1, losses, 0.5))
    assert cells_of(header)[2:8] == ["LOSS", "VSL", "KL", "LOSS", "VSL_NER", "KL"]
    assert cells_of(row)[2:6] == ["1.000", "2.000", "3.000", "4.000"]


def test_json_lines(nlp, tmp_path):
    path = tmp_path / "log.jsonl"
    log(nlp, report(4, LOSSES, 0.5), report(8, LOSSES, 0.6), output_file=str(path))
    log(nlp, report(2, LOSSES, 0.7), output_file=str(path))
    rows = list(srsly.read_jsonl(path))
    assert [row["step"] for row in rows] == [4, 8, 2]
    assert rows[0]["losses"]["vsl_tagger"] == 2.0
    assert rows[0]["scores"] == {"tag_acc": 50.0, "speed": 1234.5}
    assert [row["score"] for row in rows] == pytest.approx([0.5, 0.6, 0.7])
    assert path.read_text(encoding="utf8").count("\n") == 3


def test_a_log_in_a_new_folder(nlp, tmp_path):
    path = tmp_path / "logs" / "log.jsonl"
    log(nlp, report(4, LOSSES, 0.5), output_file=str(path))
    assert path.exists()


def test_in_a_run(start, tmp_path):
    from spacy_semivae.training.run import train_nlp

    path, stdout = tmp_path / "log.jsonl", io.StringIO()
    nlp, settings = start(training__logger__output_file=str(path))
    train_nlp(nlp, settings, stdout=stdout, stderr=io.StringIO())
    rows = list(srsly.read_jsonl(path))
    assert [row["step"] for row in rows] == [2, 4]
    lines = stdout.getvalue().splitlines()[2:]
    assert lines[0].split()[:5] == ["E", "#", "LOSS", "VSL_TAGGER", "SUP"]
    assert [line.split()[1] for line in lines[1:3]] == ["2", "4"]
