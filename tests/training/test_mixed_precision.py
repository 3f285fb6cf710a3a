"""Training with networks in half precision."""

import pytest
import torch
from spacy.util import fix_random_seed, registry

from spacy_semivae.training.initialize import initialize_nlp
from spacy_semivae.training.run import train_nlp

COMPONENTS = ["vsl_tagger", "vsl_ner", "crf_vae_tagger", "crf_vae_ner", "ssvae_textcat"]
STEPS = {"training__max_steps": 1, "training__eval_frequency": 1}


@pytest.fixture
def seen(monkeypatch):
    """What linear layers gave: whether gradients were kept, and the type."""
    types, linear = set(), torch.nn.functional.linear

    def spy(*args, **kwargs):
        found = linear(*args, **kwargs)
        types.add((torch.is_grad_enabled(), found.dtype))
        return found

    monkeypatch.setattr(torch.nn.functional, "linear", spy)
    return types


@registry.callbacks("test.same_draws.v1")
def create_same_draws():
    return lambda nlp, args: fix_random_seed(0)


@pytest.mark.parametrize("component", COMPONENTS)
def test_losses_are_those_of_full_precision(component, make_tiny, tmp_path, seen):
    losses = []
    for mixed in (False, True):
        seen.clear()
        callback = {"@callbacks": "test.same_draws.v1"}
        overrides = {"training__before_update": callback, "semivae__mixed_precision": mixed}
        config = make_tiny(component, **STEPS, **overrides)
        nlp, settings = initialize_nlp(config)
        config["training"]["logger"] = nlp.config["training"]["logger"]
        with (tmp_path / "table").open("w") as stdout:
            train_nlp(nlp, settings, None, config=config, stdout=stdout, stderr=stdout)
        assert ((True, torch.bfloat16) in seen) is mixed
        assert (False, torch.bfloat16) not in seen  # predictions of the evaluation
        weights = [
            p.detach().flatten()
            for node in nlp.get_pipe(component).model.walk()
            for shim in node.shims
            for p in shim.module.parameters()
        ]
        assert {p.dtype for p in weights} == {torch.float32}
        row = (tmp_path / "table").read_text().strip().splitlines()[-1].split()
        losses.append([float(value) for value in row[:-1]])
    assert len(losses[0]) > 4
    assert losses[1] == pytest.approx(losses[0], rel=0.01, abs=0.01)
