"""Pretraining in a folder: saving, going on, interrupts, and the classifier that starts with it."""

import io
from pathlib import Path

import pytest
import spacy
import srsly
import torch
from spacy.util import load_config_from_str

import spacy_semivae.training.pretrain_run as pretrain_run
from spacy_semivae.layers.text_lm import load_text_lm
from spacy_semivae.training.initialize import initialize_nlp
from spacy_semivae.training.pretrain_run import pretrain
from spacy_semivae.training.template import make_config

DEMO = Path(__file__).parents[2] / "assets" / "demo"
MODEL = "components.ssvae_textcat.model"
EPOCHS = "semivae.pretraining.max_epochs"


def load(epochs=3, **overrides):
    settings = {
        "paths.train": str(DEMO / "train.spacy"),
        "paths.dev": str(DEMO / "dev.spacy"),
        "paths.unlabeled": str(DEMO / "unlabeled.txt"),
        "corpora.train.limit": 20,
        "corpora.unlabeled.limit": 60,
        EPOCHS: epochs,
        f"{MODEL}.width": 6,
        f"{MODEL}.hidden": 8,
        f"{MODEL}.width_z": 3,
        f"{MODEL}.width_y": 3,
        f"{MODEL}.max_length": 8,
        f"{MODEL}.truncation": "random_crop",
    }
    settings.update({key.replace("__", "."): value for key, value in overrides.items()})
    text = make_config(["ssvae_textcat"], lang="en")
    return load_config_from_str(text, overrides=settings, interpolate=False)


def run(output, config=None, **switches):
    stdout = io.StringIO()
    config = load() if config is None else config
    return pretrain(config, output, stdout=stdout, stderr=io.StringIO(), **switches), stdout


def files(folder):
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.mark.parametrize("autoencoder", [True, False])
def test_a_resumed_run_ends_as_one_that_did_not_stop(autoencoder, tmp_path):
    def config(epochs):
        return load(epochs, semivae__pretraining__autoencoder=autoencoder)

    whole, _ = run(tmp_path / "whole", config(3))
    run(tmp_path / "parts", config(1))
    run(tmp_path / "parts", config(2), resume=True)
    resumed, stdout = run(tmp_path / "parts", config(3), resume=True)
    assert resumed == whole
    assert "Resumed after epoch 2 of 3" in stdout.getvalue()
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


def test_files_and_table(tmp_path):
    result, stdout = run(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"model-best", "model-last"}
    assert set(files(tmp_path / "model-best")) == {
        "checksums.json",
        "settings.json",
        "weights.safetensors",
        "words.json",
    }
    assert result["epoch"] == 3
    rows = stdout.getvalue().splitlines()
    assert rows[1].split() == ["E", "#", "WORDS", "PPL", "TRAIN", "PPL", "HELDOUT", "W/S"]
    assert [row.split()[:2] for row in rows[2:5]] == [["1", "2"], ["2", "4"], ["3", "6"]]
    assert f"{result['perplexity']:.2f}" in rows[1 + result["best_epoch"]]
    assert f"epoch 3, the best one is {result['best_epoch']}" in " ".join(rows[5:])


def test_the_best_epoch_is_loaded(tmp_path, monkeypatch):
    perplexities = iter([9.0, 7.0, 8.0])
    monkeypatch.setattr("spacy_semivae.training.pretrain.measure", lambda run: next(perplexities))
    result, _ = run(tmp_path)
    assert (result["best_epoch"], result["perplexity"]) == (2, 7.0)
    monkeypatch.undo()
    run(tmp_path / "two", load(2))
    best = load_text_lm(tmp_path).shims[0].to_bytes()
    assert best == load_text_lm(tmp_path / "two" / "model-last").shims[0].to_bytes()
    assert best != load_text_lm(tmp_path / "model-last").shims[0].to_bytes()


def interrupt(monkeypatch, *, epoch):
    """Stop in the second batch of an epoch."""
    update, calls = pretrain_run.train_epochs, []

    def stop(run, watch):
        def count(n):
            calls.append(n)
            if len(calls) == 2 * epoch:
                raise KeyboardInterrupt
            watch(n)

        return update(run, count)

    monkeypatch.setattr(pretrain_run, "train_epochs", stop)


def test_an_interrupt_keeps_the_last_epoch(tmp_path, monkeypatch):
    run(tmp_path / "whole")
    interrupt(monkeypatch, epoch=2)
    result, stdout = run(tmp_path / "parts")
    assert result["epoch"] == 1
    assert "Interrupted; saved" in stdout.getvalue()
    monkeypatch.undo()
    run(tmp_path / "parts", resume=True)
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


