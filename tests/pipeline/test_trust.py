"""Temperatures and thresholds of all five components: labels, probabilities, storage."""

import json
import shutil

import numpy
import pytest
import spacy

from spacy_semivae.pipeline.ner import multiply_tags
from spacy_semivae.pipeline.text_labels import accept

FACTORIES = ["vsl_tagger", "vsl_ner", "crf_vae_tagger", "crf_vae_ner", "ssvae_textcat"]
TEMPERATURES = [0.1, 0.7, 5.0]
TEXTS = ["Ann saw Bob Lee in Rome !", "", "We like New York City .", "Lee likes New Rome", "zebras"]
WITH_THRESHOLDS = ["vsl_ner", "crf_vae_ner", "ssvae_textcat"]


@pytest.fixture
def trained(make_nlp, gold, fit):
    """A component that is not sure yet."""

    def make(factory, steps=25, **settings):
        nlp = make_nlp(factory, **settings)
        fit(nlp, gold(nlp), steps)
        return nlp

    return make


# Temperature


@pytest.mark.parametrize("factory", FACTORIES)
def test_labels_are_the_same_at_every_temperature(factory, trained, annotation):
    nlp = trained(factory)
    pipe = nlp.get_pipe(factory)
    expected = [annotation(factory, doc) for doc in nlp.pipe(TEXTS)]
    before = pipe.predict_probabilities(list(nlp.pipe(TEXTS)))
    assert any(expected)
    for temperature in TEMPERATURES:
        pipe.calibrate(temperature)
        docs = list(nlp.pipe(TEXTS))
        assert [annotation(factory, doc) for doc in docs] == expected
        for P, old in zip(pipe.predict_probabilities(docs), before):
            if P.size:
                assert P.sum(-1) == pytest.approx(1.0, abs=1e-5)
                assert (P.max() > old.max()) == (temperature < 1)


@pytest.mark.parametrize("factory", ["vsl_tagger", "vsl_ner", "ssvae_textcat"])
def test_scores_are_divided(factory, trained):
    nlp = trained(factory)
    pipe, docs = nlp.get_pipe(factory), [nlp.make_doc(text) for text in TEXTS[2:]]
    scores = pipe.predict(docs)
    rows = getattr(scores, "dataXd", scores).astype("float64")
    pipe.calibrate(3.0)
    expected = numpy.exp(rows / 3) / numpy.exp(rows / 3).sum(1, keepdims=True)
    found = numpy.concatenate([numpy.atleast_2d(P) for P in pipe.probabilities(scores)])
    numpy.testing.assert_allclose(found, expected, atol=1e-6)


def test_everything_that_a_recognizer_says_is_tempered(trained):
    nlp = trained("crf_vae_ner", threshold=0.05, store_probabilities=True)
    pipe = nlp.get_pipe("crf_vae_ner")
    doc = nlp.make_doc(TEXTS[0])
    plain = pipe.posterior([doc])
    pipe.calibrate(2.0)
    expected = plain.temper(2.0)
    doc = nlp(doc)
    group = doc.spans["crf_vae_ner"]
    (candidates,) = expected.candidates(0.05)
    assert candidates != plain.candidates(0.05)[0]
    assert group.attrs["scores"].tolist() == pytest.approx([c.probability for c in candidates])
    assert pipe.score_spans(doc, list(group)) == pytest.approx(group.attrs["scores"].tolist())
    assert pipe.predict_entropy([doc]) == pytest.approx(expected.entropies().tolist())
    stored = doc.user_data["crf_vae_ner_probabilities"]
    numpy.testing.assert_allclose(stored, expected.marginals()[0], atol=1e-6)


def test_near_ties_of_a_text_stay(make_nlp):
    pipe = make_nlp("ssvae_textcat").get_pipe("ssvae_textcat")
    scores = numpy.array([[1.0, 1.0 + 2**-23], [5e3, 5e3 - 2**-11]], dtype="f")
    for temperature in (0.1, 1.0, 10.0):
        pipe.calibrate(temperature)
        assert [P.argmax() for P in pipe.probabilities(scores)] == [1, 0]


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_wrong_temperatures(value, make_nlp):
    pipe = make_nlp("vsl_tagger").get_pipe("vsl_tagger")
    with pytest.raises(ValueError, match="a calibration temperature is above 0, but got"):
        pipe.calibrate(value)
    assert pipe.calibration_temperature == 1.0


# Thresholds


@pytest.mark.parametrize("factory", ["vsl_ner", "crf_vae_ner"])
def test_entities_below_go_to_a_span_group(factory, trained):
    nlp = trained(factory)
    pipe = nlp.get_pipe(factory)
    docs = list(nlp.pipe(TEXTS))
    assert not any(f"{factory}_candidates" in doc.spans for doc in docs)
    scores = {}
    for i, (doc, P) in enumerate(zip(docs, pipe.predict_probabilities(docs))):
        rows = [(e.start, e.end, pipe.labels.index(e.label_)) for e in doc.ents]
        found = multiply_tags(P, rows)
        if factory == "crf_vae_ner":
            found = pipe.score_spans(doc, list(doc.ents))
        scores |= {(i, e.start, e.end, e.label_): p for e, p in zip(doc.ents, found)}
    of_places = sorted(p for key, p in scores.items() if key[3] == "LOC")
    assert len(of_places) > 1
    limit = (of_places[0] + of_places[-1]) / 2
    pipe.set_thresholds({"LOC": limit, "PER": 0.0})
    assert pipe.thresholds == pytest.approx({"LOC": limit})
    kept, held = {}, {}
    for i, doc in enumerate(nlp.pipe(TEXTS)):
        kept |= {
            (i, e.start, e.end, e.label_): scores[i, e.start, e.end, e.label_] for e in doc.ents
        }
        group = doc.spans[f"{factory}_candidates"]
        held |= {(i, s.start, s.end, s.label_): p for s, p in zip(group, group.attrs["scores"])}
        assert all(token.ent_iob for token in doc)
    assert kept == {k: p for k, p in scores.items() if k[3] == "PER" or p > limit}
    assert held == pytest.approx({k: p for k, p in scores.items() if k not in kept})
    assert kept
    assert held
    if factory == "crf_vae_ner":  # which lists the entities of the best path, wherever they go
        assert sum(len(doc.spans[factory]) for doc in nlp.pipe(TEXTS)) == len(scores)


