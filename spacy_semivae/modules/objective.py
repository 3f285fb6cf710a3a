"""What the losses of all models share."""

import torch
from torch import Tensor


def mean_where(losses: Tensor, chosen: Tensor) -> Tensor:
    """Average over some tokens without a synchronisation of the device.

    losses (Tensor): One value a token, (T,).
    chosen (Tensor): The tokens that count, bool, (T,).
    RETURNS (Tensor): The mean, zero where no token counts, ().
    """
    return torch.where(chosen, losses, 0.0).sum() / chosen.sum().clamp(min=1)
