"""Records become Docs, and long Docs pieces."""

import random

import pytest
import spacy
from spacy.tokens import Doc

from spacy_semivae.training.private_vocab import RawVocab
from spacy_semivae.training.raw_docs import make_example, split_doc


@pytest.fixture(scope="module")
def nlp():
    return spacy.blank("en")


def test_pieces_cover_each_doc_and_respect_the_sentences(nlp):
    rng = random.Random(0)
    for _ in range(300):
        n_tokens = rng.randint(1, 30)
        max_length = rng.randint(1, 12)
        starts = sorted(rng.sample(range(n_tokens), rng.randint(0, n_tokens)))
        words = [f"w{i}" for i in range(n_tokens)]
        doc = Doc(nlp.vocab, words=words)
        pieces = [tokens.words for tokens in split_doc(doc, starts, max_length, keep_doc=False)]
        assert [word for piece in pieces for word in piece] == words
        assert all(0 < len(piece) <= max_length for piece in pieces)
        begin = 0
        for piece in pieces[:-1]:
            possible = [s for s in starts if begin < s <= begin + max_length]
            begin += len(piece)
            assert begin in starts if possible else len(piece) == max_length


def test_tokens_become_the_same_doc_in_any_vocabulary(nlp):
    text = "I'm gonna  sing,\n don't you? Ünï :) 3km https://x.org/y "
    expected = nlp.make_doc(text)
    (tokens,) = split_doc(expected, [], 0, keep_doc=False)
    assert tokens.doc is None
    assert tokens.text() == text
    vocab = RawVocab(nlp)
    example = make_example(vocab, tokens)
    assert example.predicted.vocab is example.reference.vocab is vocab.vocab
    assert example.predicted.vocab is not nlp.vocab
    attrs = ["ORTH", "SPACY", "NORM", "LOWER", "SHAPE", "PREFIX", "SUFFIX", "IS_STOP", "LIKE_URL"]
    assert example.predicted.to_array(attrs).tolist() == expected.to_array(attrs).tolist()
    assert example.reference.text == example.predicted.text == text
