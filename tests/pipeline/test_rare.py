"""Rare classes: the settings, and what they do to the recall of a rare class."""

from collections import Counter

import numpy
import pytest
from spacy.tokens import Doc, Span
from spacy.training import Example
from thinc.api import Adam

from spacy_semivae.labels import SpanLabels, TokenLabels
from spacy_semivae.layers.terms import UNBALANCED
from spacy_semivae.pipeline.rare import RareClasses, count_classes
from spacy_semivae.pipeline.text_labels import TextLabels

FACTORIES = ["vsl_tagger", "vsl_ner", "crf_vae_tagger", "crf_vae_ner", "ssvae_textcat"]
COMMON, RARE = "LOC", "PER"


# The settings


def test_weights_and_shift_of_a_tagger():
    rare = RareClasses("x", {"B": 3.0}, 0.5)
    found = rare.balance(TokenLabels("tag", ["A", "B", "C"]), {"A": 5, "B": 0, "C": 2})
    assert found.weights.tolist() == [1.0, 3.0, 1.0]
    numpy.testing.assert_allclose(found.shift, 0.5 * numpy.log(numpy.array([6, 1, 3]) / 10))
    assert found.weights.dtype == found.shift.dtype == "float32"


def test_an_entity_type_weighs_all_its_tags():
    scheme = SpanLabels(["A", "B"])
    found = RareClasses("x", {"B": 3.0, "O": 0.5}, 0.0).balance(scheme, {})
    assert dict(zip(scheme.names, found.weights.tolist())) == {
        "O": 0.5,
        **dict.fromkeys(["B-A", "I-A", "L-A", "U-A"], 1.0),
        **dict.fromkeys(["B-B", "I-B", "L-B", "U-B"], 3.0),
    }
    assert found.shift is None


def test_no_settings():
    assert RareClasses("x", {}, 0.0).balance(TextLabels(["A"]), {}) == UNBALANCED


@pytest.mark.parametrize(
    ("weights", "tau", "message"),
    [
        ({"A": 0.0}, 0.0, "'x': class_weights are positive numbers by label, but got {'A': 0.0}"),
        ({"A": float("nan")}, 0.0, "class_weights are positive"),
        ({}, -1.0, "'x': logit_adjustment is 0 or more, but got -1.0"),
    ],
)
def test_wrong_settings(weights, tau, message):
    with pytest.raises(ValueError, match=message):
        RareClasses("x", weights, tau)


def test_settings_that_do_not_fit_the_corpus():
    scheme = TokenLabels("tag", ["A", "B"])
    with pytest.raises(ValueError, match=r"'x': class_weights names \['Z'\], but .* \['A', 'B'\]"):
        RareClasses("x", {"A": 2.0, "Z": 1.0}, 0.0).check(scheme, {"A": 1})
    with pytest.raises(
        ValueError, match=r"'x': logit_adjustment needs .* no Doc is annotated in full"
    ):
        RareClasses("x", {}, 1.0).check(scheme, {})
    RareClasses("x", {"A": 2.0}, 1.0).check(scheme, {"A": 1})


def test_counts_are_of_docs_annotated_in_full(vocab):
    doc = Doc(vocab, ["a", "b", "c"], tags=["X", "Y", "X"], ents=["B-PER", "I-PER", "O"])
    doc.cats = {"p": 1.0, "q": 0.0}
    assert count_classes(TokenLabels("tag"), doc) == {"X": 2, "Y": 1}
    assert count_classes(SpanLabels(), doc) == {"B-PER": 1, "L-PER": 1, "O": 1}
    assert count_classes(TextLabels(), doc) == {"p": 1}
    partial = Doc(vocab, ["a", "b"], tags=["X", ""])
    partial.set_ents([Span(partial, 0, 1, "PER")], default="missing")
    for scheme in (TokenLabels("tag"), SpanLabels(), TextLabels()):
        assert count_classes(scheme, partial) == Counter()


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_component_refuses_them_at_initialize(factory, make_nlp, raw, gold):
    with pytest.raises(ValueError, match=f"'{factory}': class_weights names \\['Z'\\]"):
        make_nlp(factory, class_weights={"Z": 2.0})
    if factory.endswith("ner"):

        def partial(nlp):
            for eg in (found := gold(nlp)):
                eg.reference.set_ents(list(eg.reference.ents), default="missing")
            return found

        with pytest.raises(ValueError, match=f"'{factory}': logit_adjustment needs"):
            make_nlp(factory, logit_adjustment=1.0, examples=partial)


