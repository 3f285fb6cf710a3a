"""Pairs of a text and a label, from a batch in which some labels are known."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .label_samples import Draws, LabelSampler


@dataclass(frozen=True)
class Pairs:
    """P pairs: each labelled text with its label, then each of n raw texts with K drawn ones."""

    owners: Tensor  # the text, int64, on the CPU, (P,)
    labels: Tensor  # the class, int64, (P,)
    known: int  # pairs of labelled texts
    weights: Tensor  # what a nat of the pair's text counts, (P,)
    draws: Draws  # what was drawn for the raw texts
    usual: Tensor | None  # the usual reconstruction of these, weighed, (n, 1)

    def expect(self, costs: Tensor, usual: Tensor | None = None) -> Tensor:
        """Add up costs, those of raw texts in expectation over their labels.

        costs (Tensor): Nats of each pair, (P,).
        usual (Tensor | None): A baseline of raw texts, (n, 1).
        RETURNS (Tensor): With gradients for q too, ().
        """
        weighed = costs * self.weights
        drawn = weighed[self.known :].view(self.draws.labels.shape)
        return weighed[: self.known].sum() + self.draws.expect(drawn, usual).sum()

    @property
    def shares(self) -> Tensor:
        """What each pair counts in an expectation of its text, without gradient, (P,)."""
        shares = self.draws.shares
        return torch.cat((shares.new_ones(self.known), shares.flatten()))


def pair_up(
    lengths: Tensor, labels: Tensor, log_q: Tensor, weights: Tensor, sampler: LabelSampler
) -> Pairs:
    """Pair texts with the labels under which they are looked at.

    lengths (Tensor): Words of each text, int64, on the CPU, (B,).
    labels (Tensor): Classes, negative for raw texts, int64, on the CPU, (B,).
    log_q (Tensor): log q(y | x), (B, C).
    weights (Tensor): What a nat of each text counts, (B,).
    sampler (LabelSampler): Chooses labels of raw texts.
    RETURNS (Pairs): The pairs.
    """
    device = log_q.device
    known, raw = (labels >= 0).nonzero()[:, 0], (labels < 0).nonzero()[:, 0]
    draws = sampler(log_q.index_select(0, raw.to(device)))
    owners = torch.cat((known, raw.repeat_interleave(draws.labels.shape[1])))
    return Pairs(
        owners=owners,
        labels=torch.cat((labels[known].to(device), draws.labels.flatten())),
        known=len(known),
        weights=weights.index_select(0, owners.to(device)),
        draws=draws,
        usual=sampler.usual_cost(lengths[raw].to(weights) * weights[raw.to(device)]),
    )


def every_pair(texts: int, classes: int) -> tuple[Tensor, Tensor]:
    """Pair every text with every class.

    texts (int): Texts, B.
    classes (int): Classes, C.
    RETURNS (tuple[Tensor, Tensor]): Texts and classes, int64, on the CPU, (B * C,).
    """
    return torch.arange(texts).repeat_interleave(classes), torch.arange(classes).repeat(texts)
