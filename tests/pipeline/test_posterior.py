"""What the posterior says, against the enumeration of all valid paths."""

from collections import defaultdict
from itertools import pairwise, product

import numpy
import pytest
import torch

from spacy_semivae.labels import SpanLabels, TokenLabels
from spacy_semivae.layers.crf_vae import Tagging
from spacy_semivae.modules.units import Units, allowed_in_token, kinds_of
from spacy_semivae.modules.viterbi import transition_scores
from spacy_semivae.pipeline import posterior as posterior_file
from spacy_semivae.pipeline.posterior import Posterior

TOKENS = {  # units of each token of each Doc
    "token": [[1, 1, 1, 1], [], [1], [1, 1], [1, 1, 1]],
    "piece": [[1, 3, 1], [], [2], [1, 1], [2, 1, 1], [4]],
}


def make_tagging(docs, names, mask, *, spans, seed=0, scale=2.0):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([n for doc in docs for n in doc], dtype=torch.int64)
    sizes = [sum(doc) for doc in docs]
    kinds = kinds_of(lengths)
    C = len(names)
    emissions = scale * torch.randn(sum(sizes), C, generator=generator)
    if spans:
        emissions = emissions.masked_fill(~allowed_in_token(kinds, C), float("-inf"))
    transitions = {
        name: torch.randn(allowed.shape, generator=generator) + transition_scores(allowed)
        for name, allowed in zip(("start", "pair", "end"), (mask.start, mask.pair, mask.end))
    }
    units = Units.of(sizes, None, kinds)
    return Tagging(emissions, transitions, units, lengths, [len(doc) for doc in docs])


def enumerate_doc(tagging, doc):
    """Every path of a Doc with its probability: {tags of its units: p}."""
    ends = numpy.cumsum([0, *tagging.units.lengths.tolist()])
    E = tagging.emissions[ends[doc] : ends[doc + 1]].double().numpy()
    start, pair, end = (tagging.transitions[name].double().numpy() for name in tagging.transitions)
    weights = {}
    for path in product(range(E.shape[1]), repeat=len(E)):
        score = start[path[0]] + end[path[-1]] + sum(E[i, tag] for i, tag in enumerate(path))
        weights[path] = numpy.exp(score + sum(pair[a, b] for a, b in pairwise(path)))
    total = sum(weights.values())
    return {path: weight / total for path, weight in weights.items() if weight > 0}


def spans_of(path, sizes, names):
    """The entities of a path over units as (first token, token after the last, type)."""
    owner = [token for token, size in enumerate(sizes) for _ in range(size)]
    found, first = [], 0
    for i, tag in enumerate(path):
        if tag and names[tag][0] in "BU":
            first = i
        if tag and names[tag][0] in "LU":
            assert i in (0, first) or names[path[first]][0] == "B"
            found.append((owner[first], owner[i] + 1, names[tag][2:]))
    return found


def token_tags(path, sizes, names):
    """The tag of each token."""
    tags = ["O"] * len(sizes)
    for start, end, label in spans_of(path, sizes, names):
        letters = "U" if end - start == 1 else "B" + "I" * (end - start - 2) + "L"
        for token, letter in zip(range(start, end), letters):
            tags[token] = f"{letter}-{label}"
    return tags


@pytest.fixture(params=["one chunk", "chunks"])
def _chunks(request, monkeypatch):
    if request.param == "chunks":
        monkeypatch.setattr(posterior_file, "MAX_ITEMS", 25)


def settings():
    for unit, docs in TOKENS.items():
        for types in (["A"], ["A", "B"]):
            yield unit, types, [doc for doc in docs if len(types) == 1 or sum(doc) <= 4]


