"""Matrix products by the faster of PyTorch's two libraries.

In float32 on a CPU PyTorch multiplies with MKL, which on an AMD EPYC takes up to twice the time of
oneDNN; other processors were not tried. The operators that reach oneDNN are those of PyTorch's own
compiler; where a build has none or other ones, or for other types and devices, everything goes the
usual way.
"""

from functools import cache

import torch
from torch import Tensor

LARGE = 2**15  # entries of a matrix from which oneDNN is worth preparing it


def product(X: Tensor, W: Tensor, b: Tensor | None = None) -> Tensor:
    """Give X W + b.

    X (Tensor): Rows, (rows, nI).
    W (Tensor): The matrix, (nI, nO).
    b (Tensor | None): What is added to each row, (nO,).
    RETURNS (Tensor): (rows, nO), without gradient.
    """
    if not takes_oneDNN(X) or min(X.numel(), W.numel()) < LARGE:
        return (X @ W if b is None else torch.addmm(b, X, W)).to(X.dtype)  # half in autocast
    return _multiply(X, W.T, b)


def takes_oneDNN(like: Tensor) -> bool:
    """Tell whether oneDNN can multiply.

    like (Tensor): Gives type and device.
    RETURNS (bool): Whether it can.
    """
    return like.device.type == "cpu" and like.dtype == torch.float32 and _has_oneDNN()


def count_spare_rows(X: Tensor) -> int:
    """Count the rows of zeros that are worth adding before a product.

    For every number of rows oneDNN keeps code of its own, hundreds of kilobytes: with batches of
    any size these would fill the memory.

    X (Tensor): Rows, (rows, nI).
    RETURNS (int): Rows up to the next of 8 sizes in an octave; 0 where oneDNN is not asked.
    """
    if not takes_oneDNN(X):
        return 0
    return -len(X) % (1 << max(0, len(X).bit_length() - 4))


def fill_rows(X: Tensor, spare: int) -> Tensor:
    """Add rows of zeros.

    X (Tensor): Rows, (rows, ...).
    spare (int): Rows to add.
    RETURNS (Tensor): (rows + spare, ...); X itself where there are none to add.
    """
    return torch.cat((X, X.new_zeros(spare, *X.shape[1:]))) if spare else X


class FixedMatrix:
    """A matrix that many products of few rows share.

    W (Tensor): The matrix, (nI, nO).
    rows (int): Rows of a product, for which the matrix is laid out.
    """

    def __init__(self, W: Tensor, rows: int) -> None:
        self.W = W
        self.prepared: Tensor | None = None
        if takes_oneDNN(W) and W.numel() >= LARGE:
            self.prepared = _prepare(W.T.contiguous(), rows)

    def product(self, X: Tensor) -> Tensor:
        """Give X W.

        X (Tensor): Rows, contiguous, (rows, nI).
        RETURNS (Tensor): (rows, nO), without gradient.
        """
        found = X @ self.W if self.prepared is None else _multiply(X, self.prepared)
        return found.to(X.dtype)  # half under autocast

    def add_product(self, X: Tensor, *, out: Tensor) -> None:
        """Add X W in place.

        X (Tensor): Rows, contiguous, (rows, nI).
        out (Tensor): Where it is added, (rows, nO).
        """
        if self.prepared is None:
            out.addmm_(X, self.W)
        else:
            out.add_(_multiply(X, self.prepared))


def _prepare(W: Tensor, rows: int) -> Tensor:
    """RETURNS (Tensor): W (nO, nI) as oneDNN wants it for so many rows."""
    return torch.ops.mkldnn._reorder_linear_weight(W, rows)


def _multiply(X: Tensor, W: Tensor, b: Tensor | None = None) -> Tensor:
    """RETURNS (Tensor): X W^T + b, W as oneDNN holds it, (rows, nO)."""
    return torch.ops.mkldnn._linear_pointwise(X, W, b, "none", [], "")


@cache
def _has_oneDNN() -> bool:
    """RETURNS (bool): Whether the operators exist and do what they did: they are not public."""
    X, W, b = torch.ones((2, 3)), torch.ones((4, 3)), torch.ones(4)
    try:
        return torch.equal(_multiply(X, _prepare(W, 2), b), X @ W.T + b)
    except (AttributeError, RuntimeError, TypeError):
        return False
