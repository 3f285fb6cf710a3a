"""Rejected spans against the enumeration of all paths, from unlikely ones to certain ones."""

import math

import pytest
import torch

from spacy_semivae.labels import SpanLabels
from spacy_semivae.modules.crf import LinearChainCRF
from spacy_semivae.modules.rejection import reject
from spacy_semivae.modules.units import Units

C, LENGTHS = 9, [3, 1, 0, 2]
O, B, I, L, U = range(5)  # noqa: E741
# unit and tag of each unit of a span; units 0 to 2 are those of the first document
SPANS = {
    "U": [(0, U)],
    "BL": [(0, B), (1, L)],
    "BIL": [(0, B), (1, I), (2, L)],
    "other type": [(1, 4 + B), (2, 4 + L)],
    "all of a document": [(4, B), (5, L)],
    "one unit": [(3, 4 + U)],
}


def make_scores(**shifts):
    """Emissions (T, C), and transitions of BILOU."""
    mask = SpanLabels(["X", "Y"]).transitions()
    parts = {name: torch.from_numpy(getattr(mask, name)) for name in ("start", "pair", "end")}
    ends = {
        name: torch.randn(x.shape, dtype=torch.float64).masked_fill(~x, -math.inf)
        for name, x in parts.items()
    }
    return torch.randn((sum(LENGTHS), C), dtype=torch.float64), ends


def rows(*spans):
    found = [(unit, tag, number) for number, span in enumerate(spans) for unit, tag in span]
    return torch.tensor(found).T


def run(emissions, ends, rejected, allowed=None):
    units = Units.of(LENGTHS)
    if allowed is None:
        allowed = torch.ones(emissions.shape, dtype=torch.bool)
    q = LinearChainCRF(units.pad(emissions), units.lengths, **ends)
    return reject(q, units.pad(allowed, True), units, rejected)


def expected_loss(emissions, ends, span, enumerate_paths, allowed=None):
    """-log of the share of the paths without the span."""
    units = Units.of(LENGTHS)
    here = units.docs == units.docs[span[0][0]]
    scores = emissions if allowed is None else emissions.masked_fill(~allowed, -math.inf)
    paths = enumerate_paths(scores[here], **ends)
    positions = units.positions[[unit for unit, _ in span]]
    has = (paths.tags[:, positions] == torch.tensor([tag for _, tag in span])).all(1)
    return paths.log_Z - paths.scores[~has].logsumexp(0)


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("sure", [-10.0, 0.0, 5.0, 20.0, 60.0, 1e4])
def test_equals_enumeration_however_sure(span, sure, enumerate_paths):
    emissions, ends = make_scores()
    for unit, tag in SPANS[span]:
        emissions[unit, tag] += sure
    inputs = [emissions, *ends.values()]
    for x in inputs:
        x.requires_grad_()
    found = run(emissions, ends, rows(SPANS[span]))
    expected = expected_loss(emissions, ends, SPANS[span], enumerate_paths)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-12)
    for got, want in zip(*[torch.autograd.grad(x, inputs) for x in (found, expected)]):
        torch.testing.assert_close(got, want.nan_to_num(), rtol=1e-6, atol=1e-9)
    if sure > 0:
        assert found > 0.4 * sure  # and so there is a gradient to compare


def test_single_precision_learns_where_the_model_is_sure(enumerate_paths):
    emissions, ends = make_scores()
    emissions[0, B] += 25
    emissions[1, L] += 25
    single = emissions.float().requires_grad_()
    run(single, {name: x.float() for name, x in ends.items()}, rows(SPANS["BL"])).backward()
    emissions.requires_grad_()
    expected_loss(emissions, ends, SPANS["BL"], enumerate_paths).backward()
    torch.testing.assert_close(single.grad, emissions.grad.float(), rtol=1e-4, atol=1e-4)
    assert single.grad.abs().max() > 0.4


def test_spans_are_averaged_as_if_independent(enumerate_paths):
    emissions, ends = make_scores()
    allowed = torch.rand(emissions.shape) < 0.7
    allowed[:, [O, B, L, U]] = True
    spans = list(SPANS.values())
    found = run(emissions, ends, rows(*spans), allowed)
    losses = [expected_loss(emissions, ends, span, enumerate_paths, allowed) for span in spans]
    torch.testing.assert_close(found, torch.stack(losses).mean())
    assert run(emissions, ends, rows(*spans[::-1]), allowed).item() == pytest.approx(found.item())


@pytest.mark.parametrize(("unit", "tag"), [(0, O), (1, I), (0, U)])
def test_a_span_that_the_annotation_excludes_is_zero(unit, tag):
    emissions, ends = make_scores()
    allowed = torch.ones(emissions.shape, dtype=torch.bool)
    allowed[unit] = torch.arange(C) == tag
    emissions.requires_grad_()
    loss = run(emissions, ends, rows(SPANS["BL"]), allowed)
    assert loss.item() == 0
    assert not loss.requires_grad
    both = run(emissions, ends, rows(SPANS["BL"], SPANS["one unit"]), allowed)
    alone = run(emissions, ends, rows(SPANS["one unit"]), allowed)
    torch.testing.assert_close(both, alone / 2)


def test_a_span_without_alternative_is_zero():
    emissions, ends = make_scores()
    allowed = torch.ones(emissions.shape, dtype=torch.bool)
    for unit, tag in SPANS["BL"]:
        allowed[unit] = torch.arange(C) == tag
    assert run(emissions, ends, rows(SPANS["BL"]), allowed).item() == 0


@pytest.mark.parametrize(("short", "long"), [("U", "BL"), ("BL", "BIL"), ("U", "BIL")])
def test_a_longer_span_from_the_same_start_keeps_its_probability(short, long):
    emissions, ends = make_scores()
    for name, shift in ((short, 3), (long, 2)):
        for unit, tag in SPANS[name]:
            emissions[unit, tag] += shift

    def probability(name):
        units = Units.of(LENGTHS)
        q = LinearChainCRF(units.pad(emissions.detach()), units.lengths, **ends)
        unit, tag, span = rows(SPANS[name])
        return q.span_probability(units.docs[unit], units.positions[unit], tag, span).item()

    rejected, kept = probability(short), probability(long)
    assert min(rejected, kept) > 0.04
    emissions.requires_grad_()
    optimizer = torch.optim.SGD([emissions], 0.5)
    for _ in range(40):
        optimizer.zero_grad()
        run(emissions, ends, rows(SPANS[short])).backward()
        optimizer.step()
    assert probability(short) < 0.2 * rejected
    assert probability(long) > kept
