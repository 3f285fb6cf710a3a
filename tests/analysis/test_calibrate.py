"""A temperature by likelihood: against a grid and closed forms; what is measured."""

import numpy as np
import pytest
import torch
from spacy.tokens import Doc, Span
from spacy.training import Example
from tiny import SENTENCES, annotate

from spacy_semivae.analysis.calibrate import (
    HIGH,
    LOW,
    calibrate,
    encode_gold,
    fit_temperature,
    make_loss,
    measure_all,
)
from spacy_semivae.analysis.reliability import OFF_PATH, find_spans
from spacy_semivae.pipeline.ner import multiply_tags

FACTORIES = ["vsl_tagger", "vsl_ner", "crf_vae_tagger", "crf_vae_ner", "ssvae_textcat"]
STEPS = {"crf_vae_ner": 10}  # with more there is no temperature for what is held out
GRID = np.geomspace(LOW, HIGH, 400)
# the second half contradicts what `tiny_pipeline` learns, so that it is too sure
HELD_OUT = [
    ("Ann saw Rome !", "N V N .", [(0, 1, "PER"), (2, 3, "LOC")], "trip"),
    ("no names here", "D N R", [], "talk"),
    ("Bob likes New Rome", "N N V P", [(0, 2, "LOC")], "trip"),
    ("We like Ann", "D V R", [(0, 1, "LOC")], "talk"),
    ("Rome", "V", [], "talk"),
]


def make_examples(nlp, unknown=()):
    for text, tags, ents, cat in HELD_OUT:
        tags = " ".join("UNSEEN" if tag in unknown else tag for tag in tags.split())
        ents = [(i, j, "UNSEEN" if label in unknown else label) for i, j, label in ents]
        yield Example(nlp(Doc(nlp.vocab, text.split())), annotate(nlp, text, tags, ents, cat))
    yield Example(nlp(Doc(nlp.vocab, ["raw", "Rome"])), Doc(nlp.vocab, ["raw", "Rome"]))
    yield Example(Doc(nlp.vocab), Doc(nlp.vocab))


# The search


@pytest.mark.parametrize("best", [0.15, 0.8, 1.0, 1.07, 3.9, 9.0])
def test_the_search_finds_a_minimum(best):
    calls = []

    def loss(temperature):
        calls.append(temperature)
        return 1 / temperature + np.log(temperature) / best

    assert fit_temperature(loss) == pytest.approx(best, rel=1e-3)
    assert len(calls) < 40


@pytest.mark.parametrize(("sign", "edge"), [(1, LOW), (-1, HIGH)])
def test_the_search_ends_at_the_edges(sign, edge):
    assert fit_temperature(lambda T: sign * T) == pytest.approx(edge, rel=1e-2)


def test_logits_that_are_too_large_by_a_factor():
    logits = 2 * torch.randn(4000, 5, dtype=torch.float64)
    gold = torch.distributions.Categorical(logits=logits).sample()

    def loss(temperature):
        return float(torch.nn.functional.cross_entropy(3 * logits / temperature, gold))

    assert fit_temperature(loss) == pytest.approx(3.0, rel=0.08)


# The likelihood


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_temperature_is_that_of_a_grid(tiny_pipeline, factory):
    nlp = tiny_pipeline(factory, steps=STEPS.get(factory, 25))
    pipe, examples = nlp.get_pipe(factory), list(make_examples(nlp))
    loss = make_loss(pipe, examples)
    fitted = fit_temperature(loss)
    losses = [loss(temperature) for temperature in GRID]
    assert fitted == pytest.approx(GRID[np.argmin(losses)], rel=0.02)
    assert loss(fitted) <= min(losses) + 1e-6
    assert LOW * 1.2 < fitted < HIGH / 1.2
    assert loss(fitted) < loss(1.0) - 1e-3


@pytest.mark.parametrize("factory", ["vsl_tagger", "ssvae_textcat"])
def test_the_loss_of_independent_classes(tiny_pipeline, factory):
    nlp = tiny_pipeline(factory, steps=5)
    pipe, examples = nlp.get_pipe(factory), list(make_examples(nlp))
    loss = make_loss(pipe, examples)
    for temperature in (1.0, 2.5):
        pipe.calibrate(temperature)
        found = []
        for eg in examples:
            P = np.atleast_2d(pipe.predict_probabilities([eg.predicted])[0])
            found += [-np.log(P[i, y]) for i, y in enumerate(encode_gold(pipe, eg)) if y >= 0]
        assert loss(temperature) == pytest.approx(np.mean(found), rel=1e-4)


def test_the_loss_of_paths(tiny_pipeline):
    nlp = tiny_pipeline("crf_vae_tagger", steps=5)
    pipe, examples = nlp.get_pipe("crf_vae_tagger"), list(make_examples(nlp))
    loss = make_loss(pipe, examples)
    for temperature in (1.0, 2.5):
        total, tokens = 0.0, 0
        for eg in examples:
            gold = encode_gold(pipe, eg)
            (q,) = pipe.posterior([eg.predicted]).temper(temperature).chunks or [None]
            if q is not None and (gold >= 0).all():
                total -= float(q.q.log_prob(torch.from_numpy(gold)[None]))
                tokens += len(gold)
        assert loss(temperature) == pytest.approx(total / tokens, rel=1e-4)


