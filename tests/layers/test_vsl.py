"""The VSL as a Thinc model: vocabulary, terms, what a step trains, storage."""

import pickle

import numpy
import pytest
import torch
from spacy.ml.models import MultiHashEmbed
from spacy.tokens import Doc
from thinc.api import Adam

from spacy_semivae.layers.shim import resize
from spacy_semivae.layers.targets import get_target_words
from spacy_semivae.layers.vsl import VSLBatch, encode, infer, prune, vsl_model
from spacy_semivae.modules.gaussian import Gaussian
from spacy_semivae.modules.vsl import CLASSIFIED, Targets

VARIANTS = ["baseline", "g", "flat", "hier"]
WEIGHTS = {
    "supervised": 1.0,
    "negative": 1.0,
    "reconstruction": 0.5,
    "kl": 0.25,
    "unlabeled_reconstruction": 0.1,
    "unlabeled_kl": 0.05,
}


def build(docs=None, *, variant="hier", max_targets=100, normalize=(), nO=3, **changes):
    cfg = {
        "variant": variant,
        "classifier_on": CLASSIFIED[variant],
        "width_y": 2,
        "width_z": 3,
        "hidden": 4,
        "width": 5,
        "variational": True,
        "decoder_noise": 0.0,
        "reconstruct_unk": True,
        **changes,
    }
    tok2vec = MultiHashEmbed(4, attrs=["ORTH"], rows=[50], include_static_vectors=False)
    model = vsl_model(tok2vec, cfg=cfg, max_targets=max_targets, normalize=normalize)
    if nO is not None:
        model.set_dim("nO", nO)
    if docs is not None:
        model.initialize(X=docs)
    return model


def make_batch(docs, *, labeled, prior=None, rejected=()):
    """Labels 0, 1, 2, 0, ... with every third token missing, in the Docs that are labelled."""
    labels = []
    for doc, known in zip(docs, labeled):
        labels += [i % 3 if known and i % 3 < 2 else -1 for i in range(len(doc))]
    return VSLBatch(
        docs,
        numpy.array(labels, dtype="int64"),
        numpy.array(labeled, dtype="bool"),
        numpy.array(rejected, dtype="int64").reshape(3, -1),
        prior,
    )


MIXED = [True, False, True, False]


# Initialization


def test_init_of_the_output_matrix(vocab, vector_vocab, make_docs):
    own = build(make_docs(vocab)).shims[0]
    assert own.cfg["nV"] == len({"the", "cat", "dog", "saw", "a", "in"}) + 1
    assert own.module.output.shape == (7, 5)
    fixed = build(make_docs(vector_vocab)).shims[0]
    assert fixed.cfg["nV"] == 0
    assert fixed.module.output is None
    assert fixed.cfg["width"] == 6
    assert fixed.module.heads["y"].in_features == 4


def test_init_errors(vocab, make_docs):
    with pytest.raises(ValueError, match="needs Docs to initialize"):
        build([])
    with pytest.raises(ValueError, match="nO"):
        build(make_docs(vocab), nO=None)


# Prediction


@pytest.mark.parametrize("variant", VARIANTS)
def test_scores_are_those_of_the_module_at_the_means(variant, vocab, make_docs):
    docs = [Doc(vocab), *make_docs(vocab), Doc(vocab)]
    model = build(docs[1:], variant=variant)
    model.shims[0].module.train()
    scores = model.predict(docs)
    H = torch.from_numpy(numpy.concatenate(model.layers[0].predict(docs)))
    torch.testing.assert_close(encode(model, docs), H)
    expected = model.shims[0].module.classify(H).detach()
    torch.testing.assert_close(torch.from_numpy(scores.dataXd), expected)
    assert scores.lengths.tolist() == [len(doc) for doc in docs]
    for doc, start in zip(docs, numpy.cumsum([0, *scores.lengths])):
        if len(doc):
            alone = model.predict([doc]).dataXd
            numpy.testing.assert_allclose(alone, scores.dataXd[start : start + len(doc)], rtol=1e-5)
    posteriors = infer(model, docs)
    for name, q in model.shims[0].module.infer(H, sample=False)[1].items():
        torch.testing.assert_close(posteriors[name].mean, q.mean)
        assert not posteriors[name].mean.requires_grad


# Training


