"""`semivae.SSVAE.v1`: what each setting does, and which settings are refused."""

import inspect

import numpy
import pytest
from spacy.ml.models import MultiHashEmbed
from spacy.util import registry

from spacy_semivae.architectures.models import build_ssvae
from spacy_semivae.layers.ssvae import SSVAEBatch, infer, read

TEXTS = ["the cat 1999 saw", "the cat 2024", "a dog the"]
SMALL = {"hidden": 6, "nO": 3}


@pytest.fixture
def docs(vocab, make_docs):
    return make_docs(vocab, TEXTS)


def module_of(model):
    return model.shims[0].module


def terms(model, docs):
    batch = SSVAEBatch(docs, numpy.full(len(docs), -1), 0.0)
    return model(batch, is_train=True)[0].terms


def pairs(model, docs):
    """Texts that the decoder is given for one raw Doc."""
    seen = []
    module_of(model).generator.decoder.register_forward_hook(
        lambda module, args, out: seen.append(len(out))
    )
    terms(model, docs[:2])
    return seen[0] / 2


def latents(model, docs):
    return infer(model, docs, numpy.zeros(len(docs), dtype="int64")).shape[1]


def encoder():
    return MultiHashEmbed(4, attrs=["ORTH"], rows=[50], include_static_vectors=False)


def per_word(model, docs):
    whole, module = terms(model, docs)["label_prior"], module_of(model)
    return whole < -float(module.log_prior[0]) / 2


# the value, how it is seen, what is seen by default, what is seen with the value, other settings
SAMPLE = {"marginal": "sample"}
EFFECTS = {
    "tok2vec": (encoder(), lambda m, docs: module_of(m).nI, None, 4, {}),
    "decoder": (None, lambda m, docs: len(terms(m, docs)), 5, 1, {}),
    "width": (7, lambda m, docs: module_of(m).embedding.embedding_dim, 100, 7, {}),
    "hidden": (7, lambda m, docs: module_of(m).classifier.in_features, 6, 7, {}),
    "width_z": (7, latents, 50, 7, {}),
    "width_y": (7, lambda m, docs: module_of(m).generator.labels.embedding_dim, 50, 7, {}),
    "dropout": (0.5, lambda m, docs: module_of(m).dropout.p, 0.2, 0.5, {}),
    "marginal": ("sample", pairs, 3, 2, {}),
    "samples": (4, pairs, 2, 4, SAMPLE),
    "replacement": (
        False,
        lambda m, docs: module_of(m).sampler.replacement,
        True,
        False,
        {**SAMPLE, "baseline": "none"},
    ),
    "baseline": ("length", lambda m, docs: module_of(m).sampler.baseline, "mean", "length", SAMPLE),
    "length_normalize": (True, per_word, False, True, {}),
    "max_words": (1, lambda m, docs: len(m.attrs["targets"]), 2, 1, {}),
    "max_length": (2, lambda m, docs: read(m, docs).lengths.tolist(), [5, 4, 4], [2, 2, 2], {}),
    "truncation": (
        "first_last",
        lambda m, docs: read(m, docs).lengths.tolist(),  # the end of the text is read too
        [2, 2, 2],
        [3, 3, 3],
        {"max_length": 2},
    ),
    "normalize": (
        ["digits"],
        lambda m, docs: "0000" in m.attrs["targets"],
        False,
        True,
        {},
    ),
    "nO": (5, lambda m, docs: m.predict(docs).shape[1], 3, 5, {}),
}


@pytest.mark.parametrize("setting", inspect.signature(build_ssvae).parameters)
def test_every_setting_has_its_effect(setting, docs):
    value, look, default, changed, others = EFFECTS[setting]
    seen = []
    for changes in ({}, {setting: value}):
        model = build_ssvae(**{**SMALL, **others, **changes})
        model.initialize(X=docs)
        seen.append(look(model, docs))
    assert seen == [default, changed]


@pytest.mark.parametrize(
    ("decoder", "width", "pushes"),
    [("vanilla", 100, False), ("clstm1", 150, False), ("clstm2", 100, True)],
)
def test_decoders(decoder, width, pushes, docs):
    model = build_ssvae(decoder=decoder, **SMALL)
    model.initialize(X=docs)
    lstm = module_of(model).generator.decoder.lstm
    assert lstm.lstm.input_size == width
    assert (lstm.push is not None) == pushes


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, False),
        ({"baseline": "length"}, False),
        ({**SAMPLE, "baseline": "mean"}, False),
        ({**SAMPLE, "baseline": "length"}, True),
        ({**SAMPLE, "baseline": "length", "length_normalize": False}, False),
    ],
)
def test_the_length_counts_by_default_where_the_paper_says(settings, expected):
    assert build_ssvae(**settings).shims[0].cfg["length_normalize"] is expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"decoder": "lstm"}, r"decoder must be one of \['vanilla', 'clstm1', 'clstm2'\], but got"),
        ({"truncation": "last"}, r"truncation must be one of .* but got 'last'"),
        ({"max_length": -1}, "max_length is 0 for all tokens or positive, but got -1"),
        ({"marginal": "all"}, "marginal is one of .* 'all'"),
        ({**SAMPLE, "baseline": "best"}, "baseline is one of .* 'best'"),
        ({**SAMPLE, "samples": 1}, "'mean' needs samples >= 2, but got 1"),
        ({**SAMPLE, "replacement": False}, "baseline = 'none', but got 'mean'"),
        ({"normalize": ["upper"]}, r"normalize .* got \['upper'\]"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        build_ssvae(**settings)


def test_a_config_resolves(docs):
    config = {
        "@architectures": "semivae.SSVAE.v1",
        "hidden": 6,
        "tok2vec": {
            "@architectures": "spacy.MultiHashEmbed.v2",
            "width": 6,
            "attrs": ["ORTH"],
            "rows": [50],
            "include_static_vectors": False,
        },
        "nO": 3,
    }
    model = registry.resolve({"model": config})["model"]
    model.initialize(X=docs)
    assert model.predict(docs).shape == (3, 3)
    alone = registry.resolve({"model": {**config, "tok2vec": None}})["model"]
    assert not alone.layers
