"""The log of a run: its rows, going on after an interrupt, other loggers beside it."""

import io
import json

import pytest
import spacy
from spacy.training import Example
from spacy.util import registry

from spacy_semivae.training.log_file import read_log
from spacy_semivae.training.run import train_nlp


@pytest.fixture
def nlp():
    nlp = spacy.blank("en")
    nlp.add_pipe("vsl_tagger")
    nlp.add_pipe("tagger")
    nlp.config["training"]["score_weights"] = {"tag_acc": 1.0}
    return nlp


class Loop:
    """A training loop of which only the reports are left: loss i at step i, evaluation every 4."""

    def __init__(self, log_step, step=0, **more):
        self.log_step, self.step, self.more = log_step, step, more
        self.sums = list(range(step - step % 4 + 1, step + 1))
        self.since = self.counts() if step % 4 == 0 else Loop(None, step - step % 4).since

    def counts(self):
        """How far the run has come."""
        steps = self.step
        return {"step": steps, "seconds": 2.0 * steps, "words": steps**2, "data_wait": 0.5 * steps}

    def run(self, steps, *, every_step=True):
        for _ in range(steps):
            self.step += 1
            self.sums.append(self.step)
            evaluated = self.step % 4 == 0
            info = {
                "epoch": self.step // 8,
                "score": self.step / 100 if evaluated else None,
                "other_scores": {"tag_acc": 0.5, "units": [0.1, 0.2]} if evaluated else None,
                "losses": {"vsl_tagger": float(sum(self.sums)), "vsl_tagger_kl": 1.0},
                "since": self.since,
                **self.counts(),
                **self.more,
            }
            self.log_step(info if evaluated or every_step else None)
            if evaluated:
                self.sums, self.since = [], self.counts()
        return self


def create(nlp, stdout=None, **settings):
    logger = registry.loggers.get("semivae.Logger.v1")(**settings)
    return logger(nlp, stdout or io.StringIO(), io.StringIO())


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf8").splitlines()]


# Rows


def test_what_a_row_says(nlp, tmp_path):
    path = tmp_path / "logs" / "log.jsonl"
    log, close = create(nlp, path=str(path))
    assert not log.every_step
    Loop(log, learn_rate=0.01, labeled=3, unlabeled=5).run(8, every_step=False)
    close()
    first, second = lines_of(path)
    assert first.pop("time").endswith("+00:00")
    assert first == {
        "epoch": 0,
        "step": 4,
        "seconds": 8.0,
        "words": 16,
        "labeled": 3,
        "unlabeled": 5,
        "words_per_second": 2.0,
        "data_wait": 2.0,
        "learn_rate": 0.01,
        "losses": {"vsl_tagger": 2.5, "vsl_tagger_kl": 0.25},
        "weights": {"vsl_tagger": nlp.get_pipe("vsl_tagger").weights()},
        "score": 0.04,
        "scores": {"tag_acc": 0.5, "units": [0.1, 0.2]},
    }
    assert set(first["weights"]["vsl_tagger"]) >= {"kl", "unlabeled_kl"}
    assert second["losses"]["vsl_tagger"] == 6.5
    assert (second["data_wait"], second["words_per_second"]) == (2.0, (64 - 16) / 8)


def test_rows_between_evaluations(nlp, tmp_path):
    path, stdout = tmp_path / "log.jsonl", io.StringIO()
    log, _ = create(nlp, stdout, path=str(path), every=3)
    assert log.every_step
    Loop(log).run(9)
    rows = lines_of(path)
    assert [row["step"] for row in rows] == [3, 4, 6, 8, 9]
    means = [row["losses"]["vsl_tagger"] for row in rows]
    assert means == [2.0, 4.0, 5.5, 7.5, 9.0]
    assert [row["score"] for row in rows] == [None, 0.04, None, 0.08, None]
    table = [line.split()[:3] for line in stdout.getvalue().splitlines()[1:]]
    assert table == [["0", "4", "2.500"], ["1", "8", "6.500"]]


def test_a_loop_that_says_less(nlp, tmp_path):
    path = tmp_path / "log.jsonl"
    log, _ = create(nlp, path=str(path), every=3)
    Loop(log, data_wait=None).run(8, every_step=False)  # as spaCy's own
    rows = lines_of(path)
    assert [row["step"] for row in rows] == [4, 8]
    assert [row["learn_rate"] for row in rows] == [row["data_wait"] for row in rows] == [None] * 2


def test_beside_the_saved_pipeline(nlp, tmp_path):
    log, _ = create(nlp)
    Loop(log, output_path=str(tmp_path / "model-last")).run(4)
    assert [row["step"] for row in lines_of(tmp_path / "training.jsonl")] == [4]
    log, _ = create(nlp)
    Loop(log).run(4)  # nothing is saved, so that there is no place for a log
    assert list(tmp_path.iterdir()) == [tmp_path / "training.jsonl"]


