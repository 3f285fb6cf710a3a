"""Writing with a language of which every text can be listed."""

import itertools

import pytest
import torch

from spacy_semivae.modules.text_words import END, UNKNOWN
from spacy_semivae.modules.writing import write

V, LONGEST = 5, 4


def make_language(seed, n=1):
    """Scores of a word depend on the text, the step and the two words before."""
    generator = torch.Generator().manual_seed(seed)
    table = 2 * torch.randn(n, LONGEST, V, V, V, generator=generator).double()
    table = table.log_softmax(-1)

    def advance(words, h, c, texts):
        step, before = h[:, 0].long(), h[:, 1].long()  # c only tells that it is carried along
        assert torch.equal(c[:, 0], h[:, 0])
        scores = table[texts, step, before, words].clone()
        return scores, torch.stack((h[:, 0] + 1, words.double()), 1), c + 1

    return advance, table, torch.zeros(n, 2).double()


def log_p(table, text):
    """Of a text that ends with END or is as long as allowed."""
    before, last, total = 0, END, 0.0
    for step, word in enumerate(text):
        total += table[step, before, last, word].item()
        before, last = last, word
    return total


def every_text():
    words = [word for word in range(V) if word not in (END, UNKNOWN)]
    for n in range(LONGEST):
        yield from ((*text, END) for text in itertools.product(words, repeat=n))
    yield from itertools.product(words, repeat=LONGEST)


def run(advance, h, strategy, width=1, generator=None):
    return write(advance, h, strategy, LONGEST, width, generator)


def same(found, best):
    words = [word for word in found.tolist() if word != END]
    return words == [word for word in best if word != END]


@pytest.mark.parametrize("seed", range(6))
def test_a_wide_beam_finds_the_best_text(seed):
    advance, table, h = make_language(seed, n=3)
    found = run(advance, h, "beam", width=3 ** (LONGEST - 1) * 2)
    for row, scores in zip(found, table):
        assert same(row, max(every_text(), key=lambda text: log_p(scores, text)))


@pytest.mark.parametrize("seed", range(6))
def test_a_beam_of_one_is_greedy(seed):
    advance, _, h = make_language(seed, n=4)
    assert torch.equal(run(advance, h, "beam"), run(advance, h, "greedy"))


def test_greedy_takes_the_most_probable_known_word():
    advance, table, h = make_language(0)
    (found,) = run(advance, h, "greedy")
    before, last = 0, END
    for step, word in enumerate(found.tolist()):
        scores = table[0, step, before, last].clone()
        scores[UNKNOWN] = -9e9
        assert scores.argmax() == word
        before, last = last, word


def test_a_wider_beam_is_no_worse_on_the_whole():
    gains = []
    for seed in range(30):
        advance, table, h = make_language(seed)
        scores = []
        for width in (1, 4):
            words = run(advance, h, "beam", width=width)[0].tolist()
            words = [word for word in words if word != END]
            ended = words if len(words) == LONGEST else [*words, END]
            scores.append(log_p(table[0], ended))
        gains.append(scores[1] - scores[0])
    assert sum(gains) > 1


def test_random_texts_follow_their_probabilities():
    _, table, _ = make_language(2)
    known = table.clone()
    known[..., UNKNOWN] = float("-inf")
    known = known.log_softmax(-1)[0]
    many = 6000
    advance, _, _ = make_language(2)

    def of_one(words, h, c, texts):
        return advance(words, h, c, torch.zeros_like(texts))

    start = torch.zeros(many, 2).double()
    found = run(of_one, start, "sample", generator=torch.Generator().manual_seed(0))
    assert UNKNOWN not in found
    words = [[w for w in row if w != END] for row in found.tolist()]
    for text in every_text():
        stripped = [w for w in text if w != END]
        share = words.count(stripped) / many
        assert share == pytest.approx(torch.tensor(log_p(known, text)).exp().item(), abs=0.03)


def test_random_texts_are_repeatable():
    advance, _, h = make_language(1, n=8)
    seeds = (3, 3, 4)
    texts = [run(advance, h, "sample", generator=torch.Generator().manual_seed(s)) for s in seeds]
    assert torch.equal(texts[0], texts[1])
    assert texts[0].shape != texts[2].shape or not torch.equal(texts[0], texts[2])


@pytest.mark.parametrize("strategy", ["greedy", "sample", "beam"])
def test_nothing_follows_an_end(strategy):
    advance, _, h = make_language(1, n=20)
    for row in run(advance, h, strategy, width=2).tolist():
        if END in row:
            assert set(row[row.index(END) :]) == {END}


@pytest.mark.parametrize("strategy", ["greedy", "sample", "beam"])
def test_empty_texts_and_no_texts(strategy):
    def ends(words, h, c, texts):
        return torch.full((len(h), V), -9.0).index_fill(1, torch.tensor([END]), 0.0), h, c

    assert run(ends, torch.zeros(2, 2), "beam", width=3).shape == (2, 0)
    assert run(ends, torch.zeros(0, 2), strategy, width=3).shape == (0, 0)


def test_wrong_settings():
    advance, _, h = make_language(0)
    with pytest.raises(ValueError, match="'best'"):
        run(advance, h, "best")
    with pytest.raises(ValueError, match="got 0"):
        run(advance, h, "beam", width=0)
