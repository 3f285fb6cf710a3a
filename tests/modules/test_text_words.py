"""What a decoder reads, and which words belong to which pair."""

import pytest
import torch

from spacy_semivae.modules.text_words import (
    END,
    UNKNOWN,
    Texts,
    build_embedding,
    shift,
    token_index,
)

WORDS, LENGTHS = torch.tensor([5, 6, 7, 8, 9, 4]), torch.tensor([3, 1, 2])


def test_shift():
    assert shift(WORDS, LENGTHS, 0.0).tolist() == [END, 5, 6, END, END, 9]
    assert shift(WORDS, LENGTHS, 1.0).tolist() == [END, UNKNOWN, UNKNOWN, END, END, UNKNOWN]
    none = torch.zeros(0, dtype=torch.int64)
    assert shift(none, none, 0.5).tolist() == []


def test_share_of_hidden_words():
    words, lengths = torch.full((8000,), 5), torch.tensor([8000])
    hidden = (shift(words, lengths, 0.3) == UNKNOWN).double().mean().item()
    assert hidden == pytest.approx(0.3, abs=0.03)


def test_token_index():
    assert token_index(LENGTHS, torch.tensor([2, 0, 0, 1])).tolist() == [4, 5, 0, 1, 2, 0, 1, 2, 3]
    assert token_index(LENGTHS, torch.zeros(0, dtype=torch.int64)).tolist() == []


def test_select():
    texts = Texts(WORDS, torch.tensor([3, 0, 1, 2]), torch.arange(8.0).view(4, 2))
    some = texts.select(torch.tensor([0, 2, 3]))
    assert some.lengths.tolist() == LENGTHS.tolist()
    assert some.vectors.tolist() == [[0, 1], [4, 5], [6, 7]]
    assert Texts(WORDS, LENGTHS).select(torch.tensor([0, 1, 2])).vectors is None


def test_rows_start_at_unit_length():
    weight = build_embedding(2000, 9).weight
    assert weight.requires_grad
    assert weight.square().sum(1).mean().item() == pytest.approx(1.0, rel=0.1)
