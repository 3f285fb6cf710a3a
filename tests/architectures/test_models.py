"""The registered builders: what each setting does, and which settings are refused."""

import inspect
from functools import partial

import numpy
import pytest
import torch
from spacy.ml.models import MultiHashEmbed
from spacy.util import registry

from spacy_semivae.architectures.generators import build_mf, build_mf_lm
from spacy_semivae.architectures.models import (
    build_char_word_bigru,
    build_concat_encoders,
    build_crf_vae,
    build_vsl,
)
from spacy_semivae.labels import SpanLabels
from spacy_semivae.layers.crf_vae import CRFBatch, set_tags
from spacy_semivae.layers.vsl import VSLBatch

TEXTS = ["the cat 1999", "the cat 2024", "a dog the"]


@pytest.fixture
def docs(vector_vocab, make_docs):
    return make_docs(vector_vocab, TEXTS)


@pytest.fixture
def plain_docs(vocab, make_docs):
    return make_docs(vocab, TEXTS)


def module_of(model):
    return model.shims[0].module


# What each setting changes: a value other than the default, and how to see it.

CHAR_WORD_EFFECTS = {
    "width": (7, lambda model: module_of(model).embedding.embedding_dim),
    "char_width": (7, lambda model: module_of(model).char_embedding.embedding_dim),
    "char_hidden": (7, lambda model: module_of(model).char_gru.gru.hidden_size),
    "hidden": (7, lambda model: model.get_dim("nO") // 2),
    "embeddings": ("tuned", lambda model: model.attrs["embeddings"]),
    "min_count": (3, lambda model: 2 if "cat" in model.attrs["words"] else 3),
    "normalize": (
        ["digits"],
        lambda model: ["digits"] if "0000" in model.attrs["words"] else None,
    ),
}


@pytest.mark.parametrize("setting", inspect.signature(build_char_word_bigru).parameters)
def test_char_word_setting_has_its_effect(setting, docs):
    value, read = CHAR_WORD_EFFECTS[setting]
    default = inspect.signature(build_char_word_bigru).parameters[setting].default
    for expected in (default, value):
        model = build_char_word_bigru(**{setting: expected})
        model.initialize(X=docs)
        assert read(model) == expected
        Y = model.predict(docs)[0]
        assert Y.shape == (3, model.get_dim("nO"))


@pytest.mark.parametrize(
    ("embeddings", "static", "rows"),
    [("fixed", True, 2), ("tuned", True, 4), ("learned", False, 4)],
)
def test_embeddings(embeddings, static, rows, docs):
    model = build_char_word_bigru(embeddings=embeddings)
    model.initialize(X=docs)
    assert module_of(model).embedding.weight.shape == (rows, 6 if static else 100)
    model.predict(docs)
    assert model.attrs["index"].table.vectors.any() == static


def make_batch(docs):
    labels = numpy.tile([0, 1, 2], len(docs)).astype("int64")
    labeled = numpy.ones(len(docs), dtype="bool")
    return VSLBatch(docs, labels, labeled, numpy.zeros((3, 0), dtype="int64"))


def terms_of(model, docs, *, is_train=True):
    return model(make_batch(docs), is_train=is_train)[0].terms


def has_noise(model, docs):
    return terms_of(model, docs)["reconstruction"] != terms_of(model, docs)["reconstruction"]


def learns_unknown_words(model, docs):
    model.attrs["targets"] = ["nowhere"] * len(model.attrs["targets"])
    return terms_of(model, docs)["reconstruction"] != 0


def decoder_width(model):
    return module_of(model).output.shape[1]


VSL_EFFECTS = {
    "tok2vec": ("other", lambda model, docs: model.layers[0].name, {}),
    "variant": ("flat", lambda model, docs: "hier" if is_hier(model) else "flat", {}),
    "classifier_on": ("z", lambda model, docs: module_of(model).classifier_on, {}),
    "width_y": (3, lambda model, docs: module_of(model).heads["y"].out_features // 2, {}),
    "width_z": (3, lambda model, docs: module_of(model).heads["z"].out_features // 2, {}),
    "hidden": (3, lambda model, docs: module_of(model).decoder[2].out_features, {}),
    "width": (3, lambda model, docs: decoder_width(model), {}),
    "max_targets": (1, lambda model, docs: len(module_of(model).output) - 1, {}),
    "variational": (False, lambda model, docs: "kl" in terms_of(model, docs), {}),
    "decoder_noise": (0.3, has_noise, {"variational": False}),
    "reconstruct_unk": (False, learns_unknown_words, {}),
    "normalize": (["digits"], lambda model, docs: "0000" in model.attrs["targets"], {}),
    "nO": (5, lambda model, docs: module_of(model).classifier.out_features, {}),
}


def is_hier(model):
    module = module_of(model)
    return module.heads["z"].in_features == model.layers[0].get_dim("nO") + 25


def seen_by_default(setting):
    """What is seen where the setting keeps its default."""
    default = inspect.signature(build_vsl).parameters[setting].default
    special = {"tok2vec": "encoder", "classifier_on": "y", "max_targets": 2, "nO": 3}
    special |= {"decoder_noise": False, "normalize": False}
    return special.get(setting, default)


@pytest.mark.parametrize("setting", inspect.signature(build_vsl).parameters)
def test_vsl_setting_has_its_effect(setting, plain_docs):
    value, read, others = VSL_EFFECTS[setting]
    encoder = MultiHashEmbed(4, attrs=["ORTH"], rows=[50], include_static_vectors=False)
    encoder.name = "encoder"
    seen = []
    for changes in ({}, {setting: value}):
        settings = {"tok2vec": encoder.copy(), "nO": 3, **others, **changes}
        if setting == "tok2vec" and changes:
            settings["tok2vec"] = encoder.copy()
            settings["tok2vec"].name = "other"
        model = build_vsl(**settings)
        model.initialize(X=plain_docs)
        seen.append(read(model, plain_docs))
    changed = True if setting in ("decoder_noise", "normalize") else value
    assert seen == [seen_by_default(setting), changed]


def test_decoder_noise_is_a_standard_deviation(plain_docs):
    def predicted_embeddings(noise, draws=400):
        torch.manual_seed(0)
        encoder = MultiHashEmbed(4, attrs=["ORTH"], rows=[50], include_static_vectors=False)
        model = build_vsl(encoder, nO=3, variational=False, decoder_noise=noise)
        model.initialize(X=plain_docs)
        module = module_of(model)
        module.output.data = torch.zeros_like(module.output)
        module.output.data[0, 0] = 1e-3  # the loss is nearly linear in one noisy coordinate
        values = [terms_of(model, plain_docs[:1])["reconstruction"] for _ in range(draws)]
        return numpy.std(values)

    assert predicted_embeddings(0.0) == 0
    assert predicted_embeddings(2.0) == pytest.approx(2 * predicted_embeddings(1.0), rel=0.05)


def test_defaults_are_the_paper_s(plain_docs):
    model = build_vsl(build_char_word_bigru(), nO=3)
    model.initialize(X=plain_docs)
    module, encoder = module_of(model), module_of(model.layers[0])
    assert (encoder.char_embedding.embedding_dim, encoder.char_gru.gru.hidden_size) == (50, 100)
    assert encoder.word_gru.gru.hidden_size == 100
    assert module.heads["y"].out_features == 2 * 25
    assert module.heads["z"].out_features == 2 * 50
    assert [layer.out_features for layer in module.decoder[::2]] == [100, 100, 100]


@pytest.mark.parametrize(
    ("variant", "classifier_on", "reads"),
    [
        ("baseline", None, "h"),
        ("baseline", "h", "h"),
        ("g", None, "z"),
        ("flat", None, "y"),
        ("flat", "z", "z"),
        ("hier", None, "y"),
        ("hier", "z", "z"),
    ],
)
def test_classifier_on(variant, classifier_on, reads, plain_docs):
    model = build_vsl(build_char_word_bigru(), variant, classifier_on, nO=3)
    model.initialize(X=plain_docs)
    assert module_of(model).classifier_on == reads
    assert module_of(model).classifier.in_features == {"h": 200, "y": 25, "z": 50}[reads]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            partial(build_char_word_bigru, embeddings="static"),
            r"embeddings must be one of \['fixed', 'tuned', 'learned'\], but got 'static'",
        ),
        (partial(build_char_word_bigru, normalize=["upper"]), r"normalize .* got \['upper'\]"),
        (partial(build_vsl, None, variant="vae"), "variant must be one of .*hier.* got 'vae'"),
        (partial(build_vsl, None, "hier", "h"), r"variant 'hier' .*\['y', 'z'\], but got 'h'"),
        (partial(build_vsl, None, "g", "y"), r"variant 'g' .*\['z'\], but got 'y'"),
        (partial(build_vsl, None, "baseline", "z"), r"'baseline' .*\['h'\], but got 'z'"),
        (partial(build_vsl, None, normalize=["digit"]), r"normalize .* got \['digit'\]"),
        (partial(build_concat_encoders, {}), "at least one encoder"),
    ],
)
def test_wrong_settings(build, message):
    with pytest.raises(ValueError, match=message):
        build()


