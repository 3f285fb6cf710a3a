"""Vectors of texts, and the k-center choice against its definition."""

import numpy
import pytest

from spacy_semivae.analysis.suggest_diversity import k_center, text_vectors


@pytest.fixture
def X():
    X = numpy.random.default_rng(0).normal(size=(30, 4)).astype("f")
    return X / numpy.linalg.norm(X, axis=1, keepdims=True)


def test_each_choice_is_the_farthest(X):
    chosen = k_center(X, 8)
    assert chosen[0] == 0
    distances = numpy.linalg.norm(X[:, None] - X[None], axis=2)
    for k in range(1, 8):
        nearest = distances[:, chosen[:k]].min(1)
        assert nearest[chosen[k]] == pytest.approx(nearest.max())
    assert sorted(k_center(X, 40)) == list(range(30))  # each once
    assert k_center(X, 0) == []


def test_known_texts_are_centers(X):
    first, *_ = k_center(X, 3, known=X[:5])
    nearest = numpy.linalg.norm(X[:, None] - X[None, :5], axis=2).min(1)
    assert nearest[first] == pytest.approx(nearest.max())
    assert k_center(X, 3, known=X[:0]) == k_center(X, 3)


@pytest.mark.parametrize("factory", ["vsl_ner", "crf_vae_tagger"])
def test_vectors_are_means_of_the_encoders_states(factory, tiny_pipeline):
    nlp = tiny_pipeline(factory)
    pipe, docs = nlp.get_pipe(factory), [nlp.make_doc("Ann saw"), nlp.make_doc("Rome")]
    found = text_vectors(pipe, docs)
    means = numpy.stack([rows.mean(0) for rows in pipe.model.get_ref("tok2vec").predict(docs)])
    assert found == pytest.approx(means / numpy.linalg.norm(means, axis=1)[:, None], abs=1e-5)


def test_vectors_of_a_classifier_with_its_own_lstm(tiny_pipeline):
    nlp = tiny_pipeline("ssvae_textcat")
    pipe, docs = nlp.get_pipe("ssvae_textcat"), [nlp.make_doc("Ann saw"), nlp.make_doc("Rome")]
    found = text_vectors(pipe, docs)
    assert found.shape == (2, 12)
    assert numpy.linalg.norm(found, axis=1) == pytest.approx([1, 1], abs=1e-5)
    assert not numpy.allclose(found[0], found[1])
    assert numpy.array_equal(found, text_vectors(pipe, docs))
    assert not pipe.model.shims[0].module.classifier._forward_pre_hooks
    assert text_vectors(pipe, []).shape[0] == 0
