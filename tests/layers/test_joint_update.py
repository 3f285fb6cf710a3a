"""Parameters updated together move as Thinc's optimizer moves each alone."""

import numpy
import pytest
import torch
from thinc.api import SGD, Adam, RAdam
from torch import nn

from spacy_semivae.layers.joint_update import is_adam, update_each, update_together

SHAPES = [(5, 3), (4,), (2, 3, 2), (0, 3), ()]
ADAMS = [
    {},
    {"grad_clip": 0.0, "use_averages": False},
    {"grad_clip": 0.5, "L2": 0.1, "use_averages": True},
    {"L2": 0.1, "L2_is_weight_decay": False, "beta1": 0.5, "beta2": 0.8, "eps": 0.1},
]


def make_params():
    params = {(3, str(shape)): nn.Parameter(torch.randn(shape)) for shape in SHAPES}
    params[3, "transposed"] = nn.Parameter(torch.randn(4, 3).T)
    return params


def copy_of(params):
    return {key: nn.Parameter(param.detach().clone()) for key, param in params.items()}


def add_gradients(params, other, scale=1.0):
    for key, param in params.items():
        param.grad = scale * torch.randn_like(param)
        other[key].grad = param.grad.clone()


def alone(optimizer, params):
    """Thinc takes no number for an array."""
    rows = {key: nn.Parameter(p.detach().reshape(-1)) for key, p in params.items() if p.numel()}
    for key, row in rows.items():
        row.grad = params[key].grad.reshape(-1)
    update_each(optimizer, rows)
    for key, row in rows.items():
        params[key].data.copy_(row.detach().reshape(params[key].shape))


@pytest.mark.parametrize("settings", ADAMS)
def test_equals_the_optimizer_alone(settings):
    params = make_params()
    ours, expected, rates = Adam([0.1, 0.3, 0.2], **settings), copy_of(params), [0.1, 0.3, 0.2]
    thinc = Adam([*rates], **settings)
    for i in range(6):
        used = {key: p for k, (key, p) in enumerate(params.items()) if k % 2 or i % 3}
        add_gradients(used, expected, scale=10.0 ** (i % 3 - 1))
        update_together(ours, used)
        alone(thinc, {key: expected[key] for key in used})
        for optimizer in (ours, thinc):
            optimizer.step_schedules()
    for key, param in params.items():
        torch.testing.assert_close(param, expected[key], rtol=1e-4, atol=1e-5)
    assert ours.nr_update == thinc.nr_update
    for kept, wanted in ((ours.mom1, thinc.mom1), (ours.mom2, thinc.mom2)):
        assert set(kept) == set(wanted) == {key for key, p in params.items() if p.numel()}
        for key, array in kept.items():
            numpy.testing.assert_allclose(array.ravel(), wanted[key].ravel(), rtol=1e-4, atol=1e-6)
    assert (ours.averages is None) == (thinc.averages is None)
    for key, array in (ours.averages or {}).items():
        found = array.ravel(), thinc.averages[key].ravel()
        numpy.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)


def test_updates_are_in_place():
    params = make_params()
    pointers = [p.data_ptr() for p in params.values()]
    before = copy_of(params)
    add_gradients(params, before)
    update_together(Adam(0.1), params)
    assert [p.data_ptr() for p in params.values()] == pointers
    moved = [bool((p != before[key]).any()) for key, p in params.items()]
    assert moved == [bool(p.numel()) for p in params.values()]


def test_goes_on_from_the_state_that_thinc_left():
    params = {key: p for key, p in make_params().items() if p.ndim and p.numel()}
    other = copy_of(params)
    optimizers = Adam(0.1), Adam(0.1)
    for update in (update_each, update_together):
        add_gradients(params, other)
        update(optimizers[0], params)
        update_each(optimizers[1], other)
    for key, param in params.items():
        torch.testing.assert_close(param, other[key], rtol=1e-4, atol=1e-5)


def test_a_gradient_that_is_not_a_number_is_not_hidden():
    param = nn.Parameter(torch.ones(3))
    param.grad = torch.tensor([1.0, torch.nan, 2.0])
    update_together(Adam(0.1, grad_clip=1.0), {(0, "w"): param})
    assert not param.isfinite().any()


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [(Adam(0.1), True), (RAdam(0.1), False), (SGD(0.1), False), (lambda *args: args, False)],
)
def test_only_adam_is_taken_together(optimizer, expected):
    assert is_adam(optimizer) == expected
