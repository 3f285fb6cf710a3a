"""The registered builders: what each setting does, and which settings are refused."""

import inspect
from functools import partial

import numpy
import pytest
import torch
from spacy.ml.models import MultiHashEmbed
from spacy.util import registry

from spacy_semivae.architectures import (
    build_char_word_bigru,
    build_concat_encoders,
    build_vsl,
)
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
    assert model.attrs["index"].word_vectors.any() == static


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