@pytest.mark.parametrize("factory", ["vsl_ner", "crf_vae_ner"])
def test_the_loss_of_spans(tiny_pipeline, factory):
    nlp = tiny_pipeline(factory, steps=10)
    pipe, examples = nlp.get_pipe(factory), list(make_examples(nlp))
    annotated = examples[:5]
    likely = find_spans(pipe, [eg.predicted for eg in annotated])
    pipe.calibrate(3.0)  # has no part in what is likely, nor in the loss
    loss = make_loss(pipe, examples)
    for temperature in (1.0, 2.5):
        pipe.calibrate(temperature)
        found = []
        for eg, spans in zip(annotated, likely):
            (P,) = pipe.predict_probabilities([eg.predicted])
            gold = {(e.start, e.end, e.label_) for e in eg.reference.ents}
            for start, end, label in spans:
                span = Span(eg.predicted, start, end, label)
                if factory == "crf_vae_ner":
                    (p,) = pipe.score_spans(eg.predicted, [span])
                else:
                    (p,) = multiply_tags(P, [(start, end, pipe.labels.index(label))])
                found.append(-np.log(p if (start, end, label) in gold else 1 - p))
        assert len(found) > 5
        assert loss(temperature) == pytest.approx(np.mean(found), rel=1e-4)


@pytest.mark.parametrize("factory", FACTORIES)
def test_gold_classes(tiny_pipeline, factory):
    nlp = tiny_pipeline(factory)
    pipe, examples = nlp.get_pipe(factory), list(make_examples(nlp, unknown=["V", "LOC"]))
    names = [*pipe.scheme.names, None]
    found = [[names[i] for i in encode_gold(pipe, eg)] for eg in examples]
    expected = {
        "tagger": ["N", None, "N", "."],
        "ner": ["U-PER", "O", None, "O"],
        "textcat": ["trip"],
    }[factory.split("_")[-1]]
    assert found[0] == expected
    assert set(found[5]) == {None}
    assert len(found[6]) == (factory == "ssvae_textcat")


# The whole


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_pipeline_is_calibrated(tiny_pipeline, factory):
    nlp = tiny_pipeline(factory, steps=STEPS.get(factory, 25))
    pipe, dev = nlp.get_pipe(factory), list(make_examples(nlp))
    loss = make_loss(pipe, dev)
    (done,) = calibrate(nlp, dev)
    assert done.name == factory
    assert pipe.calibration_temperature == pytest.approx(done.temperature)
    assert done.temperature == pytest.approx(fit_temperature(loss))
    assert not done.at_edge
    kinds = {"tagger": ["tokens"], "textcat": ["texts"]}
    every = ["entities", f"and spans above {OFF_PATH}"]
    assert list(done.before) == list(done.after) == kinds.get(factory.split("_")[-1], every)
    for what, found in measure_all(pipe, dev).items():
        assert (found.n, found.ece) == (done.after[what].n, done.after[what].ece)
    first = next(iter(done.before))
    assert done.before[first].n == done.after[first].n > 0
    assert done.before[first].brier != done.after[first].brier
    (again,) = calibrate(nlp, dev)  # by the scores, not by what they were divided by
    assert again.temperature == pytest.approx(done.temperature)
    assert again.before[first].ece == done.after[first].ece


def test_what_is_measured_is_another_corpus(tiny_pipeline):
    nlp = tiny_pipeline("vsl_tagger", steps=5)
    dev = list(make_examples(nlp))
    (done,) = calibrate(nlp, dev, dev[:1])
    assert done.before["tokens"].n == 4


def test_all_components(tiny_pipeline):
    nlp = tiny_pipeline("vsl_tagger", "crf_vae_ner", steps=5, model={"width": 8})
    assert [x.name for x in calibrate(nlp, list(make_examples(nlp)))] == nlp.pipe_names


def test_what_is_all_right_is_at_the_edge(tiny_pipeline):
    nlp = tiny_pipeline("crf_vae_ner", steps=60)
    right = annotate(nlp, *SENTENCES[0])
    dev = [Example(nlp(right.copy()), right)]
    assert len(dev[0].predicted.ents) == len(right.ents)
    (done,) = calibrate(nlp, dev)
    assert done.at_edge


def test_what_cannot_be_calibrated(tiny_pipeline):
    nlp = tiny_pipeline("vsl_ner")
    dev = list(make_examples(nlp))
    with pytest.raises(ValueError, match=r"'vsl_ner' needs annotated Docs .* none of 1 has"):
        calibrate(nlp, dev[5:6])
    nlp.get_pipe("vsl_ner").set_thresholds({"LOC": 0.5})
    with pytest.raises(ValueError, match="has thresholds"):
        calibrate(nlp, dev)
