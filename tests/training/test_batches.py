"""Streams that go on at a position as if they had never stopped."""

import random
from functools import partial
from itertools import islice

import pytest
import spacy
from spacy.tokens import Doc
from spacy.training import Example
from spacy.training.batchers import minibatch_by_padded_size, minibatch_by_words
from spacy.util import minibatch

from spacy_semivae.training import batches as module
from spacy_semivae.training.batches import Draws, LabeledBatches, RawBatches

NLP = spacy.blank("en")


def examples(n, seed=0):
    rng = random.Random(seed)
    docs = [Doc(NLP.vocab, [f"w{i}"] * rng.randint(1, 9)) for i in range(n)]
    return [Example(doc, doc.copy()) for doc in docs]


def sizes():
    return (2 + i % 4 for i in range(10**6))


BATCHERS = {
    "sequence": lambda: partial(minibatch, size=3),
    "schedule": lambda: partial(minibatch, size=sizes()),
    "words": lambda: partial(minibatch_by_words, size=12, tolerance=0.4),
    "words, schedule": lambda: partial(
        minibatch_by_words, size=(5 * s for s in sizes()), tolerance=0.2, discard_oversize=True
    ),
    "padded": lambda: partial(
        minibatch_by_padded_size, size=14, buffer=5, discard_oversize=False
    ),
}  # fmt: skip


def texts(batches):
    return [[eg.text for eg in batch] for batch in batches]


def make_labeled(batcher, max_epochs, n=17):
    corpus = examples(n)
    return LabeledBatches(NLP, lambda nlp: iter(corpus), BATCHERS[batcher](), max_epochs)


@pytest.mark.parametrize("max_epochs", [0, -1])
@pytest.mark.parametrize("batcher", BATCHERS)
def test_a_labeled_stream_goes_on(batcher, max_epochs):
    random.seed(1)
    whole = list(islice(make_labeled(batcher, max_epochs), 25))
    assert whole[-1][0] > 1  # some epochs
    for cut in range(25):
        random.seed(1)
        stream = make_labeled(batcher, max_epochs)
        first = list(islice(stream, cut))
        position, noise = stream.position, random.getstate()
        other = make_labeled(batcher, max_epochs)
        other.seek(position)
        random.setstate(noise)
        both = [*first, *islice(other, 25 - cut)]
        assert [epoch for epoch, _ in both] == [epoch for epoch, _ in whole]
        assert texts(batch for _, batch in both) == texts(batch for _, batch in whole)


def test_the_order_is_that_of_stock_training():
    from spacy.training.loop import create_train_batches

    random.seed(3)
    corpus = examples(17)
    stock = create_train_batches(NLP, lambda nlp: iter(corpus), partial(minibatch, size=3), 3)
    wanted = list(stock)
    random.seed(3)
    found = list(LabeledBatches(NLP, lambda nlp: iter(corpus), partial(minibatch, size=3), 3))
    assert found == wanted


def test_a_labeled_stream_refuses_another_corpus():
    position = make_labeled("sequence", 0).position
    with pytest.raises(ValueError, match="not the one of the checkpoint"):
        make_labeled("sequence", 0, n=16).seek(position)
    with pytest.raises(ValueError, match="labelled corpus is empty"):
        make_labeled("sequence", 0, n=0)


def make_raw(batcher):
    corpus, epochs = examples(31, seed=2), []

    def read(nlp):
        epochs.append(len(epochs))
        yield from random.Random(epochs[-1]).sample(corpus, len(corpus))

    return RawBatches(NLP, read, BATCHERS[batcher]())


@pytest.mark.parametrize("window", [1, 7, 31, 40])
@pytest.mark.parametrize("batcher", BATCHERS)
def test_a_raw_stream_goes_on(batcher, window, monkeypatch):
    monkeypatch.setattr(module, "WINDOW", window)
    whole = texts(islice(make_raw(batcher), 40))
    for cut in range(0, 40, 3):
        stream = make_raw(batcher)
        first = texts(islice(stream, cut))
        other = make_raw(batcher)
        other.seek(stream.position)
        assert [*first, *texts(islice(other, 40 - cut))] == whole


def test_a_window_cuts_at_most_one_batch_short():
    one = list(islice(make_raw("sequence"), 11))
    assert [len(batch) for batch in one] == [3] * 10 + [1]


def test_an_epoch_may_differ_and_an_empty_stream_is_refused():
    epochs = iter([["a", "b", "c"], ["d"], [], []])
    batches = iter(RawBatches(NLP, lambda nlp: next(epochs), lambda xs: ([x] for x in xs)))
    assert list(islice(batches, 4)) == [["a"], ["b"], ["c"], ["d"]]
    with pytest.raises(ValueError, match="The raw corpus is empty"):
        next(batches)


def test_draws_are_counted_and_made_up_for():
    batcher = BATCHERS["schedule"]()
    draws = Draws(batcher)
    list(batcher(range(7)))
    assert draws.before == {"size": 0}
    draws.mark()
    other = BATCHERS["schedule"]()
    Draws(other).forward(draws.before)
    assert list(other(range(9))) == list(batcher(range(9)))
    assert Draws(list).before == {}  # nothing is known of any other callable
