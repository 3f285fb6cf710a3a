"""Weights of both VSL factories follow their schedules, and wrong ones are refused."""

import numpy
import pytest
from thinc.api import SGD, Adam

SCHEDULES = [
    (0.4, [0.4] * 5),
    (
        {"@schedules": "semivae.linear.v1", "start": 0.0, "end": 1.0, "steps": 4},
        [0, 0.25, 0.5, 0.75, 1],
    ),
    (
        {
            "@schedules": "constant_then.v1",
            "rate": 0.1,
            "steps": 2,
            "schedule": {"@schedules": "constant.v1", "rate": 0.7},
        },
        [0.1, 0.1, 0.7, 0.7, 0.7],
    ),
]


@pytest.mark.parametrize(("schedule", "values"), SCHEDULES)
@pytest.mark.parametrize("setting", ["alpha", "labelled_weight", "kl_weight"])
def test_weights_follow_their_schedules(setting, schedule, values, make_nlp, gold, raw):
    defaults = {"alpha": 0.0, "labelled_weight": 0.0, "kl_weight": 1.0}
    defaults |= {"alpha": 1.0} if setting == "kl_weight" else {}
    nlp = make_nlp(**{**defaults, setting: schedule})
    term = "reconstruction" if setting == "labelled_weight" else "unlabeled_kl"
    seen = []
    for _ in values:
        losses = nlp.update([*gold(nlp), *raw(nlp)], sgd=Adam(0.001), losses={})
        rest = losses["vsl_tagger"] - losses["vsl_tagger_supervised"]
        if setting == "labelled_weight":
            whole = losses["vsl_tagger_reconstruction"] + losses["vsl_tagger_kl"]
        elif setting == "alpha":
            whole = (
                losses["vsl_tagger_unlabeled_reconstruction"] + losses["vsl_tagger_unlabeled_kl"]
            )
        else:
            rest -= losses["vsl_tagger_unlabeled_reconstruction"]
            whole = losses[f"vsl_tagger_{term}"]
        seen.append(rest / whole)
    assert seen == pytest.approx(values, abs=1e-3)


@pytest.mark.parametrize(
    ("setting", "value"), [("alpha", "much"), ("kl_weight", True), ("labelled_weight", None)]
)
def test_wrong_weights_are_refused(setting, value, make_nlp):
    with pytest.raises(ValueError, match=setting):
        make_nlp(**{setting: value})


def test_alpha_zero_is_the_supervised_twin(make_nlp, gold, raw, tensors):
    trained = []
    for alpha, extra in ((0.0, True), (0.0, False), (1.0, True)):
        nlp = make_nlp(model={"variational": False}, alpha=alpha)  # no noise, so that runs compare
        nlp.update([*gold(nlp), *(raw(nlp) if extra else [])], sgd=SGD(0.1))
        trained.append(tensors(nlp.get_pipe("vsl_tagger").model))
    with_raw, without, weighted = trained
    assert all(numpy.allclose(with_raw[name], without[name], atol=1e-6) for name in without)
    assert not all(numpy.allclose(weighted[name], without[name], atol=1e-6) for name in without)
