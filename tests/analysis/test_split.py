from collections import Counter

import pytest
import srsly
from spacy.tokens import Doc, DocBin, Span
from spacy.vocab import Vocab

from spacy_semivae.analysis.split import read_docs, split_corpus, write_split

VOCAB = Vocab()


def make_docs(texts, labels=None):
    docs = [Doc(VOCAB, words=text.split(), tags=["T"] * len(text.split())) for text in texts]
    for doc, label in zip(docs, labels or []):
        doc.cats = {name: float(name == label) for name in sorted(set(labels))}
    return docs


def texts_of(docs):
    return [doc.text.strip() for doc in docs]


def make_ner_docs(n):
    docs = [Doc(VOCAB, words=["In", "New", "York", "with", "Ann", str(i)]) for i in range(n)]
    for doc in docs:
        doc.ents = [Span(doc, 1, 3, label="LOC"), Span(doc, 4, 5, label="PER", kb_id="Q1")]
    return docs


@pytest.fixture
def docs():
    return make_docs([f"text {i}" for i in range(50)])


def test_parts_partition_the_corpus(docs):
    split = split_corpus(docs, labeled=0.2, unlabeled=0.5, seed=1)
    assert (len(split.labeled), len(split.unlabeled), len(split.rest)) == (10, 25, 15)
    parts = [*split.labeled, *split.unlabeled, *split.rest]
    assert sorted(texts_of(parts)) == sorted(texts_of(docs))
    assert all(doc.has_annotation("TAG") for doc in (*split.labeled, *split.rest))
    assert not any(doc.has_annotation("TAG") for doc in split.unlabeled)
    assert all(doc.has_annotation("TAG") for doc in docs)


def test_a_seed_gives_one_split_and_another_gives_another(docs):
    first = split_corpus(docs, labeled=10, unlabeled=20, seed=3)
    again = split_corpus(docs, labeled=10, unlabeled=20, seed=3)
    other = split_corpus(docs, labeled=10, unlabeled=20, seed=4)
    assert texts_of(first.labeled) == texts_of(again.labeled)
    assert texts_of(first.unlabeled) == texts_of(again.unlabeled)
    assert texts_of(first.labeled) != texts_of(other.labeled)
    # The order is that of the corpus.
    assert texts_of(first.labeled) == [t for t in texts_of(docs) if t in texts_of(first.labeled)]


def test_sizes_are_nested_and_leave_the_unlabeled_part_alone(docs):
    small = split_corpus(docs, labeled=5, unlabeled=20, seed=0)
    large = split_corpus(docs, labeled=15, unlabeled=20, seed=0)
    assert set(texts_of(small.labeled)) < set(texts_of(large.labeled))
    assert texts_of(small.unlabeled) == texts_of(large.unlabeled)


@pytest.mark.parametrize(
    ("labeled", "unlabeled", "sizes"),
    [(0.5, 0.5, (2, 2, 1)), (1.0, 0, (5, 0, 0)), (1, 1.0 - 0.8, (1, 1, 3)), (0, 0, (0, 0, 5))],
)
def test_shares_and_counts(labeled, unlabeled, sizes):
    split = split_corpus(make_docs("abcde"), labeled=labeled, unlabeled=unlabeled, seed=0)
    assert (len(split.labeled), len(split.unlabeled), len(split.rest)) == sizes


def test_share_of_a_hundred_survives_float_error():
    docs = make_docs([str(i) for i in range(100)])
    assert len(split_corpus(docs, labeled=0.29, unlabeled=0, seed=0).labeled) == 29


@pytest.mark.parametrize("seed", range(10))
def test_a_text_never_lands_in_two_parts(seed):
    texts = ["Hello there !", "hello there", "HELLO THERE", "!", "?", "a b", "A B", "c", "d", "e"]
    split = split_corpus(make_docs(texts), labeled=0.4, unlabeled=0.4, seed=seed)
    names = {"Hello there !": "hello there", "HELLO THERE": "hello there", "A B": "a b"}
    parts = [
        {names.get(text, text) for text in texts_of(part)}
        for part in (split.labeled, split.unlabeled, split.rest)
    ]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 7
    assert len(split.labeled) <= 4
    assert len(split.unlabeled) <= 4


