"""Expectations over the unknown label of a text: over all classes, or over sampled ones.

Paper: Xu et al. (AAAI 2017), section "Optimizing via Sampling". The unlabeled objective holds
sum_y q(y | x) L(x, y). Drawing K labels instead gives it, and its gradients, at the cost of K
classes. Its gradient for q is that of the score function,

    mean_k (L(x, y_k) - b) grad log q(y_k | x)

with a baseline b that takes variance off:

    none           b = 0
    length         S1: the usual cost of a text of that length, -c |x| for the reconstruction
    mean           S2: the mean of the K costs; the expected gradient is (1 - 1/K) of the exact one
    leave_one_out  the mean of the other K - 1 costs; no such factor

Without replacement K distinct labels are weighed by their renormalised q: all classes, when K
reaches their number. Constants cancel there, so that no baseline is needed.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .crf import gumbel

MARGINALS = ("exact", "sample")
BASELINES = {"none": 1, "length": 1, "mean": 2, "leave_one_out": 2}  # and the labels each needs
FITTING_RATE = 0.05  # of one step down the squared error of c


@dataclass(frozen=True)
class Draws:
    """K labels for each of n texts."""

    labels: Tensor  # int64, (n, K)
    log_q: Tensor  # log q(y | x) of these, (n, K)
    weights: Tensor | None  # they sum to 1; None for independent draws, (n, K)
    baseline: str = "none"

    @property
    def shares(self) -> Tensor:
        """What each label counts, without gradient, (n, K)."""
        if self.weights is None:
            return torch.full_like(self.log_q.detach(), 1 / self.log_q.shape[1])
        return self.weights.detach()

    def expect(self, costs: Tensor, usual: Tensor | None = None) -> Tensor:
        """Give the expected cost, with gradients for q and for what the costs depend on.

        costs (Tensor): Cost of each label, (n, K).
        usual (Tensor | None): The baseline of `length`, one a text, (n, 1).
        RETURNS (Tensor): An estimate, exact with the weights of all classes, (n,).
        """
        if self.weights is not None:
            return (self.weights * costs).sum(1)
        advantage = costs.detach() - self._baseline(costs.detach(), usual)
        score = self.log_q - self.log_q.detach()  # zero, but for its gradient
        return (costs + advantage * score).mean(1)

    def _baseline(self, costs: Tensor, usual: Tensor | None) -> Tensor | float:
        if self.baseline == "mean":
            return costs.mean(1, keepdim=True)
        if self.baseline == "leave_one_out":
            return (costs.sum(1, keepdim=True) - costs) / (costs.shape[1] - 1)
        return 0.0 if usual is None else usual


class LabelSampler(nn.Module):
    """Chooses the labels under which an unlabeled text is looked at.

    marginal (str): "exact" for all classes, "sample" for K of them.
    samples (int): K.
    replacement (bool): Whether draws are independent; else labels are distinct.
    baseline (str): "none", "length", "mean" or "leave_one_out".
    usual (float): Where the c of `length` starts: log p(x | y, z) per word, in nats.
    RAISES (ValueError): When the settings do not fit.
    """

    usual: Tensor

    def __init__(
        self, *, marginal: str, samples: int, replacement: bool, baseline: str, usual: float
    ) -> None:
        super().__init__()
        check_sampling(marginal, samples, replacement, baseline)
        self.exact = marginal == "exact"
        self.samples = samples
        self.replacement = replacement
        self.baseline = baseline
        self.register_buffer("usual", torch.tensor(usual))

    def forward(self, log_q: Tensor) -> Draws:
        """Choose labels; in evaluation all classes.

        log_q (Tensor): log q(y | x), (n, C).
        RETURNS (Draws): The labels.
        """
        classes = log_q.shape[1]
        if self.exact or not self.training or (not self.replacement and self.samples >= classes):
            every = torch.arange(classes, device=log_q.device).expand(log_q.shape)
            return Draws(every, log_q, log_q.exp())
        labels = draw_labels(log_q.detach(), self.samples, replacement=self.replacement)
        chosen = log_q.gather(1, labels)
        if self.replacement:
            return Draws(labels, chosen, None, self.baseline)
        return Draws(labels, chosen, chosen.softmax(1))

    def usual_cost(self, lengths: Tensor) -> Tensor | None:
        """Give the baseline of `length` for -log p(x | y, z).

        lengths (Tensor): Words of each text, (n,).
        RETURNS (Tensor | None): Nats, (n, 1); None with another baseline.
        """
        if self.baseline != "length":
            return None
        return (-self.usual * lengths)[:, None]

    def fit(self, costs: Tensor, words: Tensor) -> None:
        """Take c one step down its squared error, in training.

        It is no parameter: the optimizer would need thousands of steps to get it down to some -6,
        and its gradient would count in the norm to which the others are clipped.

        costs (Tensor): -log p(x | y, z) of raw texts, (pairs,).
        words (Tensor): Words of each, on the CPU, (pairs,).
        """
        if self.baseline == "length" and self.training and len(costs):
            with torch.no_grad():
                per_word = costs / words.to(costs.device)
                self.usual.add_(FITTING_RATE * (-per_word.mean() - self.usual))


def draw_labels(
    log_q: Tensor,
    samples: int,
    *,
    replacement: bool,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw labels of each text by perturbing their log-probabilities, without a synchronisation.

    log_q (Tensor): Log-probabilities, (n, C).
    samples (int): K, at most C without replacement.
    replacement (bool): Whether draws are independent; else labels are distinct.
    generator (torch.Generator | None): The source of noise.
    RETURNS (Tensor): int64, (n, K).
    """
    if not replacement:
        return (log_q + gumbel(log_q, generator)).topk(samples, 1).indices
    each = log_q[:, None].expand(-1, samples, -1)
    return (each + gumbel(each.contiguous(), generator)).argmax(2)


def check_sampling(marginal: str, samples: int, replacement: bool, baseline: str) -> None:
    """Refuse settings that do not fit.

    marginal (str): As for `LabelSampler`.
    samples (int): As for `LabelSampler`.
    replacement (bool): As for `LabelSampler`.
    baseline (str): As for `LabelSampler`.
    RAISES (ValueError): Naming the setting and its value.
    """
    if marginal not in MARGINALS:
        raise ValueError(f"marginal is one of {list(MARGINALS)}, but got '{marginal}'")
    if baseline not in BASELINES:
        raise ValueError(f"baseline is one of {list(BASELINES)}, but got '{baseline}'")
    if marginal == "exact":
        return
    if replacement and samples < BASELINES[baseline]:
        needed = BASELINES[baseline]
        raise ValueError(f"baseline '{baseline}' needs samples >= {needed}, but got {samples}")
    if not replacement and samples < 2:
        # the weight of a single label is 1 whatever q says
        raise ValueError(f"replacement = false needs samples >= 2, but got {samples}")
    if not replacement and baseline != "none":
        raise ValueError(
            "without replacement the labels' weights sum to 1 and a baseline cancels: set "
            f"baseline = 'none', but got '{baseline}'"
        )
