"""Viterbi against the enumeration of all paths."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch

from spacy_semivae.modules.crf import _best_path, length_mask, transition_scores, viterbi

NEVER = float("-inf")


def path_score(path, emissions, start, pair, end):
    score = start[path[0]] + end[path[-1]] + sum(emissions[i, y] for i, y in enumerate(path))
    return float(score + sum(pair[a, b] for a, b in pairwise(path)))


def brute_force(emissions, start, pair, end):
    paths = product(range(emissions.shape[1]), repeat=emissions.shape[0])
    return max(paths, key=lambda path: path_score(path, emissions, start, pair, end))


def random_scores(tags, *, forbid, generator):
    def draw(*shape):
        scores = torch.randn(shape, generator=generator, dtype=torch.float64)
        return scores.masked_fill(torch.rand(shape, generator=generator) < forbid, NEVER)

    start, pair, end = draw(tags), draw(tags, tags), draw(tags)
    start[0] = end[0] = pair[0, 0] = 0.5  # so that one path is always allowed
    return {"start": start, "pair": pair, "end": end}


@pytest.mark.parametrize("forbid", [0.0, 0.5])
@pytest.mark.parametrize("tags", [1, 2, 3, 4])
def test_viterbi_equals_enumeration(tags, forbid):
    generator = torch.Generator().manual_seed(17 * tags)
    for _ in range(4):
        scores = random_scores(tags, forbid=forbid, generator=generator)
        lengths = torch.tensor([3, 0, 5, 1, 2, 4])
        emissions = torch.randn((6, 5, tags), generator=generator, dtype=torch.float64)
        paths = viterbi(emissions, lengths, **scores)
        assert paths.shape == (6, 5)
        assert paths.dtype == torch.int64
        for doc, length in enumerate(lengths.tolist()):
            best = brute_force(emissions[doc, :length], **scores) if length else ()
            assert tuple(paths[doc].tolist()) == best + (0,) * (5 - length)


def test_padding_has_no_influence():
    generator = torch.Generator().manual_seed(3)
    scores = random_scores(3, forbid=0.3, generator=generator)
    emissions = torch.randn((2, 5, 3), generator=generator, dtype=torch.float64)
    lengths = torch.tensor([2, 4])
    expected = viterbi(emissions, lengths, **scores)
    for value in (NEVER, float("inf"), float("nan")):
        emissions[0, 2:] = emissions[1, 4:] = value
        assert torch.equal(viterbi(emissions, lengths, **scores), expected)


@pytest.mark.parametrize("shape", [(3, 0, 2), (0, 4, 2), (0, 0, 2)])
def test_empty_batches_and_documents(shape):
    scores = random_scores(2, forbid=0, generator=torch.Generator().manual_seed(0))
    lengths = torch.zeros(shape[0], dtype=torch.int64)
    assert viterbi(torch.zeros(shape), lengths, **scores).shape == shape[:2]


def test_half_precision_sums_in_single():
    # 2048 + 1 is no number of float16: the path that collects the small scores would tie.
    emissions = torch.zeros((1, 9, 2), dtype=torch.float16)
    emissions[0, 0] = 2048
    emissions[0, 1:, 1] = 0.5
    scores = {"start": torch.zeros(2), "pair": torch.zeros(2, 2), "end": torch.zeros(2)}
    scores["pair"].fill_(NEVER).fill_diagonal_(0)
    assert viterbi(emissions, torch.tensor([9]), **scores).tolist() == [[1] * 9]


def test_pair_is_indexed_from_to():
    pair = torch.full((2, 2), NEVER)
    pair[0, 1] = pair[1, 1] = 0.0
    start, end = torch.tensor([0.0, NEVER]), torch.zeros(2)
    emissions = torch.tensor([[[0.0, 9.0], [9.0, 0.0], [9.0, 0.0]]])
    assert viterbi(emissions, torch.tensor([3]), start=start, pair=pair, end=end).tolist() == [
        [0, 1, 1]
    ]


def test_no_path_names_the_doc():
    scores = {"start": torch.zeros(2), "pair": torch.zeros(2, 2), "end": torch.full((2,), NEVER)}
    emissions = torch.zeros(3, 4, 2)
    assert viterbi(emissions, torch.tensor([0, 0, 0]), **scores).tolist() == [[0] * 4] * 3
    with pytest.raises(ValueError, match="no path of Doc 1 of the batch is allowed"):
        viterbi(emissions, torch.tensor([0, 2, 4]), **scores)
    scores["end"] = torch.zeros(2)
    emissions[2, 1] = float("nan")
    with pytest.raises(ValueError, match=r"Doc 2 .* NaN"):
        viterbi(emissions, torch.tensor([0, 2, 4]), **scores)


@pytest.mark.parametrize("lengths", [[5], [-1]])
def test_lengths_out_of_range(lengths):
    scores = {"start": torch.zeros(2), "pair": torch.zeros(2, 2), "end": torch.zeros(2)}
    with pytest.raises(ValueError, match=f"0 to 4, got {lengths[0]} for Doc 0"):
        viterbi(torch.zeros(1, 4, 2), torch.tensor(lengths), **scores)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("emissions", torch.zeros(4, 2), r"\(B, N, C\).*got \(4, 2\)"),
        ("emissions", torch.zeros(1, 4, 0), r"C > 0.*got \(1, 4, 0\)"),
        ("emissions", torch.zeros(1, 4, 2, dtype=torch.int64), "torch.int64"),
        ("lengths", torch.tensor([1, 2]), r"shape \(1,\), got \(2,\)"),
        ("lengths", torch.tensor([1.0]), "torch.float32"),
        ("start", torch.zeros(3), r"start must have shape \(2,\), got \(3,\)"),
        ("pair", torch.zeros(2, 3), r"pair must have shape \(2, 2\), got \(2, 3\)"),
        ("end", torch.zeros(1), r"end must have shape \(2,\), got \(1,\)"),
    ],
)
def test_wrong_shapes_are_quoted(name, value, message):
    arguments = {
        "emissions": torch.zeros(1, 4, 2),
        "lengths": torch.tensor([4]),
        "start": torch.zeros(2),
        "pair": torch.zeros(2, 2),
        "end": torch.zeros(2),
    }
    arguments[name] = value
    with pytest.raises(ValueError, match=message):
        viterbi(arguments.pop("emissions"), arguments.pop("lengths"), **arguments)


def test_recursion_never_leaves_its_device():
    # On the meta device a read by the host raises, as does a tensor made on the CPU by mistake.
    emissions, lengths = torch.zeros(3, 4, 2, device="meta"), torch.zeros(3, device="meta").long()
    start, pair, end = (torch.zeros(s, device="meta") for s in [(2,), (2, 2), (2,)])
    path, score = _best_path(emissions, lengths, start, pair, end)
    assert path.shape == (3, 4)
    assert score.shape == (3,)
    assert path.device == score.device == torch.device("meta")


def test_transition_scores():
    mask = np.array([[True, False], [False, True]])
    expected = torch.tensor([[0.0, NEVER], [NEVER, 0.0]])
    assert torch.equal(transition_scores(mask), expected)
    assert torch.equal(transition_scores(torch.from_numpy(mask)), expected)
    with pytest.raises(ValueError, match="boolean"):
        transition_scores(torch.zeros(2))


def test_length_mask():
    mask = length_mask(torch.tensor([0, 2, 3]), 3)
    assert mask.tolist() == [[False] * 3, [True, True, False], [True] * 3]
