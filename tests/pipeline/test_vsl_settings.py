"""Every setting of both factories has an effect, and weights follow their schedules."""

import inspect

import numpy
import pytest
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import fix_random_seed
from thinc.api import SGD, Adam

from spacy_semivae.layers.shim import collect_gradients
from spacy_semivae.pipeline.vsl import make_vsl_ner, make_vsl_tagger

FACTORIES = {"vsl_tagger": make_vsl_tagger, "vsl_ner": make_vsl_ner}
PRIORS = [f"semivae.{kind}Prior.v1" for kind in ("Standard", "Memory", "Snapshot")]


def prior(name):
    return {"@misc": name, "every": 1} if "Snapshot" in name else {"@misc": name}


# A check fails when its setting is ignored


def first_losses(nlp, factory, gold, raw):
    fix_random_seed(1)
    return nlp.get_pipe(factory).update([*gold(nlp), *raw(nlp)])


def check_weight(setting, terms):
    def check(factory, make_nlp, gold, raw):
        defaults = {"alpha": 0.5, "labelled_weight": 0.5, "kl_weight": 0.5}
        low, high = (
            first_losses(make_nlp(factory, **{**defaults, setting: value}), factory, gold, raw)
            for value in (0.5, 2.5)
        )
        share = 1.0 if setting != "kl_weight" else 0.5
        added = sum(2.0 * share * scale * low[f"{factory}_{term}"] for term, scale in terms.items())
        assert added > 0
        assert high[factory] - low[factory] == pytest.approx(added, rel=1e-4)

    return check


def check_attr(factory, make_nlp, gold, raw):
    nlp = make_nlp(factory, attr="pos")
    assert "PROPN" in nlp.get_pipe(factory).labels
    doc = nlp("Ann saw Rome")
    assert all(token.pos_ and not token.tag_ for token in doc)


def check_prior(factory, make_nlp, gold, raw):
    # with a learning rate of 0 the posterior stays the same, and so the KL to its own past is 0
    for name, variant in zip(PRIORS, ("hier", "g", "hier")):
        nlp = make_nlp(factory, variant=variant, prior=prior(name), kl_weight=1.0)
        key, optimizer = f"{factory}_kl", SGD(0.0)
        first, second = (nlp.update(gold(nlp), sgd=optimizer, losses={}) for _ in range(2))
        assert first[key] > 0.01
        assert (second[key] > 0.01) == ("Standard" in name)


def check_max_grad_norm(factory, make_nlp, gold, raw):
    for limit, clipped in ((0.01, True), (0.0, False), (1e6, False)):
        nlp = make_nlp(factory, variant="baseline", max_grad_norm=limit)
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
        kept = doc[0].tag_ if factory == "vsl_tagger" else doc[0].ent_type_
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
    default = {"vsl_tagger": "tag_acc", "vsl_ner": "ents_f"}[factory]
    nlp = make_nlp(factory)
    assert default in nlp.get_pipe(factory).score(gold(nlp))
    assert make_nlp(factory, scorer=None).get_pipe(factory).score(gold(nlp)) == {}
    other = {"@scorers": "spacy.senter_scorer.v1"}
    scores = make_nlp(factory, scorer=other).get_pipe(factory).score(gold(nlp))
    assert set(scores) == {"sents_p", "sents_r", "sents_f"}


def check_incorrect_spans_key(factory, make_nlp, gold, raw):
    nlp = make_nlp(factory, incorrect_spans_key="bad")
    for key, found in (("bad", True), ("incorrect_spans", False)):
        reference = Doc(nlp.vocab, words=["Ann", "saw"])
        reference.spans[key] = [Span(reference, 0, 1, label="PER")]
        losses = nlp.get_pipe(factory).update([Example(reference.copy(), reference)])
        assert (f"{factory}_negative" in losses) == found


def check_model(factory, make_nlp, gold, raw):
    for width in (3, 7):
        nlp = make_nlp(factory, model={"width_y": width})
        assert nlp.get_pipe(factory).model.shims[0].module.classifier.in_features == width


CHECKS = {
    "attr": check_attr,
    "alpha": check_weight("alpha", {"unlabeled_reconstruction": 1.0, "unlabeled_kl": 0.5}),
    "labelled_weight": check_weight("labelled_weight", {"reconstruction": 1.0, "kl": 0.5}),
    "kl_weight": check_weight("kl_weight", {"kl": 1.0, "unlabeled_kl": 1.0}),
    "prior": check_prior,
    "max_grad_norm": check_max_grad_norm,
    "overwrite": check_overwrite,
    "store_probabilities": check_store_probabilities,
    "scorer": check_scorer,
    "incorrect_spans_key": check_incorrect_spans_key,
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


# Schedules


SCHEDULES = [
    (0.4, [0.4] * 5),
    (
        {"@schedules": "semivae.linear.v1", "start": 0.0, "end": 1.0, "steps": 4},
        [0, 0.25, 0.5, 0.75, 1],
    ),
    (
        {
            "@schedules": "constant_then.v1",
            "rate": 0.1,
            "steps": 2,
            "schedule": {"@schedules": "constant.v1", "rate": 0.7},
        },
        [0.1, 0.1, 0.7, 0.7, 0.7],
    ),
]


@pytest.mark.parametrize(("schedule", "values"), SCHEDULES)
@pytest.mark.parametrize("setting", ["alpha", "labelled_weight", "kl_weight"])
def test_weights_follow_their_schedules(setting, schedule, values, make_nlp, gold, raw):
    defaults = {"alpha": 0.0, "labelled_weight": 0.0, "kl_weight": 1.0}
    defaults |= {"alpha": 1.0} if setting == "kl_weight" else {}
    nlp = make_nlp(**{**defaults, setting: schedule})
    term = "reconstruction" if setting == "labelled_weight" else "unlabeled_kl"
    seen = []
    for _ in values:
        losses = nlp.update([*gold(nlp), *raw(nlp)], sgd=Adam(0.001), losses={})
        rest = losses["vsl_tagger"] - losses["vsl_tagger_supervised"]
        if setting == "labelled_weight":
            whole = losses["vsl_tagger_reconstruction"] + losses["vsl_tagger_kl"]
        elif setting == "alpha":
            whole = (
                losses["vsl_tagger_unlabeled_reconstruction"] + losses["vsl_tagger_unlabeled_kl"]
            )
        else:
            rest -= losses["vsl_tagger_unlabeled_reconstruction"]
            whole = losses[f"vsl_tagger_{term}"]
        seen.append(rest / whole)
    assert seen == pytest.approx(values, abs=1e-3)


@pytest.mark.parametrize(
    ("setting", "value"), [("alpha", "much"), ("kl_weight", True), ("labelled_weight", None)]
)
def test_wrong_weights_are_refused(setting, value, make_nlp):
    with pytest.raises(ValueError, match=setting):
        make_nlp(**{setting: value})


def test_alpha_zero_is_the_supervised_twin(make_nlp, gold, raw, tensors):
    trained = []
    for alpha, extra in ((0.0, True), (0.0, False), (1.0, True)):
        nlp = make_nlp(model={"variational": False}, alpha=alpha)  # no noise, so that runs compare
        nlp.update([*gold(nlp), *(raw(nlp) if extra else [])], sgd=SGD(0.1))
        trained.append(tensors(nlp.get_pipe("vsl_tagger").model))
    with_raw, without, weighted = trained
    assert all(numpy.allclose(with_raw[name], without[name], atol=1e-6) for name in without)
    assert not all(numpy.allclose(weighted[name], without[name], atol=1e-6) for name in without)
