"""Every setting of the five factories has an effect."""

import inspect

import numpy
import pytest
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import fix_random_seed
from thinc.api import SGD

from spacy_semivae.layers.shim import collect_gradients
from spacy_semivae.pipeline.crf_vae_factories import make_crf_vae_ner, make_crf_vae_tagger
from spacy_semivae.pipeline.ssvae_factory import make_ssvae_textcat
from spacy_semivae.pipeline.vsl_factories import make_vsl_ner, make_vsl_tagger

FACTORIES = {
    "vsl_tagger": make_vsl_tagger,
    "vsl_ner": make_vsl_ner,
    "crf_vae_tagger": make_crf_vae_tagger,
    "crf_vae_ner": make_crf_vae_ner,
    "ssvae_textcat": make_ssvae_textcat,
}
ADAPTIVE = {"@misc": "semivae.AdaptiveBeta.v1", "start": 0.7}
PRIORS = [f"semivae.{kind}Prior.v1" for kind in ("Standard", "Memory", "Snapshot")]


# A check fails when its setting is ignored


def first_losses(nlp, factory, gold, raw):
    fix_random_seed(1)
    return nlp.get_pipe(factory).update([*gold(nlp), *raw(nlp)])


def predicted(nlp, factory, examples):
    for eg in examples:
        nlp.get_pipe(factory)(eg.predicted)
    return examples


