"""Entities: from few spans and rejected ones, and their probabilities."""

import numpy
import pytest
from spacy.tokens import Doc, DocBin, Span
from thinc.api import SGD

WORDS = ["Ann", "saw", "Bob", "Lee", "in", "Rome", "!"]
TEXTS = ["Ann saw Bob Lee", "", "We like New York City .", " ", "Rome"]


def test_the_entity_ratio_learns_from_some_spans_alone(make_nlp, crf_model, fit, keep):
    settings = {"entity_ratio": 10.0, "entity_ratio_target": 0.45, "entity_ratio_margin": 0.02}

    def examples(nlp):
        return [keep(nlp, WORDS, (0, 1, "PER"), (5, 6, "LOC"))]

    found = {}
    for name, changes in (("naive", {}), ("ratio", settings)):
        nlp = make_nlp("crf_vae_ner", model=crf_model(None), beta=0.0, examples=examples, **changes)
        losses = fit(nlp, examples(nlp), 50, lr=0.03)
        found[name] = losses[-1]["crf_vae_ner_expected_outside"]
        ents = {(ent.start, ent.label_) for ent in nlp(Doc(nlp.vocab, WORDS)).ents}
        assert {(0, "PER"), (5, "LOC")} <= ents
    assert found["ratio"] == pytest.approx(0.55, abs=0.05)
    assert found["naive"] < 0.45  # nothing teaches it O


@pytest.mark.parametrize("unit", ["token", "piece"])
def test_rejected_spans_become_less_probable(unit, make_nlp, crf_model, reject):
    model = crf_model("mf" if unit == "token" else None, unit)
    nlp = make_nlp("crf_vae_ner", model=model, alpha=0.0)
    pipe = nlp.get_pipe("crf_vae_ner")
    doc = Doc(nlp.vocab, WORDS)
    spans = [Span(doc, 2, 3, "PER"), Span(doc, 2, 4, "PER")]
    before = pipe.score_spans(doc, spans)
    example, optimizer = reject(nlp, WORDS, (2, 3, "PER")), SGD(0.5)
    losses = [nlp.update([example], sgd=optimizer, losses={}) for _ in range(3)]
    after = pipe.score_spans(doc, spans)
    assert losses[0]["crf_vae_ner_negative"] == pytest.approx(-numpy.log1p(-before[0]), rel=1e-4)
    assert after[0] < 0.95 * before[0]
    assert after[1] > 1.02 * before[1] * after[0] / before[0]  # it only begins at the same token


def test_a_type_seen_only_in_partial_docs(make_nlp, gold, fit, keep):
    def examples(nlp):
        return [*gold(nlp), keep(nlp, ["Zeb", "sleeps"], (0, 1, "ANIMAL"))]

    nlp = make_nlp("crf_vae_ner", examples=examples, prior="empirical")
    assert nlp.get_pipe("crf_vae_ner").labels == ("ANIMAL", "LOC", "PER")
    fit(nlp, examples(nlp), 40, lr=0.03)
    assert [e.label_ for e in nlp(Doc(nlp.vocab, ["Zeb", "sleeps"])).ents] == ["ANIMAL"]


@pytest.mark.parametrize("unit", ["token", "piece"])
def test_spans_have_their_probabilities(unit, make_nlp, crf_model, gold, fit, annotation):
    nlp = make_nlp("crf_vae_ner", model=crf_model(None, unit))
    fit(nlp, gold(nlp), 15)
    pipe = nlp.get_pipe("crf_vae_ner")
    for doc in nlp.pipe(TEXTS):
        spans = doc.spans["crf_vae_ner"]
        assert [(s.start, s.end, s.label_) for s in spans] == annotation("crf_vae_ner", doc)
        assert spans.attrs["scores"].tolist() == pytest.approx(pipe.score_spans(doc, list(spans)))
        assert all(0 < p <= 1 for p in spans.attrs["scores"])
    # the single token of a Doc is O, or an entity of some type
    doc = Doc(nlp.vocab, ["Rome"])
    P = pipe.score_spans(doc, [Span(doc, 0, 1, label) for label in pipe.labels])
    (mu,) = pipe.predict_probabilities([doc])
    assert sum(P) + mu[0, 0] == pytest.approx(1.0, abs=1e-5)


def test_scores_survive_storage_of_docs(make_nlp, gold, fit):
    nlp = make_nlp("crf_vae_ner", spans_key="found", threshold=0.05)
    fit(nlp, gold(nlp), 10)
    docs = list(nlp.pipe(TEXTS))
    loaded = list(DocBin(docs=docs, store_user_data=True).get_docs(nlp.vocab))
    for doc, other in zip(docs, loaded):
        scores = doc.spans["found"].attrs["scores"]
        assert len(scores) == len(doc.spans["found"])
        assert list(other.spans["found"].attrs["scores"]) == list(scores)


@pytest.mark.parametrize(
    ("start", "end", "label", "other"),
    [(0, 1, "NEW", False), (1, 1, "PER", False), (0, 1, "PER", True)],
)
def test_spans_that_cannot_be_scored(start, end, label, other, make_nlp):
    nlp = make_nlp("crf_vae_ner")
    doc = Doc(nlp.vocab, WORDS)
    span = Span(Doc(nlp.vocab, WORDS) if other else doc, start, end, label)
    with pytest.raises(ValueError, match=r"scores spans of the Doc .*\['LOC', 'PER'\]"):
        nlp.get_pipe("crf_vae_ner").score_spans(doc, [span])
