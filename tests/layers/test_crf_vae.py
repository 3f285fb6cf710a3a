"""The CRF-VAE as a Thinc model: units, terms, storage, changes after training."""

import pickle
from itertools import chain

import numpy
import pytest
import torch
from spacy.ml.models import MultiHashEmbed
from spacy.tokens import Doc
from thinc.api import Adam

from spacy_semivae.architectures import generators
from spacy_semivae.labels import SpanLabels
from spacy_semivae.layers.crf_targets import get_lm
from spacy_semivae.layers.crf_vae import (
    CRFBatch,
    crf_vae_model,
    lay_out,
    make_targets,
    prune,
    set_tags,
)
from spacy_semivae.layers.language_model import get_outputs, get_vocabulary, read_states
from spacy_semivae.layers.shim import resize
from spacy_semivae.modules.crf_vae import FULL, PARTIAL, RAW

WEIGHTS = {
    "supervised": 1.0,
    "negative": 1.0,
    "generation": 0.5,
    "reconstruction": 0.2,
    "kl": 0.1,
    "entity_ratio": 3.0,
}
SCHEME = SpanLabels(["A"])
TEXTS = ["Ann saw Rome", "", "We like Bob Lee", "Rome !", "Ann likes Lee"]
TAGS = [[4, 0, 0], [], [0, -1, 1, 3], [-1, -1], [4, 0, 4]]  # full, empty, partial, raw, full
LABELED = [True, False, True, False, True]


def make_encoder(width=4):
    encoder = MultiHashEmbed(width, attrs=["ORTH"], rows=[50], include_static_vectors=False)
    return encoder


def build(docs=None, generator=None, *, tokenizer=None, max_targets=100, width=4, **changes):
    has_lm = generator is not None and generator.language_model is not None
    cfg = {
        "width": 5,
        "pieces": bool(tokenizer) or has_lm,
        "spans": True,
        "tagger_layers": 0,
        "tagger_heads": 2,
        "tagger_hidden": 4,
        "dropout": 0.0,
        **changes,
    }
    model = crf_vae_model(
        make_encoder(width),
        generator,
        cfg=cfg,
        max_targets=max_targets,
        normalize=[],
        tokenizer=tokenizer,
    )
    model.set_dim("nO", 5)
    if docs is not None:
        model.initialize(X=docs)
        set_tags(model, SCHEME.transitions(), numpy.array([0.5, *[0.125] * 4]))
    return model


def make_batch(docs, tags=TAGS, labeled=LABELED, rejected=((), (), ())):
    return CRFBatch(
        docs,
        numpy.array([tag for doc in tags for tag in doc], dtype="int64"),
        numpy.array(labeled, dtype="bool"),
        numpy.array(rejected, dtype="int64").reshape(3, -1),
        temperature=0.7,
        ratio=0.9,
        margin=0.01,
    )


@pytest.fixture
def docs(vocab, make_docs):
    return make_docs(vocab, TEXTS)


@pytest.fixture(params=["token", "piece", "lm"])
def model(request, docs, tiny_gpt2):
    known = [doc for doc in docs if len(doc)]
    if request.param == "lm":
        return build(known, generators.build_mf_lm(tiny_gpt2, width=6))
    tokenizer = tiny_gpt2 if request.param == "piece" else None
    return build(known, generators.build_mf(width=6), tokenizer=tokenizer)


def scores(model, docs):
    return model.predict(docs).emissions.numpy()


# Units and targets


def test_targets_of_tokens(docs):
    model = build(docs, generators.build_mf(width=6))
    batch = make_batch(docs, rejected=[[3, 4, 5], [1, 2, 3], [0, 0, 0]])
    lengths, units, pieces = lay_out(model, docs)
    targets = make_targets(model, batch, lengths, units, pieces)
    assert pieces is targets.states is targets.outputs is None
    assert lengths.tolist() == [1] * 12
    assert units.lengths.tolist() == [3, 0, 4, 2, 3]
    assert targets.annotation.tolist() == [FULL, FULL, PARTIAL, RAW, FULL]  # the second is empty
    for tag, row in zip(chain(*TAGS), targets.allowed.tolist()):
        assert row == [tag in (c, -1) for c in range(5)]
    assert targets.rejected.tolist() == [[3, 4, 5], [1, 2, 3], [0, 0, 0]]
    assert (targets.temperature, targets.ratio, targets.margin) == (0.7, 0.9, 0.01)
    words = {word: i + 1 for i, word in enumerate(model.attrs["targets"])}
    expected = [words.get(token.text.lower(), 0) for doc in docs for token in doc]
    assert targets.words.tolist() == expected
    assert set(words) == {"ann", "rome", "lee"}


