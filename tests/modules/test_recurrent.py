"""Flat recurrences against nn.GRU on one sequence at a time."""

import pytest
import torch

from spacy_semivae.modules.recurrent import BiGRU, CharWordBiGRU, Packing

LENGTHS = [[3, 5, 1, 3], [1], [6], [2, 2, 2], [0, 4, 0, 1, 0], [1, 1]]


def one_by_one(gru, X, lengths):
    """The states and last states of each sequence run alone through PyTorch's GRU."""
    states, last = [], []
    for part in X.split(lengths):
        if len(part):
            Y, h = gru.gru(part[:, None])
            states.append(Y[:, 0])
            last.append(torch.cat((h[0, 0], h[1, 0])))
    return torch.cat(states), torch.stack(last)


@pytest.mark.parametrize("lengths", LENGTHS)
def test_states_equal_single_runs(lengths):
    gru = BiGRU(nI=4, nH=3).double()
    X = torch.randn(sum(lengths), 4, dtype=torch.float64)
    states, last = one_by_one(gru, X, lengths)
    torch.testing.assert_close(gru(X, torch.tensor(lengths)), states)
    if min(lengths):
        torch.testing.assert_close(gru.last_states(X, torch.tensor(lengths)), last)


def test_no_items():
    gru = BiGRU(nI=4, nH=3)
    X = torch.zeros(0, 4)
    assert gru(X, torch.tensor([0, 0])).shape == (0, 6)
    assert gru(X, torch.zeros(0, dtype=torch.int64)).shape == (0, 6)
    assert gru.last_states(X, torch.zeros(0, dtype=torch.int64)).shape == (0, 6)


def test_gradcheck():
    gru = BiGRU(nI=2, nH=2).double()
    X = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([2, 1, 3])
    assert torch.autograd.gradcheck(lambda X: gru(X, lengths), X)
    assert torch.autograd.gradcheck(lambda X: gru.last_states(X, lengths), X)


def test_packed_order():
    packing = Packing.from_lengths(torch.tensor([1, 3, 2]), torch.device("cpu"))
    assert packing.batch_sizes.tolist() == [3, 2, 1]
    assert packing.order.tolist() == [1, 4, 0, 2, 5, 3]  # firsts of the longest, ..., shortest
    assert packing.last.tolist() == [1, 2, 0]
    assert packing.order[packing.inverse].tolist() == list(range(6))


def test_initial_weights():
    gru = BiGRU(nI=5, nH=4).gru
    for gate in gru.weight_hh_l0.chunk(3):
        torch.testing.assert_close(gate @ gate.T, torch.eye(4))
    for gate in gru.weight_hh_l0_reverse.chunk(3):
        torch.testing.assert_close(gate @ gate.T, torch.eye(4))
    assert not gru.bias_ih_l0.any()
    assert not gru.bias_hh_l0_reverse.any()


def make_encoder(*, learned=True, nW=6):
    return CharWordBiGRU(
        nC=7, nW=nW, width=3, char_width=2, char_hidden=2, hidden=3, learned=learned
    )


WORDS = {  # characters and embedding row of three distinct words
    "chars": [[2, 3], [4], [5, 6, 1]],
    "rows": [2, 0, 5],
}
TOKENS = [0, 1, 0, 2, 2]  # the word at each token
DOCS = torch.tensor([3, 0, 2])


def encode(model, words, positions, *, static=None, dropout=0.0):
    chars = [WORDS["chars"][word] for word in words]
    spelling = model.spell(
        torch.tensor([c for word in chars for c in word]), torch.tensor([len(c) for c in chars])
    )
    rows = torch.tensor([WORDS["rows"][word] for word in words])
    static = None if static is None else static[words]
    return model(spelling, rows, static, torch.tensor(positions), DOCS, dropout)


@pytest.mark.parametrize("with_static", [True, False])
def test_distinct_words_equal_tokens(with_static):
    model = make_encoder()
    static = torch.randn(3, 3) if with_static else None
    once = encode(model, [0, 1, 2], TOKENS, static=static)
    each = encode(model, TOKENS, range(len(TOKENS)), static=static)
    torch.testing.assert_close(once, each)
    assert once.shape == (5, 6)


def test_word_vector_is_static_plus_row():
    model, static = make_encoder(), torch.randn(3, 3)
    chars = model.spell(torch.tensor([2, 3, 4, 5, 6, 1]), torch.tensor([2, 1, 3]))
    words = static + model.embedding.weight[torch.tensor(WORDS["rows"])]
    X = torch.stack([torch.cat((words[w], chars[w])) for w in TOKENS])
    states, _ = one_by_one(model.word_gru, X, [3, 2])
    torch.testing.assert_close(encode(model, [0, 1, 2], TOKENS, static=static), states)


def test_row_zero_stays_zero():
    model = make_encoder()
    sgd = torch.optim.AdamW(model.parameters(), lr=0.1)
    start = model.embedding.weight.detach().clone()
    for _ in range(5):
        sgd.zero_grad()
        encode(model, [0, 1, 2], TOKENS).square().sum().backward()
        sgd.step()
    assert not model.embedding.weight[0].any()
    assert not model.char_embedding.weight[0].any()
    assert not torch.equal(model.embedding.weight[2], start[2])
    assert not torch.equal(model.embedding.weight[5], start[5])


def test_learned_rows_start_at_random_and_offsets_at_zero():
    assert bool(make_encoder(learned=True).embedding.weight[1:].any(1).all())
    offsets = make_encoder(learned=False).embedding.weight
    assert offsets[1].any()
    assert not offsets[2:].any()
    assert not offsets[0].any()


def test_dropout_only_in_training():
    model = make_encoder()
    plain = encode(model.eval(), [0, 1, 2], TOKENS, dropout=0.9)
    torch.testing.assert_close(plain, encode(model, [0, 1, 2], TOKENS))
    dropped = encode(model.train(), [0, 1, 2], TOKENS, dropout=0.9)
    assert (dropped == 0).float().mean() > 0.5
    assert not (plain == 0).any()
