"""`semivae pretrain`, and a classifier that starts with what it wrote."""

from pathlib import Path

import pytest
import spacy

from spacy_semivae.layers.text_lm import load_text_lm

DEMO = Path(__file__).parents[2] / "assets" / "demo"
MODEL = "components.ssvae_textcat.model"


@pytest.fixture
def config(semivae, tmp_path):
    path = tmp_path / "config.cfg"
    assert semivae("init-config", path, "--pipeline", "ssvae_textcat")[0] == 0
    return path


@pytest.fixture
def small():
    """Options for a tiny model on some texts of the demo corpus."""

    def options(**overrides):
        settings = {
            "paths.train": DEMO / "train.spacy",
            "paths.dev": DEMO / "dev.spacy",
            "paths.unlabeled": DEMO / "unlabeled.txt",
            "corpora.train.limit": 20,
            "corpora.dev.limit": 10,
            "corpora.unlabeled.limit": 60,
            "semivae.pretraining.max_epochs": 2,
            f"{MODEL}.width": 4,
            f"{MODEL}.hidden": 6,
            f"{MODEL}.width_z": 3,
            **overrides,
        }
        return [part for key, value in settings.items() for part in (f"--{key}", value)]

    return options


def test_a_language_model_and_the_classifier_after_it(semivae, config, small, tmp_path):
    out = tmp_path / "new" / "lm"
    code, output = semivae("pretrain", config, "--output", out, *small())
    assert code == 0, output
    assert "PPL HELDOUT" in output
    assert "epoch 2, the best one is" in output
    started = small(**{"paths.language_model": out, "training.max_steps": 2})
    code, output = semivae("train", config, "--output", tmp_path / "nlp", *started)
    assert code == 0, output
    nlp = spacy.load(tmp_path / "nlp" / "model-best")
    words = list(nlp.get_pipe("ssvae_textcat").model.attrs["targets"])
    assert words == load_text_lm(out).attrs["targets"]
    assert sum(nlp("wow movi").cats.values()) == pytest.approx(1.0)


def test_resume_and_overwrite(semivae, config, small, tmp_path):
    run = ["pretrain", config, "--output", tmp_path / "lm"]
    assert semivae(*run, *small())[0] == 0
    code, output = semivae(*run, *small())
    assert code == 1
    assert "--resume goes on with it, --overwrite deletes it" in output
    code, output = semivae(*run, *small(**{"semivae.pretraining.max_epochs": 3}), "--resume")
    assert code == 0, output
    assert "Resumed after epoch 2 of 3" in output
    code, output = semivae(*run, *small(), "--overwrite")
    assert code == 0, output
    assert "epoch 2, the best one" in output
    assert semivae(*run, *small(), "--overwrite", "--resume")[0] == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--bogus", "3"], "--bogus"),
        (["--resume"], "holds no run of pretraining to resume"),
        (["--semivae.pretraining.epochs", "3"], "semivae.pretraining.epochs: Extra inputs"),
        (["--training.max_stepz", "3"], "Unknown settings in [training]: training.max_stepz"),
        (["--paths.unlabeled", "no_such.txt"], "no_such.txt"),
        (["--semivae.unlabeled_corpus", "null"], "semivae.unlabeled_corpus is null"),
        (["--semivae.pretraining.component", "other"], "needs ssvae_textcat 'other'"),
        (["--code", "no_such_file.py"], "no_such_file.py"),
    ],
)
def test_a_wrong_setting_ends_with_one_message(semivae, config, small, tmp_path, args, message):
    code, output = semivae("pretrain", config, "--output", tmp_path / "lm", *small(), *args)
    assert code == 1, output
    assert message in output
    assert not (tmp_path / "lm").exists()


def test_a_language_model_that_is_not_there(semivae, config, small, tmp_path):
    code, output = semivae("train", config, *small(**{"paths.language_model": "no_such_folder"}))
    assert code == 1
    assert "no_such_folder holds no language model" in output
