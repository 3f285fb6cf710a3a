"""A transformer encoder over padded documents.

It reads tags for a generator (CRF-VAE, section 2.4) and encoder states for the larger tagger
(section 3.2).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from .units import Units


class Transformer(nn.Module):
    """A transformer encoder over the units of documents.

    width (int): Width of a unit.
    layers (int): Layers.
    heads (int): Attention heads of a layer, a divisor of the width.
    hidden (int): Hidden units of a layer's network.
    dropout (float): Dropout inside the layers, in training.
    positions (bool): Whether to add sinusoidal positions to what it reads.
    RAISES (ValueError): When the heads do not divide the width.
    """

    def __init__(
        self,
        width: int,
        *,
        layers: int,
        heads: int,
        hidden: int,
        dropout: float,
        positions: bool = True,
    ) -> None:
        super().__init__()
        self.positions = positions
        if heads < 1 or width % heads:
            raise ValueError(f"The heads must divide the width {width}, but got {heads}")
        self.layers = nn.ModuleList(
            TransformerLayer(width, heads=heads, hidden=hidden, dropout=dropout)
            for _ in range(layers)
        )

    def forward(self, X: Tensor, units: Units) -> Tensor:
        """Read the units of each document in context.

        X (Tensor): Embedded units, (T, d).
        units (Units): Where they stand.
        RETURNS (Tensor): Encoded units, (T, d).
        """
        if self.positions:
            X = X + sinusoids(X, units.steps)[units.positions]
        for layer in self.layers:
            X = layer(X, units)
        return X


class TransformerLayer(nn.Module):
    """Self-attention and a ReLU network, each with a residual and a norm behind it.

    All but the attention works on the units alone: short documents beside a long one cost no more
    than their length.

    width (int): Width of a unit.
    heads (int): Attention heads, a divisor of the width.
    hidden (int): Hidden units of the network.
    dropout (float): Dropout on attention, network and residuals, in training.
    """

    def __init__(self, width: int, *, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.network = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, width)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.dropout = nn.Dropout(dropout)
        for linear in (self.project, self.out, self.network[0], self.network[3]):
            nn.init.xavier_uniform_(linear.weight)  # type: ignore[arg-type]
            nn.init.zeros_(linear.bias)  # type: ignore[arg-type]

    def forward(self, X: Tensor, units: Units) -> Tensor:
        """Give the next encoding of each unit.

        X (Tensor): Units, (T, d).
        units (Units): Where they stand.
        RETURNS (Tensor): (T, d).
        """
        X = self.norms[0](X + self.dropout(self.out(self.attend(X, units))))
        return self.norms[1](X + self.dropout(self.network(X)))

    def attend(self, X: Tensor, units: Units) -> Tensor:
        """Average the values of each document's units by attention.

        X (Tensor): Units, (T, d).
        units (Units): Where they stand.
        RETURNS (Tensor): (T, d).
        """
        width = X.shape[1] // self.heads
        padded = units.pad(self.project(X))
        split = padded.unflatten(2, (3, self.heads, width)).permute(2, 0, 3, 1, 4)
        # a document without units would have no key: it may look at its padding
        keys = (units.inside | (units.lengths == 0)[:, None])[:, None, None]
        rate = self.dropout.p if self.training else 0.0
        q, k, v = split
        found = scaled_dot_product_attention(q, k, v, attn_mask=keys, dropout_p=rate)
        return units.unpad(found.transpose(1, 2).flatten(2))


def sinusoids(X: Tensor, count: int) -> Tensor:
    """Give the sine and cosine of each position at falling rates (Vaswani et al., 2017).

    X (Tensor): Gives width, type and device, (T, d).
    count (int): Positions, N.
    RETURNS (Tensor): Sines and cosines in turn, (N, d).
    """
    width = X.shape[1]
    # half precision cannot tell late positions apart
    dtype = torch.promote_types(X.dtype, torch.float32)
    exponents = torch.arange(0, width, 2, dtype=dtype, device=X.device) / width
    positions = torch.arange(count, dtype=dtype, device=X.device)
    angles = positions[:, None] * 10000.0**-exponents
    return torch.stack((angles.sin(), angles.cos()), 2).flatten(1)[:, :width].to(X.dtype)
