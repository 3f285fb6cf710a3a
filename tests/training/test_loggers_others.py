"""Other loggers beside ours: what they are told, in configs, MLflow for real; TensorBoard."""

import io

import pytest
import spacy
from spacy.training.loop import train
from spacy.util import registry

from spacy_semivae.training.log_board import Board
from spacy_semivae.training.run import train_nlp


@pytest.fixture
def nlp():
    nlp = spacy.blank("en")
    nlp.add_pipe("vsl_tagger")
    nlp.config["training"]["score_weights"] = {"tag_acc": 1.0}
    return nlp


def report(step, score):
    scores = {"tag_acc": score, "per_tag": {"A": 0.25}} if score is not None else None
    return {
        "epoch": 0,
        "step": step,
        "score": score,
        "other_scores": scores,
        "losses": {"vsl_tagger": 2.0 * step, "vsl_tagger_kl": 1.0},
        "checkpoints": [(score or 0.0, step)],
        "seconds": 1.0,
        "words": 10,
    }


def log(nlp, *infos, **settings):
    log_step, finalize = registry.loggers.get("semivae.Logger.v1")(**settings)(
        nlp, io.StringIO(), io.StringIO()
    )
    for info in infos:
        log_step(info)
    finalize()


class Spy:
    """A logger that keeps what it is told."""

    def __init__(self):
        self.told = []

    def __call__(self, nlp, stdout, stderr):
        self.streams = (stdout, stderr)
        return self.told.append, lambda: self.told.append("end")


@pytest.mark.parametrize("many", [True, False])
def test_others_are_told_what_spacy_tells_them(many, nlp, tmp_path):
    spies = {"one": Spy(), "two": Spy()} if many else {"one": Spy()}
    infos = [report(1, None), None, report(3, 0.5)]
    loggers = spies if many else spies["one"]
    log(nlp, *infos, loggers=loggers, every=1, path=str(tmp_path / "log"))
    for spy in spies.values():
        assert spy.told == [None, None, infos[2], "end"]


@pytest.mark.parametrize("single", [True, False])
def test_loggers_of_spacy_in_a_config(single, start, tmp_path):
    console = {"@loggers": "spacy.ConsoleLogger.v3", "output_file": str(tmp_path / "spacy.jsonl")}
    look_up = {"@loggers": "spacy.LookupLogger.v1", "patterns": ["^words$"]}
    loggers = {"first": console, "second": look_up}
    if single:
        chain = {"logger1": console, "logger2": look_up}
        loggers = {"@loggers": "spacy.ChainLogger.v1", **chain}
    block = {"@loggers": "semivae.Logger.v1", "loggers": loggers, "console": False}
    nlp, settings = start()
    nlp.config["training"]["logger"] = block
    stdout = io.StringIO()
    train_nlp(nlp, settings, stdout=stdout, stderr=io.StringIO())
    assert len((tmp_path / "spacy.jsonl").read_text().splitlines()) == 2
    assert stdout.getvalue().count("words -> ") == 2


def test_in_spacys_own_loop(start, tmp_path):
    nlp, _ = start()
    path = tmp_path / "training.jsonl"
    nlp.config["training"]["logger"] = {"@loggers": "semivae.Logger.v1", "every": 1}
    train(nlp, tmp_path, stdout=io.StringIO(), stderr=io.StringIO())
    assert len(path.read_text().splitlines()) == 3  # steps 0, 2 and 4


# MLflow


def test_tensorboard_gets_every_row(nlp, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(Board, "__init__", lambda self, folder: told.append(folder))
    monkeypatch.setattr(Board, "resume", lambda self, step: told.append(step))
    monkeypatch.setattr(Board, "write", lambda self, row: told.append(row["losses"]))
    monkeypatch.setattr(Board, "close", lambda self: told.append("end"))
    log(nlp, report(2, None), report(4, 0.5), tensorboard="board", every=2)
    first = {"vsl_tagger": 2.0, "vsl_tagger_kl": 0.5}
    assert told == ["board", 1, first, {"vsl_tagger": 2.0, "vsl_tagger_kl": 0.0}, "end"]


def test_what_is_no_logger():
    with pytest.raises(ValueError, match=r"loggers .*'MLflow'"):
        registry.loggers.get("semivae.Logger.v1")(loggers={"a": "MLflow"})


def test_mlflow(start, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    experiment = mlflow.create_experiment("semivae")
    nlp, settings = start()
    nlp.config["training"]["logger"] = {
        "@loggers": "semivae.Logger.v1",
        "path": str(tmp_path / "log.jsonl"),
        "loggers": {
            "mlflow": {"@loggers": "spacy.MLflowLogger.v2", "experiment_id": experiment},
        },
    }
    train_nlp(nlp, settings, stdout=io.StringIO(), stderr=io.StringIO())
    (run,) = mlflow.MlflowClient().search_runs([experiment])
    assert run.info.status == "FINISHED"
    assert run.data.params["training.max_steps"] == "4"
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss_vsl_tagger_kl")
    assert len(history) == 2
    assert run.data.metrics["tag_acc"] == run.data.metrics["score"]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2
