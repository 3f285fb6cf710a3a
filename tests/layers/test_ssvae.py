"""The SSVAE as a Thinc model: vocabulary, terms, what a step trains, storage, writing."""

import pickle

import numpy
import pytest
import torch
from spacy.ml.models import MultiHashEmbed
from spacy.tokens import Doc
from thinc.api import Adam

from spacy_semivae.layers.shim import resize
from spacy_semivae.layers.ssvae import (
    SSVAEBatch,
    draw_latents,
    infer,
    label_costs,
    prune,
    read,
    set_prior,
    ssvae_model,
    write,
)

WEIGHTS = {
    "classification": 1.0,
    "reconstruction": 1.0,
    "kl": 0.5,
    "label_prior": 1.0,
    "entropy": 1.0,
}


def build(docs=None, *, encoder=False, nO=3, max_words=100, max_length=0, **changes):
    cfg = {
        "generator": True,
        "decoder": "clstm2",
        "width": 5,
        "hidden": 6,
        "width_z": 4,
        "width_y": 3,
        "dropout": 0.0,
        "marginal": "exact",
        "samples": 2,
        "replacement": True,
        "baseline": "mean",
        "length_normalize": False,
        **changes,
    }
    tok2vec = MultiHashEmbed(4, attrs=["ORTH"], rows=[50], include_static_vectors=False)
    model = ssvae_model(
        tok2vec if encoder else None,
        cfg=cfg,
        max_words=max_words,
        max_length=max_length,
        truncation="first",
        normalize=[],
    )
    if nO is not None:
        model.set_dim("nO", nO)
    if docs is not None:
        model.initialize(X=docs)
    return model


def batch_of(docs, labels, word_dropout=0.0):
    return SSVAEBatch(docs, numpy.array(labels, dtype="int64"), word_dropout)


@pytest.fixture
def docs(vocab, make_docs):
    return make_docs(vocab)


KNOWN = [0, -1, 2, -1]
ENCODERS = pytest.mark.parametrize("encoder", [False, True])


@ENCODERS
def test_init(encoder, docs):
    model = build(docs, encoder=encoder)
    shim = model.shims[0]
    assert set(model.attrs["targets"]) == {"the", "cat", "dog", "saw", "a", "in"}
    assert shim.cfg["nV"] == 8
    assert shim.cfg["nI"] == (4 if encoder else None)
    assert (shim.module.reader is None) == encoder
    assert build(docs, max_words=2).shims[0].cfg["nV"] == 4


def test_init_needs_docs():
    with pytest.raises(ValueError, match="SSVAE needs Docs to initialize"):
        build(docs=[])


@ENCODERS
def test_logits_do_not_depend_on_other_docs(encoder, docs, vocab):
    model = build(docs, encoder=encoder)
    found = model.predict([*docs, Doc(vocab)])
    assert found.shape == (5, 3)
    for doc, logits in zip([*docs, Doc(vocab)], found):
        assert numpy.allclose(model.predict([doc])[0], logits, atol=1e-6)
    assert numpy.isfinite(found).all()
    assert model.predict([]).shape == (0, 3)
    assert model.predict([Doc(vocab), Doc(vocab)]).shape == (2, 3)


def test_only_the_tokens_read_count(vocab, make_docs):
    long, short = make_docs(vocab, ["the cat saw the dog", "the cat in"])
    model = build([long, short], max_length=2)
    one, other = model.predict([long, short])
    assert numpy.array_equal(one, other)


@ENCODERS
def test_terms_are_those_of_the_module(encoder, docs):
    model = build(docs, encoder=encoder)
    result, _ = model(batch_of(docs, KNOWN), is_train=False)
    shim = model.shims[0]
    objective = shim.module.eval()(read(model, docs), torch.tensor(KNOWN))
    assert set(result.terms) == set(WEIGHTS)
    for name, value in objective.terms.items():
        assert result.terms[name] == pytest.approx(value.item(), abs=1e-5)
    assert result.unit_kl == pytest.approx(objective.unit_kl.tolist(), abs=1e-6)
    assert sum(result.unit_kl) == pytest.approx(result.terms["kl"], abs=1e-5)


@ENCODERS
@pytest.mark.parametrize("weights", [WEIGHTS, {**WEIGHTS, "classification": 0.0}])
def test_the_gradient_is_that_of_the_weighted_sum(encoder, weights, docs):
    model = build(docs, encoder=encoder)
    torch.manual_seed(1)
    _, backprop = model(batch_of(docs, KNOWN), is_train=True)
    backprop(weights)
    shim = model.shims[0]
    found = {name: p.grad.clone() for name, p in shim.gradients()}
    shim.module.zero_grad(set_to_none=True)
    torch.manual_seed(1)
    texts = read(model, docs)
    objective = shim.module.train()(texts, torch.tensor(KNOWN))
    sum(weights[name] * term for name, term in objective.terms.items()).backward()
    expected = {name: p.grad for name, p in shim.gradients()}
    assert set(found) == set(expected)
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, atol=1e-5), name


