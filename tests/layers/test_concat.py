"""Encoders side by side against the same encoders alone."""

import numpy
import pytest
from spacy.ml.models import MultiHashEmbed
from spacy.tokens import Doc
from thinc.api import Adam

from spacy_semivae.layers.char_word import char_word_bigru
from spacy_semivae.layers.concat import concat_encoders


def hash_embed(width):
    return MultiHashEmbed(width, attrs=["ORTH"], rows=[50], include_static_vectors=False)


def bigru():
    return char_word_bigru(
        width=5,
        char_width=3,
        char_hidden=4,
        hidden=3,
        embeddings="learned",
        min_count=1,
        normalize=[],
    )


@pytest.fixture
def encoders():
    return [hash_embed(4), bigru(), hash_embed(8)]


def test_output_is_the_concatenation(encoders, vocab, make_docs):
    docs = [*make_docs(vocab), Doc(vocab)]
    model = concat_encoders(encoders)
    model.initialize(X=docs)
    assert model.get_dim("nO") == 4 + 6 + 8
    alone = [encoder.predict(docs) for encoder in encoders]
    for i, Y in enumerate(model.predict(docs)):
        expected = numpy.concatenate([outputs[i] for outputs in alone], axis=1)
        numpy.testing.assert_array_equal(Y, expected)


def test_updates_equal_separate_ones(encoders, vocab, make_docs):
    docs = make_docs(vocab)
    model = concat_encoders(encoders)
    model.initialize(X=docs)
    copies = [encoder.copy() for encoder in encoders]
    dY = [numpy.random.normal(size=(len(doc), 18)).astype("f") for doc in docs]
    _, backprop = model(docs, is_train=True)
    before = [encoder.predict(docs) for encoder in encoders]
    backprop(dY)
    model.finish_update(Adam(0.1))
    for encoder, columns, start in zip(copies, (slice(0, 4), slice(4, 10), slice(10, 18)), before):
        _, bp = encoder(docs, is_train=True)
        bp([numpy.ascontiguousarray(dy[:, columns]) for dy in dY])
        encoder.finish_update(Adam(0.1))
        trained = encoders[copies.index(encoder)].predict(docs)
        for one, two, was in zip(encoder.predict(docs), trained, start):
            numpy.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
            assert numpy.abs(one - was).max() > 1e-3


def test_one_encoder_and_no_docs(vocab, make_docs):
    model = concat_encoders([hash_embed(4)])
    model.initialize(X=make_docs(vocab))
    assert model.get_dim("nO") == 4
    assert model.predict([]) == []


def test_none_is_an_error():
    with pytest.raises(ValueError, match="at least one encoder"):
        concat_encoders([])