def test_the_table_can_be_left_out(nlp, tmp_path):
    stdout = io.StringIO()
    log, _ = create(nlp, stdout, path=str(tmp_path / "log.jsonl"), console=False)
    Loop(log).run(4)
    assert stdout.getvalue() == ""
    assert len(lines_of(tmp_path / "log.jsonl")) == 1


@pytest.mark.parametrize("every", [0, -3])
def test_every_is_a_number_of_steps(every):
    with pytest.raises(ValueError, match=f"every .*{every}"):
        registry.loggers.get("semivae.Logger.v1")(every=every)


# Going on


@pytest.mark.parametrize("every", [None, 1, 3])
@pytest.mark.parametrize("start", [2, 4, 6, 9])
def test_a_run_that_goes_on_logs_as_one_that_did_not_stop(every, start, nlp, tmp_path):
    whole, path = tmp_path / "whole.jsonl", tmp_path / "log.jsonl"
    outputs = [io.StringIO(), io.StringIO()]
    Loop(create(nlp, outputs[0], path=str(whole), every=every)[0]).run(16)
    Loop(create(nlp, path=str(path), every=every)[0]).run(11)  # killed here
    before = path.read_bytes()
    with path.open("ab") as file:
        file.write(b'{"step": 12, "losses": {"vsl')
    Loop(create(nlp, outputs[1], path=str(path), every=every)[0], start).run(16 - start)
    expected, found = lines_of(whole), lines_of(path)
    for row, other in zip(expected, found, strict=True):
        assert row.pop("losses") == pytest.approx(other.pop("losses"))
        del row["time"], other["time"]
    assert found == expected
    kept = [line for line in before.splitlines() if json.loads(line)["step"] <= start]
    assert path.read_bytes().splitlines()[: len(kept)] == kept
    lost = tmp_path / "lost.jsonl"
    Loop(create(nlp, path=str(lost), every=every)[0], start).run(16 - start)
    means = {row["step"]: row["losses"]["vsl_tagger"] for row in lines_of(whole)}
    later = {row["step"]: row["losses"]["vsl_tagger"] for row in lines_of(lost)[1:]}
    assert later == {step: means[step] for step in later}
    tables = [[line.split() for line in out.getvalue().splitlines()] for out in outputs]
    assert tables[1] == [tables[0][0], *[r for r in tables[0][1:] if int(r[1]) > start]]


def test_a_new_run_begins_a_new_log(nlp, tmp_path):
    path = tmp_path / "log.jsonl"
    for _ in range(2):
        Loop(create(nlp, path=str(path))[0]).run(8)
        assert [row["step"] for row in lines_of(path)] == [4, 8]


# In runs


def test_a_run(start, tmp_path):
    settings = {"training__logger__@loggers": "semivae.Logger.v1"}
    settings["training__logger__path"] = str(tmp_path / "log.jsonl")
    nlp, semivae = start(**settings)
    train_nlp(nlp, semivae, stdout=io.StringIO(), stderr=io.StringIO())
    rows = read_log(tmp_path / "log.jsonl")
    assert [row["step"] for row in rows] == [2, 4]
    assert set(rows[0]["losses"]) >= {"vsl_tagger_supervised", "vsl_tagger_unlabeled_kl"}
    assert rows[0]["scores"]["tag_acc"] == rows[0]["score"]


def test_units_of_a_latent(tmp_path):
    nlp, examples = spacy.blank("en"), []
    model = {"width": 4, "hidden": 4, "width_z": 3, "width_y": 3, "tok2vec": None}
    nlp.add_pipe("ssvae_textcat", config={"model": model})
    for i, text in enumerate(["we like Rome", "no names here"] * 2):
        examples.append(
            Example.from_dict(nlp.make_doc(text), {"cats": {"a": i % 2, "b": 1 - i % 2}})
        )
    nlp.initialize(lambda: examples)
    losses, scores = nlp.update(examples), nlp.evaluate(examples)
    nlp.config["training"]["score_weights"] = {"cats_score": 1.0}
    log, _ = create(nlp, path=str(tmp_path / "log.jsonl"))
    Loop(log, losses=losses, other_scores=scores).run(4, every_step=False)
    (row,) = lines_of(tmp_path / "log.jsonl")
    assert len(row["scores"]["cats_unit_kl"]) == 3
    assert row["losses"]["ssvae_textcat_active_units"] * 4 == losses["ssvae_textcat_active_units"]
    assert row["weights"]["ssvae_textcat"]["kl"] == nlp.get_pipe("ssvae_textcat").weights()["kl"]
