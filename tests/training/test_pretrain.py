"""Pretraining: the vocabulary, the texts held out, epochs and perplexity."""

import math
from pathlib import Path

import numpy
import pytest
import spacy
from spacy.util import load_config_from_str

from spacy_semivae.layers.texts import take_excerpts
from spacy_semivae.training.initialize import initialize_nlp
from spacy_semivae.training.pretrain import measure, prepare, to_perplexity, train_epochs
from spacy_semivae.training.template import make_config

DEMO = Path(__file__).parents[2] / "assets" / "demo"
MODEL = "components.ssvae_textcat.model"


@pytest.fixture
def load():
    """Load a tiny config on some texts of the demo corpus."""

    def make(pipeline=("ssvae_textcat",), **overrides):
        settings = {
            "paths.train": str(DEMO / "train.spacy"),
            "paths.dev": str(DEMO / "dev.spacy"),
            "paths.unlabeled": str(DEMO / "unlabeled.txt"),
            "corpora.train.limit": 20,
            "corpora.unlabeled.limit": 60,
            "semivae.pretraining.max_epochs": 3,
            f"{MODEL}.width": 6,
            f"{MODEL}.hidden": 8,
            f"{MODEL}.width_z": 3,
            f"{MODEL}.width_y": 3,
        }
        if "ssvae_textcat" not in pipeline:
            settings = {k: v for k, v in settings.items() if "comp" not in k and "pre" not in k}
        settings.update({key.replace("__", "."): value for key, value in overrides.items()})
        text = make_config(list(pipeline), lang="en")
        return load_config_from_str(text, overrides=settings, interpolate=False)

    return make


def test_the_vocabulary_is_what_the_component_would_choose(load):
    config = load(components__ssvae_textcat__model__max_words=40)
    nlp, _ = initialize_nlp(config)
    expected = nlp.get_pipe("ssvae_textcat").model.attrs["targets"]
    assert list(prepare(config).lm.attrs["targets"]) == list(expected)
    assert len(expected) == 40


def test_held_out_texts_are_not_trained_on(load):
    run = prepare(load(semivae__pretraining__heldout=7))
    held = {doc.text for doc in run.streams.heldout}
    assert len(held) == 9  # of 60, every seventh from the first on
    texts = [[eg.predicted.text for eg in run.streams.training(epoch)] for epoch in (0, 1, 0)]
    assert not held & set(texts[0])
    assert len(texts[0]) == 51
    assert texts[0] == texts[2] != texts[1]
    assert sorted(texts[0]) == sorted(texts[1])


def test_held_out_texts_that_come_twice(load, tmp_path):
    raw = tmp_path / "raw.txt"
    raw.write_text("one two\nthree four\nONE two !\n?\n!\n", encoding="utf8")
    config = load(paths__unlabeled=str(raw), corpora__unlabeled__shuffle_buffer=0)
    run = prepare(config)
    assert [doc.text for doc in run.streams.heldout] == ["one two"]
    assert [eg.predicted.text for eg in run.streams.training(0)] == ["three four", "?", "!"]


def test_perplexity_falls_and_is_that_of_the_words(load):
    run = prepare(load(semivae__pretraining__optimizer__learn_rate=0.02))
    before = measure(run)
    excerpts = take_excerpts(run.reader, run.streams.heldout, False)
    assert before == pytest.approx(math.exp(run.lm.predict(excerpts)))
    texts = []
    reports = list(train_epochs(run, texts.append))
    assert [report.epoch for report in reports] == [1, 2, 3]
    assert sum(texts) == 3 * 57
    assert reports[-1].steps == run.progress.steps == 6  # two batches of up to 32 an epoch
    assert reports[-1].training < reports[0].training
    assert reports[-1].heldout < before
    best = min(reports, key=lambda report: report.heldout)
    assert (run.progress.best_epoch, run.progress.perplexity) == (best.epoch, best.heldout)
    assert [r.is_best for r in reports] == [
        r.heldout < min([e.heldout for e in reports[:i]], default=math.inf)
        for i, r in enumerate(reports)
    ]
    assert measure(run) == reports[-1].heldout


