"""Viterbi against the enumeration of all paths."""

import numpy as np
import pytest
import torch

from spacy_semivae.modules.viterbi import (
    _best_path,
    best_margin,
    path_error,
    transition_scores,
    viterbi,
)

NEVER = float("-inf")


@pytest.mark.parametrize("forbid", [0.0, 0.5])
@pytest.mark.parametrize("tags", [1, 2, 3, 4])
def test_viterbi_equals_enumeration(tags, forbid, make_batch, all_paths):
    for seed in range(4):
        emissions, lengths, scores = make_batch(tags, forbid=forbid, masked=forbid / 2, seed=seed)
        paths = viterbi(emissions, lengths, **scores)
        assert paths.shape == (6, 5)
        assert paths.dtype == torch.int64
        for path, found in zip(paths.tolist(), all_paths(emissions, lengths, scores)):
            best = found.tags[found.scores.argmax()].tolist()
            assert path == best + [0] * (5 - len(best))


def test_padding_has_no_influence(make_batch):
    emissions, lengths, scores = make_batch(3, forbid=0.3, seed=3, lengths=(2, 4, 5))
    expected = viterbi(emissions, lengths, **scores)
    for value in (NEVER, float("inf"), float("nan")):
        emissions[0, 2:] = emissions[1, 4:] = value
        assert torch.equal(viterbi(emissions, lengths, **scores), expected)


@pytest.mark.parametrize("shape", [(3, 0, 2), (0, 4, 2), (0, 0, 2)])
def test_empty_batches_and_documents(shape, random_scores):
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


@pytest.mark.parametrize(
    ("hide", "change", "message"),
    [
        ([(1, 2, 0), (1, 2, 1)], {}, "token 2 has no allowed tag"),
        ([(1, 1, 1), (1, 2, 0)], {"pair": (0, 1)}, "no allowed tag of token 2 may follow"),
        ([(1, 0, 1)], {"start": (0,)}, "no allowed tag of token 0 may follow"),
        ([(1, 3, 0)], {"end": (1,)}, "no tag of its last token, 3, may end it"),
    ],
)
def test_error_names_the_token(hide, change, message):
    scores = {"start": torch.zeros(2), "pair": torch.zeros(2, 2), "end": torch.zeros(2)}
    emissions, lengths = torch.zeros(2, 5, 2), torch.tensor([5, 4])
    for place in hide:
        emissions[place] = NEVER
    for name, place in change.items():
        scores[name][place] = NEVER
    with pytest.raises(ValueError, match=f"Doc 1 of the batch is allowed: {message}"):
        viterbi(emissions, lengths, **scores)
    assert message in str(path_error(emissions, lengths, 1, **scores))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["emissions", "start", "pair", "end"])
def test_error_for_nan_and_infinity(name, value):
    scores = {"start": torch.zeros(2), "pair": torch.zeros(2, 2), "end": torch.zeros(2)}
    emissions = torch.zeros(2, 3, 2)
    {"emissions": emissions[1], **scores}[name].view(-1)[1] = value
    error = path_error(emissions, torch.tensor([3, 3]), 1, **scores)
    assert str(error) == "Doc 1 of the batch has NaN or infinity among its scores"


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


@pytest.mark.parametrize("forbid", [0.0, 0.5])
@pytest.mark.parametrize("tags", [1, 2, 3, 4])
def test_margin_equals_enumeration(tags, forbid, make_batch, all_paths):
    for seed in range(4):
        emissions, lengths, scores = make_batch(tags, forbid=forbid, masked=forbid / 2, seed=seed)
        margins = best_margin(emissions, lengths, **scores)
        for margin, found in zip(margins.tolist(), all_paths(emissions, lengths, scores)):
            best = found.scores.sort(descending=True).values.tolist()
            second = best[1] if len(best) > 1 else NEVER
            assert margin == pytest.approx(best[0] - second)


def test_margin_of_a_tie_and_beside_padding(make_batch):
    free = {"start": torch.zeros(2), "pair": torch.zeros(2, 2), "end": torch.zeros(2)}
    assert best_margin(torch.zeros(1, 3, 2), torch.tensor([3]), **free).tolist() == [0.0]
    emissions, lengths, scores = make_batch(3, forbid=0.3, seed=3, lengths=(2, 4, 5))
    expected = best_margin(emissions, lengths, **scores)
    emissions[0, 2:] = float("nan")
    assert torch.equal(best_margin(emissions, lengths, **scores), expected)
    assert (
        best_margin(torch.zeros(2, 0, 2), torch.zeros(2).long(), **free).tolist()
        == [float("inf")] * 2
    )


def test_margin_keeps_small_differences_of_large_sums():
    free = {"start": torch.zeros(2), "pair": torch.zeros(2, 2), "end": torch.zeros(2)}
    emissions = torch.full((1, 400, 2), 1e4)
    emissions[..., 1] = -1e4
    emissions[0, 7, 1] = 1e4 - 1
    assert best_margin(emissions, torch.tensor([400]), **free).tolist() == [1.0]
