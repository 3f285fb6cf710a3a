"""The components are trained, stored, loaded, pruned, given new labels, begun anew."""

import numpy
import pytest
from spacy.tokens import Doc, Span
from spacy.training import Example
from thinc.api import Adam

from spacy_semivae.layers.shim import collect_gradients

VSLS, CRF_VAES = ("vsl_tagger", "vsl_ner"), ("crf_vae_tagger", "crf_vae_ner")
TEXTCAT = "ssvae_textcat"
VARIANTS = ("baseline", "g", "flat", "hier")
STORES = {
    "standard": {"@misc": "semivae.StandardPrior.v1"},
    "memory": {"@misc": "semivae.MemoryPrior.v1", "update_frequency": 2},
    "snapshot": {"@misc": "semivae.SnapshotPrior.v1", "every": 2},
    "snapshot_epoch": {"@misc": "semivae.SnapshotPrior.v1"},
}


@pytest.fixture
def build(make_nlp, crf_model):
    """Gives a function from a factory, its variant or generator, and settings to a pipeline."""

    def make(factory, kind, unit="token", **settings):
        if factory in VSLS:
            return make_nlp(factory, variant=kind, **settings)
        if factory == TEXTCAT:
            return make_nlp(factory, model={"decoder": kind}, **settings)
        return make_nlp(factory, model=crf_model(kind, unit), **settings)

    return make


# Training


@pytest.mark.parametrize(
    ("factory", "kind", "unit"),
    [
        *((factory, variant, "token") for factory in VSLS for variant in VARIANTS),
        *((factory, "mf", "token") for factory in CRF_VAES),
        *((factory, None, "piece") for factory in CRF_VAES),
        *((TEXTCAT, decoder, "token") for decoder in (None, "vanilla", "clstm1", "clstm2")),
    ],
)
def test_overfits_a_handful_of_docs(
    factory, kind, unit, build, gold, raw, fit, annotation, measured, same
):
    nlp = build(factory, kind, unit)
    examples, is_vsl = gold(nlp), factory in VSLS
    losses = fit(nlp, [*examples, *raw(nlp)], 60, lr=0.02 if is_vsl else 0.03)
    docs = [Doc(nlp.vocab, words=[token.text for token in eg.reference]) for eg in examples]
    expected = [annotation(factory, eg.reference) for eg in examples]
    assert [annotation(factory, doc) for doc in nlp.pipe(docs)] == expected
    key = f"{factory}_{'classification' if factory == TEXTCAT else 'supervised'}"
    assert losses[-1][key] < (0.3 if is_vsl else 0.1) * losses[0][key]
    assert same(measured(nlp, factory), measured(nlp, factory))


@pytest.mark.parametrize("factory", [*VSLS, *CRF_VAES])
def test_terms_of_raw_text_are_measured_without_learning(factory, make_nlp, gold, tensors, same):
    is_vsl = factory in VSLS
    nlp = make_nlp(factory, **({"prior": STORES["standard"]} if is_vsl else {}))
    pipe = nlp.get_pipe(factory)
    before = tensors(pipe.model)
    docs = [eg.reference for eg in gold(nlp)]
    terms = pipe.evaluate_terms(docs)
    assert terms == pipe.evaluate_terms(docs)  # at the means
    zero, more = "generation", "reconstruction"
    if is_vsl:
        zero, more = "reconstruction", "unlabeled_reconstruction"
    assert terms["supervised"] == terms[zero] == 0.0 < terms[more]
    assert not any(collect_gradients(pipe.model))
    assert same(before, tensors(pipe.model))


# Storage


@pytest.mark.parametrize(
    ("factory", "kind", "store"),
    [
        *(("vsl_tagger", "hier", store) for store in STORES),
        ("vsl_ner", "hier", "memory"),
        ("crf_vae_tagger", "mt", None),
        ("crf_vae_ner", "mf", None),
        ("crf_vae_ner", "mt_lm_residual", None),
        (TEXTCAT, "clstm2", None),
        (TEXTCAT, None, None),
    ],
)
def test_round_trip_predicts_and_trains_on_alike(
    factory, kind, store, save, build, gold, raw, train_on, measured, same
):
    schedule = {"@schedules": "semivae.linear.v1", "start": 0.0, "end": 1.0, "steps": 8}
    settings = {"prior": STORES[store], "kl_weight": schedule} if store else {}
    nlp = build(factory, kind, alpha=0.7, **settings)
    train_on(nlp, [*gold(nlp), *raw(nlp)], 3)
    loaded = save(nlp)
    pipe, copied = nlp.get_pipe(factory), loaded.get_pipe(factory)
    assert copied is not pipe
    assert copied.cfg["step"] == 3
    assert copied.labels == pipe.labels
    assert copied.scheme.names == pipe.scheme.names
    if factory in CRF_VAES:
        assert copied.cfg["tag_counts"] == pipe.cfg["tag_counts"] != {}
    assert same(measured(loaded, factory), measured(nlp, factory))
    after = train_on(nlp, [*gold(nlp), *raw(nlp)], 3)
    assert train_on(loaded, [*gold(loaded), *raw(loaded)], 3) == after
    assert same(measured(loaded, factory), measured(nlp, factory))