@pytest.mark.usefixtures("_chunks")
@pytest.mark.parametrize(("unit", "types", "docs"), list(settings()))
def test_everything_equals_enumeration(unit, types, docs):
    scheme = SpanLabels(types)
    names = scheme.names
    tagging = make_tagging(docs, names, scheme.transitions(), spans=True)
    posterior = Posterior(tagging, spans=True)
    paths, marginals = posterior.paths(), posterior.marginals()
    entropies, candidates = posterior.entropies(), posterior.candidates(0.02)
    rows = [
        [(i, j, t) for i in range(len(doc)) for j in range(i + 1, len(doc) + 1) for t in range(2)]
        for doc in docs
    ]
    rows = [[row for row in doc if row[2] < len(types)] for doc in rows]
    scores = posterior.span_probabilities(rows)
    assert (len(posterior.chunks) > 1) == (posterior_file.MAX_ITEMS == 25)
    for i, sizes in enumerate(docs):
        if not sizes:
            assert len(paths[i]) == len(scores[i]) == entropies[i] == 0
            assert candidates[i] == []
            assert marginals[i].shape == (0, len(names))
            continue
        P = enumerate_doc(tagging, i)
        best = token_tags(max(P, key=P.get), sizes, names)
        assert [names[tag] for tag in paths[i]] == best
        mu = numpy.zeros((len(sizes), len(names)))
        spans = defaultdict(float)
        for path, p in P.items():
            for token, tag in enumerate(token_tags(path, sizes, names)):
                mu[token, names.index(tag)] += p
            for start, end, label in spans_of(path, sizes, names):
                spans[start, end, types.index(label)] += p
        numpy.testing.assert_allclose(marginals[i], mu, atol=1e-5)
        assert entropies[i] == pytest.approx(-sum(p * numpy.log(p) for p in P.values()), abs=1e-4)
        expected = [spans[row] for row in rows[i]]
        numpy.testing.assert_allclose(scores[i], expected, atol=1e-5)
        likely = sorted(row for row, p in spans.items() if p > 0.02)
        assert [(c.start, c.end, c.label) for c in candidates[i]] == likely
        found = [c.probability for c in candidates[i]]
        numpy.testing.assert_allclose(found, [spans[row] for row in likely], atol=1e-5)


@pytest.mark.usefixtures("_chunks")
@pytest.mark.parametrize("unit", TOKENS)
def test_tags_of_tokens(unit):
    names, docs = ["X", "Y", "Z"], TOKENS[unit]
    mask = TokenLabels("tag", names).transitions()
    tagging = make_tagging(docs, names, mask, spans=False)
    posterior = Posterior(tagging, spans=False)
    entropies = posterior.entropies()
    for i, (sizes, path, mu) in enumerate(zip(docs, posterior.paths(), posterior.marginals())):
        assert mu.shape == (len(sizes), 3)
        assert path.shape == (len(sizes),)
        if not sizes:
            continue
        P = enumerate_doc(tagging, i)
        first = numpy.cumsum([0, *sizes])[:-1]  # the first unit speaks for its token
        assert path.tolist() == [max(P, key=P.get)[j] for j in first]
        for token, j in enumerate(first):
            for tag in range(3):
                expected = sum(p for path_, p in P.items() if path_[j] == tag)
                assert mu[token, tag] == pytest.approx(expected, abs=1e-5)
        assert entropies[i] == pytest.approx(-sum(p * numpy.log(p) for p in P.values()), abs=1e-4)


def test_a_long_doc_does_not_widen_the_others(monkeypatch):
    monkeypatch.setattr(posterior_file, "MAX_ITEMS", 400)
    scheme = SpanLabels(["A"])
    docs = [[1], [1] * 60, [1, 1], [1]]
    tagging = make_tagging(docs, scheme.names, scheme.transitions(), spans=True)
    posterior = Posterior(tagging, spans=True)
    assert [chunk.docs for chunk in posterior.chunks] == [[1], [2, 0, 3]]
    assert [len(path) for path in posterior.paths()] == [1, 60, 2, 1]
    alone = make_tagging(docs, scheme.names, scheme.transitions(), spans=True)
    assert posterior.candidates(0.1)[1] == Posterior(alone, spans=True).candidates(0.1)[1]


def test_no_docs():
    scheme = SpanLabels(["A"])
    tagging = make_tagging([[], []], scheme.names, scheme.transitions(), spans=True)
    posterior = Posterior(tagging, spans=True)
    assert posterior.chunks == []
    assert [len(path) for path in posterior.paths()] == [0, 0]
    assert posterior.candidates(0.1) == [[], []]
    assert posterior.entropies().tolist() == [0, 0]
    assert [found.shape for found in posterior.span_probabilities([[], []])] == [(0,), (0,)]


