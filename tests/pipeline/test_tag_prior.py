"""The prior of the tags, and the counts that it comes from."""

import numpy
import pytest
from spacy.tokens import Doc, Span

from spacy_semivae.labels import SpanLabels, TokenLabels
from spacy_semivae.pipeline.tag_prior import count_tags, make_prior

WORDS = ["Ann", "saw", "New", "York", "City", "!"]
NAMES = ["O", "B-LOC", "I-LOC", "L-LOC", "U-LOC"]


def test_entities_are_counted(vocab):
    doc = Doc(vocab, WORDS)
    doc.ents = [Span(doc, 0, 1, "PER"), Span(doc, 2, 5, "LOC")]
    expected = {"U-PER": 1, "B-LOC": 1, "I-LOC": 1, "L-LOC": 1, "O": 2}
    assert count_tags(doc, "ents") == expected
    scheme = SpanLabels(["LOC", "PER"])
    assert set(expected) <= set(scheme.names)
    doc.ents = [Span(doc, 2, 4, "LOC")]
    assert count_tags(doc, "ents") == {"B-LOC": 1, "L-LOC": 1, "O": 4}


def test_only_full_annotation_is_counted(vocab):
    doc = Doc(vocab, WORDS)
    assert not count_tags(doc, "ents")
    doc.set_ents([Span(doc, 0, 1, "PER")], default="missing")
    assert not count_tags(doc, "ents")
    doc.set_ents([Span(doc, 0, 1, "PER")], default="outside")
    assert count_tags(doc, "ents")
    doc.set_ents([], missing=[doc[1:2]], default="outside")
    assert not count_tags(doc, "ents")
    doc.set_ents([], blocked=[doc[1:2]], default="outside")  # a blocked token counts as missing
    assert not count_tags(doc, "ents")
    assert not count_tags(Doc(vocab), "ents")


@pytest.mark.parametrize(
    ("attr", "values", "expected"),
    [
        ("tag", ["A", "B", "A"], {"A": 2, "B": 1}),
        ("tag", ["A", "", "A"], {}),
        ("pos", ["NOUN", "VERB", "NOUN"], {"NOUN": 2, "VERB": 1}),
        ("morph", ["_", "Number=Sing|Case=Nom", "_"], {"_": 2, "Case=Nom|Number=Sing": 1}),
    ],
)
def test_attributes_are_counted(attr, values, expected, vocab):
    doc = Doc(vocab, ["a", "b", "c"], **{f"{attr}s" if attr != "pos" else "pos": values})
    assert count_tags(doc, attr) == expected
    scheme = TokenLabels(attr)
    for name in expected:
        scheme.add(name)
    assert set(scheme.names) == set(expected)
    assert not count_tags(Doc(vocab), attr)


def test_empirical_is_smoothed():
    counts = {"O": 5, "U-LOC": 1}
    found = make_prior("empirical", NAMES, counts, outside=0.9)
    numpy.testing.assert_allclose(found, numpy.array([6, 1, 1, 1, 2]) / 11)


def test_simple():
    numpy.testing.assert_allclose(make_prior("simple", NAMES, {}, outside=0.9), [0.5, *[0.125] * 4])
    numpy.testing.assert_allclose(make_prior("simple", ["A", "B"], {}, outside=None), [0.5, 0.5])
    numpy.testing.assert_allclose(make_prior("simple", list("ABCD"), {}, outside=None), [0.25] * 4)


def test_auto_is_empirical_or_what_is_expected():
    counts = {"O": 3}
    expected = make_prior("empirical", NAMES, counts, outside=0.9)
    numpy.testing.assert_allclose(make_prior("auto", NAMES, counts, outside=0.9), expected)
    found = make_prior("auto", NAMES, {}, outside=0.9)
    numpy.testing.assert_allclose(found, [0.9, *[0.025] * 4])
    numpy.testing.assert_allclose(make_prior("auto", ["A", "B"], {}, outside=None), [0.5, 0.5])


def test_a_table_is_taken_in_the_order_of_the_tags():
    table = {"U-LOC": 0.1, "O": 0.6, "B-LOC": 0.15, "L-LOC": 0.1, "I-LOC": 0.05}
    found = make_prior(table, NAMES, {"O": 1}, outside=0.9)
    numpy.testing.assert_allclose(found, [0.6, 0.15, 0.05, 0.1, 0.1])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("empirical", "needs fully annotated Docs, but there are none"),
        ("uniform", "must be .*, but got 'uniform'"),
        ({"A": 0.5, "C": 0.5}, r"1\.0000, and the tags \['B', 'C'\]|0\.5000.*\['B', 'C'\]"),
        ({"A": 1.0}, r"1\.0000, and the tags \['B'\]"),
        ({"A": 1.0, "B": 0.0}, "each tag a positive probability"),
        ({"A": 1.5, "B": -0.5}, "each tag a positive probability"),
        ({"A": 0.5, "B": 0.4}, r"adds up to 0\.9000"),
    ],
)
def test_wrong_priors(setting, message):
    with pytest.raises(ValueError, match=message):
        make_prior(setting, ["A", "B"], {}, outside=None)
