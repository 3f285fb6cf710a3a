"""Every setting of both CRF-VAE factories has an effect, and wrong ones are refused."""

import inspect

import numpy
import pytest
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import fix_random_seed
from thinc.api import Adam

from spacy_semivae.layers.shim import collect_gradients
from spacy_semivae.pipeline.crf_vae_factories import make_crf_vae_ner, make_crf_vae_tagger

FACTORIES = {"crf_vae_tagger": make_crf_vae_tagger, "crf_vae_ner": make_crf_vae_ner}
ADAPTIVE = {"@misc": "semivae.AdaptiveBeta.v1", "start": 0.7}


def first_losses(nlp, factory, gold, raw):
    fix_random_seed(1)
    return nlp.get_pipe(factory).update([*gold(nlp), *raw(nlp)])


def check_weight(setting, terms):
    """The weighted sum grows by twice the terms when the setting goes from 0.5 to 2.5."""

    def check(factory, make_nlp, gold, raw):
        defaults = {"alpha": 0.5, "beta": 0.5, "generator_weight": 0.5}
        low, high = (
            first_losses(make_nlp(factory, **{**defaults, setting: value}), factory, gold, raw)
            for value in (0.5, 2.5)
        )
        added = sum(2.0 * scale * low[f"{factory}_{term}"] for term, scale in terms.items())
        assert added > 0
        assert high[factory] - low[factory] == pytest.approx(added, rel=1e-4)

    return check


def check_beta(factory, make_nlp, gold, raw):
    check_weight("beta", {"kl": 0.5})(factory, make_nlp, gold, raw)
    if factory == "crf_vae_ner":
        pipe = make_nlp(factory, beta=ADAPTIVE, alpha=0.5).get_pipe(factory)
        assert pipe.weights()["kl"] == pytest.approx(0.35)


def check_entity_ratio(factory, make_nlp, gold, raw):
    settings = {"entity_ratio_target": 0.01, "entity_ratio_margin": 0.0}
    low, high = (
        first_losses(make_nlp(factory, entity_ratio=value, **settings), factory, gold, raw)
        for value in (0.5, 2.5)
    )
    added = 2.0 * low[f"{factory}_entity_ratio"]
    assert added > 0.1
    assert high[factory] - low[factory] == pytest.approx(added, rel=1e-3)


def check_entity_ratio_target(factory, make_nlp, gold, raw):
    for target in (0.1, 0.9):
        nlp = make_nlp(factory, entity_ratio_target=target, entity_ratio_margin=0.0)
        losses = first_losses(nlp, factory, gold, raw)
        expected = abs(1 - losses[f"{factory}_expected_outside"] - target)
        assert losses[f"{factory}_entity_ratio"] == pytest.approx(expected, rel=1e-3)


def check_entity_ratio_margin(factory, make_nlp, gold, raw):
    wide, narrow = (
        first_losses(make_nlp(factory, entity_ratio_margin=margin), factory, gold, raw)
        for margin in (0.1, 0.02)
    )
    key = f"{factory}_entity_ratio"
    assert narrow[key] - wide[key] == pytest.approx(0.08, rel=1e-3)


def check_temperature(factory, make_nlp, gold, raw):
    found = set()
    for temperature in (0.3, 3.0, 0.3):
        nlp = make_nlp(factory, temperature=temperature)
        assert nlp.get_pipe(factory).make_batch(raw(nlp)).temperature == temperature
        found.add(round(first_losses(nlp, factory, gold, raw)[f"{factory}_reconstruction"], 6))
    assert len(found) == 2


def check_prior(factory, make_nlp, gold, raw):
    def log_prior(value):
        nlp = make_nlp(factory, prior=value)
        module = nlp.get_pipe(factory).model.shims[0].module
        return dict(zip(nlp.get_pipe(factory).scheme.names, module.log_prior.exp().tolist()))

    simple, empirical = log_prior("simple"), log_prior("empirical")
    most = {"crf_vae_tagger": "NNP", "crf_vae_ner": "O"}[factory]
    assert empirical[most] == max(empirical.values())
    if factory == "crf_vae_tagger":
        assert list(simple.values()) == pytest.approx([1 / len(simple)] * len(simple))
    else:
        assert simple["O"] == 0.5
    table = {name: (i + 1) / 100 for i, name in enumerate(simple)}
    table[most] += 1 - sum(table.values())
    assert log_prior(table) == pytest.approx(table)


