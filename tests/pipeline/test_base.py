import numpy
import pytest
import spacy
import torch
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import fix_random_seed
from thinc.api import SGD, Adam

from spacy_semivae.layers.shim import collect_gradients

FACTORIES = ("vsl_tagger", "vsl_ner")
ALL = (*FACTORIES, "crf_vae_tagger", "crf_vae_ner")
STORES = {
    "standard": {"@misc": "semivae.StandardPrior.v1"},
    "memory": {"@misc": "semivae.MemoryPrior.v1", "update_frequency": 2},
    "snapshot": {"@misc": "semivae.SnapshotPrior.v1", "every": 2},
    "snapshot_epoch": {"@misc": "semivae.SnapshotPrior.v1"},
}
ODD = [
    "",
    " ",
    "\n\n \t",
    "x",
    "  Ann   saw  ",
    "\U0001f600",
    "\U0001f469\u200d\U0001f680 \u4e2d\u6587 e\u0301",
]


def empty(nlp):
    return Example(Doc(nlp.vocab), Doc(nlp.vocab))


def bare(nlp, text):
    return Example(nlp.make_doc(text), nlp.make_doc(text))


def train_on(nlp, examples, steps):
    fix_random_seed(3)
    optimizer = Adam(0.01)
    return [nlp.update(examples, sgd=optimizer, losses={}, drop=0.1) for _ in range(steps)]


# Storage


def save_to_disk(nlp, path):
    nlp.to_disk(path)
    return spacy.load(path)


def save_to_bytes(nlp, path):
    return spacy.blank("en").from_config(nlp.config).from_bytes(nlp.to_bytes())


@pytest.mark.parametrize("save", [save_to_disk, save_to_bytes])
@pytest.mark.parametrize(
    ("factory", "store"),
    [*(("vsl_tagger", store) for store in STORES), ("vsl_ner", "memory")],
)
def test_round_trip_predicts_and_trains_on_alike(
    factory, store, save, make_nlp, gold, raw, tmp_path
):
    schedule = {"@schedules": "semivae.linear.v1", "start": 0.0, "end": 1.0, "steps": 8}
    nlp = make_nlp(factory, prior=STORES[store], kl_weight=schedule, alpha=0.7)
    train_on(nlp, [*gold(nlp), *raw(nlp)], 3)
    loaded = save(nlp, tmp_path)
    pipe, copied = nlp.get_pipe(factory), loaded.get_pipe(factory)
    assert copied is not pipe
    assert copied.cfg["step"] == 3
    assert copied.labels == pipe.labels
    assert copied.scheme.names == pipe.scheme.names
    docs = [nlp.make_doc("Ann saw Rome"), nlp.make_doc("zebras")]
    assert numpy.array_equal(copied.predict(docs).dataXd, pipe.predict(docs).dataXd)
    after = train_on(nlp, [*gold(nlp), *raw(nlp)], 3)
    assert train_on(loaded, [*gold(loaded), *raw(loaded)], 3) == after
    assert numpy.array_equal(copied.predict(docs).dataXd, pipe.predict(docs).dataXd)


@pytest.mark.parametrize("save", [save_to_disk, save_to_bytes])
def test_the_prior_store_can_be_left_out(save, make_nlp, gold, raw, tmp_path):
    nlp = make_nlp(variant="g", prior=STORES["memory"], kl_weight=1.0)
    train_on(nlp, gold(nlp), 2)
    pipe = nlp.get_pipe("vsl_tagger")
    assert pipe.prior.entries
    other = make_nlp(variant="g", prior=STORES["memory"]).get_pipe("vsl_tagger")
    if save is save_to_disk:
        pipe.to_disk(tmp_path / "pipe", exclude=["prior"])
        other.from_disk(tmp_path / "pipe")
    else:
        other.from_bytes(pipe.to_bytes(exclude=["prior"]))
    assert not other.prior.entries
    assert other.cfg["step"] == 2
    assert other.from_bytes(pipe.to_bytes()).prior.entries
    assert (
        not make_nlp()
        .get_pipe("vsl_tagger")
        .from_bytes(pipe.to_bytes(), exclude=["prior"])
        .prior.entries
    )


def test_loading_replaces_the_labels(make_nlp, gold):
    def other_labels(nlp):
        words = [f"w{i}" for i in range(10)]
        return [
            Example(Doc(nlp.vocab, words), Doc(nlp.vocab, words, tags=[w.upper() for w in words]))
        ]

    trained, nlp = make_nlp(), make_nlp(examples=other_labels)
    pipe = nlp.get_pipe("vsl_tagger").from_bytes(trained.get_pipe("vsl_tagger").to_bytes())
    assert pipe.labels == trained.get_pipe("vsl_tagger").labels == tuple(pipe.scheme.names)
    text = "Ann saw Bob Lee in Rome"
    assert [t.tag_ for t in nlp(text)] == [t.tag_ for t in trained(text)]