def test_targets_of_pieces(docs, tiny_gpt2):
    known = [doc for doc in docs if len(doc)]
    model = build(known, generators.build_mf_lm(tiny_gpt2, width=6))
    batch = make_batch(docs, rejected=[[3, 4], [1, 3], [0, 0]])
    lengths, units, pieces = lay_out(model, docs)
    targets = make_targets(model, batch, lengths, units, pieces)
    expected = get_vocabulary(model).encode(docs)
    assert lengths.tolist() == expected.lengths.tolist()
    assert max(lengths.tolist()) > 1
    assert units.lengths.tolist() == expected.units.tolist()
    # the tag of each unit: B and U are split, the rest is repeated
    tags = []
    for tag, n in zip(chain(*TAGS), lengths.tolist()):
        first, last = {4: (1, 3), 1: (1, 2), 3: (2, 3)}.get(tag, (tag, tag))
        inner = 2 if tag > 0 else tag
        tags += [tag] if n == 1 else [first, *[inner] * (n - 2), last]
    for tag, row in zip(tags, targets.allowed.tolist()):
        assert row == [tag in (c, -1) for c in range(5)]
    begin = int(lengths[:3].sum())
    assert targets.rejected[0].tolist() == list(range(begin, begin + int(lengths[3:5].sum())))
    assert targets.rejected[1].tolist()[0] == 1
    assert targets.rejected[1].tolist()[-1] == 3
    ids = {piece: i + 1 for i, piece in enumerate(model.attrs["targets"])}
    assert targets.words.tolist() == [ids.get(piece, 0) for piece in expected.ids.tolist()]
    lm = get_lm(model)
    torch.testing.assert_close(targets.states, read_states(lm, expected))
    outputs = get_outputs(lm)[model.attrs["targets"]]
    torch.testing.assert_close(targets.outputs[1:], outputs)


# Terms and gradients


def test_terms_and_gradients_are_those_of_the_module(model, docs):
    batch = make_batch(docs, rejected=[[7, 8], [1, 3], [0, 0]])
    torch.manual_seed(1)
    result, backprop = model(batch, is_train=True)
    backprop(WEIGHTS)
    shim = model.shims[0]
    got = {name: param.grad.clone() for name, param in shim.gradients()}
    shim.module.zero_grad()
    lengths, units, pieces = lay_out(model, docs)
    targets = make_targets(model, batch, lengths, units, pieces)
    H = torch.from_numpy(numpy.concatenate(model.layers[0].predict(docs)))
    torch.manual_seed(1)
    found = shim.module.train()(H.repeat_interleave(lengths, 0), targets)
    assert set(result.terms) == set(WEIGHTS)
    assert result.terms == pytest.approx({n: value.item() for n, value in found.terms.items()})
    assert result.shares == pytest.approx({n: v.item() for n, v in found.shares.items()})
    assert not [name for name, value in result.terms.items() if value <= 0]
    sum(WEIGHTS[name] * value for name, value in found.terms.items()).backward()
    for name, param in shim.gradients():
        torch.testing.assert_close(got.pop(name), param.grad)
    assert not got


def test_the_encoder_gets_the_gradient_of_the_weighted_sum(model, docs):
    encoder, seen = model.layers[0], []
    forward = encoder._func

    def spy(layer, X, is_train):
        Y, backprop = forward(layer, X, is_train)
        return Y, lambda dY: (seen.append(numpy.concatenate(dY)), backprop(dY))[1]

    encoder._func = spy
    batch = make_batch(docs)
    torch.manual_seed(1)
    _, backprop = model(batch, is_train=True)
    backprop(WEIGHTS)
    shift = numpy.random.normal(size=seen[0].shape).astype("f")
    shifts = numpy.split(shift, numpy.cumsum([len(doc) for doc in docs])[:-1])

    def loss(scale):
        def shifted(layer, X, is_train):
            Y, backprop = forward(layer, X, is_train)
            return [y + scale * s for y, s in zip(Y, shifts)], backprop

        encoder._func = shifted
        torch.manual_seed(1)
        terms = model(batch, is_train=False)[0].terms
        return sum(WEIGHTS[name] * value for name, value in terms.items())

    slope = (loss(0.02) - loss(-0.02)) / 0.04
    assert float((seen[0] * shift).sum()) == pytest.approx(slope, rel=0.03)


def moved_by(model, batch, weights):
    before = {n: p.detach().clone() for n, p in model.shims[0].module.named_parameters()}
    _, backprop = model(batch, is_train=True)
    backprop(weights)
    model.finish_update(Adam(0.1))
    params = model.shims[0].module.named_parameters()
    return {n.split(".")[0] for n, p in params if not torch.equal(p, before[n])}