def check_attr(factory, make_nlp, gold, raw):
    nlp = make_nlp(factory, attr="pos")
    assert "PROPN" in nlp.get_pipe(factory).labels
    assert nlp.get_pipe(factory).cfg["tag_counts"]["PROPN"] == 8
    assert all(token.pos_ and not token.tag_ for token in nlp("Ann saw Rome"))


def check_max_grad_norm(factory, make_nlp, gold, raw):
    for limit, clipped in ((0.01, True), (0.0, False), (1e6, False)):
        nlp = make_nlp(factory, max_grad_norm=limit)
        pipe = nlp.get_pipe(factory)
        pipe.update(gold(nlp))
        _, gradients = collect_gradients(pipe.model)
        whole = sum(float(g.square().sum()) for g in gradients.values()) ** 0.5
        taken = {}

        def optimizer(key, weights, gradient, taken=taken):
            taken[key] = gradient
            return weights, gradient

        pipe.finish_update(optimizer)
        norm = sum(float((gradient**2).sum()) for gradient in taken.values()) ** 0.5
        assert norm == pytest.approx(limit if clipped else whole, rel=1e-3)


def check_overwrite(factory, make_nlp, gold, raw):
    for overwrite in (True, False):
        nlp = make_nlp(factory, overwrite=overwrite)
        doc = Doc(nlp.vocab, words=["Ann", "saw"], tags=["KEPT", ""])
        doc.set_ents([Span(doc, 0, 1, label="KEPT")], default="missing")
        nlp(doc)
        kept = doc[0].tag_ if factory == "crf_vae_tagger" else doc[0].ent_type_
        assert (kept == "KEPT") != overwrite
        assert doc[1].tag_ or doc[1].ent_iob_


def check_store_probabilities(factory, make_nlp, gold, raw):
    for store in (True, False):
        nlp = make_nlp(factory, store_probabilities=store)
        pipe, key = nlp.get_pipe(factory), f"{factory}_probabilities"
        docs = list(nlp.pipe(["Ann saw Rome", "", "We"]))
        assert all((key in doc.user_data) == store for doc in docs)
        if store:
            for doc, expected in zip(docs, pipe.predict_probabilities(docs)):
                assert doc.user_data[key].shape == (len(doc), len(pipe.scheme.names))
                assert numpy.allclose(doc.user_data[key], expected, atol=1e-6)
                assert numpy.allclose(doc.user_data[key].sum(1), 1.0, atol=1e-5)


def check_scorer(factory, make_nlp, gold, raw):
    default = {"crf_vae_tagger": "tag_acc", "crf_vae_ner": "ents_f"}[factory]
    nlp = make_nlp(factory)
    assert default in nlp.get_pipe(factory).score(gold(nlp))
    assert make_nlp(factory, scorer=None).get_pipe(factory).score(gold(nlp)) == {}
    if factory == "crf_vae_tagger":
        assert "pos_acc" in make_nlp(factory, attr="pos").get_pipe(factory).score(gold(nlp))


def check_incorrect_spans_key(factory, make_nlp, gold, raw):
    nlp = make_nlp(factory, incorrect_spans_key="bad")
    for key, found in (("bad", True), ("incorrect_spans", False)):
        reference = Doc(nlp.vocab, words=["Ann", "saw"])
        reference.spans[key] = [Span(reference, 0, 1, label="PER")]
        losses = nlp.get_pipe(factory).update([Example(reference.copy(), reference)])
        assert (f"{factory}_negative" in losses) == found


def check_spans_key(factory, make_nlp, gold, raw):
    for key, expected in ((None, "crf_vae_ner"), ("found", "found")):
        doc = make_nlp(factory, spans_key=key)("Ann saw Rome")
        assert list(doc.spans) == [expected]


def check_threshold(factory, make_nlp, gold, raw):
    for threshold in (None, 0.05):
        nlp = make_nlp(factory, threshold=threshold)
        doc = nlp("Ann saw Rome")
        spans = doc.spans[factory]
        if threshold is None:
            assert [(s.start, s.end) for s in spans] == [(e.start, e.end) for e in doc.ents]
            continue
        every = [
            Span(doc, i, j, label)
            for i in range(3)
            for j in range(i + 1, 4)
            for label in nlp.get_pipe(factory).labels
        ]
        P = nlp.get_pipe(factory).score_spans(doc, every)
        likely = {(s.start, s.end, s.label_) for s, p in zip(every, P) if p > threshold}
        assert {(s.start, s.end, s.label_) for s in spans} == likely
        assert len(likely) > len(doc.ents)
        assert all(p > threshold for p in spans.attrs["scores"])


