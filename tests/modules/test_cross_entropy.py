"""The chunked cross-entropy against PyTorch's on all logits."""

import pytest
import torch
from torch.nn.functional import cross_entropy as full_cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode

from spacy_semivae.modules import cross_entropy as module
from spacy_semivae.modules.cross_entropy import cross_entropy

T, E, V, F = 7, 4, 11, 5


class Products(TorchDispatchMode):
    """Counts matrix products that give a logit for each word of the vocabulary."""

    of_logits = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.of_logits += "mm" in str(func) and result.shape[-1] == V
        return result


def make(dtype=torch.float64, *, train_W=True):
    X = torch.randn(T, E, dtype=dtype, requires_grad=True)
    W = torch.randn(V, E, dtype=dtype, requires_grad=train_W)
    return X, W, torch.randint(V, (T,))


def make_fixed(dtype=torch.float64):
    return torch.randn(T, F, dtype=dtype), torch.randn(V, F, dtype=dtype)


@pytest.mark.parametrize("rows", [1, 2, 3, 6, 7, 8, 1000, None])
def test_equals_full_logits_for_any_chunk(rows):
    X, W, targets = make()
    g = torch.randn(T, dtype=torch.float64)
    losses = cross_entropy(X, W, targets, rows)
    expected = full_cross_entropy(X @ W.T, targets, reduction="none")
    torch.testing.assert_close(losses, expected)
    grads = torch.autograd.grad(losses, (X, W), g)
    for got, wanted in zip(grads, torch.autograd.grad(expected, (X, W), g)):
        torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("rows", [1, 3, None])
@pytest.mark.parametrize("train_W", [True, False])
def test_fixed_summand_equals_full_logits(rows, train_W):
    X, W, targets = make(train_W=train_W)
    H, Z = make_fixed()
    g = torch.randn(T, dtype=torch.float64)
    losses = cross_entropy(X, W, targets, rows, (H, Z))
    expected = full_cross_entropy(X @ W.T + H @ Z.T, targets, reduction="none")
    torch.testing.assert_close(losses, expected)
    free = (X, W) if train_W else (X,)
    grads = torch.autograd.grad(losses, free, g)
    for got, wanted in zip(grads, torch.autograd.grad(expected, free, g)):
        torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("rows", [1, 3, None])
@pytest.mark.parametrize("summand", [False, True])
@pytest.mark.parametrize("factor", [1.0, -2.5, 0.0])
def test_known_weights_save_a_pass_and_change_nothing(rows, summand, factor):
    X, W, targets = make()
    fixed = make_fixed() if summand else None
    weights = torch.rand(T, dtype=torch.float64)
    weights[2] = 0.0
    plain = cross_entropy(X, W, targets, rows, fixed)
    told = cross_entropy(X, W, targets, rows, fixed, weights)
    torch.testing.assert_close(told, plain)
    wanted = torch.autograd.grad((plain * weights).sum() * factor, (X, W))
    with Products() as products:
        grads = torch.autograd.grad((told * weights).sum() * factor, (X, W))
    assert not products.of_logits
    for got, expected in zip(grads, wanted):
        torch.testing.assert_close(got, expected)


def test_other_weights_than_told_are_refused():
    X, W, targets = make()
    losses = cross_entropy(X, W, targets, weights=torch.ones(T, dtype=torch.float64))
    with pytest.raises(RuntimeError, match="told other weights"):
        losses[1:].sum().backward()


def test_weights_of_zero():
    X, W, targets = make()
    weights = torch.zeros(T, dtype=torch.float64)
    (cross_entropy(X, W, targets, weights=weights) * weights).sum().backward()
    assert not X.grad.any()
    assert not W.grad.any()


def test_fixed_summand_gets_no_gradient():
    X, W, targets = make()
    H, Z = (side.requires_grad_() for side in make_fixed())
    cross_entropy(X, W, targets, fixed=(H, Z)).sum().backward()
    assert X.grad is not None
    assert W.grad is not None
    assert H.grad is None
    assert Z.grad is None


@pytest.mark.parametrize("fixed", ["X", "W"])
def test_one_side_fixed(fixed):
    X, W, targets = make()
    free = W if fixed == "X" else X
    inputs = (X.detach(), W) if fixed == "X" else (X, W.detach())
    (got,) = torch.autograd.grad(cross_entropy(*inputs, targets, 3).sum(), free)
    full = full_cross_entropy(inputs[0] @ inputs[1].T, targets, reduction="sum")
    (wanted,) = torch.autograd.grad(full, free)
    torch.testing.assert_close(got, wanted)


