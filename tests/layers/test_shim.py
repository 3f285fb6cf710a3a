"""The bridge to PyTorch: what an update changes, averages, storage, clipping."""

import copy
import pickle

import numpy
import pytest
import torch
from thinc.api import Adam, Linear, Model, chain
from torch import nn

from spacy_semivae.layers.shim import TorchShim, clip_gradients, collect_gradients


class TwoHeads(nn.Module):
    """A GRU, and two heads of which a step may use one."""

    def __init__(self, *, nI, nO):
        super().__init__()
        self.gru = nn.GRU(nI, 4)
        self.left = nn.Linear(4, nO)
        self.right = nn.Linear(4, nO)

    def forward(self, X, head):
        return getattr(self, head)(self.gru(X)[0])


@pytest.fixture
def shim():
    shim = TorchShim(TwoHeads, {"nO": 3})
    shim.initialize(nI=2)
    return shim


def step(shim, optimizer, head):
    shim.module(torch.randn(5, 1, 2), head).square().sum().backward()
    shim.finish_update(optimizer)


def weights(shim):
    return {name: p.detach().clone() for name, p in shim.module.named_parameters()}


def changed(shim, before):
    return {n for n, p in shim.module.named_parameters() if not torch.equal(p, before[n])}


def test_built_late_from_both_settings(shim):
    assert shim.cfg == {"nO": 3, "nI": 2}
    assert shim.module.left.weight.shape == (3, 4)
    assert shim.device == torch.device("cpu")


def test_no_weights_before_initialize():
    with pytest.raises(ValueError, match="TwoHeads has no weights yet"):
        TorchShim(TwoHeads, {"nO": 3}).module  # noqa: B018


def test_a_head_without_a_part_does_not_move(shim):
    optimizer = Adam(0.1, L2=0.1, L2_is_weight_decay=True)
    for _ in range(3):
        step(shim, optimizer, "left")
        step(shim, optimizer, "right")
    before = weights(shim)
    step(shim, optimizer, "left")  # the right head has momentum and decay by now
    grus = {n for n in before if n.startswith("gru")}
    assert changed(shim, before) == {"left.weight", "left.bias", *grus}
    assert all(p.grad is None for p in shim.module.parameters())


def test_updates_are_in_place(shim):
    pointers = {name: p.data_ptr() for name, p in shim.module.named_parameters()}
    before = weights(shim)
    step(shim, Adam(0.1), "left")
    step(shim, lambda key, weights, gradient: (weights - gradient, gradient), "right")  # a copy
    assert {name: p.data_ptr() for name, p in shim.module.named_parameters()} == pointers
    assert changed(shim, before) == set(before)


def test_tied_weights_stay_tied(shim):
    shim.module.right.weight = shim.module.left.weight
    step(shim, Adam(0.1), "right")
    assert shim.module.right.weight is shim.module.left.weight


def test_averages_are_applied_and_taken_back(shim):
    optimizer = Adam(0.1, use_averages=True)
    model = Model("outer", lambda model, X, is_train: (X, lambda dY: dY), shims=[shim])
    for _ in range(3):
        step(shim, optimizer, "left")
    last, version = weights(shim), shim.version
    averages = {name: array.copy() for (_, name), array in optimizer.averages.items()}
    assert set(averages) == {n for n in last if not n.startswith("right")}
    with model.use_params(optimizer.averages):
        inside = weights(shim)
        assert shim.version > version
        version = shim.version
    assert shim.version > version
    for name, weight in inside.items():
        expected = torch.from_numpy(averages[name]) if name in averages else last[name]
        assert torch.equal(weight, expected.reshape(weight.shape))
    assert not torch.equal(inside["left.weight"], last["left.weight"])
    assert not changed(shim, last)


def test_averages_are_taken_back_after_an_error(shim):
    before = weights(shim)
    params = {(shim.id, "left.bias"): numpy.ones(3, dtype="f")}

    def fail():
        with shim.use_params(params):
            assert shim.module.left.bias.tolist() == [1, 1, 1]
            raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        fail()
    assert not changed(shim, before)


def test_averages_of_another_shim_are_left_alone(shim):
    before, version = weights(shim), shim.version
    with shim.use_params({(shim.id + 1, "left.bias"): numpy.ones(3, dtype="f")}):
        assert not changed(shim, before)
    assert shim.version == version


@pytest.mark.usefixtures("_no_pickle")
def test_bytes_round_trip_without_pickle(shim):
    step(shim, Adam(0.1), "left")
    loaded = TorchShim(TwoHeads).from_bytes(shim.to_bytes())
    assert loaded.cfg == shim.cfg
    assert not changed(loaded, weights(shim))
    assert loaded.to_bytes() == shim.to_bytes()


@pytest.mark.usefixtures("_no_pickle")
def test_bytes_of_an_empty_shim():
    loaded = TorchShim(TwoHeads).from_bytes(TorchShim(TwoHeads, {"nO": 5}).to_bytes())
    assert loaded.cfg == {"nO": 5}
    with pytest.raises(ValueError, match="no weights yet"):
        loaded.module  # noqa: B018