@pytest.mark.parametrize(
    ("factory", "kind", "vectors"),
    [
        *((f, variant, vectors) for f in VSLS for variant in VARIANTS for vectors in (True, False)),
        *((f, generator, False) for f in CRF_VAES for generator in ("factored", "mt", "mt_lm")),
        (TEXTCAT, "clstm2", False),
        (TEXTCAT, "clstm2", True),
        (TEXTCAT, None, False),
    ],
)
def test_prune_keeps_predictions_to_the_bit(
    factory, kind, vectors, build, gold, raw, fit, through_bytes, measured, same
):
    nlp = build(factory, kind, vectors=vectors, encoder={"embeddings": "fixed"} if vectors else {})
    fit(nlp, [*gold(nlp), *raw(nlp)], 3)
    pipe, expected = nlp.get_pipe(factory), measured(nlp, factory)
    size = len(pipe.to_bytes(exclude=["vocab"]))
    pipe.prune()
    loaded, pruned = through_bytes(nlp), len(pipe.to_bytes(exclude=["vocab"]))
    assert same(measured(nlp, factory), expected)
    assert same(measured(loaded, factory), expected)
    if kind in ("baseline", None):
        return
    assert pruned < (0.95 if factory in VSLS else 1.0) * size
    for each in (nlp, loaded):
        with pytest.raises(ValueError, match="pruned of its generator"):
            each.update(gold(each), sgd=Adam(0.01))


# Labels


def learn_new(nlp, factory):
    reference = Doc(nlp.vocab, words=["zebras", "here"])
    if factory.endswith("tagger"):
        reference[0].tag_ = "NEW"
    elif factory == TEXTCAT:
        reference.cats = {"NEW": 1.0}
    else:
        reference.ents = [Span(reference, 0, 1, label="NEW")]
    return Example(Doc(nlp.vocab, words=["zebras", "here"]), reference)


@pytest.mark.parametrize(
    ("factory", "kind"),
    [
        *((f, "hier") for f in VSLS),
        ("crf_vae_ner", "mf"),
        ("crf_vae_ner", "mf_lm"),
        (TEXTCAT, "clstm2"),
        (TEXTCAT, None),
    ],
)
def test_labels_can_be_added_after_training(
    factory, kind, build, gold, raw, annotation, through_bytes, measured, same
):
    nlp = build(factory, kind)
    pipe, optimizer = nlp.get_pipe(factory), Adam(0.02)
    for _ in range(20):
        nlp.update([*gold(nlp), *raw(nlp)], sgd=optimizer)
    before = measured(nlp, factory)[0]
    assert pipe.add_label("NEW") == 1
    assert pipe.add_label("NEW") == 0
    assert pipe.labels[-1] == "NEW"
    if factory in VSLS:
        after = measured(nlp, factory)[0]
        assert numpy.allclose(after[:, : before.shape[1]], before, atol=1e-6)
        assert not after[:, before.shape[1] :].any()
    example = learn_new(nlp, factory)
    for sgd in (optimizer, nlp.resume_training()):  # the moments have another shape now
        sgd.learn_rate = 0.02
        for _ in range(30):
            losses = nlp.update([example, *gold(nlp)], sgd=sgd, losses={})
        assert numpy.isfinite(losses[factory])
    found = annotation(factory, nlp(Doc(nlp.vocab, words=["zebras", "here"])))
    assert found[0] == ((0, 1, "NEW") if factory.endswith("ner") else "NEW")
    assert factory.endswith("tagger") or len(found) == 1
    # before anything is cached: what was encoded in other batches differs in its last digits
    loaded, again = through_bytes(nlp), through_bytes(nlp)
    assert same(measured(loaded, factory), measured(again, factory))
    for one, other in zip(measured(loaded, factory), measured(nlp, factory)):
        assert numpy.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
    ("factory", "kind"), [("vsl_tagger", "hier"), ("crf_vae_ner", "mf_lm"), (TEXTCAT, "clstm2")]
)
def test_a_pipeline_can_be_initialized_again(factory, kind, build, gold, raw, train_on):
    nlp = build(factory, kind)
    train_on(nlp, gold(nlp), 2)
    pipe = nlp.get_pipe(factory)
    assert factory not in VSLS or pipe.prior.entries
    nlp.initialize(lambda: [*gold(nlp), *raw(nlp)])
    assert pipe.cfg["step"] == 0
    assert factory not in VSLS or not pipe.prior.entries
    train_on(nlp, [*gold(nlp), *raw(nlp)], 1)
