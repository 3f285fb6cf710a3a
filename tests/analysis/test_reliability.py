"""Reliability: bins against sums by hand, spans against enumeration."""

from itertools import combinations

import numpy as np
import pytest
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_semivae.analysis.reliability import (
    OFF_PATH,
    Judged,
    find_spans,
    judge,
    measure,
    read_gold,
)

TEXTS = ["Ann saw Bob Lee in Rome !", "no names here", "Rome", "Bob Lee likes New Rome"]


def judged(P, correct):
    return Judged(np.array(P, dtype=float), np.array(correct, dtype=bool))


def test_errors_are_those_of_sums_by_hand():
    found = measure(judged([0.92, 0.98, 0.31, 0.35, 0.39], [1, 0, 0, 1, 0]))
    assert found.n == 5
    assert found.counts.tolist() == [0, 0, 0, 3, 0, 0, 0, 0, 0, 2]
    assert found.confidence[9] == pytest.approx(0.95)
    assert found.accuracy[3] == pytest.approx(1 / 3)
    assert np.isnan(found.accuracy[0])
    assert found.ece == pytest.approx((2 * 0.45 + 3 * abs(0.35 - 1 / 3)) / 5)
    squares = [0.08**2, 0.98**2, 0.31**2, 0.65**2, 0.39**2]
    assert found.brier == pytest.approx(sum(squares) / 5)


@pytest.mark.parametrize(("p", "place"), [(0.0, 0), (0.1, 0), (0.1001, 1), (0.5, 4), (1.0, 9)])
def test_an_edge_belongs_to_the_lower_bin(p, place):
    assert measure(judged([p], [1])).counts.argmax() == place


def test_what_is_right_as_often_as_it_says_has_no_error():
    P = np.repeat([0.25, 0.75], 400)
    correct = np.tile([1, 0, 0, 0], 100).tolist() + np.tile([1, 1, 1, 0], 100).tolist()
    assert measure(judged(P, correct)).ece == pytest.approx(0)


def test_without_predictions():
    found = measure(judged([], []))
    assert (found.n, found.ece, found.brier) == (0, 0.0, 0.0)


def test_tags_count_where_they_are_annotated(tiny_pipeline):
    nlp = tiny_pipeline("vsl_tagger", steps=5)
    pipe = nlp.get_pipe("vsl_tagger")
    words = TEXTS[0].split()
    gold = Doc(nlp.vocab, words, tags=["N", "", "N", "", "", "UNSEEN", "."])
    example = Example(nlp.make_doc(TEXTS[0]), gold)
    assert read_gold(pipe, example) == ["N", None, "N", None, None, "UNSEEN", "."]
    found = judge(pipe, [example])
    P = pipe.predict_probabilities([example.predicted])[0][[0, 2, 5, 6]]
    assert found.P == pytest.approx(P.max(1))
    names = [pipe.scheme.names[i] for i in P.argmax(1)]
    assert found.correct.tolist() == [a == b for a, b in zip(names, ["N", "N", "UNSEEN", "."])]


def test_texts_count_where_they_are_annotated(tiny_pipeline):
    nlp = tiny_pipeline("ssvae_textcat", steps=2)
    pipe = nlp.get_pipe("ssvae_textcat")
    references = [Doc(nlp.vocab, ["Rome"]), Doc(nlp.vocab, ["Ann"])]
    references[1].cats = {"trip": 1.0, "talk": 0.0}
    found = judge(pipe, [Example(nlp.make_doc(doc.text), doc) for doc in references])
    P = pipe.predict_probabilities([nlp.make_doc("Ann")])[0]
    assert found.P == pytest.approx([P.max()])
    assert found.correct.tolist() == [pipe.labels[P.argmax()] == "trip"]


def enumerate_spans(pipe, doc):
    for start, end in combinations(range(len(doc) + 1), 2):
        for label in pipe.labels:
            yield Span(doc, start, end, label=label)


def product(pipe, span, P):
    names = pipe.scheme.names
    inner = ["I"] * (len(span) - 2)
    letters = ["B", *inner, "L"] if len(span) > 1 else ["U"]
    columns = [names.index(f"{letter}-{span.label_}") for letter in letters]
    return float(np.prod([P[t.i, c] for t, c in zip(span, columns)]))


@pytest.mark.parametrize("factory", ["vsl_ner", "crf_vae_ner"])
def test_spans_are_those_of_an_enumeration(tiny_pipeline, factory):
    nlp = tiny_pipeline(factory, steps=12)
    pipe = nlp.get_pipe(factory)
    docs = [nlp.make_doc(text) for text in TEXTS]
    n_off_path = 0
    for doc, found in zip(docs, find_spans(pipe, docs)):
        spans = list(enumerate_spans(pipe, doc))
        if factory == "vsl_ner":
            P = pipe.predict_probabilities([doc])[0]
            known = [product(pipe, span, P) for span in spans]
        else:
            known = pipe.score_spans(doc, spans)
        (on_path,) = pipe.path_rows([doc], pipe.decode(pipe.predict([doc])))
        keys = {(i, j, pipe.labels[label]) for i, j, label in on_path}
        wanted = {
            (s.start, s.end, s.label_): p
            for s, p in zip(spans, known)
            if p > OFF_PATH or (s.start, s.end, s.label_) in keys
        }
        assert found == pytest.approx(wanted, abs=1e-5)
        n_off_path += len(set(found) - keys)
    assert n_off_path


@pytest.mark.parametrize("factory", ["vsl_ner", "crf_vae_ner"])
def test_spans_without_full_annotation_do_not_count(tiny_pipeline, factory):
    nlp = tiny_pipeline(factory, steps=12)
    pipe = nlp.get_pipe(factory)
    reference = Doc(nlp.vocab, TEXTS[0].split())
    reference.set_ents([Span(reference, 5, 6, "LOC")], default="missing")
    example = Example(nlp.make_doc(TEXTS[0]), reference)
    (spans,) = find_spans(pipe, [example.predicted])
    there = {key: p for key, p in spans.items() if key[:2] == (5, 6)}
    assert 0 < len(there) < len(spans)
    found = judge(pipe, [example])
    assert sorted(found.P) == pytest.approx(sorted(there.values()))
    assert found.correct.sum() == ((5, 6, "LOC") in there)


def test_no_doc(tiny_pipeline):
    pipe = tiny_pipeline("crf_vae_ner").get_pipe("crf_vae_ner")
    assert measure(judge(pipe, [])).n == 0
