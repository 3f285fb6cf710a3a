"""The language model over excerpts: its folder, and what it gives to a classifier."""

import math

import numpy
import pytest
import spacy
import torch
from tiny import CONVOLUTION

from spacy_semivae.architectures.models import build_ssvae
from spacy_semivae.layers.targets import set_vocabulary
from spacy_semivae.layers.text_lm import (
    load_text_lm,
    save_text_lm,
    start_classifier,
    take_words,
    text_lm,
)
from spacy_semivae.layers.texts import SPECIAL, take_excerpts
from spacy_semivae.layers.words import count_words
from spacy_semivae.modules.text_words import Texts

TEXTS = ["we like Rome", "we like New York .", "", "Rome like Rome ."]


@pytest.fixture
def docs():
    nlp = spacy.blank("en")
    return [nlp.make_doc(text) for text in TEXTS]


@pytest.fixture
def make_reader(docs):
    """Make a classifier's model whose vocabulary is chosen."""

    def make(**settings):
        torch.manual_seed(1)
        settings = {"width": 5, "hidden": 6, "width_z": 2, "width_y": 2, "dropout": 0.0, **settings}
        model = build_ssvae(nO=2, **settings)
        set_vocabulary(model, count_words(docs), docs[0].vocab)
        return model

    return make


@pytest.fixture
def lm(make_reader):
    torch.manual_seed(0)
    return text_lm(make_reader(), dropout=0.0, autoencoder=False)


def test_words_and_sizes_are_the_classifiers(lm):
    assert lm.attrs["targets"] == ["like", "rome", ".", "we"]
    cfg = lm.shims[0].cfg
    assert (cfg["nV"], cfg["width"], cfg["hidden"]) == (4 + SPECIAL, 5, 6)


def test_the_mean_of_all_words_and_its_gradient(lm, make_reader, docs):
    excerpts = take_excerpts(make_reader(), docs, False)
    module = lm.shims[0].module.eval()
    words, lengths = torch.from_numpy(excerpts.words), torch.from_numpy(excerpts.lengths)
    expected = module(Texts(words, lengths)).mean()
    assert lm.predict(excerpts) == pytest.approx(float(expected.detach()))
    loss, backprop = lm.begin_update(excerpts)
    assert backprop(2.0) is excerpts
    found = module.output.grad.clone()
    module.output.grad = None
    module.train()(Texts(words, lengths)).mean().backward()
    torch.testing.assert_close(found, 2 * module.output.grad)
    assert 0 < loss < 3 * math.log(6)


def test_a_folder(lm, make_reader, docs, tmp_path):
    save_text_lm(lm, tmp_path)
    state = torch.get_rng_state()
    loaded = load_text_lm(tmp_path)
    assert torch.equal(torch.get_rng_state(), state)
    excerpts = take_excerpts(make_reader(), docs, False)
    assert loaded.predict(excerpts) == lm.predict(excerpts)
    assert (loaded.attrs["targets"], loaded.attrs["normalize"]) == (lm.attrs["targets"], [])
    (tmp_path / "run" / "model-best").mkdir(parents=True)
    save_text_lm(lm, tmp_path / "run" / "model-best")
    assert load_text_lm(tmp_path / "run").predict(excerpts) == lm.predict(excerpts)


def test_a_folder_without_a_model(lm, tmp_path):
    with pytest.raises(ValueError, match=r"none holds no .*: settings\.json, words\.json, weights"):
        load_text_lm(tmp_path / "none")
    save_text_lm(lm, tmp_path)
    (tmp_path / "words.json").unlink()
    with pytest.raises(ValueError, match=r"`spacy semivae pretrain`: words\.json missing"):
        load_text_lm(tmp_path)


@pytest.mark.parametrize("encoder", [True, False])
def test_a_classifier_starts_with_its_weights(encoder, lm, make_reader, docs):
    model = make_reader()
    model.attrs["targets"] = []
    take_words(lm, model)
    model.initialize(X=docs)
    version = model.shims[0].version
    start_classifier(lm, model, encoder=encoder)
    found, source = model.shims[0].module, lm.shims[0].module
    assert model.shims[0].version > version
    assert model.attrs["targets"] == lm.attrs["targets"]
    assert torch.equal(found.embedding.weight, source.embedding.weight)
    assert torch.equal(found.reader.lstm.weight_hh_l0, source.reader.lstm.weight_hh_l0)
    same = torch.equal(found.generator.encoder.lstm.weight_hh_l0, source.reader.lstm.weight_hh_l0)
    assert same == encoder
    assert numpy.isfinite(model.predict(docs)).all()


def test_what_does_not_fit(lm, make_reader, docs):
    with pytest.raises(ValueError, match=r"normalize = \[\], but the classifier has \['digits'\]"):
        take_words(lm, make_reader(normalize=["digits"]))
    model = make_reader(hidden=7).initialize(X=docs)
    with pytest.raises(ValueError, match=r"shape \(24, 5\), but the classifier needs \(28, 5\)"):
        start_classifier(lm, model, encoder=False)
    tok2vec = spacy.registry.resolve({"tok2vec": {**CONVOLUTION, "width": 4, "embed_size": 10}})[
        "tok2vec"
    ]
    alone = make_reader(tok2vec=tok2vec, decoder=None).initialize(X=docs)
    with pytest.raises(ValueError, match="this classifier has none"):
        start_classifier(lm, alone, encoder=False)