def check_model(factory, make_nlp, gold, raw):
    for width in (3, 7):
        nlp = make_nlp(factory, model={"width": width})
        assert nlp.get_pipe(factory).model.shims[0].module.score.in_features == width


CHECKS = {
    "attr": check_attr,
    "alpha": check_weight("alpha", {"reconstruction": 1.0, "kl": 0.5}),
    "beta": check_beta,
    "generator_weight": check_weight("generator_weight", {"generation": 1.0}),
    "temperature": check_temperature,
    "prior": check_prior,
    "entity_ratio": check_entity_ratio,
    "entity_ratio_target": check_entity_ratio_target,
    "entity_ratio_margin": check_entity_ratio_margin,
    "max_grad_norm": check_max_grad_norm,
    "overwrite": check_overwrite,
    "store_probabilities": check_store_probabilities,
    "scorer": check_scorer,
    "incorrect_spans_key": check_incorrect_spans_key,
    "spans_key": check_spans_key,
    "threshold": check_threshold,
    "model": check_model,
}


def settings():
    for factory, make in FACTORIES.items():
        for name in inspect.signature(make).parameters:
            if name not in ("nlp", "name"):
                yield factory, name


@pytest.mark.parametrize(("factory", "setting"), list(settings()))
def test_every_setting_has_an_effect(factory, setting, make_nlp, gold, raw):
    CHECKS[setting](factory, make_nlp, gold, raw)


@pytest.mark.parametrize(
    "setting", ["alpha", "beta", "generator_weight", "temperature", "entity_ratio"]
)
def test_weights_follow_their_schedules(setting, make_nlp, gold, raw):
    schedule = {"@schedules": "semivae.linear.v1", "start": 0.5, "end": 1.5, "steps": 2}
    nlp = make_nlp("crf_vae_ner", **{"beta": 1.0, "alpha": 1.0, setting: schedule})
    pipe, seen = nlp.get_pipe("crf_vae_ner"), []
    term = {"alpha": "reconstruction", "beta": "kl", "generator_weight": "generation"}
    for _ in range(4):
        if setting == "temperature":
            seen.append(pipe.make_batch(raw(nlp)).temperature)
        else:
            seen.append(pipe.weights()[term.get(setting, setting)])
        nlp.update([*gold(nlp), *raw(nlp)], sgd=Adam(0.001))
    assert seen == pytest.approx([0.5, 1.0, 1.5, 1.5])


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("alpha", "much", "alpha.*'much'"),
        ("beta", None, "beta.*None"),
        ("temperature", True, "temperature.*True"),
        ("generator_weight", "x", "generator_weight.*'x'"),
        ("entity_ratio", "x", "entity_ratio.*'x'"),
        ("entity_ratio_target", 1.5, r"entity_ratio_target is a share from 0 to 1, but got 1\.5"),
        ("entity_ratio_margin", -0.1, r"entity_ratio_margin is a share .* got -0\.1"),
        ("threshold", 0.0, r"threshold lies between 0 and 1, but got 0\.0"),
        ("threshold", 1.0, r"threshold lies between 0 and 1, but got 1\.0"),
        ("prior", "flat", "must be .*, but got 'flat'"),
        ("prior", {"O": 1.0}, r"'B-LOC'"),
        ("model", {"spans": False}, "'crf_vae_ner' needs a model with spans = true"),
    ],
)
def test_wrong_settings_are_refused(setting, value, message, make_nlp):
    with pytest.raises(ValueError, match=message):
        make_nlp("crf_vae_ner", **{setting: value})


def test_a_tagger_needs_a_model_of_tags(make_nlp):
    with pytest.raises(ValueError, match="'crf_vae_tagger' needs a model with spans = false"):
        make_nlp("crf_vae_tagger", model={"spans": True})


def test_temperature_must_be_positive(make_nlp, raw):
    nlp = make_nlp("crf_vae_ner", temperature=0.0)
    with pytest.raises(ValueError, match=r"temperature must be above 0, but got 0\.0"):
        nlp.update(raw(nlp))


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, True),
        ({"alpha": 0.0}, False),
        ({"alpha": 0.0, "entity_ratio": 1.0}, True),
        ({"model": {"generator": None}, "beta": 0.1}, True),
        ({"model": {"generator": None}, "beta": 0.0}, False),
        ({"beta": 0.0}, True),
    ],
)
def test_whether_raw_docs_are_wanted(changes, wanted, make_nlp):
    assert make_nlp("crf_vae_ner", **changes).get_pipe("crf_vae_ner").uses_unlabeled() is wanted