# The CRF-VAE


def small_encoder():
    return MultiHashEmbed(4, attrs=["ORTH"], rows=[50], include_static_vectors=False)


def crf_terms(model, docs):
    tags = numpy.full(sum(map(len, docs)), -1)
    batch = CRFBatch(docs, tags, numpy.zeros(len(docs), dtype="bool"), tags[:0].reshape(3, 0), 0.66)
    return model(batch, is_train=True)[0].terms


def has_dropout(model, docs):
    return crf_terms(model, docs)["kl"] != crf_terms(model, docs)["kl"]


def tagger(model):
    return module_of(model).tagger


# the value, how it is seen, what is seen by default, what is seen with the value, other settings
CRF_EFFECTS = {
    "tok2vec": ("other", lambda model, docs: model.layers[0].name, "encoder", "other", {}),
    "generator": (
        build_mf(width=4),
        lambda model, docs: "reconstruction" in crf_terms(model, docs),
        False,
        True,
        {},
    ),
    "spans": (False, lambda model, docs: model.shims[0].cfg["spans"], True, False, {}),
    "width": (7, lambda model, docs: module_of(model).score.in_features, 300, 7, {}),
    "tagger_layers": (
        2,
        lambda model, docs: 0 if tagger(model) is None else len(tagger(model).layers),
        0,
        2,
        {"tagger_heads": 2},
    ),
    "tagger_heads": (
        2,
        lambda model, docs: tagger(model).layers[0].heads,
        8,
        2,
        {"tagger_layers": 1, "width": 8},
    ),
    "tagger_hidden": (
        5,
        lambda model, docs: tagger(model).layers[0].network[0].out_features,
        1024,
        5,
        {"tagger_layers": 1, "tagger_heads": 2},
    ),
    "dropout": (0.5, has_dropout, False, True, {}),
    "max_targets": (1, lambda model, docs: model.shims[0].cfg["nV"], 3, 2, {}),
    "normalize": (
        ["digits"],
        lambda model, docs: "0000" in model.attrs["targets"],
        False,
        True,
        {},
    ),
    "nO": (9, lambda model, docs: module_of(model).score.out_features, 5, 9, {}),
}