def test_tied_matrix_used_twice():
    _, W, targets = make()
    rows = torch.randint(V, (T,))
    X = W[rows].tanh()
    loss = cross_entropy(X, W, targets, 2).sum() + cross_entropy(X * 2, W, targets, 5).sum()
    (got,) = torch.autograd.grad(loss, W, retain_graph=True)
    full = full_cross_entropy(X @ W.T, targets, reduction="sum")
    full = full + full_cross_entropy(2 * X @ W.T, targets, reduction="sum")
    torch.testing.assert_close(got, torch.autograd.grad(full, W)[0])


@pytest.mark.parametrize("rows", [2, None])
@pytest.mark.parametrize("summand", [False, True])
def test_gradcheck(rows, summand):
    X, W, targets = make()
    fixed = make_fixed() if summand else None
    assert torch.autograd.gradcheck(lambda X, W: cross_entropy(X, W, targets, rows, fixed), (X, W))


@pytest.mark.parametrize("weighted", [False, True])
def test_second_derivative_raises(weighted):
    X, W, targets = make()
    g = torch.ones(T, dtype=torch.float64, requires_grad=weighted)
    losses = cross_entropy(X, W, targets)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(losses, X, g, create_graph=True)


@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_large_logits_stay_finite(scale):
    X = torch.tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    W = (scale * torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])).requires_grad_()
    losses = cross_entropy(X, W, torch.tensor([0, 2]), 1)
    expected = full_cross_entropy(X @ W.T, torch.tensor([0, 2]), reduction="none")
    torch.testing.assert_close(losses, expected)
    grads = torch.autograd.grad(losses.sum(), (X, W))
    for got, wanted in zip(grads, torch.autograd.grad(expected.sum(), (X, W))):
        torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-6)


def test_no_token():
    W = torch.randn(V, E, requires_grad=True)
    losses = cross_entropy(torch.zeros(0, E), W, torch.zeros(0, dtype=torch.int64))
    losses.sum().backward()
    assert losses.shape == (0,)
    assert not W.grad.any()


class Largest(TorchDispatchMode):
    """Notes the size of the largest tensor that any operation gives, W and Z left out."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and {*result.shape} not in ({V, E}, {V, F}):
            self.elements = max(self.elements, result.numel())
        return result


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("summand", [False, True])
def test_no_more_than_a_chunk_of_logits_exists(rows, summand, monkeypatch):
    X, W, targets = make()
    fixed = make_fixed() if summand else None
    monkeypatch.setattr(module, "CHUNK_BYTES", rows * V * X.element_size())
    with Largest() as largest:
        cross_entropy(X, W, targets, fixed=fixed).sum().backward()
    assert largest.elements == max(rows * V, T * E)
    with Largest() as largest:
        full_cross_entropy(X @ W.T, targets).backward()
    assert largest.elements == T * V  # what is measured would find the full table


@pytest.mark.parametrize(
    ("X", "W", "targets"),
    [((3, 4), (5, 3), (3,)), ((3, 4), (5, 4), (2,)), ((2, 3, 4), (5, 4), (2, 3)), ((4,), (4,), ())],
)
def test_wrong_shapes_are_quoted(X, W, targets):
    with pytest.raises(ValueError, match=r"needs X \(T, E\)") as error:
        cross_entropy(torch.zeros(X), torch.zeros(W), torch.zeros(targets, dtype=torch.int64))
    assert all(str(shape) in str(error.value) for shape in (X, W, targets))


@pytest.mark.parametrize(
    ("H", "Z"),
    [((T - 1, F), (V, F)), ((T, F), (V + 1, F)), ((T, F), (V, F + 1)), ((T,), (V,)), ((), (V, F))],
)
def test_wrong_fixed_shapes_are_quoted(H, Z):
    X, W, targets = make()
    with pytest.raises(ValueError, match=r"needs fixed H \(7, F\) and Z \(11, F\)") as error:
        cross_entropy(X, W, targets, fixed=(torch.zeros(H), torch.zeros(Z)))
    assert all(str(shape) in str(error.value) for shape in (H, Z))
