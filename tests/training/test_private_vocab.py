"""Vocabularies of raw Docs: renewed, freed, and the same for all that reads Docs."""

import gc

import numpy
import pytest
import spacy
from spacy.tokenizer import Tokenizer
from spacy.tokens import Doc
from spacy.vectors import Vectors
from spacy.vocab import Vocab

from spacy_semivae.training import private_vocab as module
from spacy_semivae.training.private_vocab import RawVocab, make_private
from spacy_semivae.training.unlabeled import UnlabeledCorpus


@pytest.fixture
def nlp():
    return spacy.blank("xx")


def new_words(n, start=0):
    return [f"word{i} and word{i}x" for i in range(start, start + n)]


def test_private_vocabularies_share_all_but_the_words():
    nlp = spacy.blank("en")
    nlp.vocab.set_vector("vectored", numpy.ones(4, dtype="f"))
    nlp.vocab.strings.add("SOME_LABEL")
    flag = nlp.vocab.add_flag(lambda text: text.startswith("v"))
    nlp.tokenizer("a word")
    private = make_private(nlp.vocab)
    assert len(private) == 0
    assert private.vectors is nlp.vocab.vectors
    assert private.vectors.strings is nlp.vocab.strings
    assert "SOME_LABEL" in private.strings
    assert "vectored" not in private.strings
    known, own = Doc(nlp.vocab, ["vectored", "Word"]), Doc(private, ["vectored", "Word"])
    assert [t.check_flag(flag) for t in own] == [True, False]
    assert own[0].vector.tolist() == [1.0] * 4
    assert own[0].rank == known[0].rank == 0
    assert [t.has_vector for t in own] == [True, False]
    attrs = ["ORTH", "NORM", "LOWER", "SHAPE", "PREFIX", "SUFFIX", "LANG", "IS_STOP", "IS_ALPHA"]
    assert own.to_array(attrs).tolist() == known.to_array(attrs).tolist()


def test_raw_words_stay_out_of_the_pipeline(nlp, tmp_path, write_lines):
    path = write_lines(tmp_path / "a.txt", new_words(50))
    sizes = len(nlp.vocab), len(nlp.vocab.strings)
    assert sum(1 for _ in UnlabeledCorpus(path)(nlp)) == 50
    stream = UnlabeledCorpus(path).stream(nlp)
    assert [sum(1 for _ in stream) for epoch in range(3)] == [50] * 3
    stream.close()
    assert (len(nlp.vocab), len(nlp.vocab.strings)) == sizes


def test_vocabularies_are_renewed_and_freed(nlp, tmp_path, write_lines, monkeypatch):
    monkeypatch.setattr(module, "MAX_LEXEMES", 100)
    path = write_lines(tmp_path / "a.txt", new_words(600))
    corpus = UnlabeledCorpus(path, shuffle_buffer=200)

    empty = len(RawVocab(nlp).vocab)

    def living():
        gc.collect()
        return sum(type(obj) is Vocab for obj in gc.get_objects())

    before, most, renewed, vocab = living(), 0, 0, None
    for i, eg in enumerate(corpus(nlp)):
        assert len(eg.predicted.vocab) < empty + 110
        assert [t.text for t in eg.predicted] == [t.text for t in eg.reference]
        renewed += eg.predicted.vocab is not vocab
        vocab = eg.predicted.vocab
        if i % 100 == 0:
            most = max(most, living() - before)
    assert renewed > 8
    assert most <= 3
    # A Doc outlives its generation.
    first = next(corpus(nlp))
    for _ in corpus(nlp):
        pass
    assert first.predicted.text == " ".join(t.text for t in first.predicted)


@pytest.mark.parametrize("name", ["semivae.TweetTokenizer.v1", "spacy.Tokenizer.v1"])
def test_registered_tokenizers_are_rebuilt(name, tmp_path, write_lines, monkeypatch):
    monkeypatch.setattr(module, "MAX_LEXEMES", 200)
    nlp = spacy.blank("en", config={"nlp": {"tokenizer": {"@tokenizers": name}}})
    nlp.tokenizer.add_special_case("brb", [{65: "b", 67: "be"}, {65: "rb", 67: "right back"}])
    texts = ["I'm :) don't brb!!", "see https://x.org/a?b=1 #tag @user", *new_words(500), "10:30pm"]
    expected = [nlp.make_doc(text) for text in texts]
    path = write_lines(tmp_path / "a.txt", texts)
    assert RawVocab(nlp).private
    docs = [eg.predicted for eg in UnlabeledCorpus(path, shuffle_buffer=0)(nlp)]
    assert len({id(doc.vocab) for doc in docs}) > 1
    for doc, other in zip(docs, expected, strict=True):
        assert doc.vocab is not nlp.vocab
        assert [t.text for t in doc] == [t.text for t in other]
        assert [t.norm_ for t in doc] == [t.norm_ for t in other]
        assert doc.text == other.text


def test_other_tokenizers_keep_the_vocabulary_of_the_pipeline(nlp, tmp_path, write_lines):
    class Own(Tokenizer):
        pass

    path = write_lines(tmp_path / "a.txt", ["one two", "two three four"])
    for tokenizer in (lambda text: Doc(nlp.vocab, text.split()), Own(nlp.vocab)):
        nlp.tokenizer = tokenizer
        for max_length in (0, 2):
            docs = [eg.predicted for eg in UnlabeledCorpus(path, max_length=max_length)(nlp)]
            assert all(doc.vocab is nlp.vocab for doc in docs)
        # Nor are they called from another thread.
        stream = UnlabeledCorpus(path, prefetch=100).stream(nlp)
        assert len(next(stream)) in (2, 3)
        assert not hasattr(stream._made, "_finalizer")


def test_vectors_of_sub_words_keep_the_vocabulary_of_the_pipeline(nlp):
    assert RawVocab(nlp).private
    data = numpy.ones((10, 4), dtype="f")
    nlp.vocab.vectors = Vectors(
        strings=nlp.vocab.strings, data=data, mode="floret", minn=2, maxn=3, hash_count=1
    )
    assert not RawVocab(nlp).private


def test_a_changed_tokenizer_is_noticed(nlp, tmp_path, write_lines):
    corpus = UnlabeledCorpus(write_lines(tmp_path / "a.txt", ["gimme that"]))
    assert [len(eg) for eg in corpus(nlp)] == [2]
    vocab = corpus._vocab
    assert [len(eg) for eg in corpus(nlp)] == [2]
    assert corpus._vocab is vocab
    nlp.tokenizer.add_special_case("gimme", [{65: "gim"}, {65: "me"}])
    assert [len(eg) for eg in corpus(nlp)] == [3]
    nlp.tokenizer.token_match = lambda text: text == "gimme"
    nlp.vocab.strings.add("A_NEW_LABEL")
    (eg,) = corpus(nlp)
    assert "A_NEW_LABEL" in eg.predicted.vocab.strings
    other = spacy.blank("xx")
    assert [len(eg) for eg in corpus(other)] == [2]
