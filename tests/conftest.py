"""What tests of several folders share: a fixed seed, one thread, small vocabularies and Docs."""

import numpy
import pytest
import torch
from spacy.tokens import Doc
from spacy.vectors import Vectors
from spacy.vocab import Vocab

TEXTS = ["the cat saw the dog", "the dog saw a Cat in 1999", "a", "cat in the dog"]
VECTOR_WORDS = ["the", "cat", "dog", "saw", "a", "Paris", "0000"]


@pytest.fixture(autouse=True)
def _fixed_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    numpy.random.seed(0)


@pytest.fixture
def vocab():
    return Vocab()


@pytest.fixture
def vector_vocab():
    data = numpy.random.default_rng(0).normal(size=(len(VECTOR_WORDS), 6)).astype("f")
    vocab = Vocab()
    vocab.vectors = Vectors(strings=vocab.strings, data=data, keys=VECTOR_WORDS)
    return vocab


@pytest.fixture
def make_docs():
    """Gives a function from a vocabulary (and texts) to Docs split at spaces."""

    def make(vocab, texts=TEXTS):
        return [Doc(vocab, words=text.split()) for text in texts]

    return make
