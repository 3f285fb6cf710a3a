"""The weight of the KL that finds itself, alone and in the component."""

import math

import pytest
from spacy.tokens import Doc, Span
from spacy.training import Example
from thinc.api import SGD, Adam

from spacy_semivae.pipeline.adaptive import create_adaptive_beta

NAME = "semivae.AdaptiveBeta.v1"
WORDS = ["Ann", "saw", "Bob", "Lee", "in", "Rome", "!"]


def test_a_step_follows_the_gap():
    setting = create_adaptive_beta(start=0.01, rate=0.5)
    assert setting.step(0.2, 0.5, 0.9) == pytest.approx(0.2 * math.exp(0.2), rel=1e-5)
    assert setting.step(0.2, 0.9, 0.5) == pytest.approx(0.2 * math.exp(-0.2), rel=1e-5)
    assert setting.step(0.2, 0.7, 0.7) == 0.2


def test_a_step_stays_within_the_bounds():
    setting = create_adaptive_beta(start=1.0, rate=100.0, low=0.5, high=2.0)
    assert setting.step(1.0, 0.0, 1.0) == 2.0
    assert setting.step(1.0, 1.0, 0.0) == 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"low": 0.0}, "0 < low <= start <= high, but got 0.0"),
        ({"start": 1e-5}, "low <= start"),
        ({"start": 11.0}, "start <= high"),
        ({"target": 0.0}, "target is a share between 0 and 1, but got 0.0"),
        ({"target": 1.0}, "but got 1.0"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        create_adaptive_beta(**settings)


def keep_some(nlp):
    """One entity is known, of the rest nothing."""
    reference = Doc(nlp.vocab, WORDS)
    reference.set_ents([Span(reference, 0, 1, "PER")], default="missing")
    return Example(Doc(nlp.vocab, WORDS), reference)


def adapt(make_nlp, *, examples=None, settings=None, **others):
    """Give beta after one update that changes no weight, the decoded share, and the component."""
    beta = {"@misc": NAME, "start": 0.2, "rate": 3.0, **(settings or {})}
    nlp = make_nlp("crf_vae_ner", beta=beta, examples=examples, **others)
    losses = nlp.update([keep_some(nlp)], sgd=SGD(0.0), losses={})
    pipe = nlp.get_pipe("crf_vae_ner")
    assert losses["crf_vae_ner_beta"] == pipe.cfg["beta"] == pipe.beta_now()
    return pipe.cfg["beta"], losses["crf_vae_ner_decoded_outside"], pipe


def only_partial(nlp):
    return [keep_some(nlp), keep_some(nlp)]


def test_the_target_is_the_setting(make_nlp):
    beta, decoded, _ = adapt(make_nlp, settings={"target": 0.8})
    assert beta == pytest.approx(0.2 * math.exp(3.0 * (0.8 - decoded)), rel=1e-5)


def test_else_the_share_of_the_full_annotation(make_nlp):
    beta, decoded, pipe = adapt(make_nlp)
    share = 11 / 19  # of the tokens of the labelled corpus
    counts = pipe.cfg["tag_counts"]
    assert counts["O"] / sum(counts.values()) == pytest.approx(share)
    assert beta == pytest.approx(0.2 * math.exp(3.0 * (share - decoded)), rel=1e-5)


def test_else_what_the_entity_ratio_leaves(make_nlp):
    beta, decoded, _ = adapt(make_nlp, examples=only_partial, entity_ratio_target=0.3)
    assert beta == pytest.approx(0.2 * math.exp(3.0 * (0.7 - decoded)), rel=1e-5)


def test_it_changes_with_each_update_and_is_stored(make_nlp, raw):
    nlp = make_nlp("crf_vae_ner", beta={"@misc": NAME, "start": 0.2, "target": 0.99})
    pipe = nlp.get_pipe("crf_vae_ner")
    assert pipe.beta_now() == 0.2
    seen, optimizer = [], Adam(0.001)
    for _ in range(3):
        assert pipe.weights()["kl"] == pytest.approx(0.1 * pipe.beta_now())
        seen.append(nlp.update(raw(nlp), sgd=optimizer, losses={})["crf_vae_ner_beta"])
    assert 0.2 < seen[0] < seen[1] < seen[2]
    other = make_nlp("crf_vae_ner", beta={"@misc": NAME, "start": 0.2, "target": 0.99})
    loaded = other.get_pipe("crf_vae_ner").from_bytes(pipe.to_bytes())
    assert loaded.beta_now() == seen[2]
    found = list(raw(nlp))
    nlp.initialize(lambda: [keep_some(nlp), *found])
    assert pipe.beta_now() == 0.2


def test_full_annotation_alone_does_not_move_it(make_nlp, gold):
    nlp = make_nlp("crf_vae_ner", beta={"@misc": NAME, "start": 0.2})
    losses = nlp.update(gold(nlp), sgd=SGD(0.0), losses={})
    assert nlp.get_pipe("crf_vae_ner").beta_now() == 0.2
    assert not any("beta" in key or "outside" in key for key in losses)


def test_the_decoded_share_moves_to_the_target(make_nlp):
    shares, betas = [], []
    for target in (0.3, 0.8):
        beta = {"@misc": NAME, "start": 0.01, "rate": 0.5, "target": target}
        nlp = make_nlp("crf_vae_ner", beta=beta, alpha=1.0, examples=only_partial)
        optimizer = Adam(0.02)
        for _ in range(40):
            losses = nlp.update([keep_some(nlp)], sgd=optimizer, losses={})
        shares.append(losses["crf_vae_ner_decoded_outside"])
        betas.append(losses["crf_vae_ner_beta"])
    assert shares[0] < shares[1] - 0.1
    assert betas[0] < 0.01 < betas[1]


def test_a_tagger_refuses_it(make_nlp):
    with pytest.raises(ValueError, match="a tagger has no such tag"):
        make_nlp("crf_vae_tagger", beta={"@misc": NAME})