def test_likely_spans_add_up_where_scores_are_sharp():
    scheme = SpanLabels(["A", "B"])
    tagging = make_tagging([[1] * 200], scheme.names, scheme.transitions(), spans=True, scale=20.0)
    posterior = Posterior(tagging, spans=True)
    (path,), (found,) = posterior.paths(), posterior.candidates(0.5)
    assert all(c.probability <= 1.0 for c in found)
    starts = {i for i, tag in enumerate(path) if tag and scheme.names[tag][0] in "BU"}
    assert len(found) > 20
    assert sum(c.start in starts for c in found) > 0.9 * len(found)


# Temperature and likelihood

TEMPERATURES = [0.3, 1.0, 4.0]


@pytest.mark.usefixtures("_chunks")
@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("unit", TOKENS)
def test_spans_are_exact_at_every_temperature(unit, temperature):
    scheme, docs = SpanLabels(["A"]), TOKENS[unit]
    tagging = make_tagging(docs, scheme.names, scheme.transitions(), spans=True)
    plain = Posterior(tagging, spans=True)
    posterior = plain.temper(temperature)
    rows = [
        [(i, j, 0) for i in range(len(doc)) for j in range(i + 1, len(doc) + 1)] for doc in docs
    ]
    scores, marginals = posterior.span_probabilities(rows), posterior.marginals()
    candidates, entropies = posterior.candidates(0.02), posterior.entropies()
    for i, (path, expected) in enumerate(zip(posterior.paths(), plain.paths())):
        assert path.tolist() == expected.tolist()
        if not docs[i]:
            continue
        P = {tags: p ** (1 / temperature) for tags, p in enumerate_doc(tagging, i).items()}
        P = {tags: p / sum(P.values()) for tags, p in P.items()}
        spans, outside = defaultdict(float), numpy.zeros(len(docs[i]))
        for tags, p in P.items():
            outside += p * numpy.array([t == "O" for t in token_tags(tags, docs[i], scheme.names)])
            for start, end, _ in spans_of(tags, docs[i], scheme.names):
                spans[start, end, 0] += p
        numpy.testing.assert_allclose(scores[i], [spans[row] for row in rows[i]], atol=1e-5)
        numpy.testing.assert_allclose(marginals[i][:, 0], outside, atol=1e-5)
        likely = sorted(row for row, p in spans.items() if p > 0.02)
        assert [(c.start, c.end, c.label) for c in candidates[i]] == likely
        assert entropies[i] == pytest.approx(-sum(p * numpy.log(p) for p in P.values()), abs=1e-4)


@pytest.mark.usefixtures("_chunks")
@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("unit", TOKENS)
def test_the_likelihood_of_annotation(unit, temperature):
    scheme, docs = SpanLabels(["A"]), TOKENS[unit]
    tagging = make_tagging(docs, scheme.names, scheme.transitions(), spans=True)
    posterior = Posterior(tagging, spans=True, temperature=temperature)
    best = posterior.paths()
    for known in ("all", "none", "first"):
        gold = [path.copy() for path in best]
        for ids in gold:
            ids[{"all": len(ids), "none": 0, "first": 1}[known] :] = -1
        found = posterior.log_likelihoods(numpy.concatenate(gold))
        assert found.shape == (len(docs),)
        for i, ids in enumerate(gold):
            if not docs[i]:
                assert found[i] == 0
                continue
            P = {tags: p ** (1 / temperature) for tags, p in enumerate_doc(tagging, i).items()}
            names = [scheme.names[tag] if tag >= 0 else None for tag in ids]
            agree = sum(
                p
                for tags, p in P.items()
                if all(
                    n in (None, t) for n, t in zip(names, token_tags(tags, docs[i], scheme.names))
                )
            )
            assert found[i] == pytest.approx(numpy.log(agree / sum(P.values())), abs=1e-4)