@pytest.mark.parametrize("with_vectors", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
def test_terms_and_gradients_are_those_of_the_module(
    variant, with_vectors, vocab, vector_vocab, make_docs
):
    docs = [*make_docs(vector_vocab if with_vectors else vocab)]
    model = build(docs, variant=variant)
    batch = make_batch(docs, labeled=MIXED, rejected=[[0, 1], [2, 1], [0, 0]])
    torch.manual_seed(1)
    result, backprop = model(batch, is_train=True)
    assert backprop(WEIGHTS) is not None
    shim = model.shims[0]
    got = {name: param.grad.clone() for name, param in shim.gradients()}
    shim.module.zero_grad()

    lengths = [len(doc) for doc in docs]
    H = encode(model, docs)
    words = torch.from_numpy(get_target_words(model).encode(docs))
    labeled = torch.tensor(MIXED).repeat_interleave(torch.tensor(lengths))
    labels, rejected = torch.from_numpy(batch.labels), torch.from_numpy(batch.rejected)
    targets = Targets(labels, labeled, words, rejected)
    table = get_target_words(model).table(docs[0].vocab, shim.device)
    assert (table is not None) == with_vectors
    torch.manual_seed(1)
    terms = shim.module(H, targets, None, table).terms
    assert result.terms == pytest.approx({name: value.item() for name, value in terms.items()})
    sum(WEIGHTS[name] * value for name, value in terms.items()).backward()
    for name, param in shim.gradients():
        torch.testing.assert_close(got.pop(name), param.grad)
    assert not got


def test_the_encoder_learns(vocab, make_docs):
    docs = make_docs(vocab)
    model = build(docs, variational=False)
    before = encode(model, docs)
    optimizer, losses = Adam(0.1), []
    for _ in range(60):
        result, backprop = model(make_batch(docs, labeled=MIXED), is_train=True)
        backprop(WEIGHTS)
        model.finish_update(optimizer)
        losses.append(result.terms["supervised"])
    assert losses[-1] < 0.1 * losses[0]
    assert (encode(model, docs) - before).abs().max() > 0.05


def test_the_encoder_gets_the_gradient_of_the_weighted_sum(vocab, make_docs):
    docs = make_docs(vocab)
    model = build(docs, variational=False)
    encoder, seen = model.layers[0], []
    forward = encoder._func

    def spy(layer, X, is_train):
        Y, backprop = forward(layer, X, is_train)
        return Y, lambda dY: (seen.append(numpy.concatenate(dY)), backprop(dY))[1]

    encoder._func = spy
    batch = make_batch(docs, labeled=MIXED)
    _, backprop = model(batch, is_train=True)
    backprop(WEIGHTS)
    encoder._func = forward
    shift = numpy.random.normal(size=seen[0].shape).astype("f")
    shifts = numpy.split(shift, numpy.cumsum([len(doc) for doc in docs])[:-1])

    def loss(scale):
        def shifted(layer, X, is_train):
            Y, backprop = forward(layer, X, is_train)
            return [y + scale * s for y, s in zip(Y, shifts)], backprop

        encoder._func = shifted
        terms = model(batch, is_train=False)[0].terms
        return sum(WEIGHTS[name] * value for name, value in terms.items())

    slope = (loss(0.02) - loss(-0.02)) / 0.04
    assert float((seen[0] * shift).sum()) == pytest.approx(slope, rel=0.02)


def test_evaluation_is_repeatable_and_keeps_no_graph(vocab, make_docs):
    docs = make_docs(vocab)
    model, batch = build(docs, decoder_noise=1.0), make_batch(docs, labeled=MIXED)
    first, _ = model(batch, is_train=False)
    assert model(batch, is_train=False)[0].terms == first.terms
    sampled = {model(batch, is_train=True)[0].terms["kl"] for _ in range(3)}
    assert len(sampled) == 3
    assert not first.posteriors["y"].mean.requires_grad


def test_priors_are_used(vocab, make_docs):
    docs = make_docs(vocab)
    model = build(docs)
    mean = {name: q.mean for name, q in infer(model, docs).items()}

    def shifted(name, y):
        return Gaussian(mean[name], torch.full_like(mean[name], 3.0))

    plain = model(make_batch(docs, labeled=MIXED), is_train=False)[0].terms
    terms = model(make_batch(docs, labeled=MIXED, prior=shifted), is_train=False)[0].terms
    expected = sum(q.unit_kl(shifted(name, None)).sum(-1) for name, q in infer(model, docs).items())
    chosen = torch.tensor(MIXED).repeat_interleave(torch.tensor([len(doc) for doc in docs]))
    assert terms["kl"] == pytest.approx(float(expected[chosen].mean()), rel=1e-5)
    assert terms["unlabeled_kl"] == pytest.approx(float(expected[~chosen].mean()), rel=1e-5)
    assert terms["kl"] != pytest.approx(plain["kl"])


def moved_by(model, batch, optimizer, weights):
    before = {n: p.detach().clone() for n, p in model.shims[0].module.named_parameters()}
    _, backprop = model(batch, is_train=True)
    backprop(weights)
    model.finish_update(optimizer)
    params = model.shims[0].module.named_parameters()
    return {n.split(".")[0] for n, p in params if not torch.equal(p, before[n])}


def test_a_step_moves_only_what_had_a_part_in_it(vocab, make_docs):
    docs = make_docs(vocab)
    model, optimizer = build(docs), Adam(0.1, L2=0.1, L2_is_weight_decay=True)
    everything = {"classifier", "heads", "decoder", "output"}
    for _ in range(3):
        batch = make_batch(docs, labeled=MIXED)
        assert moved_by(model, batch, optimizer, WEIGHTS) == everything
    raw = make_batch(docs, labeled=[False] * 4)
    assert moved_by(model, raw, optimizer, WEIGHTS) == everything - {"classifier"}
    supervised_only = dict.fromkeys(WEIGHTS, 0.0) | {"supervised": 1.0}
    mixed = make_batch(docs, labeled=MIXED)
    assert moved_by(model, mixed, optimizer, supervised_only) == {"classifier", "heads"}
    assert moved_by(model, raw, optimizer, supervised_only) == set()


def test_docs_without_tokens(vocab, make_docs):
    docs = [Doc(vocab), *make_docs(vocab, ["cat", "the dog"]), Doc(vocab)]
    model = build(docs[1:3])
    batch = make_batch(docs, labeled=[False, True, False, True])
    assert "classifier" in moved_by(model, batch, Adam(), WEIGHTS)


# Changes after training


def test_resize(vocab, make_docs):
    docs = make_docs(vocab)
    model = build(docs)
    before, version = model.predict(docs).dataXd, model.shims[0].version
    resize(model, 5)
    after = model.predict(docs).dataXd
    numpy.testing.assert_array_equal(after[:, :3], before)
    assert after.shape[1] == model.get_dim("nO") == model.shims[0].cfg["nO"] == 5
    assert model.shims[0].version > version
    loaded = build(nO=5).from_bytes(model.to_bytes())
    numpy.testing.assert_array_equal(loaded.predict(docs).dataXd, after)


@pytest.mark.parametrize("with_vectors", [True, False])
@pytest.mark.parametrize("variant", ["g", "flat", "hier"])
def test_prune(variant, with_vectors, vocab, vector_vocab, make_docs):
    docs = make_docs(vector_vocab if with_vectors else vocab)
    model = build(docs, variant=variant)
    before, size = model.predict(docs).dataXd, len(model.to_bytes())
    prune(model)
    numpy.testing.assert_array_equal(model.predict(docs).dataXd, before)
    assert len(model.to_bytes()) < size
    loaded = build().from_bytes(model.to_bytes())
    numpy.testing.assert_array_equal(loaded.predict(docs).dataXd, before)
    for pruned in (model, loaded):
        with pytest.raises(ValueError, match="pruned of its generator"):
            pruned(make_batch(docs, labeled=MIXED), is_train=True)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("how", ["bytes", "copy", "pickle"])
def test_round_trip(how, variant, vector_vocab, make_docs):
    docs = make_docs(vector_vocab)
    model = build(docs, variant=variant, normalize=["digits"])
    batch = make_batch(docs, labeled=MIXED)
    expected, terms = model.predict(docs).dataXd, model(batch, is_train=False)[0].terms
    if how == "bytes":
        loaded = build(variant=variant, normalize=["digits"]).from_bytes(model.to_bytes())
    elif how == "copy":
        loaded = model.copy()
    else:
        loaded = pickle.loads(pickle.dumps(model))
    numpy.testing.assert_array_equal(loaded.predict(docs).dataXd, expected)
    assert loaded(batch, is_train=False)[0].terms == terms