def test_the_same_seed_gives_the_same_weights(load):
    def weights(**overrides):
        run = prepare(load(semivae__pretraining__max_epochs=1, **overrides))
        list(train_epochs(run))
        return run.lm.shims[0].to_bytes()

    assert weights() == weights() != weights(system__seed=1)


@pytest.mark.parametrize(
    "changes",
    [
        {"dropout": 0.5},
        {"autoencoder": True},
        {"batcher__size": 5},
        {"optimizer__learn_rate": 0.1},
        {"max_grad_norm": 0.01},
        {"heldout": 3},
        {"max_epochs": 2},
    ],
)
def test_every_setting_has_an_effect(changes, load):
    def end(changes):
        changes = {"max_epochs": 1, **changes}
        run = prepare(load(**{f"semivae__pretraining__{k}": v for k, v in changes.items()}))
        list(train_epochs(run))
        return run.progress.perplexity

    assert end(changes) != end({})


def test_an_infinite_loss_names_its_step(load):
    run = prepare(load())
    run.lm.shims[0].module.output.data.fill_(numpy.inf)
    with pytest.raises(FloatingPointError, match="Pretraining, step 0: loss term 'language model'"):
        list(train_epochs(run))


def test_components_by_name(load):
    config = load()
    for part in ("components", "initialize.components"):
        block = config
        for name in part.split("."):
            block = block[name]
        block["second"] = block["ssvae_textcat"].copy()
    config["components"]["second"]["model"] = {
        **config["components"]["second"]["model"],
        "hidden": 5,
    }
    config["nlp"]["pipeline"] = ["ssvae_textcat", "second"]
    with pytest.raises(ValueError, match=r"one ssvae_textcat, or its name: got .*'second'"):
        prepare(config)
    config["semivae"]["pretraining"]["component"] = "second"
    assert prepare(config).lm.shims[0].cfg["hidden"] == 5
    config["semivae"]["pretraining"]["component"] = "third"
    with pytest.raises(ValueError, match="needs ssvae_textcat 'third': got"):
        prepare(config)


def test_a_pipeline_without_such_a_component(load):
    with pytest.raises(ValueError, match=r"got \[\] of \['vsl_tagger'\]"):
        prepare(load(["vsl_tagger"]))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"semivae__unlabeled_corpus": None}, "semivae.unlabeled_corpus is null"),
        ({"semivae__init_unlabeled": 0}, "needs raw text, but there is none among the first 0"),
        ({"semivae__pretraining__heldout": 1}, "pretraining.heldout: .*2"),
        ({"semivae__pretraining__epochs": 1}, "pretraining.epochs: Extra"),
        ({"semivae__pretraining__optimizer__use_averages": True}, "set use_averages to false"),
        ({"paths__unlabeled": None}, "set paths.unlabeled"),
        ({"paths__train": None}, "set paths.train"),
    ],
)
def test_wrong_settings(overrides, message, load):
    with pytest.raises(ValueError, match=message):
        prepare(load(**overrides))


def test_nothing_is_left_to_learn_from(load):
    with pytest.raises(ValueError, match="all are held out"):
        list(train_epochs(prepare(load(corpora__unlabeled__limit=1))))


def test_a_config_without_the_block_has_defaults(load):
    config = load()
    del config["semivae"]["pretraining"]
    settings = prepare(config).settings
    assert (settings.max_epochs, settings.heldout, settings.autoencoder) == (5, 20, False)


def test_too_large_to_tell():
    assert to_perplexity(3.0, 2) == math.exp(1.5)
    assert to_perplexity(1e9, 1) == math.inf


def test_only_the_tokenizer_is_initialized(load):
    run = prepare(load())
    assert isinstance(run.streams.nlp, spacy.language.Language)
    assert not run.streams.nlp.get_pipe("ssvae_textcat").labels