def test_loading_another_width_rebuilds(shim):
    other = TorchShim(TwoHeads, {"nO": 7})
    other.initialize(nI=1)
    version = shim.version
    shim.from_bytes(other.to_bytes())
    assert shim.module.left.weight.shape == (7, 4)
    assert shim.version > version
    assert not changed(shim, weights(other))


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda shim: pickle.loads(pickle.dumps(shim))])
def test_copies_have_an_id_and_weights_of_their_own(shim, clone):
    other = clone(shim)
    before = weights(shim)
    assert other.id != shim.id
    assert other.cfg == shim.cfg
    assert not changed(other, before)
    step(other, Adam(0.1), "left")
    assert "left.weight" in changed(other, before)
    assert not changed(shim, before)


def test_model_copy_does_not_share_momentum(shim):
    model = Model("outer", lambda model, X, is_train: (X, lambda dY: dY), shims=[shim])
    other = model.copy().shims[0]
    optimizer = Adam(0.1)
    step(shim, optimizer, "left")
    step(other, optimizer, "left")
    assert {key[0] for key in optimizer.mom1} == {shim.id, other.id}


@pytest.fixture
def mixed(shim):
    """A Thinc layer and a torch module, both with gradients."""
    linear = Linear(3, 2)
    linear.initialize()
    linear.set_grad("W", numpy.full((3, 2), 2.0, dtype="f"))
    linear.inc_grad("b", numpy.full((3,), 1.0, dtype="f"))
    torch_layer = Model("heads", lambda model, X, is_train: (X, lambda dY: dY), shims=[shim])
    shim.module(torch.randn(5, 1, 2), "left").square().sum().backward()
    return chain(linear, torch_layer)


def joint_norm(shim):
    squares = sum(float(p.grad.square().sum()) for _, p in shim.gradients())
    return (6 * 4.0 + 3 * 1.0 + squares) ** 0.5


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_clipping_by_the_joint_norm(mixed, shim, share):
    norm, before = joint_norm(shim), {n: p.grad.clone() for n, p in shim.gradients()}
    assert clip_gradients(mixed, share * norm) == pytest.approx(norm, rel=1e-5)
    numpy.testing.assert_allclose(mixed.layers[0].get_grad("W"), 2.0 * share, rtol=1e-5)
    for name, param in shim.gradients():
        torch.testing.assert_close(param.grad, share * before[name])
    assert clip_gradients(mixed, 0) == pytest.approx(share * norm, rel=1e-5)


@pytest.mark.parametrize("limit", [0, 1e6])
def test_small_gradients_are_left_alone(mixed, shim, limit):
    norm, before = joint_norm(shim), {n: p.grad.clone() for n, p in shim.gradients()}
    assert clip_gradients(mixed, limit) == pytest.approx(norm, rel=1e-5)
    assert all(torch.equal(p.grad, before[name]) for name, p in shim.gradients())
    assert float(mixed.layers[0].get_grad("W").max()) == 2.0


def test_no_gradients():
    assert clip_gradients(Linear(3, 2).initialize(), 1.0) == 0
    assert clip_gradients(Model("x", lambda *_: None, shims=[TorchShim(TwoHeads)]), 1.0) == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_bad_gradient_is_named(mixed, shim, value):
    shim.module.left.bias.grad[1] = value
    with pytest.raises(FloatingPointError, match=r"'heads\.left\.bias' is not finite"):
        clip_gradients(mixed, 1.0)
    shim.module.left.bias.grad[1] = 0.0
    mixed.layers[0].get_grad("b")[0] = value
    with pytest.raises(FloatingPointError, match=r"'linear\.b' is not finite"):
        clip_gradients(mixed, 0)


def test_collected_gradients_are_live(mixed, shim):
    arrays, tensors = collect_gradients(mixed)
    assert set(arrays) == {"linear.W", "linear.b"}
    assert {n.removeprefix("heads.") for n in tensors} == {n for n, _ in shim.gradients()}
    assert tensors["heads.left.bias"] is shim.module.left.bias.grad


class Tied(torch.nn.Module):
    """Two layers on one weight matrix, as an embedding tied to an output matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(3, 3, bias=False)
        self.second = torch.nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight


def test_tied_weights_are_saved_once():
    shim = TorchShim(Tied)
    shim.initialize()
    loaded = TorchShim(Tied).from_bytes(shim.to_bytes())
    assert loaded.module.first.weight is loaded.module.second.weight
    assert torch.equal(loaded.module.second.weight, shim.module.first.weight)


def test_weights_of_another_model_are_refused():
    shim = TorchShim(Tied)
    shim.initialize()
    with pytest.raises(ValueError, match=r"do not fit.*first.weight"):
        TorchShim(lambda: torch.nn.Linear(3, 3, bias=False)).from_bytes(shim.to_bytes())
