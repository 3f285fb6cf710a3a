"""Forms of words, static vectors, and the index of distinct words."""

import copy
import pickle

import numpy
import pytest
from spacy.tokens import Doc
from spacy.vectors import Vectors
from spacy.vocab import Vocab

from spacy_semivae.layers import words as module
from spacy_semivae.layers.words import (
    MAX_CHARACTERS,
    PAD,
    UNKNOWN,
    WordIndex,
    check_rules,
    count_words,
    find_form,
    flatten_orths,
    has_vector,
    normalize_word,
    static_vectors,
)

ALL = ["digits", "users", "urls"]


@pytest.mark.parametrize(
    ("word", "rules", "form"),
    [
        ("Room101", ["digits"], "Room000"),
        ("Room101", ["users", "urls"], "Room101"),
        ("1999", ALL, "0000"),
        ("@ann_7", ALL, "@user"),
        ("@ann_7", ["digits"], "@ann_0"),
        ("@", ALL, "@"),
        ("a@b", ALL, "a@b"),
        ("@ann-lee", ALL, "@ann-lee"),
        ("http://a.b/1", ALL, "<url>"),
        ("HTTPS://x", ["urls"], "<url>"),
        ("www.x.org", ["urls"], "<url>"),
        ("http://", ["urls"], "http://"),
        ("see:http://x", ["urls"], "see:http://x"),
        ("http://a.b/1", ["digits"], "http://a.b/0"),
        ("", ALL, ""),
    ],
)
def test_normalize_word(word, rules, form):
    assert normalize_word(word, rules) == form


def test_check_rules():
    check_rules(ALL)
    check_rules([])
    with pytest.raises(ValueError, match=r"\['digits', 'urls', 'users'\].*got \['Digits', 'x'\]"):
        check_rules(["users", "x", "Digits"])


@pytest.mark.parametrize(
    ("word", "form"),
    [("Cat", "Cat"), ("CAT", "cat"), ("cat", "cat"), ("1a", "0a"), ("1A", "0A"), ("dog", None)],
)
def test_find_form_prefers_the_exact_one(word, form):
    assert find_form(word, ["digits"], {"Cat", "cat", "0a", "0A"}.__contains__) == form


def test_count_words(vocab):
    docs = [Doc(vocab, ["a", "b", "a"]), Doc(vocab), Doc(vocab, ["A"])]
    assert count_words(iter(docs)) == {"a": 2, "b": 1, "A": 1}


def test_flatten_orths(vocab):
    docs = [Doc(vocab), Doc(vocab, ["a", "b"]), Doc(vocab, ["a"])]
    expected = [vocab.strings[word] for word in "aba"]
    assert flatten_orths(docs).tolist() == expected
    assert flatten_orths(docs[:1]).shape == (0,)


def test_static_vectors(vector_vocab):
    known = has_vector(vector_vocab)
    assert known("cat")
    assert not known("Cat")
    assert not known("unheard-of")
    found = static_vectors(vector_vocab, ["dog", "cat", "dog"])
    assert found.dtype == "float32"
    for row, word in zip(found, ["dog", "cat", "dog"]):
        numpy.testing.assert_array_equal(row, vector_vocab.get_vector(word))


@pytest.fixture
def floret_vocab():
    vocab, data = Vocab(), numpy.random.default_rng(1).normal(size=(20, 6)).astype("f")
    settings = {"minn": 2, "maxn": 3, "hash_count": 2, "hash_seed": 7}
    vocab.vectors = Vectors(
        strings=vocab.strings, data=data, mode="floret", bow="<", eow=">", **settings
    )
    return vocab


def test_floret_vectors_know_every_form(floret_vocab, make_docs):
    assert has_vector(floret_vocab)("neverseen")
    assert not has_vector(floret_vocab)("")
    index = WordIndex((), "", ["digits"], static=True)
    words = index.look_up(make_docs(floret_vocab, ["Never 1999 NEVER"]))
    vectors = words.table.vectors[words.slots][words.positions]
    for row, form in zip(vectors, ["Never", "0000", "NEVER"]):
        numpy.testing.assert_array_equal(row, floret_vocab.vectors.get_batch([form])[0])
        assert row.any()
    assert not words.table.rows.any()  # each is its static vector alone


