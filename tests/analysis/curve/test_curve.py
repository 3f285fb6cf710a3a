import pytest
import srsly
from spacy.util import load_config

from spacy_semivae.analysis.curve import curve as module
from spacy_semivae.analysis.curve.curve import CurveSettings, plan_curve, run_curve
from spacy_semivae.analysis.curve.plan import Point
from spacy_semivae.analysis.curve.point import CONFIG, RESULT

SETTINGS = CurveSettings(labeled="50%,all", raw="10,all", seeds=2)


@pytest.fixture
def trained(monkeypatch):
    """Let jobs end at once; those in the set fail. Gives what was run."""
    ran, failing = [], set()

    def run_jobs(jobs, n_jobs, *, on_start, on_end):
        for job in jobs:
            on_start(job)
            ran.append(job.point)
            if job.point in failing:
                on_end(job, "ValueError: bad")
            else:
                srsly.write_json(job.folder / RESULT, {"score": job.point.labeled / 100})
                on_end(job, None)

    monkeypatch.setattr(module, "run_jobs", run_jobs)
    return ran, failing


def test_a_plan_has_configs_and_corpora(make_config, tmp_path):
    jobs = plan_curve(make_config(system__seed=3), tmp_path, SETTINGS)
    assert [(j.point.seed, j.point.labeled, j.point.raw) for j in jobs] == [
        (seed, labeled, raw) for seed in (3, 4) for labeled in (10, 20) for raw in (0, 10, 30)
    ]
    for job in jobs:
        config = load_config(job.folder / CONFIG, interpolate=True)
        assert config["training"]["seed"] == job.point.seed
        assert config["corpora"]["train"]["limit"] == job.point.labeled
        assert config["corpora"]["train"]["path"].endswith(f"labeled-seed-{job.point.seed}.spacy")
    assert srsly.read_json(tmp_path / "curve.json")["metric"] == "tag_acc"


@pytest.mark.parametrize(
    ("settings", "overrides", "message"),
    [
        ({"labeled": "21"}, {}, "must not exceed the 20"),
        ({"labeled": "0"}, {}, "at least 1"),
        ({"raw": "31"}, {}, "must not exceed the 30"),
        ({"raw": "x"}, {}, "got 'x'"),
        ({"metric": "ents_f"}, {}, "--metric must be one of"),
        ({"twin": {"training.no.such": 1}}, {}, "'training.no.such'"),
        ({}, {"training__max_stepz": 3}, "training.max_stepz"),
        ({}, {"semivae__alfa": 3}, "semivae.alfa"),
        ({}, {"components__vsl_tagger__alfa": 3}, "alfa"),
        ({}, {"paths__train": None}, "set paths.train"),
        ({}, {"paths__train": "no_such.spacy"}, "no_such.spacy"),
        ({}, {"paths__dev": "no_such.spacy"}, "no_such.spacy"),
        ({}, {"paths__unlabeled": "no_such.txt"}, "no_such.txt"),
        ({}, {"semivae__unlabeled_corpus": None}, "semivae.unlabeled_corpus"),
    ],
)
def test_what_is_wrong_is_said_before_training(make_config, tmp_path, settings, overrides, message):
    with pytest.raises((ValueError, OSError), match=message):
        plan_curve(make_config(**overrides), tmp_path / "out", CurveSettings(**settings))
    assert not (tmp_path / "out" / "points").exists() or "twin" in settings


@pytest.mark.parametrize("name", ["seeds", "jobs"])
def test_numbers_that_are_too_small(name):
    with pytest.raises(ValueError, match=rf"{name} must be at least 1 \(got 0\)"):
        CurveSettings(**{name: 0})


def test_finished_points_are_not_trained_again(make_config, tmp_path, trained):
    ran, failing = trained
    failing.add(Point(1, 10, 30))
    jobs = plan_curve(make_config(), tmp_path, SETTINGS)
    ended = []
    curve = run_curve(jobs, 1, on_end=lambda job, result: ended.append((job.point, result)))
    assert ran == [point for point, _ in ended] == [job.point for job in jobs]
    assert curve.failed == {Point(1, 10, 30): "ValueError: bad"}
    assert len(curve.results) == 11
    assert (curve.metric, curve.labeled, curve.raw) == ("tag_acc", [10, 20], [0, 10, 30])
    # the same again with a seed more: only what failed and the new seed
    failing.clear()
    ran.clear()
    (jobs[0].folder / RESULT).write_text("{", encoding="utf8")  # damaged
    more = CurveSettings(labeled="50%,all", raw="10,all", seeds=3)
    curve = run_curve(plan_curve(make_config(), tmp_path, more), 1)
    assert ran == [Point(0, 10, 0), Point(1, 10, 30), *list(curve.results)[12:]]
    assert len(curve.results) == 18
    assert not curve.failed
