"""Wrong input and broken numbers end in one clear message."""

import numpy
import pytest
import spacy
import torch
from spacy.tokens import Doc, Span
from spacy.training import Example
from thinc.api import Adam
from tiny import CONVOLUTION

FACTORIES = ("vsl_tagger", "vsl_ner", "crf_vae_tagger", "crf_vae_ner", "ssvae_textcat")


def empty(nlp):
    return Example(Doc(nlp.vocab), Doc(nlp.vocab))


def with_new_label(nlp):
    reference = Doc(nlp.vocab, ["zebras", "here"], tags=["NEW", ""])
    reference.ents = [Span(reference, 0, 1, label="NEW")]
    reference.cats = {"NEW": 1.0}
    return Example(Doc(nlp.vocab, ["zebras", "here"]), reference)


def train_on(nlp, examples, steps):
    for _ in range(steps):
        nlp.update(examples, sgd=Adam(0.01))


@pytest.mark.parametrize("factory", FACTORIES)
def test_initialize_needs_labels(factory, make_nlp, raw):
    with pytest.raises(ValueError, match=f"'{factory}' needs labels, but none of 3 Docs"):
        make_nlp(factory, examples=raw)


def test_initialize_needs_tokens(make_nlp):
    nlp = make_nlp(initialize=False)
    with pytest.raises(ValueError, match="no Doc with a token"):
        nlp.get_pipe("vsl_tagger").initialize(lambda: [empty(nlp)], nlp=nlp, labels=["A"])


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_label_unseen_at_initialize_is_an_error(factory, make_nlp):
    nlp = make_nlp(factory)
    with pytest.raises(ValueError, match=r"'NEW'.*since initialize"):
        nlp.update([with_new_label(nlp)], sgd=Adam(0.01))


@pytest.mark.parametrize("embeddings", ["fixed", "tuned"])
def test_missing_vectors_are_an_error(embeddings, make_nlp):
    with pytest.raises(ValueError, match="needs word vectors"):
        make_nlp(encoder={"embeddings": embeddings})


def test_vectors_that_went_missing_are_an_error(make_nlp, gold):
    nlp = make_nlp(vectors=True)
    nlp.vocab.vectors = spacy.blank("en").vocab.vectors
    with pytest.raises(ValueError, match="vectors"):
        nlp.update(gold(nlp), sgd=Adam(0.01))


@pytest.mark.parametrize(
    "encoder",
    [
        {},
        CONVOLUTION,
    ],
)
@pytest.mark.parametrize("factory", FACTORIES)
def test_prediction_needs_initialize(factory, encoder, gold):
    nlp = spacy.blank("en")
    nlp.add_pipe(factory, config={"model": {"tok2vec": encoder}} if encoder else {})
    with pytest.raises(ValueError, match=r"no weights yet: call nlp\.initialize"):
        nlp("Ann saw Rome")
    with pytest.raises(ValueError, match=r"no weights yet: call nlp\.initialize"):
        nlp("")


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_loss_that_is_nan_stops_with_its_term(factory, make_nlp, gold):
    nlp = make_nlp(factory, variant="baseline")
    train_on(nlp, gold(nlp), 2)
    pipe = nlp.get_pipe(factory)
    with torch.no_grad():
        module = pipe.model.shims[0].module
        head = module.score if factory.startswith("crf_vae") else module.classifier
        head.weight[0] = float("nan")
    what = "loss term 'supervised' is nan"
    if factory == "ssvae_textcat":
        what = "loss term 'classification' is nan"
    if factory.startswith("crf_vae"):
        what = r"the scores of the tags are not finite: score\.weight"
    with pytest.raises(FloatingPointError, match=f"'{factory}', step 2: {what}"):
        nlp.update(gold(nlp), sgd=Adam(0.01))


def test_vectors_with_nan_stop_with_the_term(make_nlp, gold):
    nlp = make_nlp(vectors=True, encoder={"embeddings": "fixed"})
    nlp.vocab.vectors.data[:] = numpy.nan
    with pytest.raises(FloatingPointError, match="'vsl_tagger', step 0: loss term"):
        nlp.update(gold(nlp), sgd=Adam(0.01))


def test_a_gradient_that_is_nan_stops_with_its_name(make_nlp, gold, tensors):
    nlp = make_nlp()
    pipe = nlp.get_pipe("vsl_tagger")
    pipe.update(gold(nlp))
    pipe.model.shims[0].module.classifier.bias.grad[0] = float("inf")
    before = tensors(pipe.model)
    with pytest.raises(FloatingPointError, match=r"'vsl_tagger', step 0: .*vsl\.classifier\.bias"):
        pipe.finish_update(Adam(0.01))
    after = tensors(pipe.model)
    assert all(numpy.array_equal(before[name], after[name]) for name in before)
