"""Weights of both CRF-VAE factories follow their schedules, and wrong settings are refused."""

import pytest
from thinc.api import Adam


@pytest.mark.parametrize(
    "setting", ["alpha", "beta", "generator_weight", "temperature", "entity_ratio"]
)
def test_weights_follow_their_schedules(setting, make_nlp, gold, raw):
    schedule = {"@schedules": "semivae.linear.v1", "start": 0.5, "end": 1.5, "steps": 2}
    nlp = make_nlp("crf_vae_ner", **{"beta": 1.0, "alpha": 1.0, setting: schedule})
    pipe, seen = nlp.get_pipe("crf_vae_ner"), []
    term = {"alpha": "reconstruction", "beta": "kl", "generator_weight": "generation"}
    for _ in range(4):
        if setting == "temperature":
            seen.append(pipe.make_batch(raw(nlp)).temperature)
        else:
            seen.append(pipe.weights()[term.get(setting, setting)])
        nlp.update([*gold(nlp), *raw(nlp)], sgd=Adam(0.001))
    assert seen == pytest.approx([0.5, 1.0, 1.5, 1.5])


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("alpha", "much", "alpha.*'much'"),
        ("beta", None, "beta.*None"),
        ("temperature", True, "temperature.*True"),
        ("generator_weight", "x", "generator_weight.*'x'"),
        ("entity_ratio", "x", "entity_ratio.*'x'"),
        ("entity_ratio_target", 1.5, r"entity_ratio_target is a share from 0 to 1, but got 1\.5"),
        ("entity_ratio_margin", -0.1, r"entity_ratio_margin is a share .* got -0\.1"),
        ("threshold", 0.0, r"threshold lies between 0 and 1, but got 0\.0"),
        ("threshold", 1.0, r"threshold lies between 0 and 1, but got 1\.0"),
        ("prior", "flat", "must be .*, but got 'flat'"),
        ("prior", {"O": 1.0}, r"'B-LOC'"),
        ("model", {"spans": False}, "'crf_vae_ner' needs a model with spans = true"),
    ],
)
def test_wrong_settings_are_refused(setting, value, message, make_nlp):
    with pytest.raises(ValueError, match=message):
        make_nlp("crf_vae_ner", **{setting: value})


def test_a_tagger_needs_a_model_of_tags(make_nlp):
    with pytest.raises(ValueError, match="'crf_vae_tagger' needs a model with spans = false"):
        make_nlp("crf_vae_tagger", model={"spans": True})


def test_temperature_must_be_positive(make_nlp, raw):
    nlp = make_nlp("crf_vae_ner", temperature=0.0)
    with pytest.raises(ValueError, match=r"temperature must be above 0, but got 0\.0"):
        nlp.update(raw(nlp))


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, True),
        ({"alpha": 0.0}, False),
        ({"alpha": 0.0, "entity_ratio": 1.0}, True),
        ({"model": {"generator": None}, "beta": 0.1}, True),
        ({"model": {"generator": None}, "beta": 0.0}, False),
        ({"beta": 0.0}, True),
    ],
)
def test_whether_raw_docs_are_wanted(changes, wanted, make_nlp):
    assert make_nlp("crf_vae_ner", **changes).get_pipe("crf_vae_ner").uses_unlabeled() is wanted