def features(index, docs):
    """Row, static vector and characters of each token, as the index gives them."""
    words = index.look_up(docs)
    chars, lengths = words.table.characters(words.slots)
    spellings = numpy.split(chars, numpy.cumsum(lengths)[:-1])
    return [
        (
            words.table.rows[words.slots[i]].item(),
            words.table.vectors[words.slots[i]].tolist(),
            spellings[i].tolist(),
        )
        for i in words.positions
    ]


FORMS, CHARS = ("cat", "dog", "Rare"), "acdeghot"


def expected_features(index, docs):
    """The same, worked out one token at a time."""
    result = []
    for token in [token for doc in docs for token in doc]:
        form = normalize_word(token.text, index.rules)
        vocab, vector, known = token.vocab, [0.0] * index.table.vectors.shape[1], False
        for candidate in (form, form.lower()):
            if index.static and not known and vocab.has_vector(candidate):
                vector, known = vocab.get_vector(candidate).tolist(), True
        rows = [2 + index.words.index(f) for f in (form, form.lower()) if f in index.words]
        row = rows[0] if rows else (PAD if known else UNKNOWN)
        result.append((row, vector, [2 + CHARS.find(c) if c in CHARS else 1 for c in token.text]))
    return result


@pytest.mark.parametrize("static", [True, False])
def test_index_features(static, vector_vocab, make_docs):
    index = WordIndex(FORMS, CHARS, ["digits"], static)
    batches = [["the cat saw", "Cat RARE Rare rare"], ["", "2024 zzz the PARIS"], ["the Cat"], [""]]
    for texts in batches:
        docs = make_docs(vector_vocab, texts)
        assert features(index, docs) == expected_features(index, docs)
    assert len(index.table.slots) == 10
    assert index.table.vectors.shape == (10, 6 if static else 0)


def test_long_words_lose_their_middle(vocab):
    half = MAX_CHARACTERS // 2
    for n in (2 * half, 2 * half + 1, 500):
        index = WordIndex((), "abc", [], static=False)
        words = index.look_up([Doc(vocab, ["a" * half + "b" * (n - 2 * half) + "c" * half])])
        chars, lengths = words.table.characters(words.slots)
        assert lengths.tolist() == [2 * half]
        assert chars.tolist() == [2] * half + [4] * half


def test_overflow_starts_anew(monkeypatch, vector_vocab, make_docs):
    monkeypatch.setattr(module, "MAX_WORDS", 4)
    index = WordIndex(FORMS, CHARS, ["digits"], static=True)
    texts = ["the cat saw", "a dog Rare", "the the 77 Paris", "", "one two three four five six"]
    tables = []
    for text in [*texts, *texts]:
        docs = make_docs(vector_vocab, [text])
        assert features(index, docs) == expected_features(index, docs)
        table = index.table
        assert len(table.rows) == len(table.spellings) == len(table.slots) <= 4 + 6
        tables.append(table)
    assert len({id(table) for table in tables}) > 2


def test_a_table_that_was_left_can_still_be_read(monkeypatch, vector_vocab, make_docs):
    monkeypatch.setattr(module, "MAX_WORDS", 2)
    index = WordIndex(FORMS, CHARS, ["digits"], static=True)
    words = index.look_up(make_docs(vector_vocab, ["the cat saw"]))
    before = words.table.vectors[words.slots].copy()
    assert index.look_up(make_docs(vector_vocab, ["dog"])).table is not words.table
    assert (words.table.vectors[words.slots] == before).all()


def test_new_vectors_are_read(vector_vocab, make_docs):
    index, docs = WordIndex(FORMS, CHARS, [], static=True), make_docs(vector_vocab)
    features(index, docs)
    table = index.table
    data = numpy.ones((2, 3), dtype="f")
    vector_vocab.vectors = Vectors(strings=vector_vocab.strings, data=data, keys=["the", "1999"])
    assert features(index, docs) == expected_features(index, docs)
    assert index.table is not table
    assert index.table.vectors.shape[1] == 3


def test_copies_share_and_pickles_start_anew(vector_vocab, make_docs):
    index, docs = WordIndex(FORMS, CHARS, ["digits"], static=True), make_docs(vector_vocab)
    before = features(index, docs)
    assert copy.deepcopy(index) is index
    other = pickle.loads(pickle.dumps(index))
    assert not other.table.slots
    assert features(other, docs) == before
