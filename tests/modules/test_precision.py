"""Half precision stops where probabilities begin."""

from contextlib import suppress

import pytest
import torch

from spacy_semivae.modules.crf import LinearChainCRF
from spacy_semivae.modules.cross_entropy import cross_entropy
from spacy_semivae.modules.gaussian import Gaussian
from spacy_semivae.modules.lstm_steps import run_steps
from spacy_semivae.modules.precision import at_least_float32, no_autocast, without_autocast


@pytest.fixture
def autocast():
    with torch.autocast("cpu", torch.bfloat16):
        yield


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_at_least_float32(dtype):
    assert at_least_float32(torch.zeros(2, dtype=dtype)).dtype is torch.float32
    assert at_least_float32(torch.zeros(2).double()).dtype is torch.float64


def test_autocast_is_off_and_comes_back(autocast):
    X = torch.randn(3, 3)
    assert (X @ X).dtype is torch.bfloat16
    with suppress(KeyError), no_autocast():
        assert (X @ X).dtype is torch.float32
        raise KeyError
    assert (X @ X).dtype is torch.bfloat16
    assert without_autocast(torch.matmul)(X, X).dtype is torch.float32


def make_crf():
    torch.manual_seed(0)
    emissions = torch.randn(4, 9, 5, requires_grad=True)
    lengths = torch.tensor([9, 1, 4, 7])
    ends = torch.randn(2, 5)
    return emissions, LinearChainCRF(
        emissions, lengths, start=ends[0], pair=torch.randn(5, 5), end=ends[1]
    )


def test_a_crf_is_not_rounded():
    expected, q = make_crf()
    values = [q.log_partition(), q.entropy(), q.marginals(), q.kl(torch.full((5,), 0.2).log())]
    q.entropy().sum().backward()
    found, q = make_crf()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = [q.log_partition(), q.entropy(), q.marginals(), q.kl(torch.full((5,), 0.2).log())]
        entropy = q.entropy().sum()
    entropy.backward()
    for one, two in zip(values, rounded):
        assert torch.equal(one, two)
    assert torch.equal(found.grad, expected.grad)


def test_losses_are_float32(autocast):
    X, W = torch.randn(6, 4).bfloat16(), torch.randn(9, 4)
    targets = torch.arange(6)
    found = cross_entropy(X, W, targets)
    assert found.dtype is torch.float32
    with no_autocast():
        expected = cross_entropy(X.float(), W, targets)
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)
    assert Gaussian.unpack(X).log_var.dtype is torch.float32


def test_lstm_steps_take_half(autocast):
    W, b, U = torch.randn(8, 3), torch.randn(8), torch.randn(8, 2)
    X, h = torch.randn(5, 3), torch.zeros(2, 2)
    found = run_steps(X.bfloat16(), W, b, U, h, h.bfloat16(), [2, 2, 1])
    assert found.dtype is torch.float32
    with no_autocast():
        expected = run_steps(X, W, b, U, h, h, [2, 2, 1])
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)
