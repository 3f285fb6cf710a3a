"""The text LSTM against nn.LSTM on one text at a time."""

import pytest
import torch

from spacy_semivae.modules.lstm import TextLSTM


@pytest.mark.parametrize("lengths", [[3, 5, 1], [0, 2, 0, 4], [2, 2], [1], [0, 0], []])
def test_last_states_equal_single_runs(lengths):
    model = TextLSTM(nI=3, nH=4).double()
    X = torch.randn(sum(lengths), 3, dtype=torch.float64, requires_grad=True)
    vectors = model(X, torch.tensor(lengths, dtype=torch.int64))
    assert vectors.shape == (len(lengths), 4)
    expected = [
        model.lstm(text[:, None])[1][0][0, 0] if len(text) else torch.zeros(4).double()
        for text in X.split(lengths)
    ]
    if not lengths:
        return
    torch.testing.assert_close(vectors, torch.stack(expected))
    if sum(lengths):
        mix = torch.randn_like(vectors)
        wanted = (X, *model.parameters())
        found = torch.autograd.grad((vectors * mix).sum(), wanted)
        loop = torch.autograd.grad((torch.stack(expected) * mix).sum(), wanted)
        torch.testing.assert_close(found, loop)


def test_start_weights():
    lstm = TextLSTM(nI=5, nH=4).lstm
    for gate in lstm.weight_hh_l0.chunk(4):
        torch.testing.assert_close(gate @ gate.T, torch.eye(4))
    bias = (lstm.bias_ih_l0 + lstm.bias_hh_l0).chunk(4)
    assert [b.unique().tolist() for b in bias] == [[0], [1], [0], [0]]


@pytest.mark.parametrize("lengths", [[3, 1, 2], [2, 2]])
def test_states_from_a_given_start(lengths):
    model = TextLSTM(nI=3, nH=4).double()
    X, h = torch.randn(sum(lengths), 3).double(), torch.randn(len(lengths), 4).double()
    expected = [
        model.lstm(text[:, None], (h_0[None, None], torch.zeros(1, 1, 4).double()))[0][:, 0]
        for text, h_0 in zip(X.split(lengths), h)
    ]
    found = model.states(X, torch.tensor(lengths), h)
    torch.testing.assert_close(found, torch.cat(expected))
