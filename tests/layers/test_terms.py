"""Loss terms as the output of a model, and their weights as its gradient."""

from dataclasses import dataclass

import numpy
import pytest
import torch
from spacy.ml.models import MultiHashEmbed
from spacy.tokens import Doc
from thinc.api import Model
from torch import Tensor, nn

from spacy_semivae.layers.shim import TorchShim
from spacy_semivae.layers.terms import check_finite, run_objective


@dataclass
class Found:
    terms: dict[str, Tensor]


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Parameter(torch.tensor(2.0))
        self.second = nn.Parameter(torch.tensor(3.0))

    def forward(self, H):
        terms = {"square": self.first * H.square().sum(), "mean": self.second * H.mean()}
        return Found({**terms, "none": 0.0 * self.second * H.sum()})


@pytest.fixture
def model(vocab):
    encoder = MultiHashEmbed(4, attrs=["ORTH"], rows=[50], include_static_vectors=False)
    encoder.initialize(X=[Doc(vocab, words=["a"])])
    for node in encoder.walk():
        for name in node.param_names:
            node.set_param(name, node.get_param(name) + numpy.float32(0.2))
    shim = TorchShim(Scale)
    shim.initialize()
    return Model("terms", lambda *args: None, layers=[encoder], shims=[shim])


@pytest.fixture
def docs(vocab, make_docs):
    return [Doc(vocab), *make_docs(vocab, ["the cat", "dog"]), Doc(vocab)]


def run(model, docs, is_train=True):
    module, seen = model.shims[0].module, []

    def compute(H):
        seen.append(H)
        return module(H)

    return *run_objective(model, docs, is_train, compute), seen[0], module


def test_values_and_gradients(model, docs):
    objective, values, backprop, H, module = run(model, docs)
    X = numpy.concatenate(model.layers[0].predict(docs))
    assert H.shape == (3, 4)
    numpy.testing.assert_allclose(H.detach().numpy(), X)
    assert values == {name: pytest.approx(term.item()) for name, term in objective.terms.items()}
    assert all(isinstance(value, float) for value in values.values())
    backprop({"square": 0.5, "mean": 4.0, "none": 1.0})
    torch.testing.assert_close(H.grad, 0.5 * 2 * 2.0 * H.detach() + 4.0 * 3.0 / H.numel())
    assert module.first.grad.item() == pytest.approx(0.5 * (X**2).sum(), rel=1e-5)
    assert module.second.grad.item() == pytest.approx(4.0 * X.mean(), abs=1e-6)


def test_the_encoder_gets_the_gradient_of_each_doc(model, docs):
    encoder, seen = model.layers[0], []
    forward = encoder._func

    def spy(layer, X, is_train):
        Y, backprop = forward(layer, X, is_train)
        return Y, lambda dY: (seen.extend(dY), backprop(dY))[1]

    encoder._func = spy
    _, _, backprop, H, _ = run(model, docs)
    backprop({"square": 1.0, "mean": 0.0, "none": 0.0})
    assert [len(dY) for dY in seen] == [0, 2, 1, 0]
    numpy.testing.assert_allclose(numpy.concatenate(seen), 4.0 * H.detach().numpy(), rtol=1e-5)


def test_a_term_without_weight_or_value_gives_no_gradient(model, docs):
    _, _, backprop, _, module = run(model, docs)
    backprop({"square": 1.0, "mean": 0.0, "none": 1.0})
    assert module.first.grad is not None
    assert module.second.grad is None  # not zeros, by which momentum would move it
    _, _, backprop, H, module = run(model, docs)
    module.zero_grad()
    assert backprop({"square": 0.0, "mean": 0.0, "none": 0.0}) is not None
    assert H.grad is module.first.grad is module.second.grad is None


def test_without_training_there_is_no_graph(model, docs):
    objective, values, _, H, _ = run(model, docs, is_train=False)
    assert not H.requires_grad
    assert not any(term.requires_grad for term in objective.terms.values())
    assert values["square"] > 0


def test_terms_must_be_finite():
    check_finite({"a": 0.0, "b": -1.5})
    for value in (float("nan"), float("inf")):
        with pytest.raises(FloatingPointError, match=f"loss term 'b' is {value}. Lower the"):
            check_finite({"a": 0.0, "b": value})


def test_a_model_without_an_encoder(docs):
    shim = TorchShim(Scale)
    module, widths = shim.initialize(), []
    model = Model("terms", lambda *args: None, shims=[shim])

    def compute(H):
        widths.append(tuple(H.shape))
        return Found({"square": module.first.square(), "mean": module.second * 2})

    _, values, backprop = run_objective(model, docs, True, compute)
    assert widths == [(3, 0)]
    assert values == {"square": 4.0, "mean": 6.0}
    assert backprop({"square": 0.5, "mean": 3.0}) == []
    assert module.first.grad == pytest.approx(2.0)
    assert module.second.grad == pytest.approx(6.0)