def test_a_step_moves_only_what_had_a_part_in_it(model, docs):
    tagger = {"project", "score", "start", "pair", "end"}
    tagger |= {"kinds"} if model.shims[0].cfg["pieces"] else set()
    lm = get_lm(model)
    frozen = None if lm is None else get_outputs(lm).clone()
    assert moved_by(model, make_batch(docs), WEIGHTS) == {*tagger, "generator"}
    only = dict.fromkeys(WEIGHTS, 0.0)
    assert moved_by(model, make_batch(docs), only) == set()
    assert moved_by(model, make_batch(docs), {**only, "generation": 1.0}) == {"generator"}
    assert moved_by(model, make_batch(docs), {**only, "supervised": 1.0}) == tagger
    if frozen is not None:
        torch.testing.assert_close(get_outputs(lm), frozen, rtol=0, atol=0)
        assert not any(True for _ in lm.shims[0].gradients())


def test_docs_do_not_depend_on_their_neighbours(model, docs):
    together = model.predict(docs)
    ends = numpy.cumsum([0, *together.units.lengths.tolist()])
    assert together.tokens == [len(doc) for doc in docs]
    for doc, start, end in zip(docs, ends, ends[1:]):
        alone = model.predict([doc])
        assert alone.emissions.shape == (end - start, 5)
        torch.testing.assert_close(alone.emissions, together.emissions[start:end])
    assert not together.emissions.requires_grad
    assert not together.transitions["pair"].requires_grad
    assert model.predict([]).emissions.shape == (0, 5)


# Changes after training


def test_resize(model, docs):
    before = scores(model, docs)
    shapes = {n: tuple(p.shape) for n, p in model.shims[0].module.named_parameters()}
    resize(model, 9)
    after = model.predict(docs)
    open_ = numpy.isfinite(before)
    found = after.emissions.numpy()[:, :5][open_]
    numpy.testing.assert_allclose(found, before[open_], atol=1e-6)
    assert after.emissions.shape[1] == len(after.transitions["start"]) == 9
    grown = {n for n, p in model.shims[0].module.named_parameters() if tuple(p.shape) != shapes[n]}
    expected = {"start", "pair", "end", "score.weight", "score.bias", "generator.tags"}
    assert grown == expected


def test_prune(model, docs):
    before, size = scores(model, docs), len(model.to_bytes())
    pieces = model.shims[0].cfg["pieces"]
    prune(model)
    numpy.testing.assert_array_equal(scores(model, docs), before)
    # the tokenizer stays where its pieces are the units
    assert len(model.to_bytes()) < size
    assert bool(model.attrs["pieces"]) == pieces
    loaded = pickle.loads(pickle.dumps(model))
    numpy.testing.assert_array_equal(scores(loaded, docs), before)
    for pruned in (model, loaded):
        with pytest.raises(ValueError, match="pruned of its generator"):
            pruned(make_batch(docs), is_train=True)


def test_a_model_without_generator_has_nothing_to_prune(docs):
    model = build(docs)
    prune(model)
    terms = model(make_batch(docs), is_train=True)[0].terms
    assert set(terms) == {"supervised", "kl", "entity_ratio"}


@pytest.mark.parametrize("how", ["bytes", "copy", "pickle"])
def test_round_trip(how, model, docs):
    batch = make_batch(docs)
    expected, data = scores(model, docs), model.to_bytes()
    torch.manual_seed(2)
    terms = model(batch, is_train=False)[0].terms
    if how == "bytes":
        loaded = model.copy()
        with torch.no_grad():
            for shim in [node for n in loaded.walk() for node in n.shims]:
                for param in shim.module.parameters():
                    param.zero_()
        loaded.from_bytes(data)
    else:
        loaded = model.copy() if how == "copy" else pickle.loads(pickle.dumps(model))
    numpy.testing.assert_array_equal(scores(loaded, docs), expected)
    torch.manual_seed(2)
    assert loaded(batch, is_train=False)[0].terms == terms


def test_an_encoder_of_another_width_is_an_error(docs):
    model = build(docs, width=6)
    other = make_encoder(4)
    other.initialize(X=docs)
    model.layers[0] = other
    message = "vectors of width 4, but the tagger was initialized with width 6"
    with pytest.raises(ValueError, match=message):
        model.predict(docs)
    with pytest.raises(ValueError, match=message):
        model(make_batch(docs), is_train=True)


def test_init_errors(vocab):
    with pytest.raises(ValueError, match="needs Docs to initialize"):
        build([])
    with pytest.raises(ValueError, match="no weights yet"):
        build().predict([Doc(vocab, words=["a"])])
