"""Every loss term against a plain loop over tokens, written from the paper's equations."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from spacy_semivae.modules.gaussian import Gaussian
from spacy_semivae.modules.vsl import (
    CLASSIFIED,
    LATENTS,
    LOG_VAR_BOUND,
    VSL,
    SnapshotPrior,
    Targets,
    mean_where,
    rejection,
)

VARIANTS = ["baseline", "g", "flat", "hier"]
CASES = [*CLASSIFIED.items(), ("flat", "z"), ("hier", "z")]
T, NI, NO, NV = 7, 5, 3, 6
WIDTHS = {"y": 2, "z": 3}


def make(variant, classifier_on=None, **changes):
    settings = {
        "nI": NI,
        "nO": NO,
        "width_y": WIDTHS["y"],
        "width_z": WIDTHS["z"],
        "hidden": 4,
        "width": 4,
        "nV": NV,
        "variational": True,
        "decoder_noise": 0.0,
        "reconstruct_unk": True,
    }
    settings.update(changes)
    on = classifier_on or CLASSIFIED[variant]
    model = VSL(variant=variant, classifier_on=on, **settings).double()
    if model.output is not None:
        model.output.data.mul_(3)  # far from uniform
    return model


def make_targets(**changes):
    values = {
        "labels": torch.tensor([0, -1, 2, -1, -1, -1, 1]),
        "labeled": torch.tensor([1, 1, 1, 0, 0, 0, 1], dtype=torch.bool),
        "words": torch.tensor([1, 0, 5, 2, 0, 3, 3]),
        "rejected": torch.zeros((3, 0), dtype=torch.int64),
    }
    return Targets(**{**values, **changes})


def make_H():
    return torch.randn(T, NI, dtype=torch.float64)


def make_prior(variant):
    latents = {
        name: Gaussian(*torch.randn(2, T, WIDTHS[name], dtype=torch.float64))
        for name in LATENTS[variant]
    }
    return lambda name, y: latents[name]


def normal(gaussian):
    return Independent(Normal(gaussian.mean, torch.exp(0.5 * gaussian.log_var)), 1)


def apply(linear, x):
    return linear.weight @ x + linear.bias


def token_terms(model, variant, h, noise, prior, word, table, word_noise):
    """The values, KL and -log p(x) of one token."""
    values, kl = {"h": h}, torch.zeros((), dtype=torch.float64)
    for name in LATENTS[variant]:
        x = torch.cat((h, values["y"])) if (variant, name) == ("hier", "z") else h
        packed = apply(model.heads[name], x)
        q = Gaussian(packed[: WIDTHS[name]], packed[WIDTHS[name] :])
        values[name] = q.mean + torch.exp(q.log_var / 2) * noise[name]
        kl = kl + kl_divergence(normal(q), normal(prior(name, values.get("y"))))
    if variant == "baseline":
        return values, kl, kl
    u = torch.cat((values["z"], values["y"])) if variant == "flat" else values["z"]
    for layer in (model.decoder[0], model.decoder[2]):
        u = apply(layer, u).clamp(min=0)
    logits = table @ (apply(model.decoder[4], u) + word_noise)
    return values, kl, torch.log(torch.exp(logits).sum()) - logits[word]


def expected_terms(model, variant, H, targets, prior, *, noise=None, table=None, word_noise=None):
    if noise is None:
        noise = {n: torch.zeros(T, w, dtype=torch.float64) for n, w in WIDTHS.items()}
    word_noise = torch.zeros(T, 4, dtype=torch.float64) if word_noise is None else word_noise
    table = model.output if table is None else table
    found = {"supervised": [], "reconstruction": [], "kl": []}
    found.update({"unlabeled_reconstruction": [], "unlabeled_kl": []})
    for t in range(T):
        here = {name: noise[name][t] for name in noise}

        def prior_t(name, y, t=t):
            p = prior(name, y)
            return Gaussian(p.mean[t], p.log_var[t])

        word = int(targets.words[t])
        values, kl, nll = token_terms(
            model, variant, H[t], here, prior_t, word, table, word_noise[t]
        )
        if targets.labels[t] >= 0:
            p = torch.softmax(apply(model.classifier, values[model.classifier_on]), 0)
            found["supervised"].append(-p[targets.labels[t]].log())
        side = "" if targets.labeled[t] else "unlabeled_"
        found[f"{side}kl"].append(kl)
        found[f"{side}reconstruction"].append(nll * (word != 0 or model.reconstruct_unk))
    means = {name: torch.stack(x).mean() for name, x in found.items()}
    return means if variant != "baseline" else {"supervised": means["supervised"]}


def assert_terms(got, expected):
    assert set(got) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize(("variant", "classifier_on"), CASES)
def test_terms_at_the_means(variant, classifier_on):
    model = make(variant, classifier_on).eval()
    H, targets, prior = make_H(), make_targets(), make_prior(variant)
    terms = model(H, targets, prior, None).terms
    assert_terms(terms, expected_terms(model, variant, H, targets, prior))


@pytest.mark.parametrize("variant", ["g", "flat", "hier"])
def test_prior_is_standard_without_one(variant):
    model, H, targets = make(variant).eval(), make_H(), make_targets()

    def standard(name, y):
        zeros = torch.zeros(T, WIDTHS[name], dtype=torch.float64)
        return Gaussian(zeros, zeros)

    terms = model(H, targets, None, None).terms
    assert_terms(terms, expected_terms(model, variant, H, targets, standard))


@pytest.mark.parametrize(("variant", "classifier_on"), CASES)
def test_terms_of_training_samples(variant, classifier_on):
    model = make(variant, classifier_on, decoder_noise=0.5).train()
    H, targets, prior = make_H(), make_targets(), make_prior(variant)
    torch.manual_seed(11)
    terms = model(H, targets, prior, None).terms
    torch.manual_seed(11)  # the module draws y, then z, then the decoder's noise
    noise = {n: torch.randn(T, WIDTHS[n], dtype=torch.float64) for n in LATENTS[variant]}
    word_noise = 0.5 * torch.randn(T, 4, dtype=torch.float64)
    settings = {"noise": noise, "word_noise": word_noise}
    assert_terms(terms, expected_terms(model, variant, H, targets, prior, **settings))


def test_fixed_table():
    model, H, targets = make("hier", nV=0).eval(), make_H(), make_targets()
    table, prior = torch.randn(9, 4, dtype=torch.float64), make_prior("hier")
    assert model.output is None
    terms = model(H, targets, prior, table).terms
    assert_terms(terms, expected_terms(model, "hier", H, targets, prior, table=table))


@pytest.mark.parametrize("variant", ["g", "flat", "hier"])
def test_snapshot_prior_is_the_earlier_posterior_at_the_current_y(variant):
    model, earlier = make(variant).train(), make(variant)
    H, targets = make_H(), make_targets()
    H2 = make_H().requires_grad_()
    torch.manual_seed(3)
    terms = model(H, targets, SnapshotPrior(earlier, H2), None).terms
    torch.manual_seed(3)
    noise = {n: torch.randn(T, WIDTHS[n], dtype=torch.float64) for n in LATENTS[variant]}
    current = {}

    def prior(name, y):
        if name == "z" and variant == "hier":
            # y of one token comes in; the tokens come in order
            t = current["t"] = current.get("t", -1) + 1
            rows = [apply(earlier.heads["z"], torch.cat((H2[t], y)))] * T
        else:
            rows = [apply(earlier.heads[name], h) for h in H2]
        return Gaussian.unpack(torch.stack(rows))

    expected = expected_terms(model, variant, H, targets, prior, noise=noise)
    assert_terms(terms, expected)
    sum(terms.values()).backward()
    assert H2.grad is None  # the prior is a constant
    assert all(p.grad is None for p in earlier.parameters())


def test_snapshot_prior_passes_no_gradient_to_y():
    model, H2 = make("hier"), make_H()
    y = torch.randn(T, WIDTHS["y"], dtype=torch.float64, requires_grad=True)
    p = SnapshotPrior(model, H2)("z", y)
    assert not p.mean.requires_grad


@pytest.mark.parametrize("variant", VARIANTS)
def test_means_over_no_token_are_zero(variant):
    model, H = make(variant).train(), make_H().requires_grad_()
    none = torch.zeros(T, dtype=torch.bool)
    unlabeled = model(H, make_targets(labels=torch.full((T,), -1), labeled=none), None, None).terms
    assert unlabeled["supervised"] == 0
    assert all(unlabeled[n] == 0 for n in ("reconstruction", "kl") if n in unlabeled)
    assert all(unlabeled[n] > 0 for n in unlabeled if n.startswith("unlabeled"))
    labeled = model(H, make_targets(labels=torch.zeros(T).long(), labeled=~none), None, None).terms
    assert labeled["supervised"] > 0
    assert all((labeled[n] == 0) == n.startswith("unlabeled") for n in labeled)
    empty = {"labels": torch.zeros(0).long(), "labeled": none[:0], "words": torch.zeros(0).long()}
    terms = model(H[:0], make_targets(**empty), None, None).terms
    assert all(value == 0 for value in terms.values())
    sum([*unlabeled.values(), *terms.values()]).backward()
    assert bool(H.grad.isfinite().all())


def test_mean_where_hides_what_does_not_count():
    losses = torch.tensor([1.0, float("nan"), 3.0], requires_grad=True)
    mean = mean_where(losses, torch.tensor([True, False, True]))
    mean.backward()
    assert mean == 2
    assert losses.grad.tolist() == [0.5, 0, 0.5]


@pytest.mark.parametrize("variant", VARIANTS)
def test_without_variation_there_is_no_kl_and_no_chance(variant):
    model, H, targets = make(variant, variational=False).train(), make_H(), make_targets()
    prior = make_prior(variant)
    state = torch.get_rng_state()
    terms = model(H, targets, prior, None).terms
    assert torch.equal(torch.get_rng_state(), state)
    assert not any("kl" in name for name in terms)
    expected = expected_terms(model, variant, H, targets, prior)
    assert_terms(terms, {name: v for name, v in expected.items() if "kl" not in name})


def test_decoder_noise_only_in_training():
    model, H, targets = make("g", variational=False, decoder_noise=1.0), make_H(), make_targets()

    def measure():
        return model(H, targets, None, None).terms["reconstruction"].item()

    model.eval()
    quiet = expected_terms(model, "g", H, targets, make_prior("g"))["reconstruction"].item()
    assert measure() == pytest.approx(quiet)
    model.train()
    assert len({measure(), measure(), quiet}) == 3


def test_unknown_words_left_out_keep_the_denominator():
    H, targets = make_H(), make_targets()
    model = make("g", reconstruct_unk=False).eval()
    terms = model(H, targets, None, None).terms
    X = model.decoder(model.posterior("z", H, None).mean)
    nll = -torch.log_softmax(X @ model.output.T, 1)[range(T), targets.words]
    labeled = (nll[0] + nll[2] + nll[6]) / 4  # token 1 is unknown
    torch.testing.assert_close(terms["reconstruction"], labeled)
    torch.testing.assert_close(terms["unlabeled_reconstruction"], (nll[3] + nll[5]) / 3)


@pytest.mark.parametrize(("variant", "classifier_on"), CASES)
def test_classifier_reads_the_chosen_latent(variant, classifier_on):
    model, H = make(variant, classifier_on), make_H()
    values, posteriors = model.infer(H, sample=False)
    torch.testing.assert_close(model.classify(H), model.classifier(values[classifier_on]))
    assert model.classifier.in_features == values[classifier_on].shape[1]
    assert set(posteriors) == set(LATENTS[variant])


REJECTED = torch.tensor([[0, 1, 4, 2, 3, 4], [1, 2, 0, 0, 1, 2], [0, 0, 1, 2, 2, 2]])


def test_negative_is_minus_log_one_minus_the_product():
    logits = torch.randn(T, NO, dtype=torch.float64)
    P = torch.softmax(logits, 1)
    spans = [P[0, 1] * P[1, 2], P[4, 0], P[2, 0] * P[3, 1] * P[4, 2]]
    expected = sum(-torch.log(1 - p) for p in spans) / 3
    torch.testing.assert_close(rejection(logits, REJECTED), expected)
    model, H = make("hier").eval(), make_H()
    terms = model(H, make_targets(rejected=REJECTED), None, None).terms
    torch.testing.assert_close(terms["negative"], rejection(model.classify(H), REJECTED))
    assert "negative" not in model(H, make_targets(), None, None).terms


@pytest.mark.parametrize("sure", [5.0, 20.0, 60.0, 1e4])
def test_negative_learns_where_the_model_is_sure(sure):
    logits = torch.tensor([[sure, 0.0], [sure, 0.0]], requires_grad=True)
    loss = rejection(logits, torch.tensor([[0, 1], [0, 0], [0, 0]]))
    loss.backward()
    assert math.isfinite(loss.item())
    assert loss > 0.7 * min(sure, 69)
    if sure < 69:  # 1 - P is about 2 exp(-sure), each token has half of the gradient
        torch.testing.assert_close(logits.grad[:, 0], torch.full((2,), 0.5), rtol=0.02, atol=0)


def test_negative_of_unlikely_spans_vanishes():
    logits = torch.tensor([[-1e4, 0.0]], requires_grad=True)
    loss = rejection(logits, torch.tensor([[0], [0], [0]]))
    loss.backward()
    assert loss == 0
    assert not logits.grad.any()


@pytest.mark.parametrize("variant", VARIANTS)
def test_resize_keeps_the_old_scores(variant):
    model, H = make(variant), make_H()
    before = model.classify(H)
    model.resize(NO + 2)
    after = model.double().classify(H)
    assert after.shape == (T, NO + 2)
    torch.testing.assert_close(after[:, :NO], before)
    assert not after[:, NO:].any()


@pytest.mark.parametrize(("variant", "classifier_on"), CASES)
def test_prune_keeps_predictions_and_ends_training(variant, classifier_on):
    model, H = make(variant, classifier_on), make_H()
    before, size = model.classify(H), sum(p.numel() for p in model.parameters())
    model.prune()
    assert torch.equal(model.classify(H), before)
    assert model.decoder is model.output is None
    if variant == "baseline":
        return
    assert sum(p.numel() for p in model.parameters()) < size
    assert ("z" in model.heads) == (classifier_on == "z")
    with pytest.raises(ValueError, match="pruned of its generator"):
        model(H, make_targets(), None, None)
    again = make(variant, classifier_on, generator=False)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.classify(H), before)


@pytest.mark.parametrize("variational", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_equal_finite_differences(variant, variational):
    model = make(variant, variational=variational).train()
    targets, prior = make_targets(rejected=REJECTED), make_prior(variant)
    names, params = zip(*model.named_parameters())
    H = make_H().requires_grad_()
    weights = {"supervised": 1.0, "negative": 0.7, "reconstruction": 0.9, "kl": 0.3}

    def loss(H, *params):
        torch.manual_seed(5)
        arguments = (H, targets, prior, None)
        result = torch.func.functional_call(model, dict(zip(names, params)), arguments)
        return sum(weights.get(name, 0.1) * value for name, value in result.terms.items())

    assert torch.autograd.gradcheck(loss, (H, *params), fast_mode=True)


def test_log_variances_are_bounded():
    model, H = make("g"), make_H()
    with torch.no_grad():
        model.heads["z"].bias.fill_(100.0)
        assert (model.posterior("z", H, None).log_var == LOG_VAR_BOUND).all()
        model.heads["z"].bias.fill_(-100.0)
        posterior = model.posterior("z", H, None)
    assert (posterior.log_var == -LOG_VAR_BOUND).all()
    assert (posterior.mean < -50).all(), "means are not bounded"
