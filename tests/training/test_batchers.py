"""Class-balanced batches."""

from collections import Counter
from itertools import chain, repeat

import pytest
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import registry


def examples(vocab, **counts):
    """So many Examples of each class; those of `raw` have no cats."""
    found = []
    for label, n in counts.items():
        for i in range(n):
            reference = Doc(vocab, words=[label, str(i)])
            reference.cats = {} if label == "raw" else {label: 1.0}
            found.append(Example(Doc(vocab, words=[label, str(i)]), reference))
    return found


def classes(batch):
    return Counter(eg.reference[0].text for eg in batch)


@pytest.fixture
def batch():
    return registry.batchers.get("semivae.batch_balanced.v1")


def test_every_batch_has_every_class_alike(batch, vocab):
    batches = list(batch(size=6)(examples(vocab, a=12, b=4, c=1)))
    assert [classes(each) for each in batches] == [{"a": 2, "b": 2, "c": 2}] * 6
    seen = Counter(eg.reference.text for each in batches for eg in each)
    assert set(seen.values()) == {1, 3, 12}
    assert seen["c 0 "] == 12
    assert seen["b 3 "] == 3


def test_raw_docs_are_spread_and_not_repeated(batch, vocab):
    batches = list(batch(size=5)(examples(vocab, raw=4, a=8, b=2)))
    assert [classes(each) for each in batches] == [{"a": 2, "b": 2, "raw": 1}] * 4


def test_schedules_and_odd_sizes(batch, vocab):
    batches = list(batch(size=chain([1, 2], repeat(4)))(examples(vocab, a=4, b=4)))
    assert [len(each) for each in batches] == [1, 2, 4, 1]
    assert list(batch(size=3)([])) == []
    assert [len(each) for each in batch(size=3)(examples(vocab, raw=4))] == [3, 1]


def test_cats_that_name_no_class(batch, vocab):
    (wrong,) = examples(vocab, a=1)
    wrong.reference.cats = {"a": 1.0, "b": 1.0}
    with pytest.raises(ValueError, match=r"one cat of 1\.0"):
        list(batch(size=2)([wrong]))


def test_a_config_resolves(vocab):
    block = {"batcher": {"@batchers": "semivae.batch_balanced.v1", "size": 2}}
    batches = registry.resolve(block)["batcher"](examples(vocab, a=1, b=3))
    assert [classes(each) for each in batches] == [{"a": 1, "b": 1}] * 3
    block["batcher"]["size"] = {
        "@schedules": "compounding.v1",
        "start": 1,
        "stop": 4,
        "compound": 2.0,
    }
    batches = registry.resolve(block)["batcher"](examples(vocab, a=1, b=3))
    assert [len(each) for each in batches] == [1, 2, 3]
