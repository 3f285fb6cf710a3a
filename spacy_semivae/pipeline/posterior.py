"""What a tagging CRF says about Docs: best paths, marginals, probabilities of spans."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..layers.crf_vae import Tagging
from ..modules.crf import LinearChainCRF
from ..modules.units import Units, merge_tags, spread_spans, spread_tags
from .ner import Candidate, span_rows

MAX_ITEMS = 2**22  # padded scores of one chunk: a long Doc must not widen a thousand short ones


@dataclass(frozen=True)
class Chunk:
    """Docs of similar length."""

    scored: LinearChainCRF  # as the model scores the paths
    q: LinearChainCRF  # with the temperature
    docs: list[int]  # their places among all Docs
    units: Units
    lengths: Tensor  # units of each token, (tokens,)


class Posterior:
    """q(y | x) of Docs, computed in chunks when it is asked.

    tagging (Tagging): Scores of the tags.
    spans (bool): Whether these are O, then B, I, L and U of each type.
    temperature (float): What the scores are divided by; paths are the same for any.
    """

    def __init__(self, tagging: Tagging, *, spans: bool, temperature: float = 1.0) -> None:
        self.tagging = tagging
        self.spans = spans
        self.temperature = temperature

    def temper(self, temperature: float) -> "Posterior":
        """Give the distribution of the same scores at another temperature.

        temperature (float): Above 0.
        RETURNS (Posterior): The distribution.
        """
        return Posterior(self.tagging, spans=self.spans, temperature=temperature)

    @cached_property
    def chunks(self) -> list[Chunk]:
        """The Docs that have tokens, the longest first."""
        sizes = self.tagging.units.lengths.tolist()
        order = sorted((doc for doc, n in enumerate(sizes) if n), key=lambda doc: -sizes[doc])
        chunks = []
        while order:
            rows = max(1, MAX_ITEMS // (sizes[order[0]] * self.tagging.emissions.shape[1]))
            chunks.append(self._make_chunk(order[:rows], sizes))
            order = order[rows:]
        return chunks

    def _make_chunk(self, docs: list[int], sizes: list[int]) -> Chunk:
        scores, tagging = self.tagging.emissions, self.tagging
        units = Units.of([sizes[doc] for doc in docs], scores.device)
        rows = torch.cat([torch.arange(*self._unit_range(doc)) for doc in docs])
        emissions = units.pad(scores[rows.to(scores.device)])
        scored = LinearChainCRF(emissions, units.lengths, **tagging.transitions)
        q = scored if self.temperature == 1 else scored.temper(self.temperature)
        ends = np.cumsum([0, *tagging.tokens])
        lengths = torch.cat([tagging.lengths[ends[doc] : ends[doc + 1]] for doc in docs])
        return Chunk(scored, q, docs, units, lengths)

    def _unit_range(self, doc: int) -> tuple[int, int]:
        return int(self._unit_ends[doc]), int(self._unit_ends[doc + 1])

    @cached_property
    def _unit_ends(self) -> NDArray[np.int64]:
        return np.cumsum([0, *self.tagging.units.lengths.tolist()])

    def paths(self) -> list[NDArray[np.int64]]:
        """RETURNS (list[ndarray]): Class ids of the best path of each Doc, (N,)."""
        found = []
        for chunk in self.chunks:
            tags = chunk.units.unpad(chunk.scored.viterbi()).cpu()
            found.append(merge_tags(tags, chunk.lengths, spans=self.spans))
        return self._split(found, np.zeros((0,), dtype="int64"))

    def marginals(self) -> list[NDArray[np.float32]]:
        """RETURNS (list[ndarray]): q(y_i = c) of each Doc's tokens, (N, C)."""
        found = [self._token_marginals(chunk) for chunk in self.chunks]
        return self._split(found, np.zeros((0, self.tagging.emissions.shape[1]), dtype="f"))

    def entropies(self) -> NDArray[np.float32]:
        """RETURNS (ndarray): H(q) in nats, 0 for a Doc without tokens, (B,)."""
        found = np.zeros(len(self.tagging.tokens), dtype="f")
        for chunk in self.chunks:
            with torch.no_grad():
                found[chunk.docs] = chunk.q.entropy().cpu().numpy()
        return found

    def log_likelihoods(self, tags: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give the log-probability of the annotation.

        tags (ndarray): A class id of each token, negative where it is missing, (tokens,).
        RETURNS (ndarray): log q(y_O | x) in nats, 0 for a Doc without tokens, (B,).
        """
        found = np.zeros(len(self.tagging.tokens), dtype="f")
        ends = np.cumsum([0, *self.tagging.tokens])
        for chunk in self.chunks:
            of_tokens = np.concatenate([tags[ends[doc] : ends[doc + 1]] for doc in chunk.docs])
            of_units = spread_tags(torch.from_numpy(of_tokens), chunk.lengths, spans=self.spans)
            every = torch.arange(self.tagging.emissions.shape[1])
            allowed = (of_units[:, None] == every) | (of_units[:, None] < 0)
            mask = chunk.units.pad(allowed.to(chunk.units.docs.device), True)
            with torch.no_grad():
                found[chunk.docs] = chunk.q.log_mass(chunk.q.constrain(mask)).cpu().numpy()
        return found

    def span_probabilities(
        self, spans: Sequence[Sequence[tuple[int, int, int]]]
    ) -> list[NDArray[np.float32]]:
        """Give the exact probability of spans of tokens.

        spans (Sequence): For each Doc the spans: first token, token after the last, type index.
        RETURNS (list[ndarray]): Probabilities of each Doc's spans, (spans,).
        """
        found = [np.zeros(len(rows), dtype="f") for rows in spans]
        for chunk in self.chunks:
            rows, offset = [], 0
            for doc in chunk.docs:
                rows += [(start + offset, end + offset, label) for start, end, label in spans[doc]]
                offset += self.tagging.tokens[doc]
            P, first = run_probabilities(chunk, torch.from_numpy(span_rows(rows))), 0
            for doc in chunk.docs:
                found[doc] = P[first : first + len(spans[doc])]
                first += len(spans[doc])
        return found

    def candidates(self, threshold: float) -> list[list[Candidate]]:
        """Find every span whose probability is above a threshold, also off the best path.

        threshold (float): Above 0; a Doc of N tokens has at most N / threshold such spans.
        RETURNS (list[list[Candidate]]): For each Doc, by start, end and type.
        """
        found: list[list[Candidate]] = [[] for _ in self.tagging.tokens]
        for chunk in self.chunks:
            token_of = token_places(chunk)
            for place, first, last, label, p in find_spans(chunk.q, threshold):
                start, end = token_of[place][first], token_of[place][last] + 1
                found[chunk.docs[place]].append(Candidate(start, end, label, p))
        return [sorted(spans, key=lambda c: (c.start, c.end, c.label)) for spans in found]

    def _token_marginals(self, chunk: Chunk) -> Tensor:
        with torch.no_grad():
            mu = chunk.units.unpad(chunk.q.marginals()).cpu()
        ends = chunk.lengths.cumsum(0)
        tokens = mu[ends - chunk.lengths]
        several = (chunk.lengths > 1).nonzero()[:, 0]
        if not (self.spans and len(several)):
            return tokens
        # the units of such a token have other tags than the token: each combination is a run
        C = mu.shape[1]
        token, tag = several.repeat_interleave(C), torch.arange(C).repeat(len(several))
        rows = torch.stack((token, tag, torch.arange(len(token))))
        tokens[several] = torch.from_numpy(run_probabilities(chunk, rows)).view(-1, C)
        return tokens

    def _split(self, found: Sequence[Tensor], empty: NDArray[Any]) -> list[NDArray[Any]]:
        """Cut the tokens of each chunk into Docs, in their order."""
        output = [empty] * len(self.tagging.tokens)
        for chunk, values in zip(self.chunks, found):
            parts = values.split([self.tagging.tokens[doc] for doc in chunk.docs])
            for doc, part in zip(chunk.docs, parts):
                output[doc] = part.numpy()
        return output


def run_probabilities(chunk: Chunk, rows: Tensor) -> NDArray[np.float32]:
    """Give the probability of runs of tags.

    chunk (Chunk): The Docs.
    rows (Tensor): Token, tag and number of each token of a run, (3, R).
    RETURNS (ndarray): Probabilities, (runs,).
    """
    unit, tag, number = spread_spans(rows, chunk.lengths).to(chunk.units.docs.device)
    docs, positions = chunk.units.docs[unit], chunk.units.positions[unit]
    return chunk.q.span_probability(docs, positions, tag, number).cpu().numpy()


def token_places(chunk: Chunk) -> list[list[int]]:
    """RETURNS (list[list[int]]): For each Doc of a chunk the token of each unit."""
    owner = torch.arange(len(chunk.lengths)).repeat_interleave(chunk.lengths)
    parts = owner.split(chunk.units.lengths.tolist())
    return [(part - part[0]).tolist() for part in parts]


def find_spans(q: LinearChainCRF, threshold: float) -> Iterator[tuple[int, int, int, int, float]]:
    """Search for likely spans from each start, dropping what has become too unlikely.

    q (LinearChainCRF): The posterior.
    threshold (float): Probability wanted at least.
    YIELDS (tuple): Doc, first unit, last unit, type index, probability.
    """
    with torch.no_grad():
        mu, beta = q.marginals(), q.log_backward()
    n_types = (mu.shape[2] - 1) // 4
    single = (mu[:, :, 4::4] > threshold).nonzero()  # U
    yield from rows_of(single, single[:, 1], mu[:, :, 4::4][tuple(single.T)])
    open_ = (mu[:, :, 1::4] > threshold).nonzero()  # B
    log_P = mu[:, :, 1::4][tuple(open_.T)].log()
    last, tag = open_[:, 1], 1 + 4 * open_[:, 2]
    while len(open_) and n_types:
        docs, label = open_[:, 0], open_[:, 2]
        inside = last + 1 < q.lengths[docs]
        open_, docs, label = open_[inside], docs[inside], label[inside]
        last, tag, log_P = last[inside], tag[inside], log_P[inside]
        after = {}
        for letter in (1, 2):  # I, L
            to = 1 + 4 * label + letter
            step = q.pair[tag, to] + q.emissions[docs, last + 1, to] + beta[docs, last + 1, to]
            after[letter] = log_P + step - beta[docs, last, tag]
        done = after[2].exp() > threshold
        yield from rows_of(open_[done], last[done] + 1, after[2][done].exp())
        keep = after[1].exp() > threshold
        open_, last, log_P = open_[keep], last[keep] + 1, after[1][keep]
        tag = 2 + 4 * open_[:, 2]


def rows_of(starts: Tensor, last: Tensor, P: Tensor) -> Iterator[tuple[int, int, int, int, float]]:
    """YIELDS (tuple): Doc, first unit, last unit, type index, probability."""
    for (doc, first, label), end, p in zip(starts.tolist(), last.tolist(), P.tolist()):
        yield doc, first, end, label, min(p, 1.0)
