"""Exclusive categories as classes: what is read, what is refused, what is written."""

import pytest
from spacy.tokens import Doc
from spacy.training import Example

from spacy_semivae.labels import MISSING
from spacy_semivae.pipeline.text_labels import TextLabels, read_class

NAMES = ["a b", "\U0001f600", "O"]


def example(vocab, cats):
    reference = Doc(vocab, words=["some", "text"])
    reference.cats = cats
    return Example(Doc(vocab, words=["some", "text"]), reference)


def test_any_string_is_a_label():
    scheme = TextLabels(NAMES)
    assert scheme.names == NAMES
    assert scheme.add("!") is True
    assert scheme.add("!") is False
    assert scheme.names == [*NAMES, "!"]
    for wrong in ("", None, 3):
        with pytest.raises(ValueError, match="a label is a non-empty string"):
            scheme.add(wrong)


def test_labels_are_collected_from_all_cats(vocab):
    found = TextLabels().collect(
        example(vocab, cats) for cats in ({"b": 1.0, "c": 0.0}, {}, {"a": 1}, {"b": True})
    )
    assert found == ["a", "b", "c"]
    assert TextLabels().collect([example(vocab, {})]) == []


@pytest.mark.parametrize("other", [{}, {"b": 1.0}])
def test_one_class_is_nothing_to_tell_apart(other, vocab):
    examples = [example(vocab, {"b": 1.0, "c": 0.0}), example(vocab, other)]
    with pytest.raises(ValueError, match="every labelled Doc is of the class 'b'"):
        TextLabels().collect(examples)


def test_classes_and_missing_ones(vocab):
    scheme = TextLabels(NAMES)
    for i, name in enumerate(NAMES):
        assert scheme.encode(example(vocab, {name: 1.0})).tolist() == [i]
        cats = {other: float(other == name) for other in NAMES}
        assert scheme.encode(example(vocab, cats)).tolist() == [i]
    assert scheme.encode(example(vocab, {})).tolist() == [MISSING]
    with pytest.raises(ValueError, match=r"'new' in 'some text ' is none of the 3 classes"):
        scheme.encode(example(vocab, {"new": 1.0}))


@pytest.mark.parametrize(
    "cats",
    [
        {"a": 1.0, "b": 1.0},
        {"a": 0.0, "b": 0.0},
        {"a": 1.0, "b": 0.5},
        {"a": 0.7, "b": 0.3},
        {"a": 1.0, "b": None},
        {"a": float("nan")},
    ],
)
def test_cats_that_name_no_one_class(cats, vocab):
    with pytest.raises(ValueError, match=r"one cat of 1\.0 .* 'some text ' has \{'a': ") as error:
        read_class(example(vocab, cats).reference)
    assert str(cats) in str(error.value)
    with pytest.raises(ValueError, match="exclusive"):
        TextLabels(["a", "b"]).encode(example(vocab, cats))


def test_probabilities_are_written(vocab):
    scheme, P = TextLabels(["a", "b"]), [0.25, 0.75]
    doc = Doc(vocab, words=["x"])
    doc.cats = {"a": 1.0, "other": 0.5}
    scheme.annotate(doc, P, overwrite=False)
    assert doc.cats == {"a": 1.0, "other": 0.5}
    scheme.annotate(doc, P, overwrite=True)
    assert doc.cats == {"a": 0.25, "b": 0.75, "other": 0.5}
    doc.cats = {"other": 0.5}
    scheme.annotate(doc, P, overwrite=False)
    assert doc.cats == {"a": 0.25, "b": 0.75, "other": 0.5}
    assert all(type(value) is float for value in doc.cats.values())
