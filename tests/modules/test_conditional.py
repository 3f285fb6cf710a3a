"""Conditional decoders against a plain loop over texts and steps, written from the equations."""

import pytest
import torch

from spacy_semivae.modules import products
from spacy_semivae.modules.conditional import VARIANTS, ConditionalLSTM

NI, NY, NH = 3, 2, 4
LENGTHS = [[3, 5, 1, 3], [1], [6], [2, 2, 2], [1, 4, 1], [1, 1]]


def make(variant, **changes):
    model = ConditionalLSTM(variant=variant, **{"nI": NI, "nY": NY, "nH": NH, **changes}).double()
    for weight in model.parameters():
        weight.data.add_(0.4 * torch.randn_like(weight))
    return model


def make_inputs(lengths, dtype=torch.float64, sizes=(NI, NY, NH)):
    torch.manual_seed(sum(lengths))
    shapes = (sum(lengths), sizes[0]), (len(lengths), sizes[2]), (len(lengths), sizes[1])
    X, h, Y = (torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes)
    return X, torch.tensor(lengths), h, Y


def loop(model, variant, X, lengths, h, Y):
    """States of all texts by the paper's equations 11 to 16, one gate at a time."""
    lstm = model.lstm
    W_i, W_f, W_g, W_o = lstm.weight_ih_l0.chunk(4)
    U_i, U_f, U_g, U_o = lstm.weight_hh_l0.chunk(4)
    b_i, b_f, b_g, b_o = (lstm.bias_ih_l0 + lstm.bias_hh_l0).chunk(4)
    states = []
    for text, h_t, y in zip(X.split(lengths.tolist()), h, Y):
        c_t = torch.zeros_like(h_t)
        for x in text:
            x = torch.cat((x, y)) if variant == "clstm1" else x
            i = torch.sigmoid(W_i @ x + U_i @ h_t + b_i)
            f = torch.sigmoid(W_f @ x + U_f @ h_t + b_f)
            o = torch.sigmoid(W_o @ x + U_o @ h_t + b_o)
            c_t = f * c_t + i * torch.tanh(W_g @ x + U_g @ h_t + b_g)
            if variant == "clstm2":
                c_t = c_t + torch.tanh(model.push.weight @ y)
            h_t = o * torch.tanh(c_t)
            states.append(h_t)
    return torch.stack(states)


def gradients(model, states, inputs):
    # a fixed mix of all states, so that every one of them counts for itself
    mix = torch.linspace(-1, 2, states.numel(), dtype=states.dtype).view(states.shape)
    wanted = [*inputs, *model.parameters()]
    found = torch.autograd.grad((states * mix).sum(), wanted, allow_unused=True)
    return [torch.zeros_like(w) if g is None else g for w, g in zip(wanted, found)]


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_states_and_gradients_equal_a_plain_loop(variant, lengths):
    model = make(variant)
    X, sizes, h, Y = make_inputs(lengths)
    states, expected = model(X, sizes, h, Y), loop(model, variant, X, sizes, h, Y)
    torch.testing.assert_close(states, expected)
    found = gradients(model, states, (X, h, Y))
    torch.testing.assert_close(found, gradients(model, expected, (X, h, Y)))
    assert variant == "vanilla" or found[2].abs().min() > 0  # the condition is heard
    assert variant != "vanilla" or not found[2].any()


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_step_at_a_time(variant):
    model = make(variant)
    X, lengths, h, Y = make_inputs([4, 4])
    expected = model(X, lengths, h, Y).view(2, 4, NH)
    c = torch.zeros_like(h)
    for t in range(4):
        h, c = model.step(X.view(2, 4, NI)[:, t], h, c, Y)
        torch.testing.assert_close(h, expected[:, t])


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradcheck(variant):
    model = make(variant)
    X, lengths, h, Y = make_inputs([2, 1, 3])
    assert torch.autograd.gradcheck(lambda X, h, Y: model(X, lengths, h, Y), (X, h, Y))
    weights = tuple(model.parameters())
    assert torch.autograd.gradcheck(lambda *_: model(X, lengths, h, Y), weights)


@pytest.mark.parametrize("variant", VARIANTS)
def test_mates_and_order_do_not_matter(variant):
    model = make(variant)
    X, lengths, h, Y = make_inputs([3, 1, 5, 3])
    together = model(X, lengths, h, Y).split(lengths.tolist())
    texts = X.split(lengths.tolist())
    order = [2, 0, 3, 1]
    shuffled = model(torch.cat([texts[i] for i in order]), lengths[order], h[order], Y[order])
    torch.testing.assert_close(torch.cat([together[i] for i in order]), shuffled)
    for i, states in enumerate(together):
        alone = model(texts[i], lengths[i : i + 1], h[i : i + 1], Y[i : i + 1])
        torch.testing.assert_close(alone, states)


@pytest.mark.parametrize("oneDNN", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
def test_single_precision_on_either_library(variant, oneDNN, monkeypatch):
    monkeypatch.setattr(products, "LARGE", 1 if oneDNN else 2**60)
    lengths = [7, 3, 9, 1]
    model = make(variant, nI=20, nY=5, nH=24)
    inputs = make_inputs(lengths, sizes=(20, 5, 24))
    wanted = (inputs[0], inputs[2], inputs[3])
    expected = loop(model, variant, *inputs)
    expected = [expected, *gradients(model, expected, wanted)]
    model = model.float()
    inputs = [x if x.dtype == torch.int64 else x.detach().float().requires_grad_() for x in inputs]
    wanted = (inputs[0], inputs[2], inputs[3])
    states = model(*inputs)
    found = [states, *gradients(model, states, wanted)]
    assert all(x.dtype == torch.float32 for x in found)
    torch.testing.assert_close([x.double() for x in found], expected, rtol=1e-3, atol=1e-4)


def test_no_items():
    model = make("clstm2")
    none = torch.zeros(0, dtype=torch.int64)
    states = model(*(torch.zeros(0, n).double() for n in [NI]), none, *make_inputs([])[2:])
    assert states.shape == (0, NH)


def test_second_derivative_raises():
    model = make("clstm2")
    X, lengths, h, Y = make_inputs([2, 1])
    with pytest.raises(RuntimeError, match="second derivative"):
        torch.autograd.grad(model(X, lengths, h, Y).sum(), X, create_graph=True)


def test_unknown_variant():
    with pytest.raises(ValueError, match="'clstm3'"):
        ConditionalLSTM(variant="clstm3", nI=NI, nY=NY, nH=NH)
