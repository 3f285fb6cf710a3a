"""The SSVAE's small networks: batch norm and dropout around a hidden layer that reads a label.

Paper: Xu et al. (AAAI 2017), section "Experimental Results": dropout and batch norm on the word
embeddings and on the vectors into and out of the MLP before the last layer.
"""

import torch
from torch import Tensor, nn


class FlatBatchNorm(nn.BatchNorm1d):
    """Batch norm over rows; a single row, which has no variance, meets the running statistics."""

    def forward(self, X: Tensor) -> Tensor:
        """Normalise each column.

        X (Tensor): Rows, (rows, width).
        RETURNS (Tensor): (rows, width).
        """
        if self.training and len(X) < 2:
            mean, var, weight, bias = self.running_mean, self.running_var, self.weight, self.bias
            return nn.functional.batch_norm(X, mean, var, weight, bias, False, 0.0, self.eps)
        return super().forward(X)


def norm_and_drop(width: int, dropout: float) -> nn.Sequential:
    """Build batch norm and dropout.

    width (int): Columns.
    dropout (float): Share of values set to zero, in training.
    RETURNS (nn.Sequential): Rows to rows, (rows, width).
    """
    return nn.Sequential(FlatBatchNorm(width), nn.Dropout(dropout))


class LabeledMLP(nn.Module):
    """One hidden layer over a vector and the embedding of a label.

    The label stays out of the batch norm: in a batch of one class nothing would be left of it.

    nI (int): Width of the vector.
    nY (int): Width of the label's embedding.
    hidden (int): Hidden units.
    nO (int): Width of the output.
    dropout (float): Share of the vector and of the hidden units set to zero, in training.
    """

    def __init__(self, *, nI: int, nY: int, hidden: int, nO: int, dropout: float) -> None:
        super().__init__()
        self.vector = norm_and_drop(nI, dropout)
        self.hidden = nn.Linear(nI + nY, hidden)
        self.features = norm_and_drop(hidden, dropout)
        self.output = nn.Linear(hidden, nO)

    def forward(self, X: Tensor, owners: Tensor | None, Y: Tensor) -> Tensor:
        """Read pairs of a vector and a label.

        X (Tensor): Vectors, (n, nI).
        owners (Tensor | None): The vector of each pair; None where pairs and vectors are one and
            the same, (P,).
        Y (Tensor): Embedding of each pair's label, (P, nY).
        RETURNS (Tensor): (P, nO).
        """
        X = self.vector(X)
        X = X if owners is None else X.index_select(0, owners)
        hidden = torch.relu(self.hidden(torch.cat((X, Y), 1)))
        return self.output(self.features(hidden))
