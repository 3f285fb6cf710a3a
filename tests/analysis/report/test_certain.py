"""The surest and least sure texts."""

import numpy as np
import pytest

from spacy_semivae.analysis.report import certain

from .conftest import EVIL, EVIL_LABEL


@pytest.mark.parametrize("name", ["vsl_tagger", "crf_vae_ner", "ssvae_textcat"])
def test_texts_stand_in_the_order_of_their_entropy(get_pipe, name):
    pipe, examples = get_pipe(name)
    least, most = certain.show_certain(pipe, examples).blocks
    low, high = ([float(line.split()[0]) for line, _ in b.texts] for b in (most, least))
    assert low == sorted(low)
    assert high == sorted(high, reverse=True)
    assert max(low[:1]) <= min(high)


def test_entropy_of_tokens_is_a_mean(get_pipe):
    pipe, examples = get_pipe("vsl_tagger")
    doc = examples[0].predicted
    P = pipe.predict_probabilities([doc])[0]
    known = -(P * np.log(P)).sum() / len(doc)
    assert certain.measure_entropy(pipe, [doc]) == pytest.approx([known], rel=1e-4)


def test_entities_have_their_exact_probability(get_pipe):
    pipe, examples = get_pipe("crf_vae_ner")
    for eg, said in zip(examples, certain.describe(pipe, examples)):
        ents = eg.predicted.ents
        P = pipe.score_spans(eg.predicted, ents)
        gold = {(e.start, e.end, e.label_) for e in eg.reference.ents}
        assert [(m.start, m.end, m.label) for m in said.marks] == [
            (e.start, e.end, e.label_) for e in ents
        ]
        assert [m.probability for m in said.marks] == pytest.approx(P, abs=1e-5)
        assert [m.right for m in said.marks] == [(e.start, e.end, e.label_) in gold for e in ents]


def test_a_wrong_class_is_named(get_pipe):
    pipe, examples = get_pipe("ssvae_textcat")
    for eg, said in zip(examples, certain.describe(pipe, examples)):
        found = max(eg.predicted.cats, key=eg.predicted.cats.get)
        assert found in said.line
        assert ("annotated as" in said.line) == (eg.reference.cats[found] == 0)


def test_markup_in_texts_and_labels_is_escaped(get_pipe):
    _, examples = get_pipe("crf_vae_ner")
    doc = next(eg.predicted for eg in examples if EVIL in eg.predicted.text)
    html = certain.draw(doc, [certain.Mark(3, 4, EVIL_LABEL, 0.5, False)], {})
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html
    assert "&lt;img" in html
    assert "entity wrong" in html


def test_long_texts_are_cut(get_pipe, monkeypatch):
    monkeypatch.setattr(certain, "MAX_TOKENS", 2)
    _, examples = get_pipe("crf_vae_ner")
    doc = examples[0].predicted
    html = certain.draw(
        doc, [certain.Mark(1, 2, "a", 0.5, True), certain.Mark(2, 4, "b", 1, True)], {}
    )
    assert "saw" in html
    assert "Bob" not in html
    assert html.count("<mark") == 1