def test_the_encoder_learns(docs):
    model = build(docs, encoder=True)
    optimizer, tables = Adam(0.05), [n for n in model.walk() if n.has_param("E")]
    before, losses = [n.get_param("E").copy() for n in tables], []
    for _ in range(20):
        result, backprop = model.begin_update(batch_of(docs, [0, 1, 2, -1]))
        backprop(WEIGHTS)
        model.finish_update(optimizer)
        losses.append(result.terms["classification"])
    assert losses[-1] < 0.5 * losses[0]
    assert all(not numpy.array_equal(n.get_param("E"), E) for n, E in zip(tables, before))


@ENCODERS
def test_a_classifier_alone(encoder, docs):
    model = build(docs, encoder=encoder, generator=False)
    result, backprop = model(batch_of(docs, KNOWN), is_train=True)
    assert set(result.terms) == {"classification"}
    assert result.unit_kl == []
    backprop(WEIGHTS)
    assert not model.attrs["pruned"]


@ENCODERS
@pytest.mark.parametrize("pruned", [False, True])
def test_storage(encoder, pruned, docs):
    model = build(docs, encoder=encoder)
    expected = model.predict(docs)
    size = len(model.to_bytes())
    if pruned:
        prune(model)
        assert len(model.to_bytes()) < 0.7 * size
        assert bool(model.attrs["targets"]) != encoder
        for call in (infer, label_costs):
            with pytest.raises(ValueError, match="has no generator"):
                call(model, docs, *([numpy.array(KNOWN)] if call is infer else []))
        with pytest.raises(ValueError, match="pruned of its generator"):
            model(batch_of(docs, KNOWN), is_train=True)
    assert numpy.array_equal(model.predict(docs), expected)
    loaded = build(encoder=encoder, nO=None).from_bytes(model.to_bytes())
    assert numpy.array_equal(loaded.predict(docs), expected)
    assert numpy.array_equal(pickle.loads(pickle.dumps(model)).predict(docs), expected)
    assert loaded.attrs["pruned"] is pruned
    if not pruned:
        assert numpy.array_equal(label_costs(loaded, docs), label_costs(model, docs))


def test_more_classes(docs):
    model = build(docs)
    before = model.predict(docs)
    resize(model, 5)
    set_prior(model, numpy.full(5, 0.2))
    after = model.predict(docs)
    assert numpy.allclose(after[:, :3], before, atol=1e-6)
    assert not after[:, 3:].any()
    _, backprop = model(batch_of(docs, [4, -1, 3, -1]), is_train=True)
    backprop(WEIGHTS)
    model.finish_update(Adam(0.01))


def test_latents_of_docs(docs, vocab):
    model = build(docs)
    every = [*docs, Doc(vocab)]
    each = numpy.stack([infer(model, every, numpy.full(5, y)) for y in range(3)])  # (C, B, Z)
    q = torch.from_numpy(model.predict(every)).softmax(1).numpy()
    assert infer(model, every, numpy.full(5, -1)) == pytest.approx(
        numpy.einsum("bc,cbz->bz", q, each), abs=1e-5
    )
    mixed = infer(model, every, numpy.array([0, 1, 2, 0, 1]))
    assert mixed == pytest.approx(each[[0, 1, 2, 0, 1], range(5)], abs=1e-6)


def test_costs_of_labels(docs, vocab):
    model = build(docs)
    set_prior(model, numpy.array([0.2, 0.3, 0.5]))
    every = [docs[0], Doc(vocab), docs[1]]
    costs = label_costs(model, every)
    assert costs[1] == pytest.approx(-numpy.log([0.2, 0.3, 0.5]), abs=1e-5)
    for y in range(3):
        result, _ = model(batch_of(every[:1], [y]), is_train=False)
        whole = sum(result.terms[name] for name in ("reconstruction", "kl", "label_prior"))
        assert costs[0, y] == pytest.approx(whole, abs=1e-4)


def test_writing(docs):
    model = build(docs)
    z = draw_latents(model, 5, 1)
    assert z.shape == (5, 4)
    assert numpy.array_equal(z, draw_latents(model, 5, 1))
    settings = {"max_length": 7, "width": 2, "seed": 3}
    for strategy in ("greedy", "sample", "beam"):
        texts = write(model, 1, z, strategy=strategy, **settings)
        assert texts == write(model, 1, z, strategy=strategy, **settings)
        assert len(texts) == 5
        assert all(len(text) <= 7 for text in texts)
        assert {word for text in texts for word in text} <= set(model.attrs["targets"])
    with pytest.raises(ValueError, match=r"latents have the shape \(n, 4\), but got \(5, 3\)"):
        write(model, 1, z[:, :3], strategy="greedy", **settings)
    assert write(model, 1, z[:0], strategy="greedy", **settings) == []
