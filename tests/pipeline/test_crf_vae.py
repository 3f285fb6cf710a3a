"""Both CRF-VAE components: learning, terms, rejected spans, probabilities."""

import numpy
import pytest
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from thinc.api import SGD

FACTORIES = ("crf_vae_tagger", "crf_vae_ner")
GENERATORS = ("factored", "mf", "mt", "mf_lm", "mt_lm", "mt_lm_poe", "mt_lm_residual")
WORDS = ["Ann", "saw", "Bob", "Lee", "in", "Rome", "!"]
TEXTS = ["Ann saw Bob Lee", "", "We like New York City .", " ", "Rome"]


# Learning


@pytest.mark.parametrize("generator", GENERATORS)
def test_every_generator_learns(generator, make_nlp, crf_model, gold, raw, fit, tensors):
    weights = {"alpha": 1.0, "beta": 0.01, "generator_weight": 1.0}
    nlp = make_nlp("crf_vae_ner", model=crf_model(generator), **weights)
    pipe = nlp.get_pipe("crf_vae_ner")
    before = tensors(pipe.model)
    losses = fit(nlp, [*gold(nlp), *raw(nlp)], 25, lr=0.02)
    for term in ("supervised", "generation", "reconstruction"):
        key = f"crf_vae_ner_{term}"
        assert losses[-1][key] < 0.95 * losses[0][key]
    after = tensors(pipe.model)
    unmoved = {name for name in before if numpy.array_equal(before[name], after[name])}
    assert unmoved == {name for name in before if "causal_lm" in name}  # it is frozen
    assert bool(unmoved) == ("lm" in generator)


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


# Terms


@pytest.mark.parametrize("factory", FACTORIES)
def test_losses_name_every_term_and_sum_up(factory, make_nlp, gold, raw):
    nlp = make_nlp(factory, alpha=0.3, beta=0.5, generator_weight=0.7)
    losses = nlp.get_pipe(factory).update([*gold(nlp), *raw(nlp)])
    weights = {
        "supervised": 1.0,
        "generation": 0.7,
        "reconstruction": 0.3,
        "kl": 0.15,
        "entity_ratio": 0.0,
    }
    watched = {"expected_outside", "decoded_outside", "beta"} if factory == FACTORIES[1] else set()
    terms = {key.removeprefix(f"{factory}_"): value for key, value in losses.items()}
    assert set(terms) - {factory} == {*weights, *watched}
    expected = sum(weight * terms[term] for term, weight in weights.items())
    assert losses[factory] == pytest.approx(expected)


def test_terms_of_mixtures(make_nlp, gold, raw, keep, reject):
    nlp = make_nlp("crf_vae_ner")
    pipe = nlp.get_pipe("crf_vae_ner")
    partial, negative = keep(nlp, WORDS, (0, 1, "PER")), reject(nlp, WORDS, (2, 4, "LOC"))
    kinds = {
        "full": (gold(nlp), {"supervised", "generation"}),
        "raw": (raw(nlp), {"reconstruction", "kl"}),
        "partial": ([partial], {"supervised", "reconstruction", "kl"}),
        "negative": ([negative], {"negative", "reconstruction", "kl"}),
    }
    terms = ("supervised", "generation", "reconstruction", "kl", "negative")
    for examples, expected in kinds.values():
        losses = pipe.update(examples)
        assert {term for term in terms if losses.get(f"crf_vae_ner_{term}", 0) > 1e-6} == expected
    losses = pipe.update([eg for examples, _ in kinds.values() for eg in examples])
    assert {term for term in terms if losses[f"crf_vae_ner_{term}"] > 0} == set(terms)


def test_annotated_positions_have_no_part_in_the_kl(make_nlp):
    nlp = make_nlp("crf_vae_ner", prior="simple")
    pipe = nlp.get_pipe("crf_vae_ner")
    reference = Doc(nlp.vocab, WORDS)
    reference.set_ents([], missing=[reference[6:7]], default="outside")
    losses = pipe.update([Example(Doc(nlp.vocab, WORDS), reference)])
    # the last token is open: only O and U can follow O there
    tagging = pipe.predict([Doc(nlp.vocab, WORDS)])
    scores = tagging.emissions[6] + tagging.transitions["pair"][0] + tagging.transitions["end"]
    q = scores.softmax(0).double().numpy()
    open_ = q > 0
    assert [pipe.scheme.names[i][0] for i in numpy.flatnonzero(open_)] == ["O", "U", "U"]
    prior = numpy.array([0.5, *[0.0625] * 8])
    expected = (q[open_] * numpy.log(q[open_] / prior[open_])).sum() / 7
    assert losses["crf_vae_ner_kl"] == pytest.approx(expected, rel=1e-4)


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


def test_the_prior_of_the_model(make_nlp):
    nlp = make_nlp("crf_vae_ner", prior="empirical")
    pipe = nlp.get_pipe("crf_vae_ner")
    counts = {"O": 11, "U-PER": 2, "B-PER": 1, "L-PER": 1, "U-LOC": 1}
    counts |= {"B-LOC": 1, "I-LOC": 1, "L-LOC": 1}
    assert pipe.cfg["tag_counts"] == counts
    expected = numpy.array([counts.get(name, 0) + 1 for name in pipe.scheme.names]) / (19 + 9)
    found = pipe.model.shims[0].module.log_prior.exp().numpy()
    numpy.testing.assert_allclose(found, expected, rtol=1e-5)
    pipe.add_label("NEW")
    assert pipe.model.shims[0].module.log_prior.exp().sum() == pytest.approx(1.0)


# Probabilities


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


@pytest.mark.parametrize("factory", FACTORIES)
def test_entropy(factory, make_nlp):
    nlp = make_nlp(factory)
    pipe = nlp.get_pipe(factory)
    docs = [Doc(nlp.vocab, ["Rome"]), Doc(nlp.vocab)]
    mu = pipe.predict_probabilities(docs)[0][0]
    mu = mu[mu > 1e-9]
    expected = [-float((mu * numpy.log(mu)).sum()), 0.0]
    assert pipe.predict_entropy(docs) == pytest.approx(expected, abs=1e-5)
