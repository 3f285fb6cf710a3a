"""Matrix products by the faster of PyTorch's two libraries.

In float32 on a CPU PyTorch multiplies with MKL, which makes half the speed of oneDNN on processors
other than Intel's. The operators that reach oneDNN are those of PyTorch's own compiler; where a
build has none, or for other types and devices, everything goes the usual way.
"""

import torch
from torch import Tensor

LARGE = 2**16  # entries of a matrix from which oneDNN is worth preparing it


def product(X: Tensor, W: Tensor) -> Tensor:
    """Give X W.

    X (Tensor): Rows, (rows, nI).
    W (Tensor): The matrix, (nI, nO).
    RETURNS (Tensor): (rows, nO), without gradient.
    """
    if not takes_oneDNN(X) or min(X.numel(), W.numel()) < LARGE:
        return X @ W
    return _multiply(X, W.T)


def takes_oneDNN(like: Tensor) -> bool:
    """Tell whether oneDNN can multiply.

    like (Tensor): Gives type and device.
    RETURNS (bool): Whether it can.
    """
    return (
        like.device.type == "cpu"
        and like.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


class FixedMatrix:
    """A matrix that many products of few rows share.

    W (Tensor): The matrix, (nI, nO).
    rows (int): Rows of a product, for which the matrix is laid out.
    """

    def __init__(self, W: Tensor, rows: int) -> None:
        self.W = W
        self.prepared: Tensor | None = None
        if takes_oneDNN(W) and W.numel() >= LARGE:
            reorder = torch.ops.mkldnn._reorder_linear_weight
            self.prepared = reorder(W.T.contiguous(), rows)

    def add_product(self, X: Tensor, *, out: Tensor) -> None:
        """Add X W in place.

        X (Tensor): Rows, contiguous, (rows, nI).
        out (Tensor): Where it is added, (rows, nO).
        """
        if self.prepared is None:
            out.addmm_(X, self.W)
        else:
            out.add_(_multiply(X, self.prepared))


def _multiply(X: Tensor, W: Tensor) -> Tensor:
    """RETURNS (Tensor): X W^T, W as oneDNN holds it, (rows, nO)."""
    return torch.ops.mkldnn._linear_pointwise(X, W, None, "none", [], "")
