"""Measures against closed forms, enumeration of paths and samples drawn by hand."""

from itertools import product

import numpy
import pytest
import torch

from spacy_semivae.analysis.suggest_measures import Scored, measure

TEXTS = ["Ann saw Bob", "We like Rome", "no", "zebras saw us"]


@pytest.fixture
def scored(tiny_pipeline):
    def make(factory, texts=TEXTS, **settings):
        nlp = tiny_pipeline(factory)
        pipe, docs = nlp.get_pipe(factory), [nlp.make_doc(text) for text in texts]
        return Scored(pipe, docs, pipe.predict(docs), **settings)

    return make


def path_probabilities(pipe, doc):
    """The probability of every path of tags of a Doc, the highest first."""
    scores = pipe.predict([doc])
    if hasattr(scores, "transitions"):
        emissions, (start, pair, end) = scores.emissions, scores.transitions.values()
        every = torch.tensor(list(product(range(emissions.shape[1]), repeat=len(doc))))
        total = emissions[torch.arange(len(doc)), every].sum(1) + pair[
            every[:, :-1], every[:, 1:]
        ].sum(1)
        total = total + start[every[:, 0]] + end[every[:, -1]]
    else:
        log_P = torch.from_numpy(pipe.probabilities(scores)[0]).log()
        mask = pipe.scheme.transitions()
        every = torch.tensor(list(product(range(log_P.shape[1]), repeat=len(doc))))
        allowed = (
            torch.from_numpy(mask.start)[every[:, 0]] & torch.from_numpy(mask.end)[every[:, -1]]
        )
        for i in range(len(doc) - 1):
            allowed &= torch.from_numpy(mask.pair)[every[:, i], every[:, i + 1]]
        total = log_P[torch.arange(len(doc)), every].sum(1)
        total = total.masked_fill(~allowed, -torch.inf)
    return total.double().softmax(0).sort(descending=True).values


@pytest.mark.parametrize("factory", ["crf_vae_ner", "vsl_ner", "vsl_tagger", "crf_vae_tagger"])
def test_margin_is_that_of_the_two_best_paths(factory, scored):
    found = scored(factory)
    for doc, value in zip(found.docs, measure("margin", found)):
        P = path_probabilities(found.pipe, doc)
        assert value == pytest.approx(float((P[1] / P[0]).log()), abs=1e-4)


@pytest.mark.parametrize("factory", ["crf_vae_ner", "crf_vae_tagger"])
def test_entropy_of_a_crf_is_that_of_its_paths(factory, scored):
    found = scored(factory)
    expected = [
        float(torch.special.entr(path_probabilities(found.pipe, doc)).sum()) for doc in found.docs
    ]
    assert measure("entropy", found) == pytest.approx(expected, abs=1e-3)


def test_entropy_of_tokens_and_of_classes(scored):
    for factory in ("vsl_tagger", "ssvae_textcat"):
        found = scored(factory)
        P = found.pipe.predict_probabilities(found.docs)
        expected = [float(-(p * numpy.log(p)).sum()) for p in P]
        assert measure("entropy", found) == pytest.approx(expected, abs=1e-5)
    first, second = numpy.sort(numpy.stack(P), axis=1)[:, ::-1][:, :2].T
    assert measure("margin", found) == pytest.approx(numpy.log(second / first), abs=1e-4)


@pytest.mark.parametrize("factory", ["crf_vae_ner", "vsl_ner"])
def test_expected_entities_are_the_sum_over_all_spans(factory, scored):
    found = scored(factory)
    for doc, value in zip(found.docs, measure("entities", found)):
        if factory == "crf_vae_ner":
            pipe = found.pipe
            rows = [
                (i, j, k)
                for i in range(len(doc))
                for j in range(i + 1, len(doc) + 1)
                for k in range(len(pipe.labels))
            ]
            (P,) = pipe.posterior([doc]).span_probabilities([rows])
            assert value == pytest.approx(P.sum(), abs=1e-4)
        assert 0 < value < len(doc)


@pytest.mark.parametrize("factory", ["vsl_tagger", "vsl_ner", "ssvae_textcat"])
def test_disagreement_repeats_and_is_bounded_by_the_entropy_of_labels(factory, scored):
    found = scored(factory, samples=4)
    values = measure("disagreement", found)
    assert (values == measure("disagreement", found)).all()
    classes = len(found.pipe.scheme.names)
    limits = [numpy.log(classes) * (1 if "textcat" in factory else len(d)) for d in found.docs]
    assert (values > 0).all()
    assert (values <= limits).all()
    one = Scored(found.pipe, found.docs, found.scores, samples=1)
    assert measure("disagreement", one) == pytest.approx(0, abs=1e-6)


def test_disagreement_is_the_mutual_information_of_its_samples(scored):
    found = scored("vsl_tagger", samples=3, seed=5)
    module = found.pipe.model.shims[0].module.eval()
    X = torch.cat([torch.from_numpy(x) for x in found.pipe.model.layers[0].predict(found.docs)])
    torch.manual_seed(5)
    with torch.no_grad():
        P = [module.classifier(module.infer(X, sample=True)[0]["y"]).softmax(1) for _ in range(3)]
    mean = sum(P) / 3
    gap = -(mean * mean.log()).sum(1) + sum((p * p.log()).sum(1) for p in P) / 3
    expected = [part.sum().item() for part in gap.split([len(doc) for doc in found.docs])]
    assert measure("disagreement", found) == pytest.approx(expected, abs=1e-5)


def test_disagreement_leaves_the_global_noise_and_the_model_as_they_were(scored):
    found = scored("ssvae_textcat")
    before = torch.get_rng_state(), found.pipe.predict_probabilities(found.docs)
    measure("disagreement", found)
    assert torch.equal(before[0], torch.get_rng_state())
    assert not found.pipe.model.shims[0].module.generator.training
    assert numpy.array_equal(before[1], found.pipe.predict_probabilities(found.docs))


@pytest.mark.parametrize(
    ("by", "factory", "message"),
    [
        ("disagreement", "crf_vae_ner", "needs samples of latents, but component 'crf_vae_ner'"),
        ("entities", "vsl_tagger", "need an entity recognizer, got component 'vsl_tagger'"),
        ("entities", "ssvae_textcat", "need an entity recognizer"),
        ("luck", "vsl_ner", "one of entropy, margin, entities, disagreement, got 'luck'"),
    ],
)
def test_what_a_component_does_not_have(by, factory, message, scored):
    with pytest.raises(ValueError, match=message):
        measure(by, scored(factory))


def test_disagreement_needs_the_generator(scored):
    found = scored("ssvae_textcat")
    found.pipe.prune()
    with pytest.raises(ValueError, match="has none, or was pruned"):
        measure("disagreement", found)


def test_empty_docs_and_no_docs(scored):
    for factory in ("crf_vae_ner", "vsl_ner", "vsl_tagger", "ssvae_textcat"):
        found = scored(factory, ["", "Ann"])
        if factory != "ssvae_textcat":
            assert measure("entropy", found)[0] == 0
            assert measure("margin", found)[0] == -numpy.inf
        assert measure("entropy", scored(factory, [])).shape == (0,)
