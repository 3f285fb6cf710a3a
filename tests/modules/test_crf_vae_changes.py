"""What changes a CRF-VAE beside its weights, and its settings; free tags, no spans."""

from dataclasses import replace

import pytest
import torch

from spacy_semivae.modules.crf_vae import CRFVAE, FULL, RAW, Targets
from spacy_semivae.modules.units import Units, kinds_of

NI, NO, NV, NS = 6, 3, 7, 3
NEVER = float("-inf")
GENERATORS = ["none", "factored", "mf", "mt", "mt_lm_residual"]


def make(generator="none", **changes):
    cfg = {"name": generator, "width": 4, "heads": 2, "hidden": 5}
    settings = {
        "nI": NI,
        "nO": NO,
        "width": 5,
        "pieces": True,
        "spans": False,
        "tagger_layers": 0,
        "tagger_heads": 2,
        "tagger_hidden": 7,
        "dropout": 0.0,
        "generator": None if generator == "none" else cfg,
        "objective": "exact" if generator == "factored" else "relaxed",
        "nV": NV,
        "nS": NS,
    }
    model = CRFVAE(**{**settings, **changes}).double()
    for weight in model.parameters():
        weight.data.add_(0.5 * torch.randn_like(weight))
    free = torch.ones(NO, dtype=torch.bool)
    model.allow(free, free.expand(NO, NO), free)
    model.set_prior(torch.tensor([0.5, 0.3, 0.2]))
    return model.eval()


def make_inputs(sizes=(3, 0, 2)):
    """The first document is annotated in full, the others are raw."""
    T = sum(sizes)
    tags = torch.arange(NO)
    units = Units.of(sizes, kinds=kinds_of(torch.ones(T, dtype=torch.int64)))
    labels = torch.randint(NO, (T, 1))
    return torch.randn((T, NI), dtype=torch.float64), Targets(
        units=units,
        annotation=torch.tensor([FULL] + [RAW] * (len(sizes) - 1)),
        allowed=(labels == tags) | (units.docs > 0)[:, None],
        rejected=torch.zeros((3, 0), dtype=torch.int64),
        words=torch.randint(NV, (T,)),
        states=torch.randn((T, NS), dtype=torch.float64),
        outputs=torch.randn((NV, NS), dtype=torch.float64),
    )


def test_dropout_acts_on_the_encoding_in_training_only():
    model = make(dropout=0.5)
    H, targets = make_inputs()
    plain = model.emissions(H, targets.units)
    assert torch.equal(model.emissions(H, targets.units), plain)
    model.train()
    torch.manual_seed(1)
    dropped = model.emissions(H, targets.units)
    torch.manual_seed(1)
    expected = torch.nn.functional.dropout(H, 0.5)
    h1 = model.project(expected) + model.kinds(targets.units.kinds)
    torch.testing.assert_close(dropped, model.score(h1))
    assert not torch.equal(dropped, plain)


def test_wrong_width_names_both():
    model = make()
    H, targets = make_inputs()
    with pytest.raises(ValueError, match=f"width {NI + 1}, .* width {NI}:"):
        model(torch.nn.functional.pad(H, (0, 1)), targets)


@pytest.mark.parametrize("heads", [0, 4])
def test_heads_of_the_tagger_must_divide_its_width(heads):
    with pytest.raises(ValueError, match=f"must divide the width {NI}, but got {heads}"):
        make(tagger_layers=1, tagger_heads=heads)


def test_forbidden_transitions_are_never_taken():
    model = make()
    H, targets = make_inputs([3])
    free = torch.ones(3, dtype=torch.bool)
    model.allow(torch.tensor([False, True, True]), ~torch.eye(3, dtype=torch.bool), free)
    q = model.posterior(H, targets.units)
    for path, possible in (([1, 2, 0], True), ([0, 1, 2], False), ([1, 1, 0], False)):
        assert (q.log_prob(torch.tensor([path])) > NEVER).item() == possible
    model.allow(free, ~torch.eye(3, dtype=torch.bool), torch.tensor([True, False, True]))
    assert model.posterior(H, targets.units).marginals()[0, 2, 1] == 0


@pytest.mark.parametrize("wrong", [0.0, -0.1, float("nan")])
def test_prior_must_be_positive(wrong):
    with pytest.raises(ValueError, match="every entry of the prior must be positive"):
        make().set_prior(torch.tensor([0.5, wrong, 0.5]))


@pytest.mark.parametrize("generator", GENERATORS)
def test_resize_keeps_old_scores_and_adds_zeros(generator):
    model = make(generator)
    H, targets = make_inputs()
    before, old = model.emissions(H, targets.units), {**model.state_dict()}
    model.resize(5)
    after = model.emissions(H, targets.units)
    torch.testing.assert_close(after[:, :3], before)
    assert not after[:, 3:].any()
    for name in ("start", "pair", "end", "allow_start", "allow_pair", "allow_end", "log_prior"):
        new = getattr(model, name)
        kept = tuple(slice(3) for _ in new.shape)
        assert torch.equal(new[kept], old[name])
        assert new.shape == (5,) * new.dim()
        assert new.count_nonzero() == old[name].count_nonzero()
    assert model.generator is None or model.generator.tags.shape[1] == 5
    free = torch.ones(5, dtype=torch.bool)
    model.allow(free, free.expand(5, 5), free)
    allowed = torch.nn.functional.pad(targets.allowed, (0, 2), value=False)
    sum(model(H, replace(targets, allowed=allowed)).terms.values()).backward()
    assert all(weight.grad is not None for weight in model.parameters())


@pytest.mark.parametrize("generator", GENERATORS)
def test_prune_keeps_predictions(generator):
    model = make(generator)
    H, targets = make_inputs()
    before = model.posterior(H, targets.units).marginals()
    model.prune()
    assert torch.equal(model.posterior(H, targets.units).marginals(), before)
    assert not any(name.startswith("generator") for name in model.state_dict())
    assert "generation" not in model(H, targets).terms
    again = make("none")
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.posterior(H, targets.units).marginals(), before)
