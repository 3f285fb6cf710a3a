"""The transformer encoder: PyTorch's own layer as the oracle, context, padding and order."""

import math

import pytest
import torch
from torch import nn

from spacy_semivae.modules.transformer import Transformer, sinusoids

D, LENGTHS = 4, [3, 0, 1, 4]


def make(**changes):
    settings = {"layers": 2, "heads": 2, "hidden": 6, "dropout": 0.0, "positions": True}
    return Transformer(D, **{**settings, **changes}).double().eval()


def make_inputs(extra=0):
    """Units, padded with NaN, and where they are."""
    size = max(LENGTHS) + extra
    inside = torch.arange(size) < torch.tensor(LENGTHS)[:, None]
    U = torch.randn((len(LENGTHS), size, D), dtype=torch.float64)
    return U.masked_fill(~inside[..., None], math.nan), inside


@pytest.mark.parametrize(("layers", "heads", "hidden"), [(1, 1, 6), (3, 2, 5), (2, 4, 1)])
def test_layers_equal_those_of_pytorch(layers, heads, hidden):
    model = make(layers=layers, heads=heads, hidden=hidden, positions=False)
    assert len(model.layers) == layers
    U, inside = make_inputs()
    X = U[3:].detach()
    for layer in model.layers:
        for weight in layer.parameters():  # no bias stays zero
            weight.data.add_(0.3 * torch.randn_like(weight))
        oracle = nn.TransformerEncoderLayer(D, heads, hidden, 0.0, batch_first=True).double()
        # projections, network and norms are kept in the same order
        state = dict(zip(oracle.state_dict(), layer.state_dict().values(), strict=True))
        oracle.load_state_dict(state)
        X = oracle(X)
    torch.testing.assert_close(model(U, inside)[3:], X)


@pytest.mark.parametrize("positions", [True, False])
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("extra", [0, 2])
def test_documents_do_not_see_padding_nor_one_another(positions, grad, extra):
    model = make(positions=positions)
    U, inside = make_inputs(extra)
    with torch.set_grad_enabled(grad):
        found = model(U, inside)
        assert found.shape == U.shape
        assert found.isfinite().all()
        for doc, length in enumerate(LENGTHS):
            if length:
                alone = model(U[doc : doc + 1, :length], inside[doc : doc + 1, :length])
                torch.testing.assert_close(found[doc, :length], alone[0])


def test_units_of_a_document_see_one_another():
    model = make()
    U, inside = make_inputs()
    before = model(U, inside)
    U[3, 3, 0] += 1
    changed = (model(U, inside) != before).any(2)
    assert changed[3].all()
    assert not changed[:3].any()


def test_order_matters_with_positions_only():
    U = torch.randn((1, 4, D), dtype=torch.float64)
    inside, order = torch.ones((1, 4), dtype=torch.bool), torch.tensor([2, 0, 3, 1])
    free, placed = make(positions=False), make()
    torch.testing.assert_close(free(U[:, order], inside), free(U, inside)[:, order])
    gap = placed(U[:, order], inside) - placed(U, inside)[:, order]
    assert gap.abs().max() > 0.1


def test_reads_the_sum_of_units_and_positions():
    placed, free = make(), make(positions=False)
    free.load_state_dict(placed.state_dict())
    U, inside = make_inputs()
    torch.testing.assert_close(placed(U, inside), free(U + sinusoids(U), inside))


@pytest.mark.parametrize(("docs", "steps"), [(0, 0), (0, 3), (2, 0), (2, 3)])
def test_no_unit(docs, steps):
    U = torch.zeros((docs, steps, D), dtype=torch.float64)
    found = make()(U, torch.zeros((docs, steps), dtype=torch.bool))
    assert found.shape == U.shape
    assert found.isfinite().all()


def test_padding_and_empty_documents_get_no_gradient():
    model = make()
    U, inside = make_inputs()
    U.requires_grad_()
    (model(U, inside) ** 2)[..., 0].sum().backward()
    assert U.grad.isfinite().all()
    assert not U.grad[~inside].any()
    assert U.grad[inside].any(1).all()


def test_gradients_equal_finite_differences():
    model, (U, inside) = make(), make_inputs()
    X = U[inside].requires_grad_()
    places = inside.nonzero(as_tuple=True)

    def run(X, *_):
        return model(torch.zeros_like(U).index_put(places, X), inside)

    assert torch.autograd.gradcheck(run, (X, *model.parameters()), fast_mode=True)


def test_runs_under_autocast():
    model, (U, inside) = make().float(), make_inputs()
    U = U.float()
    with torch.autocast("cpu", torch.bfloat16):
        found = model(U, inside)
    torch.testing.assert_close(found.float(), model(U, inside), rtol=0.1, atol=0.1)


def test_dropout_in_training_only():
    model = make(dropout=0.5)
    U, inside = make_inputs()
    assert torch.equal(model(U, inside), model(U, inside))
    model.train()
    assert not torch.equal(model(U, inside), model(U, inside))


@pytest.mark.parametrize("heads", [-1, 0, 3, 8])
def test_heads_must_divide_the_width(heads):
    with pytest.raises(ValueError, match=f"must divide the width {D}, but got {heads}"):
        make(heads=heads)


def test_sinusoids_rotate_with_the_position():
    """Vaswani et al., section 3.5: a shift is the same rotation everywhere."""
    waves = sinusoids(torch.zeros((1, 9, 6), dtype=torch.float64)).unflatten(1, (3, 2))
    for j, rate in enumerate((1.0, 10000 ** (-1 / 3), 10000 ** (-2 / 3))):
        angle = 2 * rate
        turn = torch.tensor(
            [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
        )
        torch.testing.assert_close(waves[2:, j], waves[:-2, j] @ turn.double().T)
    assert waves[0].flatten().tolist() == [0, 1] * 3