def test_an_interrupt_before_the_first_epoch_ends(tmp_path, monkeypatch):
    interrupt(monkeypatch, epoch=1)
    result, stdout = run(tmp_path)
    assert result["epoch"] == 0
    assert "nothing saved" in stdout.getvalue()
    assert files(tmp_path) == {}


def test_an_infinite_loss_names_what_was_saved(tmp_path, monkeypatch):
    run(tmp_path, load(1))
    load_run = pretrain_run.load_run

    def spoil(run, folder):
        load_run(run, folder)
        run.lm.shims[0].module.output.data.fill_(torch.inf)

    monkeypatch.setattr(pretrain_run, "load_run", spoil)
    with pytest.raises(FloatingPointError, match=r"step 2: .*checkpoint: .*model-last"):
        run(tmp_path, resume=True)


def test_a_folder_that_holds_a_run(tmp_path):
    run(tmp_path, load(1))
    before = files(tmp_path)
    with pytest.raises(FileExistsError, match="--resume goes on with it, --overwrite deletes it"):
        run(tmp_path)
    with pytest.raises(ValueError, match="choose one"):
        run(tmp_path, resume=True, overwrite=True)
    with pytest.raises(ValueError, match="heldout"):
        run(tmp_path, load(semivae__pretraining__heldout=1), overwrite=True)
    assert files(tmp_path) == before
    assert run(tmp_path, load(2), overwrite=True)[0]["epoch"] == 2


def test_nothing_to_resume(tmp_path):
    with pytest.raises(ValueError, match="holds no run of pretraining to resume"):
        run(tmp_path, resume=True)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"corpora__unlabeled__limit": 50}, "different words"),
        ({f"{MODEL}.hidden": 7}, "different model: .*'hidden': 8.*'hidden': 7"),
        ({f"{MODEL}.normalize": []}, "different rules"),
        ({"semivae__pretraining__batcher__size": 9}, "different settings: .*32.*9"),
        ({"system__seed": 3}, "different settings"),
    ],
)
def test_another_run_is_not_resumed(overrides, message, tmp_path):
    run(tmp_path, load(1))
    before = files(tmp_path)
    with pytest.raises(ValueError, match=message):
        run(tmp_path, load(2, **overrides), resume=True)
    assert files(tmp_path) == before


# The classifier


def start(folder, **overrides):
    config = load(paths__language_model=str(folder), **overrides)
    return initialize_nlp(config)[0].get_pipe("ssvae_textcat")


@pytest.mark.parametrize("encoder", [True, False])
def test_a_classifier_starts_with_a_language_model(encoder, tmp_path):
    run(tmp_path / "lm", load(1, components__ssvae_textcat__model__max_words=30))
    key = "initialize__components__ssvae_textcat__language_model_encoder"
    pipe = start(tmp_path / "lm", **{key: encoder})
    words = srsly.read_json(tmp_path / "lm" / "model-best" / "words.json")
    assert list(pipe.model.attrs["targets"]) == words
    assert len(words) == 30
    source = load_text_lm(tmp_path / "lm").shims[0].module
    found = pipe.model.shims[0].module
    assert torch.equal(found.embedding.weight, source.embedding.weight)
    assert torch.equal(found.reader.lstm.weight_ih_l0, source.reader.lstm.weight_ih_l0)
    others = found.generator.encoder.lstm.weight_ih_l0
    assert torch.equal(others, source.reader.lstm.weight_ih_l0) == encoder


def test_it_is_not_needed_after_that(tmp_path):
    run(tmp_path / "lm", load(1))
    nlp, _ = initialize_nlp(load(paths__language_model=str(tmp_path / "lm")))
    nlp.to_disk(tmp_path / "nlp")
    (tmp_path / "lm").rename(tmp_path / "gone")
    loaded = spacy.load(tmp_path / "nlp")
    assert loaded("wow movi beku").cats == nlp("wow movi beku").cats


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({f"{MODEL}.width": 5}, r"\(\d+, 6\), but the classifier needs \(\d+, 5\)"),
        ({f"{MODEL}.hidden": 9}, r"\(32, 6\), but the classifier needs \(36, 6\)"),
        ({f"{MODEL}.normalize": []}, r"normalize = \['users', 'urls'\], but .* \[\]"),
    ],
)
def test_a_language_model_of_another_size(overrides, message, tmp_path):
    run(tmp_path, load(1))
    with pytest.raises(ValueError, match=message):
        start(tmp_path, **overrides)


def test_a_language_model_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="holds no language model"):
        start(tmp_path / "none")
    key = "initialize__components__ssvae_textcat__language_model_encoder"
    with pytest.raises(ValueError, match="language_model_encoder has no language_model"):
        initialize_nlp(load(**{key: True}))
