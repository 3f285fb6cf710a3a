"""Rejected spans of a linear-chain CRF: -log(1 - P(span | x, y_O)) and its gradient.

Where the model is sure of a rejected span, 1 - P is lost in the rounding of P, and the gradient
with it. So 1 - P is added up by itself: a path without the span leaves it at a first unit, and the
paths that leave it at one unit are those that a mask allows.
"""

import torch
from torch import Tensor

from .crf import LinearChainCRF
from .log_space import FORBIDDEN
from .units import Units
from .viterbi import NEVER

RARE = 1e-30  # a rejected span that is less likely has nothing left to unlearn


def reject(q: LinearChainCRF, allowed: Tensor, units: Units, rejected: Tensor) -> Tensor:
    """Give -log(1 - P(span | x, y_O)), P the exact probability of the rejected span.

    q (LinearChainCRF): The posterior.
    allowed (Tensor): The tags that each unit may have, bool, (B, N, C).
    units (Units): Where the units stand.
    rejected (Tensor): Unit, tag and span number of each unit of a span, (3, R).
    RETURNS (Tensor): Nats, averaged over the spans, as if they were independent; zero for a span
        that the annotation excludes, and for one that it leaves no alternative to, ().
    """
    unit, tag, span = rejected
    owners, doc = units.docs[unit].unique(return_inverse=True)
    rows = torch.stack((doc, units.positions[unit], tag, span))
    known = allowed[owners]
    q_O = q.select(owners, torch.float64).constrain(known)
    P = q_O.span_probability(*rows)
    leaves = (can_leave(q_O, rows) & (P > RARE)[span]).nonzero()[:, 0]
    if not len(leaves):
        return q.emissions.new_zeros(())
    part = q_O.select(doc[leaves])
    log_mass = part.log_mass(part.constrain(leaving(known, rows)[leaves]))
    own = span[leaves] == span[leaves].unique()[:, None]
    log_rest = torch.where(own, log_mass, NEVER).logsumexp(1)  # log(1 - P)
    return -log_rest.sum().to(q.emissions.dtype) / len(P)


def leaving(allowed: Tensor, rows: Tensor) -> Tensor:
    """Mask the paths that go along with a span and leave it at one of its units.

    allowed (Tensor): The tags that each unit may have, bool, (B, N, C).
    rows (Tensor): Document, position, tag and span number of each unit of a span, (4, R).
    RETURNS (Tensor): For each of these, bool, (R, N, C).
    """
    doc, position, tag, span = rows
    masks = allowed[doc]
    masks[torch.arange(len(doc), device=doc.device), position, tag] = False
    row, before = (span[:, None] == span).tril(-1).nonzero(as_tuple=True)
    tags = torch.arange(allowed.shape[2], device=doc.device)
    masks[row, position[before]] &= tags == tag[before, None]
    return masks


@torch.no_grad()
def can_leave(q: LinearChainCRF, rows: Tensor) -> Tensor:
    """Tell where paths that have gone along with a possible span may have another tag.

    q (LinearChainCRF): The posterior.
    rows (Tensor): Document, position, tag and span number of each unit of a span, (4, R).
    RETURNS (Tensor): Bool, (R,).
    """
    doc, position, tag, span = rows
    first = torch.ones_like(span, dtype=torch.bool)
    first[1:] = span[1:] != span[:-1]
    along = q.pair[tag.roll(1)] + q.emissions[doc, position]
    arrive = torch.where(first[:, None], q.log_forward()[doc, position], along)
    scores = (arrive + q.log_backward()[doc, position]).scatter(1, tag[:, None], NEVER)
    return (scores > FORBIDDEN / 2).any(1)
