"""Thresholds for a precision: against every possible cut, by label, and what is refused."""

import numpy as np
import pytest
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_semivae.analysis.reliability import judge
from spacy_semivae.analysis.thresholds import STRICTEST, choose_threshold, set_thresholds

WORDS = "Ann saw Bob Lee in Rome !".split()


def choose(P, right, precision):
    return choose_threshold(np.array(P, dtype=float), np.array(right, dtype=bool), precision)


@pytest.mark.parametrize(
    ("P", "right", "precision", "expected"),
    [
        ([0.9, 0.8, 0.6], [1, 1, 0], 1.0, 0.7),
        ([0.6, 0.9, 0.8], [0, 1, 1], 0.7, 0.7),
        ([0.9, 0.8, 0.6], [1, 1, 0], 0.6, 0.0),
        ([0.9, 0.8, 0.6], [0, 1, 1], 0.6, 0.0),  # more text, better precision
        ([0.9, 0.8, 0.6], [0, 1, 0], 0.6, None),
        ([0.9, 0.9, 0.6], [1, 0, 0], 1.0, None),  # equal ones cannot be parted
        ([0.9, 0.9, 0.6], [1, 0, 0], 0.5, 0.75),
        ([], [], 0.5, None),
        ([0.9], [0], 0.0, 0.0),
        ([], [], 0.0, 0.0),
    ],
)
def test_a_threshold(P, right, precision, expected):
    found = choose(P, right, precision)
    assert found is None if expected is None else found == pytest.approx(expected)


@pytest.mark.parametrize("precision", [0.3, 0.5, 0.75, 0.9])
def test_no_lower_threshold_will_do(precision):
    rng = np.random.default_rng(0)
    for _ in range(50):
        P = rng.integers(1, 8, 12) / 8
        right = rng.random(12) < P

        def reached(limit, P=P, right=right):
            kept = P > limit
            return kept.any() and right[kept].mean() >= precision

        found = choose_threshold(P, right, precision)
        cuts = [limit for limit in np.arange(0, 8) / 8 + 1 / 16 if reached(limit)]
        cuts = [0.0, *cuts] if reached(0.0) else cuts
        if found is None:
            assert not cuts
        else:
            assert reached(found)
            assert (P > found).sum() == (P > min(cuts)).sum()


def make_examples(nlp, *ents, cats=None):
    for i, some in enumerate(ents):
        reference = Doc(nlp.vocab, WORDS)
        reference.ents = [Span(reference, *ent) for ent in some]
        reference.cats = cats[i] if cats else {}
        yield Example(nlp(Doc(nlp.vocab, WORDS)), reference)


@pytest.mark.parametrize("factory", ["vsl_ner", "crf_vae_ner"])
def test_entities_have_thresholds_by_label(tiny_pipeline, factory):
    nlp = tiny_pipeline(factory, steps=60)
    pipe = nlp.get_pipe(factory)
    # two right persons and a wrong one, a wrong place
    dev = list(make_examples(nlp, [(0, 1, "PER"), (2, 4, "PER")]))
    assert [(e.start, e.end, e.label_) for e in dev[0].predicted.ents] == [
        (0, 1, "PER"),
        (2, 4, "PER"),
        (5, 6, "LOC"),
    ]
    rows = {row.label: row for row in set_thresholds(nlp, dev, 0.9)[factory]}
    assert list(rows) == ["LOC", "PER"]
    assert (rows["PER"].threshold, rows["PER"].reached, rows["PER"].kept) == (0.0, True, 2)
    assert (rows["LOC"].threshold, rows["LOC"].reached) == (STRICTEST, False)
    assert (rows["LOC"].predicted, rows["LOC"].right, rows["LOC"].kept) == (1, 0, 0)
    assert pipe.thresholds == {"LOC": STRICTEST}
    doc = nlp(Doc(nlp.vocab, WORDS))
    assert {e.label_ for e in doc.ents} == {"PER"}
    assert [s.label_ for s in doc.spans[f"{factory}_candidates"]] == ["LOC"]
    again = {row.label: row for row in set_thresholds(nlp, dev, 0.9)[factory]}
    assert again == rows  # by the paths, not by what the thresholds leave
    set_thresholds(nlp, dev, 0.0)
    assert pipe.thresholds == {}


def test_a_cut_between_two_entities(tiny_pipeline):
    nlp = tiny_pipeline("crf_vae_ner", steps=60)
    pipe = nlp.get_pipe("crf_vae_ner")
    (eg,) = make_examples(nlp, [])
    found = judge(pipe, [eg], threshold=1.0)
    persons = {e.start: p for e, p in zip(eg.predicted.ents, found.P) if e.label_ == "PER"}
    best = max(persons, key=persons.get)
    gold = [(e.start, e.end, "PER") for e in eg.predicted.ents if e.start == best]
    dev = list(make_examples(nlp, gold))
    rows = {row.label: row for row in set_thresholds(nlp, dev, 1.0)["crf_vae_ner"]}
    assert rows["PER"].threshold == pytest.approx(sum(persons.values()) / 2)
    assert (rows["PER"].predicted, rows["PER"].kept, rows["PER"].right_kept) == (2, 1, 1)
    doc = nlp(Doc(nlp.vocab, WORDS))
    assert [e.start for e in doc.ents] == [best]


def test_texts_have_thresholds(tiny_pipeline):
    nlp = tiny_pipeline("ssvae_textcat", steps=10)
    pipe = nlp.get_pipe("ssvae_textcat")
    best = pipe.labels[int(pipe.predict_probabilities([Doc(nlp.vocab, WORDS)])[0].argmax())]
    wrong = {label: float(label != best) for label in pipe.labels}
    dev = list(make_examples(nlp, [], cats=[wrong]))
    rows = {row.label: row for row in set_thresholds(nlp, dev, 0.5)["ssvae_textcat"]}
    assert not rows[best].reached
    assert (rows[best].predicted, rows[best].right) == (1, 0)
    doc = nlp(Doc(nlp.vocab, WORDS))
    assert doc.user_data["ssvae_textcat_label"] is None
    assert max(doc.cats, key=doc.cats.get) == best


def test_what_is_refused(tiny_pipeline):
    nlp = tiny_pipeline("vsl_tagger")
    dev = list(make_examples(nlp, []))
    with pytest.raises(ValueError, match="a precision is from 0 to 1, but got 90"):
        set_thresholds(nlp, dev, 90)
    with pytest.raises(ValueError, match=r"Only entities and cats .* got \['vsl_tagger'\]"):
        set_thresholds(nlp, dev, 0.9)
    nlp = tiny_pipeline("ssvae_textcat")
    with pytest.raises(ValueError, match="'ssvae_textcat' predicts nothing on 1 Docs"):
        set_thresholds(nlp, list(make_examples(nlp, [])), 0.9)
