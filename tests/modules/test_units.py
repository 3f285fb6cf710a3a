"""Layout of units, and tags that go from tokens to word pieces and back."""

from itertools import chain, pairwise, product

import pytest
import torch

from spacy_semivae.labels import SpanLabels
from spacy_semivae.modules.units import (
    FIRST,
    INNER,
    LAST,
    ONLY,
    Units,
    allowed_in_token,
    kinds_of,
    merge_tags,
    spread_spans,
    spread_tags,
)

NAMES = SpanLabels(["X", "Y"]).names  # O, B-X, I-X, L-X, U-X, B-Y ...
MASK = SpanLabels(["X", "Y"]).transitions()


def ids(text):
    return torch.tensor([-1 if name == "?" else NAMES.index(name) for name in text.split()])


def is_valid(tags):
    return (
        bool(MASK.start[tags[0]] and MASK.end[tags[-1]])
        and all(MASK.pair[a, b] for a, b in pairwise(tags))
    )  # fmt: skip


@pytest.mark.parametrize("lengths", [[2, 0, 3], [], [0], [0, 0], [1], [4, 1, 1]])
def test_layout(lengths):
    units = Units.of(lengths)
    assert units.lengths.tolist() == lengths
    assert units.steps == max(lengths, default=0)
    expected = [(doc, i) for doc, n in enumerate(lengths) for i in range(n)]
    assert list(zip(units.docs.tolist(), units.positions.tolist())) == expected
    assert units.kinds is None
    X = torch.randn((sum(lengths), 2), requires_grad=True)
    padded = units.pad(X, 7.0)
    assert padded.shape == (len(lengths), units.steps, 2)
    for row, n, values in zip(padded, lengths, X.split(lengths)):
        assert torch.equal(row[:n], values)
        assert (row[n:] == 7).all()
    assert torch.equal(padded[units.docs, units.positions], X)
    padded.sum().backward()
    assert (X.grad == 1).all()


def test_pads_other_types():
    units = Units.of([1, 2])
    mask = units.pad(torch.tensor([False, True, False]), True)
    assert mask.tolist() == [[False, True], [True, False]]
    assert units.pad(torch.tensor([3, 4, 5])).tolist() == [[3, 0], [4, 5]]


def test_kinds_are_kept():
    kinds = kinds_of(torch.tensor([1, 2, 4]))
    assert kinds.tolist() == [ONLY, FIRST, LAST, FIRST, INNER, INNER, LAST]
    assert torch.equal(Units.of([3, 4], kinds=kinds).kinds, kinds)
    assert torch.equal(Units.of([3, 4], kinds=kinds.numpy()).kinds, kinds)
    assert kinds_of(torch.zeros(0, dtype=torch.int64)).tolist() == []


def test_tags_allowed_in_a_token():
    allowed = allowed_in_token(torch.tensor([INNER, FIRST, LAST, ONLY]), len(NAMES))
    letters = [{NAMES[c][0] for c in row.nonzero()[:, 0]} for row in allowed]
    assert letters == [set("OI"), set("OBI"), set("OIL"), set("OBILU")]
    for row in allowed:  # both types alike
        assert torch.equal(row[1:5], row[5:])


@pytest.mark.parametrize(
    ("tags", "lengths", "expected"),
    [
        ("O U-X O", [2, 3, 1], "O O B-X I-X L-X O"),
        ("B-Y I-Y L-Y", [2, 2, 2], "B-Y I-Y I-Y I-Y I-Y L-Y"),
        ("U-Y", [1], "U-Y"),
        ("? B-X L-X ?", [2, 1, 2, 1], "? ? B-X I-X L-X ?"),
        ("? L-Y", [1, 3], "? I-Y I-Y L-Y"),
    ],
)
def test_spread_tags(tags, lengths, expected):
    found = spread_tags(ids(tags), torch.tensor(lengths), spans=True)
    assert found.tolist() == ids(expected).tolist()


def test_tags_without_spans_repeat():
    tags, lengths = torch.tensor([4, -1, 3, 1]), torch.tensor([1, 2, 3, 1])
    spread = spread_tags(tags, lengths, spans=False)
    assert spread.tolist() == [4, -1, -1, 3, 3, 3, 1]
    assert merge_tags(spread, lengths, spans=False).tolist() == tags.tolist()
    mixed = torch.tensor([4, 0, 2, 3, 1, 2, 1])  # the first speaks for its token
    assert merge_tags(mixed, lengths, spans=False).tolist() == [4, 0, 3, 1]


def random_path(size):
    tags = [int(torch.tensor(MASK.start).nonzero()[:, 0][torch.randint(5, ())])]
    while len(tags) < size or not MASK.end[tags[-1]]:
        after = MASK.pair[tags[-1]].nonzero()[0]
        tags.append(int(after[torch.randint(len(after), ())]))
    return tags


def test_round_trip_of_random_paths():
    for seed in range(200):
        torch.manual_seed(seed)
        tags = random_path(1 + seed % 7)
        lengths = torch.randint(1, 5, (len(tags),))
        spread = spread_tags(torch.tensor(tags), lengths, spans=True)
        allowed = allowed_in_token(kinds_of(lengths), len(NAMES))
        assert is_valid(spread.tolist())
        assert allowed[torch.arange(len(spread)), spread].all()
        assert merge_tags(spread, lengths, spans=True).tolist() == tags


@pytest.mark.parametrize("lengths", [[1, 2], [2, 1, 1], [3, 1], [2, 2], [4], [1, 1, 1]])
def test_paths_of_units_are_those_of_tokens(lengths):
    """Every path over units that the masks allow is that of one path over tokens."""
    sizes = torch.tensor(lengths)
    rows = [row.nonzero()[:, 0].tolist() for row in allowed_in_token(kinds_of(sizes), len(NAMES))]
    paths = [path for path in product(*rows) if is_valid(path)]
    merged = [tuple(merge_tags(torch.tensor(path), sizes, spans=True).tolist()) for path in paths]
    every = product(range(len(NAMES)), repeat=len(lengths))
    assert sorted(merged) == [path for path in every if is_valid(path)]
    for path, tags in zip(paths, merged):
        assert spread_tags(torch.tensor(tags), sizes, spans=True).tolist() == list(path)


def test_spread_spans():
    lengths = torch.tensor([2, 1, 3, 1, 2])
    rows = torch.tensor([[0, 1, 2, 3, 2, 4], [1, 2, 3, 4, 8, 4], [0, 0, 0, 1, 2, 3]])
    units = [[0, 1, 2, 3, 4, 5], [6], [3, 4, 5], [7, 8]]
    names = ["B-X I-X I-X I-X I-X L-X", "U-X", "B-Y I-Y L-Y", "B-X L-X"]
    unit, tag, span = spread_spans(rows, lengths)
    assert unit.tolist() == [*chain(*units)]
    assert tag.tolist() == [*chain(*[ids(name).tolist() for name in names])]
    assert span.tolist() == [0] * 6 + [1] + [2] * 3 + [3] * 2
    ones = torch.ones(5, dtype=torch.int64)
    assert torch.equal(spread_spans(rows, ones), rows)
    assert spread_spans(rows[:, :0], lengths).shape == (3, 0)
