"""The registered generators: what each setting does, and which settings are refused."""

import inspect

import pytest
from spacy.util import registry

from spacy_semivae.architectures import generators
from spacy_semivae.architectures.models import build_char_word_bigru, build_crf_vae
from spacy_semivae.modules.generators import GENERATORS

BUILDERS = {
    "factored": generators.build_factored,
    "mf": generators.build_mf,
    "mt": generators.build_mt,
    "mf_lm": generators.build_mf_lm,
    "mt_lm": generators.build_mt_lm,
    "mt_lm_poe": generators.build_mt_lm_poe,
    "mt_lm_residual": generators.build_mt_lm_residual,
}
NAMES = {
    "factored": "Factored",
    "mf": "MF",
    "mt": "MT",
    "mf_lm": "MFLM",
    "mt_lm": "MTLM",
    "mt_lm_poe": "MTPoE",
    "mt_lm_residual": "MTResidual",
}
SMALL = {"width": 8, "layers": 1, "heads": 2, "hidden": 6}


def smallest(kind, folder):
    known = {**SMALL, "name": folder}
    return {
        name: known[name] for name in inspect.signature(BUILDERS[kind]).parameters if name in known
    }


def module_of(kind, settings, docs):
    """The module that the settings build inside a model."""
    described = BUILDERS[kind](**settings)
    unit = "token" if described.language_model is None else "piece"
    encoder = build_char_word_bigru(4, 4, 4, 4, min_count=1)
    model = build_crf_vae(encoder, described, unit=unit, nO=5, width=4)
    model.initialize(X=docs)
    return model.shims[0].module, described


def encoder_layers(module):
    return module.generator.context.layers


def cache_of(described):
    return described.language_model.attrs["cache"]


EFFECTS = {
    "objective": ("relaxed", lambda module, described: "exact" if module.exact else "relaxed"),
    "name": (None, None),
    "width": (4, lambda module, described: module.generator.tags.shape[0]),
    "layers": (2, lambda module, described: len(encoder_layers(module))),
    "heads": (4, lambda module, described: encoder_layers(module)[0].heads),
    "hidden": (5, lambda module, described: encoder_layers(module)[0].network[0].out_features),
    "dropout": (0.3, lambda module, described: encoder_layers(module)[0].dropout.p),
    "scale": (False, lambda module, described: module.generator.scale),
    "cache": (
        "none",
        lambda module, described: "memory" if cache_of(described).limit else "none",
    ),
    "cache_mb": (2, lambda module, described: cache_of(described).limit / 2**20),
    "window": (8, lambda module, described: described.language_model.attrs["window"]),
}


def cases():
    for kind, build in BUILDERS.items():
        for setting in inspect.signature(build).parameters:
            yield kind, setting


@pytest.mark.parametrize(("kind", "setting"), [case for case in cases() if case[1] != "name"])
def test_every_setting_has_its_effect(kind, setting, vocab, make_docs, tiny_gpt2):
    value, read = EFFECTS[setting]
    docs, settings = make_docs(vocab), smallest(kind, tiny_gpt2)
    default = settings.get(setting, inspect.signature(BUILDERS[kind]).parameters[setting].default)
    seen = [read(*module_of(kind, {**settings, **x}, docs)) for x in ({}, {setting: value})]
    assert seen == [default, value]


def test_every_generator_is_registered():
    assert set(BUILDERS) == set(GENERATORS) == set(NAMES)
    for kind, name in NAMES.items():
        assert registry.architectures.get(f"semivae.{name}Generator.v1") is BUILDERS[kind]


@pytest.mark.parametrize("kind", BUILDERS)
def test_each_builds_its_module(kind, tiny_gpt2):
    described = BUILDERS[kind](**smallest(kind, tiny_gpt2))
    assert described.cfg["name"] == kind
    assert (described.language_model is not None) == ("lm" in kind)
    if described.language_model is not None:
        assert described.language_model.attrs["name"] == tiny_gpt2
    assert described.objective == ("exact" if kind == "factored" else "relaxed")


@pytest.mark.parametrize("kind", [kind for kind in BUILDERS if kind.startswith("mt")])
@pytest.mark.parametrize("heads", [0, 3])
def test_heads_must_divide_the_width(kind, heads, tiny_gpt2):
    settings = {**smallest(kind, tiny_gpt2), "heads": heads}
    with pytest.raises(ValueError, match=f"heads must divide width = 8, but got {heads}"):
        BUILDERS[kind](**settings)


def test_other_wrong_settings(tiny_gpt2):
    with pytest.raises(ValueError, match=r"objective must be one of .*, but got 'approx'"):
        generators.build_factored("approx")
    with pytest.raises(ValueError, match="window is at least 2 pieces, but got 1"):
        generators.build_mf_lm(tiny_gpt2, window=1)
