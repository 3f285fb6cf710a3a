"""Diagonal Gaussians: the package's one reparameterised sample and one closed-form KL.

Paper: Chen et al. (EMNLP 2018), section 3.7; Kingma and Welling (ICLR 2014), appendix B.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .precision import at_least_float32


@dataclass(frozen=True)
class Gaussian:
    """N(mean, exp(log_var)) with a diagonal covariance; both tensors are (..., Z)."""

    mean: Tensor
    log_var: Tensor

    def rsample(self) -> Tensor:
        """Draw one sample through which gradients flow: mean + std * noise.

        RETURNS (Tensor): The sample, (..., Z).
        """
        return self.mean + torch.exp(0.5 * self.log_var) * torch.randn_like(self.mean)

    def unit_kl(self, prior: "Gaussian") -> Tensor:
        """Give KL(self || prior) of each unit in closed form.

        prior (Gaussian): The second distribution, broadcastable to this one.
        RETURNS (Tensor): Nats, (..., Z).
        """
        log_ratio = prior.log_var - self.log_var
        distance = (self.mean - prior.mean).square() * torch.exp(-prior.log_var)
        return 0.5 * (log_ratio + torch.exp(-log_ratio) + distance - 1.0)

    def detach(self) -> "Gaussian":
        """Give the same distribution, cut off from the graph.

        RETURNS (Gaussian): The copy.
        """
        return Gaussian(self.mean.detach(), self.log_var.detach())

    def pack(self) -> Tensor:
        """Join mean and log-variance for storage.

        RETURNS (Tensor): (..., 2 * Z); `unpack` is the inverse.
        """
        return torch.cat((self.mean, self.log_var), -1)

    @classmethod
    def unpack(cls, packed: Tensor) -> "Gaussian":
        """Read what `pack` wrote.

        packed (Tensor): Means, then log-variances, (..., 2 * Z).
        RETURNS (Gaussian): The distribution.
        """
        mean, log_var = at_least_float32(packed).chunk(2, -1)
        return cls(mean, log_var)

    @classmethod
    def standard(cls, like: Tensor) -> "Gaussian":
        """Give N(0, I).

        like (Tensor): Sets shape, dtype and device, (..., Z).
        RETURNS (Gaussian): The distribution.
        """
        zeros = torch.zeros_like(like)
        return cls(zeros, zeros)
