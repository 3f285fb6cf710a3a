"""Matrix products by either library."""

import pytest
import torch

from spacy_semivae.modules import products
from spacy_semivae.modules.products import (
    FixedMatrix,
    count_spare_rows,
    fill_rows,
    product,
    takes_oneDNN,
)


@pytest.mark.parametrize("transposed", [True, False])
@pytest.mark.parametrize("large", [1, 2**60])
def test_products(large, transposed, monkeypatch):
    monkeypatch.setattr(products, "LARGE", large)
    X, W = torch.randn(7, 5), torch.randn(6, 5).T if transposed else torch.randn(5, 6)
    expected = X.double() @ W.double()
    torch.testing.assert_close(product(X, W).double(), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(product(X.double(), W.double()), expected)
    b = torch.randn(6)
    found = product(X, W, b).double()
    torch.testing.assert_close(found, expected + b.double(), rtol=1e-4, atol=1e-5)
    fixed = FixedMatrix(W, 4)
    for rows in (1, 4, 7):
        out = torch.ones(rows, 6)
        fixed.add_product(X[:rows], out=out)
        torch.testing.assert_close(out.double(), expected[:rows] + 1, rtol=1e-4, atol=1e-5)
        out = fixed.product(X[:rows])
        torch.testing.assert_close(out.double(), expected[:rows], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("large", [1, 2**60])
def test_products_of_transposed_rows(large, monkeypatch):
    monkeypatch.setattr(products, "LARGE", large)
    X, W = torch.randn(5, 7).T, torch.randn(5, 6)
    expected = X.double() @ W.double()
    torch.testing.assert_close(product(X, W).double(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("error", [AttributeError, RuntimeError, TypeError, None])
def test_other_operators_are_left_alone(error, monkeypatch):
    def multiply(X, W, b):
        if error is None:
            return torch.zeros(len(X), len(W))  # something else than a product
        raise error

    monkeypatch.setattr(products, "_multiply", multiply)
    assert not products._has_oneDNN.__wrapped__()


def test_what_oneDNN_takes():
    assert not takes_oneDNN(torch.zeros(1).double())
    assert not takes_oneDNN(torch.zeros(1, device="meta"))


def test_batches_of_any_size_have_few_shapes():
    sizes = set()
    for rows in range(2000):
        spare = count_spare_rows(torch.zeros(rows, 1))
        assert 0 <= spare <= rows / 8
        sizes.add(rows + spare)
    if takes_oneDNN(torch.zeros(1)):
        assert len(sizes) <= 17 + 8 * 7
    X = torch.randn(5, 2)
    assert fill_rows(X, 0) is X
    assert fill_rows(X, 3).tolist() == [*X.tolist(), *([[0.0, 0.0]] * 3)]
    assert not count_spare_rows(torch.zeros(1001, 1, device="meta"))
