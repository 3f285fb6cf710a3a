"""Both CRF-VAE components: learning, terms, the prior, the entropy."""

import numpy
import pytest
from spacy.tokens import Doc
from spacy.training import Example

FACTORIES = ("crf_vae_tagger", "crf_vae_ner")
GENERATORS = ("factored", "mf", "mt", "mf_lm", "mt_lm", "mt_lm_poe", "mt_lm_residual")
WORDS = ["Ann", "saw", "Bob", "Lee", "in", "Rome", "!"]


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


# Entropy


@pytest.mark.parametrize("factory", FACTORIES)
def test_entropy(factory, make_nlp):
    nlp = make_nlp(factory)
    pipe = nlp.get_pipe(factory)
    docs = [Doc(nlp.vocab, ["Rome"]), Doc(nlp.vocab)]
    mu = pipe.predict_probabilities(docs)[0][0]
    mu = mu[mu > 1e-9]
    expected = [-float((mu * numpy.log(mu)).sum()), 0.0]
    assert pipe.predict_entropy(docs) == pytest.approx(expected, abs=1e-5)