def test_balance_takes_as_many_of_each_class():
    labels = ["pos"] * 40 + ["neg"] * 10
    docs = make_docs([f"text {i}" for i in range(50)], labels)
    split = split_corpus(docs, labeled=11, unlabeled=20, seed=0, balance=True)
    counts = Counter(max(doc.cats, key=doc.cats.get) for doc in split.labeled)
    assert sorted(counts.values()) == [5, 6]
    assert len(split.unlabeled) == 20
    assert not any(doc.cats for doc in split.unlabeled)


@pytest.mark.parametrize("seed", range(5))
def test_balance_passes_over_a_text_with_two_classes(seed):
    docs = make_docs(["same", "same", "a", "b"], ["pos", "neg", "pos", "neg"])
    split = split_corpus(docs, labeled=2, unlabeled=0, seed=seed, balance=True)
    assert texts_of(split.labeled) == ["a", "b"]


@pytest.mark.parametrize("share", [0.0, 0.05, 0.25, 1.0])
def test_keep_spans_leaves_the_rest_missing(share):
    docs = make_ner_docs(20)
    split = split_corpus(docs, labeled=10, unlabeled=0, seed=0, keep_spans=share)
    kept = [ent for doc in split.labeled for ent in doc.ents]
    assert len(kept) == round(20 * share)
    gold = {(1, 3, "LOC", ""), (4, 5, "PER", "Q1")}
    assert {(e.start, e.end, e.label_, e.kb_id_) for e in kept} <= gold
    for doc in split.labeled:
        inside = {token.i for ent in doc.ents for token in ent}
        assert all((token.ent_iob == 0) == (token.i not in inside) for token in doc)
    assert all(len(doc.ents) == 2 and doc[0].ent_iob == 2 for doc in (*docs, *split.rest))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labeled": 1.5}, r"labeled as a share must be between 0 and 1 \(got 1.5\)"),
        ({"unlabeled": -3}, r"unlabeled as a count must not be negative \(got -3\)"),
        ({"labeled": 0.5, "unlabeled": 4}, r"must not exceed the corpus \(got 3 \+ 4 of 6"),
        ({"keep_spans": 2.0}, r"keep_spans must be between 0 and 1 \(got 2.0\)"),
        ({"balance": True}, r"exactly one category of 1.0 .*\(Doc \d has {}\)"),
    ],
)
def test_wrong_settings_are_refused(options, message):
    settings = {"labeled": 2, "unlabeled": 2, "seed": 0} | options
    with pytest.raises(ValueError, match=message):
        split_corpus(make_docs("abcdef"), **settings)


def test_balance_names_the_class_that_is_too_small():
    docs = make_docs("abcd", ["pos", "pos", "pos", "neg"])
    with pytest.raises(ValueError, match=r"needs 2 Docs of the class 'neg' .*\(got 1\)"):
        split_corpus(docs, labeled=4, unlabeled=0, seed=0, balance=True)


def test_files_keep_words_spaces_and_annotation(tmp_path):
    docs = make_ner_docs(4)
    docs.append(Doc(VOCAB, words=["Hi", "!"], spaces=[False, False]))
    (tmp_path / "in").mkdir()
    DocBin(docs=docs).to_disk(tmp_path / "in" / "corpus.spacy")
    read = list(read_docs(tmp_path / "in"))
    split = split_corpus(read, labeled=0, unlabeled=1.0, seed=0)
    write_split(split, tmp_path / "out")
    records = list(srsly.read_jsonl(tmp_path / "out" / "unlabeled.jsonl"))
    assert records[0] == {"tokens": ["In", "New", "York", "with", "Ann", "0"]}
    assert records[-1] == {"tokens": ["Hi", "!"], "spaces": [False, False]}
    write_split(split_corpus(read, labeled=2, unlabeled=1, seed=0), tmp_path / "out")
    labeled = list(read_docs(tmp_path / "out" / "labeled.spacy"))
    rest = list(read_docs(tmp_path / "out" / "rest.spacy"))
    assert (len(labeled), len(rest)) == (2, 2)
    assert all(doc.has_unknown_spaces for doc in labeled if len(doc) > 2)


def test_unreadable_corpora_are_named(tmp_path):
    bad = tmp_path / "bad.spacy"
    bad.write_bytes(b"no DocBin")
    with pytest.raises(ValueError, match=r"bad.spacy: not a readable .spacy file"):
        list(read_docs(bad))
    with pytest.raises(ValueError, match=r"must be a .spacy file or a folder"):
        list(read_docs(tmp_path / "none.spacy"))
