"""The recursion against enumeration, and the rule that says where it can be trusted."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_semivae.modules import log_space
from spacy_semivae.modules.chain import (
    Potentials,
    _scan,
    at_end,
    length_mask,
    pass_messages,
    reorder,
)

NEVER = float("-inf")


def make_potentials(emissions, start, pair, end, dtype=torch.float32):
    tensors = (torch.as_tensor(x, dtype=dtype) for x in (emissions, start, pair, end))
    emissions, start, pair, end = tensors
    return Potentials(emissions[None], start, pair, end, torch.tensor([len(emissions)]))


def exact_log_Z(potentials):
    p = potentials
    scores = (x.double() for x in (p.emissions, p.start, p.pair, p.end))
    return log_space.log_partition(Potentials(*scores, p.lengths))


@pytest.mark.parametrize("forbid", [0.0, 0.5])
@pytest.mark.parametrize("tags", [1, 2, 4])
def test_messages_equal_enumeration(tags, forbid, make_batch, enumerate_paths):
    emissions, lengths, scores = make_batch(
        tags, forbid=forbid, masked=0.2, scale=3, seed=tags, lengths=(3, 5, 1, 2, 4)
    )
    messages = pass_messages(Potentials(emissions, lengths=lengths, **scores))
    assert messages.safe.all()
    nothing = torch.zeros(tags, dtype=torch.float64)
    forward, backward = messages.log_forward(), messages.log_backward()
    for doc, length in enumerate(lengths.tolist()):
        rows = emissions[doc, :length]
        torch.testing.assert_close(messages.log_Z[doc], enumerate_paths(rows, **scores).log_Z)
        for i in range(length):
            paths = enumerate_paths(rows[: i + 1], **{**scores, "end": nothing})
            at = [paths.scores[paths.tags[:, -1] == tag].logsumexp(0) for tag in range(tags)]
            torch.testing.assert_close(forward[doc, i], torch.stack(at))
            rest = torch.cat((nothing[None], rows[i + 1 :]))
            paths = enumerate_paths(rest, **{**scores, "start": nothing})
            at = [paths.scores[paths.tags[:, 0] == tag].logsumexp(0) for tag in range(tags)]
            torch.testing.assert_close(backward[doc, i], torch.stack(at))


def test_messages_are_normalised(make_batch):
    emissions, lengths, scores = make_batch(3, scale=40, lengths=(3, 5, 1))
    messages = pass_messages(Potentials(emissions, lengths=lengths, **scores))
    torch.testing.assert_close(messages.after.sum(3), torch.ones(5, 2, 3, dtype=torch.float64))


def test_a_document_that_underflows_without_a_trace():
    pair = [[0.0, NEVER], [NEVER, 0.0]]
    emissions = [[0.0, -120.0], [-70.0, 0.0], [-70.0, 0.0]]
    single = make_potentials(emissions, [0.0, 0.0], pair, [0.0, 0.0])
    messages = pass_messages(single)
    torch.testing.assert_close(messages.log_Z, torch.tensor([-140.0]))  # wrong, and finite
    assert not messages.safe
    double = make_potentials(emissions, [0.0, 0.0], pair, [0.0, 0.0], torch.float64)
    messages = pass_messages(double)
    assert messages.safe
    assert messages.log_Z.item() == pytest.approx(-120)


@pytest.mark.parametrize("where", ["steps", "emissions", "start and end", "pair"])
def test_the_best_path_that_both_directions_lose(where):
    # Tag 1 is unlikely at both ends and the best between them: each direction has lost it by then,
    # and both agree on tag 0.
    emissions = torch.zeros(15, 2)
    emissions[2:13, 0] = -20
    ends, pair = torch.zeros(2), torch.full((2, 2), NEVER).fill_diagonal_(0)
    if where == "steps":
        emissions[:2, 1] = emissions[13:, 1] = -52.5
    elif where == "emissions":
        emissions[0, 1] = emissions[-1, 1] = -105
    elif where == "start and end":
        ends[1] = -105
    else:
        pair[0, 1] = pair[1, 0] = -105
        emissions[:2, 1] = emissions[13:, 1] = NEVER
    potentials = make_potentials(emissions, ends, pair, ends)
    messages = pass_messages(potentials)
    assert exact_log_Z(potentials).item() == pytest.approx(-210, abs=1e-3)
    assert messages.log_Z.item() == pytest.approx(-220, abs=1e-3)
    assert not messages.safe


@pytest.mark.parametrize(
    ("unlikely", "last", "end"),
    [(50.0, 50.0, 0.0), (51.6, 51.6, 0.0), (54.0, 54.0, 0.0), (24.0, 79.0, NEVER)],
)
def test_sums_that_lost_their_digits_are_not_safe(unlikely, last, end):
    # The likely tag 0 leads nowhere. What is left is a subnormal number, rescaled to one.
    emissions = [[0.0, -unlikely, -unlikely], [NEVER, 0.0, -last]]
    pair = [[0.0, NEVER, NEVER], [NEVER, NEVER, 0.0], [NEVER, NEVER, NEVER]]
    potentials = make_potentials(emissions, [0.0, 0.0, NEVER], pair, [0.0, end, 0.0])
    messages = pass_messages(potentials)
    exact = exact_log_Z(potentials)
    torch.testing.assert_close(exact, torch.tensor([-unlikely - last]).double())
    assert not (messages.log_Z - exact).abs() < 1e-3  # NaN included
    assert not messages.safe


def test_directions_that_hardly_meet_are_not_safe():
    # Forward tag 0 is likely, backward tag 2, and the only path is that of tag 1.
    pair = torch.full((3, 3), NEVER).fill_diagonal_(0)
    start, end = [0.0, 0.0, NEVER], [NEVER, 0.0, 0.0]
    emissions = [[0.0, -26.0, 0.0], [0.0] * 3, [0.0, -26.0, 0.0]]
    potentials = make_potentials(emissions, start, pair, end)
    messages = pass_messages(potentials)
    assert (messages.scale > math.exp(-25)).all()
    torch.testing.assert_close(messages.log_Z, torch.tensor([-52.0]))
    assert not messages.safe  # the marginals at token 1 divide by exp(-52)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_directions_that_never_meet_are_not_safe(steps):
    # Both directions run through, over different tags.
    pair = torch.full((2, 2), NEVER).fill_diagonal_(0)
    potentials = make_potentials(torch.zeros(steps, 2), [0.0, NEVER], pair, [NEVER, 0.0])
    assert not pass_messages(potentials).safe


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["emissions", "start", "pair", "end"])
def test_nan_and_infinity_are_not_safe(name, value, make_batch):
    emissions, lengths, scores = make_batch(3, lengths=(2, 1, 3))
    {"emissions": emissions[1], **scores}[name].view(-1)[1] = value
    safe = pass_messages(Potentials(emissions, lengths=lengths, **scores)).safe.tolist()
    assert safe == ([True, False, True] if name == "emissions" else [False] * 3)


def test_ordinary_scores_are_safe(make_batch):
    emissions, lengths, scores = make_batch(4, scale=8, lengths=(30, 1, 17))
    single = {name: x.float() for name, x in scores.items()}
    assert pass_messages(Potentials(emissions.float(), lengths=lengths, **single)).safe.all()


def draw_potentials(tags, steps, scale, forbid, levels, seed):
    """Gives 16 documents; with `levels` the scores are the ones that a rule may just let pass."""
    generator = torch.Generator().manual_seed(seed)

    def draw(shape, values, share):
        scores = torch.randn(shape, generator=generator) * scale
        if levels:
            chosen = torch.randint(len(values), shape, generator=generator)
            scores = -torch.tensor(values)[chosen] * scale / 100
        return scores.masked_fill(torch.rand(shape, generator=generator) < share, NEVER)

    emissions = draw((16, steps, tags), [0.0, 25.0, 50.0, 54.0, 79.0], forbid / 2)
    shapes = (tags,), (tags, tags), (tags,)
    ends = [draw(shape, [0.0, 12.0, 24.0], forbid) for shape in shapes]
    if not levels:
        ends = [x * min(1, 10 / scale) for x in ends]
    lengths = torch.randint(1, steps + 1, (16,), generator=generator)
    peak = emissions.amax(2, keepdim=True)
    emissions = emissions - torch.where(peak.isfinite(), peak, 0.0)
    emissions = emissions.masked_fill(~length_mask(lengths, steps)[..., None], 0.0)
    return Potentials(emissions, *ends, lengths)


@settings(max_examples=120, deadline=None, derandomize=True, database=None)
@given(
    tags=st.integers(1, 6),
    steps=st.integers(1, 30),
    scale=st.floats(1, 100),
    forbid=st.sampled_from([0.0, 0.3, 0.6]),
    levels=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_safe_means_right(tags, steps, scale, forbid, levels, seed):
    potentials = draw_potentials(tags, steps, scale, forbid, levels, seed)
    messages = pass_messages(potentials)
    expected = exact_log_Z(potentials)
    got = messages.log_Z.double()
    torch.testing.assert_close(got[messages.safe], expected[messages.safe], rtol=1e-4, atol=1e-4)
    assert (expected[messages.safe] > log_space.FORBIDDEN / 2).all()


def test_recursion_never_leaves_its_device():
    # On the meta device a read by the host raises, as does a tensor made on the CPU by mistake.
    S, first, E = (torch.zeros(s, device="meta") for s in [(4, 2, 3, 5), (2, 3, 5), (2, 5, 5)])
    before, after, scale = _scan(S, first, E)
    assert before.shape == after.shape == (4, 2, 3, 5)
    assert scale.shape == (4, 2, 3, 1)
    assert before.device == scale.device == torch.device("meta")


def test_reorder_reverses_each_document_and_back(make_batch):
    emissions, lengths, scores = make_batch(2, lengths=(3, 1, 4))
    back = pass_messages(Potentials(emissions, lengths=lengths, **scores)).back
    X = torch.arange(12.0).view(3, 4).T[..., None]  # (N, B, 1)
    assert reorder(X, back)[..., 0].T.tolist() == [[2, 1, 0, 3], [4, 5, 6, 7], [11, 10, 9, 8]]
    assert torch.equal(reorder(reorder(X, back), back), X)
    assert at_end(X, lengths).tolist() == [[2], [4], [11]]


def test_length_mask():
    mask = length_mask(torch.tensor([0, 2, 3]), 3)
    assert mask.tolist() == [[False] * 3, [True, True, False], [True] * 3]
