"""The transformer encoder: PyTorch's own layer as the oracle, context, padding and order."""

import math

import pytest
import torch
from torch import nn

from spacy_semivae.modules.transformer import Transformer, sinusoids
from spacy_semivae.modules.units import Units

D, LENGTHS = 4, [3, 0, 1, 4]


def make(**changes):
    settings = {"layers": 2, "heads": 2, "hidden": 6, "dropout": 0.0, "positions": True}
    return Transformer(D, **{**settings, **changes}).double().eval()


def make_inputs():
    """Units, and where they are."""
    return torch.randn((sum(LENGTHS), D), dtype=torch.float64), Units.of(LENGTHS)


@pytest.mark.parametrize(("layers", "heads", "hidden"), [(1, 1, 6), (3, 2, 5), (2, 4, 1)])
def test_layers_equal_those_of_pytorch(layers, heads, hidden):
    model = make(layers=layers, heads=heads, hidden=hidden, positions=False)
    assert len(model.layers) == layers
    X, units = make_inputs()
    expected = X.split(LENGTHS)[3]
    for layer in model.layers:
        for weight in layer.parameters():  # no bias stays zero
            weight.data.add_(0.3 * torch.randn_like(weight))
        oracle = nn.TransformerEncoderLayer(D, heads, hidden, 0.0, batch_first=True).double()
        # projections, network and norms are kept in the same order
        state = dict(zip(oracle.state_dict(), layer.state_dict().values(), strict=True))
        oracle.load_state_dict(state)
        expected = oracle(expected[None])[0]
    torch.testing.assert_close(model(X, units).split(LENGTHS)[3], expected)


@pytest.mark.parametrize("positions", [True, False])
@pytest.mark.parametrize("grad", [True, False])
def test_documents_do_not_see_padding_nor_one_another(positions, grad):
    model = make(positions=positions)
    X, units = make_inputs()
    with torch.set_grad_enabled(grad):
        found = model(X, units)
        assert found.shape == X.shape
        for rows, together in zip(X.split(LENGTHS), found.split(LENGTHS)):
            torch.testing.assert_close(together, model(rows, Units.of([len(rows)])))


def test_units_of_a_document_see_one_another():
    model = make()
    X, units = make_inputs()
    before = model(X, units)
    X[-1, 0] += 1
    changed = (model(X, units) != before).any(1).split(LENGTHS)
    assert changed[3].all()
    assert not torch.cat(changed[:3]).any()


def test_order_matters_with_positions_only():
    X, units = torch.randn((4, D), dtype=torch.float64), Units.of([4])
    order = torch.tensor([2, 0, 3, 1])
    free, placed = make(positions=False), make()
    torch.testing.assert_close(free(X[order], units), free(X, units)[order])
    gap = placed(X[order], units) - placed(X, units)[order]
    assert gap.abs().max() > 0.1


def test_reads_the_sum_of_units_and_positions():
    placed, free = make(), make(positions=False)
    free.load_state_dict(placed.state_dict())
    X, units = make_inputs()
    moved = torch.cat([x + sinusoids(x, len(x)) for x in X.split(LENGTHS)])
    torch.testing.assert_close(placed(X, units), free(moved, units))


@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
def test_no_unit(lengths):
    X = torch.zeros((0, D), dtype=torch.float64)
    assert make()(X, Units.of(lengths)).shape == (0, D)


def test_gradients_equal_finite_differences():
    model, (X, units) = make(), make_inputs()

    def run(X, *_):
        return model(X, units)

    inputs = (X.requires_grad_(), *model.parameters())
    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)


def test_runs_under_autocast():
    model, (X, units) = make().float(), make_inputs()
    X = X.float()
    with torch.autocast("cpu", torch.bfloat16):
        found = model(X, units)
    torch.testing.assert_close(found.float(), model(X, units), rtol=0.1, atol=0.1)


def test_dropout_in_training_only():
    model = make(dropout=0.5)
    X, units = make_inputs()
    assert torch.equal(model(X, units), model(X, units))
    model.train()
    assert not torch.equal(model(X, units), model(X, units))


@pytest.mark.parametrize("heads", [-1, 0, 3, 8])
def test_heads_must_divide_the_width(heads):
    with pytest.raises(ValueError, match=f"must divide the width {D}, but got {heads}"):
        make(heads=heads)


def test_sinusoids_rotate_with_the_position():
    """Vaswani et al., section 3.5: a shift is the same rotation everywhere."""
    waves = sinusoids(torch.zeros((1, 6), dtype=torch.float64), 9).unflatten(1, (3, 2))
    for j, rate in enumerate((1.0, 10000 ** (-1 / 3), 10000 ** (-2 / 3))):
        angle = 2 * rate
        turn = torch.tensor(
            [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
        )
        torch.testing.assert_close(waves[2:, j], waves[:-2, j] @ turn.double().T)
    assert waves[0].flatten().tolist() == [0, 1] * 3
