"""What entity recognizers share: annotated Examples, rejected spans and their tokens."""

import numpy
import pytest
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_semivae.labels import SpanLabels
from spacy_semivae.pipeline.ner import EntityMixin, span_rows


class Recognizer(EntityMixin):
    def __init__(self, key, types=()):
        self.scheme, self.incorrect_spans_key = SpanLabels(types), key


def reject(vocab, words, *spans, key="bad"):
    reference = Doc(vocab, words)
    reference.spans[key] = [Span(reference, *span) for span in spans]
    return Example(Doc(vocab, words), reference)


@pytest.mark.parametrize(
    ("span", "tags"),
    [
        ((3, 4, 0), [4]),
        ((3, 5, 0), [1, 3]),
        ((3, 6, 0), [1, 2, 3]),
        ((3, 7, 1), [5, 6, 6, 7]),
        ((3, 4, 2), [12]),
    ],
)
def test_a_span_as_its_tokens(span, tags):
    names = SpanLabels(["A", "B", "C"]).names
    rows = span_rows([(0, 1, 0), span])
    assert rows.dtype == "int64"
    assert rows[0].tolist() == [0, *range(span[0], span[1])]
    assert rows[1].tolist() == [4, *tags]
    assert rows[2].tolist() == [0, *[1] * len(tags)]
    assert {names[tag][2:] for tag in tags} == {"ABC"[span[2]]}


def test_no_spans():
    assert span_rows([]).shape == (3, 0)
    assert span_rows([]).dtype == "int64"


def test_rejected_spans_of_a_batch(vocab):
    pipe = Recognizer("bad", ["A", "B"])
    examples = [
        reject(vocab, ["a", "b", "c"], (1, 3, "B"), (0, 1, "A")),
        Example(Doc(vocab), Doc(vocab)),
        reject(vocab, ["d"], (0, 1, "A"), key="other"),
        reject(vocab, ["e", "f"], (1, 2, "A")),
    ]
    rows = pipe.encode_rejected(examples)
    found = {tuple(rows[:2, rows[2] == n].ravel()) for n in range(3)}
    assert found == {(1, 2, 5, 7), (0, 4), (5, 4)}
    numpy.testing.assert_array_equal(numpy.sort(rows[2]), rows[2])
    assert Recognizer(None, ["A", "B"]).encode_rejected(examples).shape == (3, 0)


def test_labels_and_annotation(vocab):
    raw = Example(Doc(vocab, ["a"]), Doc(vocab, ["a"]))
    negative = reject(vocab, ["a"], (0, 1, "B"))
    full = Doc(vocab, ["a"])
    full.ents = [Span(full, 0, 1, "A")]
    known = Example(Doc(vocab, ["a"]), full)
    examples = [raw, negative, known]
    assert Recognizer("bad").collect_labels(examples) == ["A", "B"]
    assert Recognizer(None).collect_labels(examples) == ["A"]
    assert [Recognizer("bad").is_labeled(eg) for eg in examples] == [False, True, True]
    assert [Recognizer(None).is_labeled(eg) for eg in examples] == [False, False, True]
