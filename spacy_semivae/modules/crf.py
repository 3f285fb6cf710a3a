"""Linear-chain CRF: the distribution q(y | x) over the tag paths of documents.

The score of a path y is `start[y_1] + sum_i emissions[i, y_i] + sum_i pair[y_i, y_{i+1}] +
end[y_N]`; `pair` is indexed [from, to], and a score of -inf forbids. q is the softmax over all
paths (CRF-VAE, section 2.2 and appendix B). Probabilities and losses are in nats per document.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from . import chain_gradients, log_space
from .chain import Messages, Potentials, length_mask, pass_messages
from .chain_gradients import Expectations
from .viterbi import NEVER, check_shapes, path_error, viterbi


@dataclass(frozen=True)
class Part:
    """Documents that are computed in the same way."""

    docs: Tensor | None  # their indices; None for the whole batch
    dtype: torch.dtype
    messages: Messages | None  # None: in log space


class LinearChainCRF:
    """q(y | x) of B documents; a document without tokens has one path, the empty one.

    emissions (Tensor): Scores of the tags, (B, N, C).
    lengths (Tensor): Tokens of each document, from 0 to N, integers, (B,).
    start (Tensor): Scores of the first tag, (C,).
    pair (Tensor): Scores of a tag and its successor, indexed [from, to], (C, C).
    end (Tensor): Scores of the last tag, (C,).
    RAISES (ValueError): For a wrong shape, type or length. Every method raises it for scores that
        are NaN or infinite and where no path is allowed.
    """

    def __init__(
        self, emissions: Tensor, lengths: Tensor, *, start: Tensor, pair: Tensor, end: Tensor
    ) -> None:
        check_shapes(emissions, lengths, start=start, pair=pair, end=end)
        if emissions.dtype in (torch.float16, torch.bfloat16):
            emissions = emissions.float()  # sums over long documents need the digits
        self.lengths = lengths.to(emissions.device)
        self.inside = length_mask(self.lengths, emissions.shape[1])
        # q stays the same when all scores of a position move. Without what large scores have in
        # common, differences of log-probabilities keep their digits.
        peak = emissions.detach().amax(2)
        peak = torch.where(self.inside & peak.isfinite(), peak, 0.0)  # (B, N)
        self.offset = peak.sum(1)
        self.emissions = (emissions - peak[..., None]).masked_fill(~self.inside[..., None], 0.0)
        self.start, self.pair, self.end = (x.to(emissions) for x in (start, pair, end))
        self.ends = {"start": self.start, "pair": self.pair, "end": self.end}

    # The distribution

    def log_partition(self) -> Tensor:
        """RETURNS (Tensor): log Z; its gradient is the marginals, (B,)."""
        return self._log_Z() + self.offset

    def expectations(self) -> Expectations:
        """RETURNS (Expectations): Marginals and mean transition scores of the shifted scores."""
        log_Z, mu, mean = self._compute(
            lambda p, m: chain_gradients.expectations(p, m) if m else log_space.expectations(p)
        )
        log_Z, mean = (torch.where(self.lengths > 0, x, 0.0) for x in (log_Z, mean))
        mu = mu[:, : self.inside.shape[1]].masked_fill(~self.inside[..., None], 0.0)
        return Expectations(log_Z, mu, mean)

    def marginals(self) -> Tensor:
        """RETURNS (Tensor): q(y_i = c), zero beyond a document, (B, N, C)."""
        return self.expectations().marginals

    def log_prob(self, tags: Tensor) -> Tensor:
        """Give the log-probability of one path of each document.

        tags (Tensor): The paths, int64, any tag beyond a document, (B, N).
        RETURNS (Tensor): Nats, -inf for a forbidden path, (B,).
        """
        return self._score(tags) - self._log_Z()

    def entropy(self) -> Tensor:
        """RETURNS (Tensor): H(q) = log Z - the mean score, (B,)."""
        found = self.expectations()
        scores = torch.where(self.emissions.isfinite(), self.emissions, 0.0)
        return found.log_Z - (found.marginals * scores).sum((1, 2)) - found.transitions

    def kl(self, log_prior: Tensor) -> Tensor:
        """Give KL(q || p) to a prior of independent tags, over the positions that are open.

        A position with one allowed tag is annotated: it has no part in the divergence.
        log_prior (Tensor): log p(y_i = c), all finite, (C,).
        RETURNS (Tensor): Nats, (B,); p is not renormalised where tags are forbidden.
        RAISES (ValueError): On the CPU for a prior with a zero.
        """
        if log_prior.is_cpu and not log_prior.isfinite().all():
            raise ValueError(f"every entry of the prior must be positive: {log_prior.exp()}")
        found = self.expectations()
        allowed = self.emissions.isfinite()
        open_ = (allowed.sum(2) > 1) & self.inside
        scores = torch.where(allowed, self.emissions, 0.0)
        gap = scores - log_prior * open_[..., None]
        return (found.marginals * gap).sum((1, 2)) + found.transitions - found.log_Z

    def constrain(self, allowed: Tensor) -> "LinearChainCRF":
        """Give q under a mask, renormalised.

        allowed (Tensor): The tags that each token may have, bool, (B, N, C).
        RETURNS (LinearChainCRF): The distribution; `log_mass` gives its share of this one. Its own
            `log_partition` and messages leave out what all scores of a position have in common.
        """
        return self.add(torch.where(allowed, 0.0, NEVER).to(self.emissions))

    def add(self, scores: Tensor) -> "LinearChainCRF":
        """Give q reweighted by the exponential of scores of the tags, renormalised.

        scores (Tensor): What is added to the emissions, (B, N, C).
        RETURNS (LinearChainCRF): The distribution.
        """
        return LinearChainCRF(self.emissions + scores, self.lengths, **self.ends)

    def temper(self, temperature: float) -> "LinearChainCRF":
        """Give q^(1 / temperature), renormalised: the order of the paths stays.

        temperature (float): Above 0; from 1 on the larger, the less sure.
        RETURNS (LinearChainCRF): The distribution.
        RAISES (ValueError): For a temperature that is not positive.
        """
        return self._temper(self.emissions, temperature)

    def _temper(self, emissions: Tensor, temperature: float) -> "LinearChainCRF":
        if not 0 < temperature < torch.inf:
            raise ValueError(f"temperature must be above 0, but got {temperature}")
        ends = {name: x / temperature for name, x in self.ends.items()}
        return LinearChainCRF(emissions / temperature, self.lengths, **ends)

    def log_mass(self, part: "LinearChainCRF") -> Tensor:
        """Give log E_q[exp(added scores)]: for a mask, the log-probability that it allows the path.

        part (LinearChainCRF): What `constrain` or `add` gave.
        RETURNS (Tensor): Nats, (B,).
        """
        return part._log_Z() + part.offset - self._log_Z()

    def select(self, docs: Tensor, dtype: torch.dtype | None = None) -> "LinearChainCRF":
        """Give the distributions of some documents.

        docs (Tensor): Their indices.
        dtype (torch.dtype | None): What to compute in; None for no change.
        RETURNS (LinearChainCRF): The distributions.
        """
        emissions = self.emissions[docs].to(dtype or self.emissions.dtype)
        part = LinearChainCRF(emissions, self.lengths[docs], **self.ends)
        part.offset = self.offset[docs].to(emissions)  # these scores are shifted already
        return part

    # Paths

    def viterbi(self) -> Tensor:
        """RETURNS (Tensor): The best path, 0 beyond a document, int64, (B, N)."""
        return viterbi(self.emissions, self.lengths, **self.ends)

    @torch.no_grad()
    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw a path from q: forward filtering, backward sampling.

        generator (torch.Generator | None): The source of noise.
        RETURNS (Tensor): Tags, 0 beyond a document, int64, (B, N).
        """
        log_alpha, last = self.log_forward(), self.lengths - 1
        noise = gumbel(log_alpha, generator)
        tag = torch.zeros_like(self.lengths)
        path = []
        for i in range(log_alpha.shape[1] - 1, -1, -1):
            follow = torch.where((last == i)[:, None], self.end, self.pair.T[tag])
            drawn = (log_alpha[:, i] + follow + noise[:, i]).argmax(1)
            tag = torch.where(last >= i, drawn, 0)
            path.append(tag)
        return torch.stack(path[::-1], 1) if path else tag[:, None][:, :0]

    def relaxed_sample(
        self,
        temperature: float,
        *,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw relaxed tags by Perturb-and-MAP (CRF-VAE, section 2.3.3 and appendix A).

        Noise on single tags draws from q exactly only where there are no transition scores.
        temperature (float): Above 0; towards 0 the tags become those of one path.
        noise (Tensor | None): Gumbel noise, fresh for each document, token and tag if None.
        generator (torch.Generator | None): The source of noise.
        RETURNS (Tensor): Points of the simplex, zero beyond a document, (B, N, C).
        RAISES (ValueError): For a temperature that is not positive.
        """
        noise = gumbel(self.emissions, generator) if noise is None else noise
        return self._temper(self.emissions + noise, temperature).marginals()

    @torch.no_grad()
    def span_probability(
        self, docs: Tensor, positions: Tensor, tags: Tensor, spans: Tensor
    ) -> Tensor:
        """Give the probability that certain tags stand at runs of neighbouring tokens.

        With BILOU tags it is that of exactly this entity. The four say one token of a span each,
        all of them int64, (R,), one span after the other and its tokens in order.
        docs (Tensor): The document.
        positions (Tensor): The token.
        tags (Tensor): Its tag.
        spans (Tensor): The span's number, from 0.
        RETURNS (Tensor): Probabilities, (spans,).
        """
        if not len(spans):
            return self.emissions.new_zeros(0)
        first = torch.ones_like(spans, dtype=torch.bool)
        first[1:] = spans[1:] != spans[:-1]
        last = first.roll(-1)
        before = torch.cat((tags[:1], tags[:-1]))
        inner = self.pair[before, tags] + self.emissions[docs, positions, tags]
        log_p = torch.where(first, self.log_forward()[docs, positions, tags], inner)
        log_p = log_p + torch.where(last, self.log_backward()[docs, positions, tags], 0.0)
        log_p = log_p - torch.where(first, self._log_Z()[docs], 0.0)
        total = log_p.new_zeros(int(spans[-1]) + 1).index_add(0, spans, log_p)
        return total.exp().clamp(max=1.0)

    # The recursion

    @torch.no_grad()
    def log_forward(self) -> Tensor:
        """RETURNS (Tensor): Log forward messages with the token's emission, (B, N, C)."""
        (found,) = self._compute(
            lambda p, m: (m.log_forward() if m else log_space.forward_messages(p),)
        )
        return found[:, : self.inside.shape[1]]

    @torch.no_grad()
    def log_backward(self) -> Tensor:
        """RETURNS (Tensor): Log backward messages without the token's emission, (B, N, C)."""
        (found,) = self._compute(
            lambda p, m: (m.log_backward() if m else log_space.backward_messages(p),)
        )
        return found[:, : self.inside.shape[1]]

    def log_space_share(self) -> float:
        """RETURNS (float): The share of documents whose scores are too far apart for `chain`."""
        docs = [part.docs for part in self._parts if part.messages is None]
        return sum(len(self.lengths if x is None else x) for x in docs) / max(len(self.lengths), 1)

    def _log_Z(self) -> Tensor:
        """RETURNS (Tensor): log Z of the shifted scores, 0 for a document without tokens, (B,)."""
        (log_Z,) = self._compute(
            lambda p, m: (chain_gradients.log_partition(p, m) if m else log_space.log_partition(p),)
        )
        return torch.where(self.lengths > 0, log_Z, 0.0)

    def _score(self, tags: Tensor) -> Tensor:
        """RETURNS (Tensor): The shifted scores of paths, (B,)."""
        tags, C = tags.masked_fill(~self.inside, 0), len(self.start)
        score = self.emissions.gather(2, tags[..., None])[..., 0].sum(1)  # 0 beyond a document
        # gather: the gradient of indexing is slow
        pairs = self.pair.flatten().gather(0, (tags[:, :-1] * C + tags[:, 1:]).flatten())
        pairs = pairs.view(tags[:, 1:].shape)
        score = score + torch.where(self.inside[:, 1:], pairs, 0.0).sum(1)
        if not tags.shape[1]:
            return score
        last = tags.gather(1, (self.lengths - 1).clamp(min=0)[:, None])[:, 0]
        ends = self.start.gather(0, tags[:, 0]) + self.end.gather(0, last)
        return score + torch.where(self.lengths > 0, ends, 0.0)

    @cached_property
    def _parts(self) -> list[Part]:
        with torch.no_grad():
            return list(self._divide(None, self.emissions.dtype))

    def _divide(self, docs: Tensor | None, dtype: torch.dtype) -> Iterator[Part]:
        """Find how documents are to be computed: as they are, else in float64, else in log space.

        YIELDS (Part): The parts of `docs`.
        """
        messages = pass_messages(self._potentials(docs, dtype))
        if bool(messages.safe.all()):
            yield Part(docs, dtype, messages)
            return
        docs = torch.arange(len(self.lengths), device=self.lengths.device) if docs is None else docs
        safe, rest = docs[messages.safe], docs[~messages.safe]
        if len(safe):
            yield Part(safe, dtype, pass_messages(self._potentials(safe, dtype)))
        if dtype == torch.float32:
            yield from self._divide(rest, torch.float64)
        else:
            self._check(rest)
            yield Part(rest, dtype, None)

    def _potentials(self, docs: Tensor | None, dtype: torch.dtype) -> Potentials:
        emissions, lengths = self.emissions, self.lengths.clamp(min=1)
        if not emissions.shape[1]:
            emissions = emissions.new_zeros(len(lengths), 1, emissions.shape[2])
        start, pair, end = (x.to(dtype) for x in (self.start, self.pair, self.end))
        if docs is not None:
            emissions, lengths = emissions[docs], lengths[docs]
        return Potentials(emissions.to(dtype), start, pair, end, lengths)

    def _compute(
        self, compute: Callable[[Potentials, Messages | None], Iterable[Tensor]]
    ) -> list[Tensor]:
        """Compute each part in its own way and put the documents back in order.

        compute (Callable): Gives tensors of one row a document, from messages or in log space.
        RETURNS (list[Tensor]): The tensors, as wide as the scores.
        """
        parts, dtype = self._parts, self.emissions.dtype
        found = [compute(self._potentials(x.docs, x.dtype), x.messages) for x in parts]
        if parts[0].docs is None:
            return list(found[0])
        columns = [torch.cat([x.to(dtype) for x in column]) for column in zip(*found)]
        order = torch.cat([part.docs for part in parts if part.docs is not None]).argsort()
        return [column[order] for column in columns]

    def _check(self, docs: Tensor) -> None:
        log_Z = log_space.log_partition(self._potentials(docs, torch.float64))
        # the comparisons are False for NaN as well
        valid = torch.stack([(x < torch.inf).all() for x in self.ends.values()]).all()
        possible = (log_Z.abs() < -log_space.FORBIDDEN / 2) & valid
        failed = ~possible & (self.lengths[docs] > 0)
        if bool(failed.any()):
            doc = int(docs[failed.nonzero()[0, 0]])
            raise path_error(self.emissions, self.lengths, doc, **self.ends)


def gumbel(like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw standard Gumbel noise.

    like (Tensor): Gives shape, type and device.
    generator (torch.Generator | None): The source of noise.
    RETURNS (Tensor): The noise.
    """
    tiny = torch.finfo(like.dtype).tiny
    return -torch.empty_like(like).exponential_(generator=generator).clamp(min=tiny).log()