def test_a_label_added_after_the_last_snapshot_survives_loading(make_nlp, gold):
    nlp = make_nlp(prior={**STORES["snapshot"], "every": 3}, kl_weight=1.0)
    train_on(nlp, gold(nlp), 4)
    nlp.get_pipe("vsl_tagger").add_label("NEW")
    loaded = save_to_bytes(nlp, None)
    assert loaded.get_pipe("vsl_tagger").labels[-1] == "NEW"
    assert train_on(loaded, gold(loaded), 1) == train_on(nlp, gold(nlp), 1)


@pytest.mark.parametrize("factory", ALL)
def test_nothing_that_is_stored_is_a_pickle(factory, make_nlp, gold, tmp_path):
    nlp = make_nlp(factory)
    train_on(nlp, gold(nlp), 1)
    nlp.to_disk(tmp_path)
    files = [path for path in (tmp_path / factory).rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"model", "cfg"}
    for path in files:
        data = path.read_bytes()
        assert b"ctorch" not in data  # the global that a pickled tensor names
        assert not data.startswith((b"\x80\x02", b"PK"))


# Odd Docs


@pytest.mark.parametrize("factory", FACTORIES)
def test_odd_docs_train_and_predict(factory, make_nlp, gold):
    nlp = make_nlp(factory)
    odd = [bare(nlp, text) for text in ODD]
    for examples in (odd, [*odd, *gold(nlp)], *([eg] for eg in odd)):
        losses = nlp.update(examples, sgd=Adam(0.001), losses={}, drop=0.1)
        assert all(numpy.isfinite(value) for value in losses.values())
    together = list(nlp.pipe(ODD))
    for doc, text in zip(together, ODD):
        assert doc.text == text
        alone = nlp(text)
        assert [t.tag_ for t in alone] == [t.tag_ for t in doc]
        assert [str(e) for e in alone.ents] == [str(e) for e in doc.ents]
        assert all(t.tag_ or t.ent_iob_ for t in doc)


@pytest.mark.parametrize("factory", [pytest.param("vsl_tagger", marks=pytest.mark.slow), "vsl_ner"])
def test_very_long_docs_train_and_predict(factory, make_nlp, gold):
    nlp = make_nlp(factory)
    words = [["Ann", "saw", "x7", "."][i % 4] for i in range(5000)]
    long = Example(Doc(nlp.vocab, words), Doc(nlp.vocab, words))
    losses = nlp.update([long, *gold(nlp)], sgd=Adam(0.01), losses={})
    assert losses[f"{factory}_unlabeled_reconstruction"] > 0
    doc = nlp(Doc(nlp.vocab, words))
    assert all(t.tag_ or t.ent_iob_ for t in doc)
    (probabilities,) = nlp.get_pipe(factory).predict_probabilities([doc])
    assert probabilities.shape[0] == 5000
    assert numpy.allclose(probabilities.sum(1), 1.0, atol=1e-5)


@pytest.mark.parametrize("factory", FACTORIES)
def test_empty_docs_contribute_nothing(factory, make_nlp, gold, tensors):
    nlp = make_nlp(factory, prior=STORES["standard"])
    pipe = nlp.get_pipe(factory)
    before = tensors(pipe.model)
    losses = nlp.update([empty(nlp), empty(nlp)], sgd=Adam(0.01), losses={})
    assert losses == {factory: 0.0}
    after = tensors(pipe.model)
    assert all(numpy.array_equal(before[name], after[name]) for name in before)
    scores = pipe.predict([Doc(nlp.vocab), Doc(nlp.vocab)])
    assert scores.dataXd.shape == (0, len(pipe.scheme.names))
    pipe.set_annotations([Doc(nlp.vocab), Doc(nlp.vocab)], scores)
    assert [len(doc) for doc in nlp.pipe(["", ""])] == [0, 0]
    assert pipe.predict([]).dataXd.shape[0] == 0
    fix_random_seed(0)
    alone = pipe.update(gold(nlp))
    fix_random_seed(0)
    first, *rest = gold(nlp)
    assert pipe.update([empty(nlp), first, empty(nlp), *rest]) == pytest.approx(alone)


@pytest.mark.parametrize("factory", FACTORIES)
def test_terms_of_raw_text_are_measured_without_learning(factory, make_nlp, gold, tensors):
    nlp = make_nlp(factory, prior=STORES["standard"])
    pipe = nlp.get_pipe(factory)
    before = tensors(pipe.model)
    docs = [eg.reference for eg in gold(nlp)]
    terms = pipe.evaluate_terms(docs)
    assert terms == pipe.evaluate_terms(docs)  # at the means
    assert terms["supervised"] == terms["reconstruction"] == 0.0 < terms["unlabeled_reconstruction"]
    assert not any(collect_gradients(pipe.model))
    after = tensors(pipe.model)
    assert all(numpy.array_equal(before[name], after[name]) for name in before)


# Steps