@pytest.mark.parametrize("setting", inspect.signature(build_crf_vae).parameters)
def test_crf_vae_setting_has_its_effect(setting, plain_docs, tiny_gpt2):
    if setting in ("unit", "tokenizer"):
        for unit, tokenizer in (("token", None), ("piece", tiny_gpt2)):
            model = build_crf_vae(small_encoder(), unit=unit, tokenizer=tokenizer, nO=5)
            model.initialize(X=plain_docs)
            assert (module_of(model).kinds is not None) == (unit == "piece")
            assert (len(model.predict(plain_docs).emissions) > 9) == (unit == "piece")
        return
    value, read, default, changed, others = CRF_EFFECTS[setting]
    seen = []
    for changes in ({}, {setting: value}):
        heads = others.get("tagger_layers") and setting == "tagger_heads"
        encoder = MultiHashEmbed(
            8 if heads else 4, attrs=["ORTH"], rows=[50], include_static_vectors=False
        )
        encoder.name = "other" if setting == "tok2vec" and changes else "encoder"
        settings = {"nO": 5, **others, **changes, "tok2vec": encoder}
        model = build_crf_vae(**settings)
        model.initialize(X=plain_docs)
        names = SpanLabels(["A", "B"] if settings["nO"] == 9 else ["A"])
        prior = numpy.full(settings["nO"], 1 / settings["nO"])
        set_tags(model, names.transitions(), prior)
        seen.append(read(model, plain_docs))
    assert seen == [default, changed]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"unit": "word"}, r"unit must be one of \['token', 'piece'\], but got 'word'"),
        ({"normalize": ["upper"]}, r"normalize .* got \['upper'\]"),
        ({"tokenizer": "gpt2"}, 'needs unit = "piece"'),
        ({"unit": "piece"}, "one of its own, not both: tokenizer is None"),
        ({"generator": build_mf_lm("gpt2")}, 'needs unit = "piece"'),
        (
            {"generator": build_mf_lm("gpt2"), "unit": "piece", "tokenizer": "gpt2"},
            "not both: tokenizer is 'gpt2'",
        ),
    ],
)
def test_wrong_settings_of_the_crf_vae(settings, message):
    with pytest.raises(ValueError, match=message):
        build_crf_vae(small_encoder(), **settings)


def test_heads_of_the_tagger_must_divide_the_encoder_s_width(plain_docs):
    model = build_crf_vae(small_encoder(), tagger_layers=1, tagger_heads=3, nO=5)
    with pytest.raises(ValueError, match="heads must divide the width 4, but got 3"):
        model.initialize(X=plain_docs)


def test_configs_resolve(docs):
    encoder = {"@architectures": "semivae.CharWordBiGRU.v1", "hidden": 4}
    hashed = {
        "@architectures": "spacy.MultiHashEmbed.v2",
        "width": 6,
        "attrs": ["ORTH"],
        "rows": [50],
        "include_static_vectors": False,
    }
    config = {
        "@architectures": "semivae.VSL.v1",
        "variant": "g",
        "tok2vec": {
            "@architectures": "semivae.ConcatEncoders.v1",
            "encoders": {"one": encoder, "two": hashed},
        },
    }
    model = registry.resolve({"model": config})["model"]
    model.set_dim("nO", 4)
    model.initialize(X=docs)
    assert model.get_ref("tok2vec").get_dim("nO") == 8 + 6
    assert model.predict(docs).dataXd.shape == (9, 4)