# Skewed data: "x" is of the rare class twice in ten, all other words are of the common one


def skewed(nlp):
    words = ["x"] * 10 + ["other", "more", "words", "that", "say", "nothing"] * 4
    examples = []
    for i, word in enumerate(words):
        reference = Doc(nlp.vocab, [word])
        label = RARE if i < 2 else COMMON
        reference[0].tag_ = label
        reference.ents = [Span(reference, 0, 1, label)]
        reference.cats = {name: float(name == label) for name in (COMMON, RARE)}
        examples.append(Example(Doc(nlp.vocab, [word]), reference))
    return examples


def count_rare(make_nlp, annotation, factory, **settings):
    """How many of the ten texts "x" get the rare label; two of them have it."""
    if factory == "ssvae_textcat":
        settings["model"] = {"decoder": None}
    else:
        settings["alpha"] = 0.0
    nlp = make_nlp(factory, examples=skewed, **settings)
    examples, optimizer = skewed(nlp), Adam(0.05)
    for _ in range(30):
        nlp.update(examples, sgd=optimizer)
    found = [annotation(factory, nlp(Doc(nlp.vocab, ["x"]))) for _ in range(10)]
    return sum(RARE in str(labels) for labels in found), nlp


@pytest.mark.parametrize("factory", FACTORIES)
@pytest.mark.parametrize(
    "settings", [{"class_weights": {RARE: 20.0}}, {"logit_adjustment": 1.0}], ids=str
)
def test_recall_of_a_rare_class_rises(factory, settings, make_nlp, annotation):
    assert count_rare(make_nlp, annotation, factory)[0] == 0
    assert count_rare(make_nlp, annotation, factory, **settings)[0] == 10


@pytest.mark.parametrize("factory", FACTORIES)
def test_adjusted_probabilities_are_those_of_equal_frequencies(factory, make_nlp, annotation):
    """With tau = 1 they are the true ones divided by the frequencies."""
    _, nlp = count_rare(make_nlp, annotation, factory, logit_adjustment=1.0)
    pipe = nlp.get_pipe(factory)
    (P,) = pipe.predict_probabilities([Doc(nlp.vocab, ["x"])])
    P = dict(zip(pipe.scheme.names, P.reshape(-1).tolist()))
    prefix = "U-" if factory.endswith("ner") else ""
    counts = pipe.cfg["tag_counts"]
    assert counts == {prefix + COMMON: 32, prefix + RARE: 2}
    ratio = (0.2 / 3) / (0.8 / 33)  # the frequencies have one more of each class
    assert P[prefix + RARE] / P[prefix + COMMON] == pytest.approx(ratio, rel=0.15)


@pytest.mark.parametrize("factory", FACTORIES)
def test_prediction_and_storage(factory, make_nlp, measured, same, through_bytes):
    settings = {"class_weights": {}, "logit_adjustment": 2.0}
    plain, adjusted = make_nlp(factory), make_nlp(factory, **settings)
    assert same(measured(plain, factory), measured(adjusted, factory))  # the weights are the same
    loaded = through_bytes(adjusted).get_pipe(factory)
    shift = adjusted.get_pipe(factory).balance().shift
    assert numpy.array_equal(loaded.balance().shift, shift)
    assert (shift < 0).all()