def test_accumulated_gradients_make_one_step(make_nlp, gold, raw):
    nlp = make_nlp(variant="baseline", max_grad_norm=0.0)  # no noise: gradients can be compared
    pipe = nlp.get_pipe("vsl_tagger")
    first, second = gold(nlp)[:2], gold(nlp)[2:]

    def gradients(*batches):
        for batch in batches:
            pipe.update(batch)
        _, found = collect_gradients(pipe.model)
        found = {name: gradient.clone() for name, gradient in found.items()}
        assert pipe.cfg["step"] == 0
        for node in pipe.model.walk():
            for shim in node.shims:
                shim.module.zero_grad(set_to_none=True)
        return found

    apart, together = [gradients(first), gradients(second)], gradients(first, second)
    for name, gradient in together.items():
        assert torch.allclose(gradient, apart[0][name] + apart[1][name], atol=1e-6)
    pipe.update(first)
    pipe.update(second)
    pipe.finish_update(SGD(0.1))
    assert pipe.cfg["step"] == 1
    assert not any(collect_gradients(pipe.model))
    nlp.update(first, sgd=SGD(0.1))
    assert pipe.cfg["step"] == 2
    pipe.update(first, sgd=SGD(0.1))
    assert pipe.cfg["step"] == 3


@pytest.mark.parametrize("factory", ALL)
def test_dropout_is_used_and_switched_off(factory, make_nlp, gold):
    nlp = make_nlp(factory, variant="baseline")
    pipe = nlp.get_pipe(factory)
    plain = pipe.update(gold(nlp))[factory]
    assert pipe.update(gold(nlp))[factory] == plain
    assert pipe.update(gold(nlp), drop=0.5)[factory] != plain
    assert pipe.update(gold(nlp))[factory] == plain


@pytest.mark.parametrize("factory", ALL)
def test_parameter_averages_are_applied(factory, make_nlp, gold):
    nlp = make_nlp(factory, variant="baseline")
    pipe = nlp.get_pipe(factory)
    optimizer = Adam(0.05, use_averages=True)
    docs = [nlp.make_doc("Ann saw Rome")]
    for _ in range(5):
        nlp.update(gold(nlp), sgd=optimizer)
    (last,) = pipe.predict_probabilities(docs)
    with nlp.use_params(optimizer.averages):
        (averaged,) = pipe.predict_probabilities(docs)
    assert not numpy.allclose(last, averaged)
    assert numpy.array_equal(pipe.predict_probabilities(docs)[0], last)


# Labels


@pytest.mark.parametrize("factory", FACTORIES)
def test_labels_can_be_added_after_training(factory, make_nlp, gold, raw):
    nlp = make_nlp(factory)
    pipe, optimizer = nlp.get_pipe(factory), Adam(0.02)
    for _ in range(20):
        nlp.update([*gold(nlp), *raw(nlp)], sgd=optimizer)
    docs = [nlp.make_doc("Ann saw Rome")]
    before = pipe.predict(docs).dataXd.copy()
    assert pipe.add_label("NEW") == 1
    assert pipe.add_label("NEW") == 0
    assert pipe.labels[-1] == "NEW"
    after = pipe.predict(docs).dataXd
    assert numpy.allclose(after[:, : before.shape[1]], before, atol=1e-6)
    assert not after[:, before.shape[1] :].any()
    example = learn_new(nlp, factory)
    for sgd in (optimizer, nlp.resume_training()):  # the moments have another shape now
        sgd.learn_rate = 0.02
        for _ in range(30):
            losses = nlp.update([example, *gold(nlp)], sgd=sgd, losses={})
        assert numpy.isfinite(losses[factory])
    doc = nlp(Doc(nlp.vocab, ["zebras", "here"]))
    assert (doc[0].tag_ if factory == "vsl_tagger" else doc[0].ent_type_) == "NEW"


def learn_new(nlp, factory):
    reference = Doc(nlp.vocab, ["zebras", "here"])
    if factory == "vsl_tagger":
        reference[0].tag_ = "NEW"
    else:
        reference.ents = [spacy.tokens.Span(reference, 0, 1, label="NEW")]
    return Example(Doc(nlp.vocab, ["zebras", "here"]), reference)


def test_labels_can_be_given(make_nlp, gold):
    nlp = make_nlp(initialize=False)
    names = [
        "VBD",
        "NEW",
        *sorted({tag for eg in gold(nlp) for tag in eg.get_aligned("TAG", True)} - {"VBD"}),
    ]
    pipe = nlp.get_pipe("vsl_tagger")
    pipe.initialize(lambda: gold(nlp), nlp=nlp, labels=names)
    assert list(pipe.labels) == pipe.label_data == names
    assert pipe.predict([nlp.make_doc("Ann")]).dataXd.shape == (1, len(names))


def test_a_pipeline_can_be_initialized_again(make_nlp, gold, raw):
    nlp = make_nlp()
    train_on(nlp, gold(nlp), 2)
    pipe = nlp.get_pipe("vsl_tagger")
    assert pipe.prior.entries
    nlp.initialize(lambda: gold(nlp))
    assert pipe.cfg["step"] == 0
    assert not pipe.prior.entries
    train_on(nlp, gold(nlp), 1)