def test_thresholds_beside_a_group_of_likely_spans(trained):
    nlp = trained("crf_vae_ner", threshold=0.05)
    doc = nlp(TEXTS[0])
    expected, n = list(doc.spans["crf_vae_ner"].attrs["scores"]), len(doc.ents)
    nlp.get_pipe("crf_vae_ner").set_thresholds({"PER": 1.0, "LOC": 1.0})
    doc = nlp(TEXTS[0])
    assert not doc.ents
    assert len(doc.spans["crf_vae_ner_candidates"]) == n > 0
    assert list(doc.spans["crf_vae_ner"].attrs["scores"]) == expected


def test_texts_below_have_no_label(trained):
    nlp = trained("ssvae_textcat")
    pipe, doc = nlp.get_pipe("ssvae_textcat"), nlp(TEXTS[0])
    assert "ssvae_textcat_label" not in doc.user_data
    cats = dict(doc.cats)
    best = max(cats, key=cats.get)
    for limit, expected in ((cats[best] - 0.01, best), (cats[best] + 1e-9, None), (1.0, None)):
        pipe.set_thresholds({best: limit})
        doc = nlp(TEXTS[0])
        assert doc.user_data["ssvae_textcat_label"] == expected
        assert doc.cats == cats


def test_the_most_probable_label_must_exceed_its_own_threshold():
    P, labels = numpy.array([0.6, 0.4]), ("a", "b")
    assert accept(P, labels, {}) == accept(P, labels, {"b": 0.9}) == "a"
    assert accept(P, labels, {"a": 0.7}) is None


@pytest.mark.parametrize("factory", FACTORIES)
def test_wrong_thresholds(factory, make_nlp):
    pipe = make_nlp(factory).get_pipe(factory)
    label = pipe.labels[0]
    with pytest.raises(ValueError, match=r"a threshold of a label is from 0 to 1, .*'none': 0\.5"):
        pipe.set_thresholds({"none": 0.5})
    with pytest.raises(ValueError, match=r"from 0 to 1, but got .* 1\.5"):
        pipe.set_thresholds({label: 1.5})
    if factory not in WITH_THRESHOLDS:
        with pytest.raises(ValueError, match="only entities and cats have thresholds"):
            pipe.set_thresholds({label: 0.5})
    assert pipe.thresholds == {}


def test_a_component_with_thresholds_is_not_calibrated(make_nlp):
    pipe = make_nlp("vsl_ner").get_pipe("vsl_ner")
    pipe.set_thresholds({"LOC": 0.5})
    with pytest.raises(ValueError, match="'vsl_ner' has thresholds, which were chosen for"):
        pipe.calibrate(2.0)
    pipe.set_thresholds({})
    pipe.calibrate(2.0)


# Storage


@pytest.mark.parametrize("factory", FACTORIES)
def test_both_are_stored(factory, make_nlp, save, measured, same):
    nlp = make_nlp(factory)
    pipe = nlp.get_pipe(factory)
    pipe.calibrate(1.7)
    if factory in WITH_THRESHOLDS:
        pipe.set_thresholds({pipe.labels[0]: 0.4})
    loaded = save(nlp).get_pipe(factory)
    assert loaded.calibration_temperature == 1.7
    assert loaded.thresholds == pipe.thresholds
    assert same(measured(nlp, factory), measured(save(nlp), factory))


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_pipeline_of_before_can_be_loaded(factory, make_nlp, tmp_path, measured, same):
    nlp = make_nlp(factory)
    nlp.to_disk(tmp_path / "new")
    shutil.copytree(tmp_path / "new", tmp_path / "old")
    path = tmp_path / "old" / factory / "cfg"
    cfg = json.loads(path.read_text())
    for key in ("calibration_temperature", "thresholds"):
        del cfg[key]
    if not factory.startswith("crf"):
        del cfg["tag_counts"]
    path.write_text(json.dumps(cfg))
    (tmp_path / "old" / factory / "checksums.json").unlink(missing_ok=True)
    config = spacy.util.load_config(tmp_path / "old" / "config.cfg")
    for key in ("class_weights", "logit_adjustment"):
        del config["components"][factory][key]
    config.to_disk(tmp_path / "old" / "config.cfg")
    old = spacy.load(tmp_path / "old")
    assert old.get_pipe(factory).calibration_temperature == 1.0
    assert same(measured(nlp, factory), measured(old, factory))


@pytest.mark.parametrize("factory", WITH_THRESHOLDS)
def test_new_weights_start_without(factory, make_nlp, gold):
    nlp = make_nlp(factory)
    pipe = nlp.get_pipe(factory)
    pipe.calibrate(1.7)
    pipe.set_thresholds({pipe.labels[0]: 0.4})
    nlp.initialize(lambda: gold(nlp))
    assert (pipe.calibration_temperature, pipe.thresholds) == (1.0, {})