def check_weight(setting, terms):
    """The weighted sum grows by twice the terms when the setting goes from 0.5 to 2.5."""

    def check(factory, make_nlp, gold, raw):
        names = WEIGHTS[factory.split("_")[0]]
        low, high = (
            first_losses(
                make_nlp(factory, **{**dict.fromkeys(names, 0.5), setting: value}),
                factory,
                gold,
                raw,
            )
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


def check_vsl_prior(factory, make_nlp, gold, raw):
    # with a learning rate of 0 the posterior stays the same, and so the KL to its own past is 0
    for name, variant in zip(PRIORS, ("hier", "g", "hier")):
        prior = {"@misc": name, **({"every": 1} if "Snapshot" in name else {})}
        nlp = make_nlp(factory, variant=variant, prior=prior, kl_weight=1.0)
        key, optimizer = f"{factory}_kl", SGD(0.0)
        first, second = (nlp.update(gold(nlp), sgd=optimizer, losses={}) for _ in range(2))
        assert first[key] > 0.01
        assert (second[key] > 0.01) == ("Standard" in name)


def check_crf_vae_prior(factory, make_nlp, gold, raw):
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


def check_text_prior(factory, make_nlp, gold, raw):
    labels = make_nlp(factory).get_pipe(factory).labels
    for prior, expected in (("uniform", [0.5, 0.5]), (dict(zip(labels, (0.2, 0.8))), [0.2, 0.8])):
        nlp = make_nlp(factory, prior=prior)
        pipe = nlp.get_pipe(factory)
        assert pipe.model.shims[0].module.log_prior.exp().tolist() == pytest.approx(expected)
        (costs,) = pipe.label_costs([nlp.make_doc("")])
        assert numpy.exp(-costs) == pytest.approx(expected)


def check_word_dropout(factory, make_nlp, gold, raw):
    for share in (0.0, 0.9):
        nlp = make_nlp(factory, word_dropout=share)
        pipe = nlp.get_pipe(factory)
        assert pipe.make_batch(raw(nlp)).word_dropout == share
        module = pipe.model.shims[0].module
        embedding, seen = module.embedding, []
        embedding.register_forward_hook(lambda m, args, out, seen=seen: seen.append(args[0]))
        fix_random_seed(1)
        pipe.update(gold(nlp))
        found = [int((words == 0).sum()) for words in seen]  # read by the encoder, the decoder
        assert (found[1] > found[0] + 5) == (share > 0)


def check_text_threshold(factory, make_nlp, gold, raw):
    nlp, seen = make_nlp(factory, threshold=0.3), {}
    pipe = nlp.get_pipe(factory)
    pipe.scorer = lambda examples, **settings: seen.update(settings) or {}
    pipe.score(gold(nlp))
    assert seen["threshold"] == 0.3
    assert seen["labels"] == pipe.labels


def check_discrimination_docs(factory, make_nlp, gold, raw):
    for limit, expected in ((0, None), (1, 1), (3, 2), (200, 4)):
        nlp, seen = make_nlp(factory, discrimination_docs=limit), []
        pipe = nlp.get_pipe(factory)
        measure = pipe.discrimination_index
        pipe.discrimination_index = lambda egs, seen=seen, measure=measure: (
            seen.append(len(egs)) or measure(egs)
        )
        found = pipe.score(predicted(nlp, factory, [*raw(nlp), *gold(nlp)]))
        assert seen == ([] if expected is None else [expected])
        assert ("cats_discrimination" in found) == ("cats_unit_kl" in found) == bool(seen)


def check_attr(factory, make_nlp, gold, raw):
    nlp = make_nlp(factory, attr="pos")
    assert "PROPN" in nlp.get_pipe(factory).labels
    if factory == "crf_vae_tagger":
        assert nlp.get_pipe(factory).cfg["tag_counts"]["PROPN"] == 8
    assert all(token.pos_ and not token.tag_ for token in nlp("Ann saw Rome"))


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
        if factory == "ssvae_textcat":
            for cats in ({"talk": 7.0}, {"other": 7.0}):
                doc = nlp.make_doc("Ann saw")
                doc.cats = dict(cats)
                nlp(doc)
                assert (doc.cats == cats) == (not overwrite and "talk" in cats)
            continue
        doc = Doc(nlp.vocab, words=["Ann", "saw"], tags=["KEPT", ""])
        doc.set_ents([Span(doc, 0, 1, label="KEPT")], default="missing")
        nlp(doc)
        kept = doc[0].tag_ if factory.endswith("tagger") else doc[0].ent_type_
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
    def scores(**settings):
        nlp = make_nlp(factory, **settings)
        return nlp.get_pipe(factory).score(predicted(nlp, factory, gold(nlp)))

    key = "tag_acc" if factory.endswith("tagger") else "ents_f"
    assert ("cats_score" if factory == "ssvae_textcat" else key) in scores()
    assert scores(scorer=None) == {}
    other = scores(scorer={"@scorers": "spacy.senter_scorer.v1"})
    watched = {"cats_discrimination", "cats_unit_kl", f"{factory}_unit_kl"}
    assert set(other) - watched == {"sents_p", "sents_r", "sents_f"}
    if factory.endswith("tagger"):
        assert "pos_acc" in scores(attr="pos")


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
    if factory == "ssvae_textcat":
        for hidden in (3, 7):
            module = make_nlp(factory, model={"hidden": hidden}).get_pipe(factory).model.shims[0]
            assert module.module.classifier.in_features == hidden
        return
    setting = "width_y" if factory.startswith("vsl") else "width"
    for width in (3, 7):
        module = make_nlp(factory, model={setting: width}).get_pipe(factory).model.shims[0].module
        head = module.classifier if factory.startswith("vsl") else module.score
        assert head.in_features == width


def check_class_weights(factory, make_nlp, gold, raw):
    key = f"{factory}_{'classification' if factory == 'ssvae_textcat' else 'supervised'}"
    losses = []
    for weight in (1.0, 3.0):
        weights = dict.fromkeys(make_nlp(factory).get_pipe(factory).labels, weight)
        weights |= {"O": weight} if factory.endswith("ner") else {}
        nlp = make_nlp(factory, class_weights=weights)
        losses.append(first_losses(nlp, factory, gold, raw)[key])
    assert losses[1] == pytest.approx(3 * losses[0], rel=1e-4)


def check_logit_adjustment(factory, make_nlp, gold, raw):
    for tau in (0.0, 0.7):
        pipe = make_nlp(factory, logit_adjustment=tau).get_pipe(factory)
        shift = pipe.make_batch(gold(make_nlp(factory))).balance.shift
        assert (shift is not None) == (tau > 0)
        if tau:
            assert numpy.exp(shift / tau).sum() == pytest.approx(1.0)


CHECKS = {
    "class_weights": check_class_weights,
    "logit_adjustment": check_logit_adjustment,
    "attr": check_attr,
    "max_grad_norm": check_max_grad_norm,
    "overwrite": check_overwrite,
    "store_probabilities": check_store_probabilities,
    "scorer": check_scorer,
    "incorrect_spans_key": check_incorrect_spans_key,
    "spans_key": check_spans_key,
    "threshold": check_threshold,
    "model": check_model,
}
VSL_WEIGHTS = {
    "alpha": check_weight("alpha", {"unlabeled_reconstruction": 1.0, "unlabeled_kl": 0.5}),
    "labelled_weight": check_weight("labelled_weight", {"reconstruction": 1.0, "kl": 0.5}),
    "kl_weight": check_weight("kl_weight", {"kl": 0.5, "unlabeled_kl": 0.5}),
}
CRF_VAE_WEIGHTS = {
    "alpha": check_weight("alpha", {"reconstruction": 1.0, "kl": 0.5}),
    "beta": check_beta,
    "generator_weight": check_weight("generator_weight", {"generation": 1.0}),
}
TEXT_WEIGHTS = {
    "alpha": check_weight("alpha", {"classification": 1.0}),
    "kl_weight": check_weight("kl_weight", {"kl": 1.0}),
}
WEIGHTS = {"vsl": VSL_WEIGHTS, "crf": CRF_VAE_WEIGHTS, "ssvae": TEXT_WEIGHTS}
VSL_CHECKS = {**CHECKS, **VSL_WEIGHTS, "prior": check_vsl_prior}
CRF_VAE_CHECKS = {
    **CHECKS,
    **CRF_VAE_WEIGHTS,
    "temperature": check_temperature,
    "prior": check_crf_vae_prior,
    "entity_ratio": check_entity_ratio,
    "entity_ratio_target": check_entity_ratio_target,
    "entity_ratio_margin": check_entity_ratio_margin,
}
TEXT_CHECKS = {
    **CHECKS,
    **TEXT_WEIGHTS,
    "word_dropout": check_word_dropout,
    "prior": check_text_prior,
    "threshold": check_text_threshold,
    "discrimination_docs": check_discrimination_docs,
}
ALL_CHECKS = {"vsl": VSL_CHECKS, "crf": CRF_VAE_CHECKS, "ssvae": TEXT_CHECKS}


def settings():
    for factory, make in FACTORIES.items():
        for name in inspect.signature(make).parameters:
            if name not in ("nlp", "name"):
                yield factory, name


@pytest.mark.parametrize(("factory", "setting"), list(settings()))
def test_every_setting_has_an_effect(factory, setting, make_nlp, gold, raw):
    ALL_CHECKS[factory.split("_")[0]][setting](factory, make_nlp, gold, raw)
