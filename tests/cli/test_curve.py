"""`semivae curve` from the command line: a whole curve, and ways to get it wrong."""

import pytest
import srsly

from spacy_semivae.analysis.curve import curve as module
from spacy_semivae.analysis.curve import point, pool
from spacy_semivae.cli.curve import read_setting

OWN_CODE = """
from pathlib import Path

import spacy


@spacy.registry.callbacks("test.fail.v1")
def make(flag: str):
    def before_update(nlp, args):
        if Path(flag).exists() and nlp.config["semivae"]["unlabeled_corpus"]:
            raise ValueError("no luck")

    return before_update
"""


@pytest.fixture
def curve(tiny):
    def arguments(output, *options, **overrides):
        _, config, *settings = tiny(**overrides)
        return ["curve", config, output, *settings, *options]  # the last one counts

    return arguments


@pytest.fixture(params=["here", pytest.param("processes", marks=pytest.mark.slow)])
def _where(request, monkeypatch):
    """Train in this process, which is quick, or as it is done in earnest."""

    def run_jobs(jobs, n_jobs, *, on_start, on_end):
        for job in jobs:
            on_start(job)
            code = 0
            try:
                point.run_job(job)
            except SystemExit as ended:
                code = ended.code
            on_end(job, pool.find_error(job, code))

    if request.param == "here":
        monkeypatch.setattr(module, "run_jobs", run_jobs)
        monkeypatch.setattr(point, "follow_parent", lambda: None)


@pytest.mark.usefixtures("_where")
def test_a_curve_with_a_point_that_fails_at_first(semivae, curve, tmp_path):
    flag, code_file, out = tmp_path / "flag", tmp_path / "own.py", tmp_path / "out"
    code_file.write_text(OWN_CODE, encoding="utf8")
    flag.touch()
    block = srsly.json_dumps({"@callbacks": "test.fail.v1", "flag": str(flag)})
    options = ["--labeled", "20", "--raw", "30", "--seeds", "1", "--jobs", "2", "--code", code_file]
    args = curve(out, *options, training__before_update=block, training__max_steps=2)
    code, output = semivae(*args)
    assert code == 1
    assert "Failed: 20 labelled, 30 raw, seed 0" in output
    assert "ValueError: no luck" in output
    assert "No comparison" in output
    flag.unlink()
    code, output = semivae(*args)
    assert code == 0, output
    assert "1 of 2 points were finished before" in output
    assert "at 20 labels with 30 raw texts" in output
    assert "No estimate of what more labels would give" in output
    found = srsly.read_json(out / "summary.json")
    assert found["failed"] == {}
    assert [(row["labeled"], row["raw"]) for row in found["rows"]] == [(20, 0), (20, 30)]
    names = {"corpora", "curve.csv", "curve.json", "curve.png", "points", "summary.json"}
    assert {path.name for path in out.iterdir()} == names
    # all points are there: what it says can be asked for again in no time
    code, output = semivae(*args, "--no-plot", "--more", "5")
    assert code == 0
    assert "2 of 2 points were finished before" in output
    code, output = semivae(*args, "--training.dropout", "0.5")
    assert code == 1
    assert "config.training.dropout: 0.0 then, 0.5 now" in output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--labeled", "21"], "must not exceed the 20 that the config reads (got '21')"),
        (["--labeled", "none"], "a share such as 25%, or all (got 'none')"),
        (["--raw", "0"], "at least one amount of raw Docs above 0"),
        (["--metric", "bleu"], "--metric must be one of ['morph_acc', 'pos_acc', 'tag_acc']"),
        (["--twin", "alpha=0"], "section.name=value (got 'alpha=0')"),
        (["--twin", "components.other.alpha=0"], "'components.other.alpha'"),
        (["--bogus", "3"], "--bogus"),
        (["--training.max_stepz", "3"], "Unknown settings in [training]: training.max_stepz"),
        (["--paths.unlabeled", "no_such.txt"], "no_such.txt"),
    ],
)
def test_what_is_wrong_is_one_message(semivae, curve, tmp_path, options, message):
    code, output = semivae(*curve(tmp_path / "out", *options))
    assert code == 1, output
    assert message in output
    assert not (tmp_path / "out" / "summary.json").exists()


def test_settings_of_the_twin():
    assert read_setting("training.dropout=0.5") == ("training.dropout", 0.5)
    assert read_setting("a.b.decoder=null") == ("a.b.decoder", None)
    assert read_setting("a.name=x=y") == ("a.name", "x=y")
