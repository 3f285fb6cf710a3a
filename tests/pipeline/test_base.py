import numpy
import pytest
import torch
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import SGD, Adam

from spacy_semivae.layers.shim import collect_gradients

FACTORIES = ("vsl_tagger", "vsl_ner")
ALL = (*FACTORIES, "crf_vae_tagger", "crf_vae_ner")
TEXTCAT = "ssvae_textcat"
STORES = {
    "standard": {"@misc": "semivae.StandardPrior.v1"},
    "memory": {"@misc": "semivae.MemoryPrior.v1", "update_frequency": 2},
    "snapshot": {"@misc": "semivae.SnapshotPrior.v1", "every": 2},
    "snapshot_epoch": {"@misc": "semivae.SnapshotPrior.v1"},
}


# Storage


@pytest.mark.parametrize("through", ["disk", "bytes"])
def test_the_prior_store_can_be_left_out(through, make_nlp, gold, raw, tmp_path, train_on):
    nlp = make_nlp(variant="g", prior=STORES["memory"], kl_weight=1.0)
    train_on(nlp, gold(nlp), 2)
    pipe = nlp.get_pipe("vsl_tagger")
    assert pipe.prior.entries
    other = make_nlp(variant="g", prior=STORES["memory"]).get_pipe("vsl_tagger")
    if through == "disk":
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


def test_a_label_added_after_the_last_snapshot_survives_loading(
    make_nlp, gold, through_bytes, train_on
):
    nlp = make_nlp(prior={**STORES["snapshot"], "every": 3}, kl_weight=1.0)
    train_on(nlp, gold(nlp), 4)
    nlp.get_pipe("vsl_tagger").add_label("NEW")
    loaded = through_bytes(nlp)
    assert loaded.get_pipe("vsl_tagger").labels[-1] == "NEW"
    assert train_on(loaded, gold(loaded), 1) == train_on(nlp, gold(nlp), 1)


@pytest.mark.parametrize("factory", [*ALL, TEXTCAT])
def test_nothing_that_is_stored_is_a_pickle(factory, make_nlp, gold, tmp_path, train_on):
    nlp = make_nlp(factory)
    train_on(nlp, gold(nlp), 1)
    nlp.to_disk(tmp_path)
    files = [path for path in (tmp_path / factory).rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"model", "cfg"}
    for path in files:
        data = path.read_bytes()
        assert b"ctorch" not in data  # the global that a pickled tensor names
        assert not data.startswith((b"\x80\x02", b"PK"))


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


@pytest.mark.parametrize("factory", [*ALL, TEXTCAT])
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
