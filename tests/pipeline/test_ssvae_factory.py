"""Weights of `ssvae_textcat` follow their schedules, and wrong settings are refused."""

import pytest
from thinc.api import Adam

NAME = "ssvae_textcat"


@pytest.mark.parametrize("setting", ["alpha", "kl_weight", "word_dropout"])
def test_weights_follow_their_schedules(setting, make_nlp, gold, raw):
    schedule = {"@schedules": "semivae.linear.v1", "start": 0.1, "end": 0.5, "steps": 2}
    nlp = make_nlp(NAME, **{setting: schedule})
    pipe, seen = nlp.get_pipe(NAME), []
    for _ in range(4):
        if setting == "word_dropout":
            seen.append(pipe.make_batch(raw(nlp)).word_dropout)
        else:
            seen.append(pipe.weights()[{"alpha": "classification", "kl_weight": "kl"}[setting]])
        nlp.update([*gold(nlp), *raw(nlp)], sgd=Adam(0.001))
    assert seen == pytest.approx([0.1, 0.3, 0.5, 0.5])


def test_default_schedules(make_nlp):
    pipe = make_nlp(NAME).get_pipe(NAME)
    for step, expected in ((0, (1.0, 0.0, 0.25)), (1000, (1.5, 0.5, 0.375)), (9999, (2, 1, 0.5))):
        found = [w.at(step) for w in (pipe.alpha, pipe.kl_weight, pipe.word_dropout)]
        assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("alpha", "much", "alpha.*'much'"),
        ("kl_weight", True, "kl_weight.*True"),
        ("word_dropout", None, "word_dropout.*None"),
        ("prior", "flat", """prior must be "uniform" or a table, but got 'flat'"""),
        ("prior", {"talk": 1.0}, "each label a positive probability.* labels .*city trip"),
        ("discrimination_docs", -1, "discrimination_docs is 0 or more, but got -1"),
    ],
)
def test_wrong_settings_are_refused(setting, value, message, make_nlp):
    with pytest.raises(ValueError, match=message):
        make_nlp(NAME, **{setting: value})


def test_all_words_cannot_be_dropped(make_nlp, gold):
    nlp = make_nlp(NAME, word_dropout=1.0)
    with pytest.raises(ValueError, match=r"word_dropout is a share .* got 1\.0"):
        nlp.update(gold(nlp))


@pytest.mark.parametrize(("decoder", "wanted"), [("clstm2", True), (None, False)])
def test_whether_raw_docs_are_wanted(decoder, wanted, make_nlp):
    pipe = make_nlp(NAME, model={"decoder": decoder}).get_pipe(NAME)
    assert pipe.uses_unlabeled() is wanted
    if wanted:
        pipe.prune()
        assert pipe.uses_unlabeled() is False
