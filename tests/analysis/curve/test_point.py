import signal
from itertools import islice

import pytest
import srsly
from spacy.training.loop import DIR_MODEL_BEST

from spacy_semivae.analysis.curve import point as module
from spacy_semivae.analysis.curve.configs import make_twin
from spacy_semivae.analysis.curve.plan import Point
from spacy_semivae.analysis.curve.point import CONFIG, ERROR, LOG, RESULT, RUN, Job
from spacy_semivae.training import run as training


@pytest.fixture
def make_job(make_config, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "follow_parent", lambda: None)  # there is none

    def make(name="one", metric="tag_acc", test=None, **overrides):
        folder = tmp_path / name
        folder.mkdir()
        make_twin(make_config(**overrides), {}).to_disk(folder / CONFIG)
        return Job(Point(0, 20, 0), folder, metric, test)

    return make


def test_a_result_is_written_and_the_pipeline_removed(make_job):
    job = make_job()
    (job.folder / ERROR).touch()  # of an earlier try
    module.run_job(job)
    result = srsly.read_json(job.folder / RESULT)
    counts = result["counts"]
    assert len(counts) == 10
    right, _, gold = (sum(doc[0][i] for doc in counts) for i in range(3))
    assert result["score"] == pytest.approx(right / gold) == result["scores"]["tag_acc"]
    assert (result["seed"], result["labeled"], result["raw"]) == (0, 20, 0)
    assert (result["steps"], result["metric"]) == (2, "tag_acc")
    assert sorted(path.name for path in job.folder.iterdir()) == [CONFIG, LOG, RESULT]
    assert "LOSS VSL_TAGGER" in (job.folder / LOG).read_text("utf8")


def test_other_docs_can_be_measured(make_job, make_config):
    train = make_config()["paths"]["train"]
    result = module.measure_point(make_job(test=train, corpora__dev__limit=7))
    assert len(result["counts"]) == 7
    dev = module.measure_point(make_job("two", corpora__dev__limit=7))
    assert result["counts"] != dev["counts"]


def test_an_error_is_kept(make_job, capsys):
    job = make_job(metric="pos_acc")
    with pytest.raises(SystemExit):
        module.run_job(job)
    error = (job.folder / ERROR).read_text("utf8")
    assert error.startswith("ValueError: the Docs that are measured have no annotation for the")
    assert "Traceback" in (job.folder / LOG).read_text("utf8")
    assert not (job.folder / RESULT).exists()
    assert capsys.readouterr() == ("", "")


def test_a_point_goes_on_where_it_was_stopped(make_job, monkeypatch, capsys):
    overrides = {"training__max_steps": 6, "semivae__checkpoint_every": 2}
    whole = module.measure_point(make_job("whole", **overrides))
    job, follow = make_job("parts", **overrides), training.follow

    def stop_early(steps, *args):
        follow(islice(steps, 3), *args)

    with monkeypatch.context() as patch:
        patch.setattr(training, "follow", stop_early)
        assert module.train_point(job.folder, -1)["steps"] == 3
    result = module.measure_point(job)
    assert "Resumed at step 3" in capsys.readouterr().out
    assert (job.folder / RUN / DIR_MODEL_BEST).exists()
    assert {k: v for k, v in result.items() if k != "seconds"} == {
        k: v for k, v in whole.items() if k != "seconds"
    }


def test_a_signal_is_no_result(make_job, monkeypatch):
    job = make_job()
    monkeypatch.setattr(module, "train_nlp", lambda *args, **kwargs: {"signal": signal.SIGTERM})
    with pytest.raises(SystemExit) as stopped:
        module.run_job(job)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert not (job.folder / RESULT).exists()
    assert not (job.folder / ERROR).exists()
