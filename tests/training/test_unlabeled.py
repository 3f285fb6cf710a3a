"""The reader of raw text: tokens, order, limits, splits and exclusion."""

import random

import pytest
import spacy
import srsly
from confection import ConfigValidationError
from spacy.tokens import Doc
from spacy.util import registry

from spacy_semivae.training import unlabeled as module
from spacy_semivae.training.unlabeled import UnlabeledCorpus, create_unlabeled_corpus

TEXTS = ["I'm gonna sing.", "Rain in Ålesund, 3 days!", "né\u2028e"]


@pytest.fixture(scope="module")
def nlp():
    return spacy.blank("en")


def words_of(doc) -> list[str]:
    return [token.text for token in doc]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_text_formats_are_tokenized_by_the_pipeline(nlp, tmp_path, suffix, write_lines):
    txt = write_lines(tmp_path / f"a.txt{suffix}", TEXTS)
    jsonl = write_lines(
        tmp_path / f"b.jsonl{suffix}", [srsly.json_dumps({"text": text}) for text in TEXTS]
    )
    for path in (txt, jsonl):
        examples = list(UnlabeledCorpus(path, shuffle_buffer=0)(nlp))
        assert [eg.predicted.text for eg in examples] == TEXTS
        for eg, text in zip(examples, TEXTS):
            expected = nlp.make_doc(text)
            assert words_of(eg.predicted) == words_of(eg.reference) == words_of(expected)
            assert eg.reference.text == text
            # The tokenizer's norms ("'m" is "am") are features at prediction time too.
            assert [t.norm_ for t in eg.predicted] == [t.norm_ for t in expected]


def test_tokens_are_kept_with_and_without_spaces(nlp, tmp_path, write_lines):
    lines = [
        {"tokens": ["don't", "New York", "."]},
        {"tokens": ["don't", "."], "spaces": [False, True]},
        {"text": "ignored text", "tokens": ["tokens", "win"]},
        {"text": "don't", "tokens": [{"text": "don't", "start": 0}]},
    ]
    path = write_lines(tmp_path / "a.jsonl", [srsly.json_dumps(line) for line in lines])
    docs = [eg.predicted for eg in UnlabeledCorpus(path, shuffle_buffer=0)(nlp)]
    assert [words_of(doc) for doc in docs] == [
        ["don't", "New York", "."],
        ["don't", "."],
        ["tokens", "win"],
        ["do", "n't"],
    ]
    assert [doc.has_unknown_spaces for doc in docs] == [True, False, True, False]
    assert docs[1].text == "don't. "


def make_annotated(vocab) -> Doc:
    doc = Doc(
        vocab,
        words=["Ann", "left", ".", "Bob", "stays"],
        spaces=[True, False, True, True, False],
        tags=["SECRETTAG", "V", "P", "N", "V"],
        sent_starts=[True, False, False, True, False],
        ents=["B-SECRETENT", "O", "O", "O", "O"],
    )
    doc.cats["SECRETCAT"] = 1.0
    doc.user_data["note"] = "secret"
    return doc


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_docbin_loses_its_annotation(tmp_path, suffix, write_docs):
    path = write_docs(tmp_path / f"a.spacy{suffix}", [make_annotated(spacy.blank("en").vocab)])
    nlp = spacy.blank("en")
    (eg,) = UnlabeledCorpus(path)(nlp)
    for doc in (eg.predicted, eg.reference):
        assert words_of(doc) == ["Ann", "left", ".", "Bob", "stays"]
        assert doc.text == "Ann left. Bob stays"
        for name in ("TAG", "SENT_START", "ENT_IOB", "DEP"):
            assert not doc.has_annotation(name)
        assert not doc.cats
        assert not doc.user_data
    assert "SECRETTAG" not in nlp.vocab.strings


def test_unknown_spaces_of_a_docbin_stay_unknown(nlp, tmp_path, write_docs):
    path = write_docs(tmp_path / "a.spacy", [Doc(nlp.vocab, words=["a", "b"])])
    (eg,) = UnlabeledCorpus(path)(nlp)
    assert eg.predicted.has_unknown_spaces
    assert eg.reference.has_unknown_spaces


def test_reference_is_unannotated_whatever_the_tokenizer_or_a_pipe_does(tmp_path, write_lines):
    nlp = spacy.blank("en")
    plain = nlp.tokenizer

    def tokenize(text):
        doc = plain(text)
        doc[0].tag_ = "FROM_TOKENIZER"
        return doc

    nlp.tokenizer = tokenize
    (eg,) = UnlabeledCorpus(write_lines(tmp_path / "a.txt", ["one two"]))(nlp)
    eg.predicted.cats["X"] = 1.0
    eg.predicted.ents = [eg.predicted.char_span(0, 3, label="X")]
    assert eg.predicted[0].tag_ == "FROM_TOKENIZER"
    assert not eg.reference.has_annotation("TAG")
    assert not eg.reference.has_annotation("ENT_IOB")
    assert eg.get_aligned_ner() == [None, None]
    assert not eg.reference.cats


def test_missing_path(nlp):
    corpus = create_unlabeled_corpus(None)
    with pytest.raises(ValueError, match=r"a raw corpus is missing: set paths\.unlabeled"):
        corpus(nlp)


@pytest.mark.parametrize("size", [0, 1, 2, 7, 49, 50, 51, 1000])
def test_shuffle_gives_a_permutation(nlp, tmp_path, size, write_lines, read):
    texts = [f"t{i}" for i in range(50)]
    path = write_lines(tmp_path / "a.txt", texts)
    for seed in range(5):
        order = read(nlp, path, shuffle_buffer=size, seed=seed)
        assert sorted(order) == sorted(texts)
        assert (order == texts) == (size <= 1)
        # An item cannot come out before it has come into the buffer.
        assert all(texts.index(text) <= i + max(size, 1) for i, text in enumerate(order))


def test_epochs_differ_and_are_reproducible(nlp, tmp_path, write_lines):
    path = write_lines(tmp_path / "a.txt", [f"t{i}" for i in range(40)])

    def orders(seed):
        corpus = UnlabeledCorpus(path, shuffle_buffer=10, seed=seed)
        return [tuple(eg.predicted.text for eg in corpus(nlp)) for _ in range(3)]

    assert orders(1) == orders(1)
    assert len({*orders(0), *orders(1)}) == 6
    resumed = UnlabeledCorpus(path, shuffle_buffer=10, seed=1)
    resumed.epoch = 2
    assert tuple(eg.predicted.text for eg in resumed(nlp)) == orders(1)[2]
    assert resumed.epoch == 3


def test_order_does_not_touch_the_global_generator(nlp, tmp_path, write_lines, read):
    path = write_lines(tmp_path / "a.txt", [f"t{i}" for i in range(40)])
    random.seed(3)
    state = random.getstate()
    read(nlp, path, shuffle_buffer=10)
    assert random.getstate() == state


def test_limit_takes_the_same_first_docs_each_epoch(nlp, tmp_path, write_lines):
    write_lines(tmp_path / "a.txt", [f"a{i}" for i in range(5)])
    write_lines(tmp_path / "b.txt", [f"b{i}" for i in range(5)])
    corpus = UnlabeledCorpus(tmp_path, limit=7, shuffle_buffer=3)
    for _ in range(3):
        texts = {eg.predicted.text for eg in corpus(nlp)}
        assert texts == {"a0", "a1", "a2", "a3", "a4", "b0", "b1"}


def test_limit_does_not_read_on(nlp, tmp_path, write_lines, read):
    path = write_lines(tmp_path / "a.jsonl", ['{"text": "a"}', '{"text": "b"}', "broken"])
    assert read(nlp, path, limit=2) == ["a", "b"]
    with pytest.raises(ValueError, match="JSON"):
        read(nlp, path, limit=3)


def test_min_length_counts_tokens_before_the_split(nlp, tmp_path, write_lines, read):
    path = write_lines(tmp_path / "a.txt", ["a", "a b", "a b c", "a b c d e"])
    assert read(nlp, path, min_length=3) == ["a b c", "a b c d e"]
    assert read(nlp, path, min_length=3, max_length=4) == ["a b c", "a b c d ", "e"]
    assert read(nlp, path, min_length=3, max_length=4, limit=2) == ["a b c", "a b c d "]


def test_long_docs_are_split_at_sentence_starts(nlp, tmp_path, write_docs, read):
    doc = make_annotated(nlp.vocab)
    path = write_docs(tmp_path / "a.spacy", [doc])
    assert read(nlp, path, max_length=5) == ["Ann left. Bob stays"]
    assert read(nlp, path, max_length=4) == ["Ann left. ", "Bob stays"]
    # The first sentence alone is too long: it is cut, and the next cut is at its end again.
    assert read(nlp, path, max_length=2) == ["Ann left", ". ", "Bob stays"]
    (eg, _) = UnlabeledCorpus(path, max_length=4, shuffle_buffer=0)(nlp)
    assert words_of(eg.reference) == ["Ann", "left", "."]
    assert not eg.predicted.has_annotation("SENT_START")


def test_pieces_keep_the_norms_and_spaces_of_the_tokenizer(nlp, tmp_path, write_lines):
    path = write_lines(tmp_path / "a.txt", ["I'm gonna sing, don't you?"])
    examples = list(UnlabeledCorpus(path, max_length=3, shuffle_buffer=0)(nlp))
    assert [eg.predicted.text for eg in examples] == ["I'm gon", "na sing, ", "don't you", "?"]
    norms = [token.norm_ for eg in examples for token in eg.predicted]
    assert norms == [token.norm_ for token in nlp.make_doc("I'm gonna sing, don't you?")]
    assert all(token.is_sent_start is None for eg in examples for token in eg.predicted[1:])


def test_a_huge_line_is_split_in_linear_time(nlp, tmp_path, write_lines):
    path = write_lines(tmp_path / "a.txt", ["word " * 250_000])
    examples = UnlabeledCorpus(path, max_length=50, shuffle_buffer=0)(nlp)
    assert [len(eg) for eg in examples] == [50] * 5000


def test_texts_beyond_the_limit_of_the_pipeline(tmp_path, write_lines, read):
    nlp = spacy.blank("en")
    nlp.max_length = 20
    path = write_lines(tmp_path / "a.txt", ["short", "word " * 9 + "end"])
    with pytest.raises(
        ValueError, match=r"a\.txt, line 2: the text must suit the tokenizer \(\[E088"
    ):
        read(nlp, path)
    assert len(read(nlp, path, max_length=5)) == 3


@pytest.mark.parametrize("as_list", [True, False])
def test_excluded_texts_are_left_out(nlp, tmp_path, as_list, write_lines, read):
    dev = write_lines(tmp_path / "dev.txt", ["Hello, World 1!", "?!", "one two three"])
    raw = ["hello world 2", "HELLO world_1", "...", "one, two: three", "One two. Five six."]
    path = write_lines(tmp_path / "raw.txt", raw)
    kept = ["hello world 2", "...", "One two. Five six."]
    assert read(nlp, path, exclude=[str(dev)] if as_list else dev) == kept
    assert read(nlp, path, exclude=None) == raw


def test_exclude_reads_all_formats_and_looks_at_pieces(
    nlp, tmp_path, write_lines, write_docs, read
):
    docbin = write_docs(tmp_path / "dev.spacy", [nlp.make_doc("Bob stays")])
    tokens = write_lines(tmp_path / "test.jsonl.gz", ['{"tokens": ["no", "t", "this"]}'])
    raw = write_docs(tmp_path / "raw.spacy", [make_annotated(nlp.vocab), nlp.make_doc("Not this")])
    exclude = [docbin, str(tokens)]
    assert read(nlp, raw, exclude=exclude) == ["Ann left. Bob stays"]
    assert read(nlp, raw, exclude=exclude, max_length=4) == ["Ann left. "]


def test_a_missing_excluded_corpus_is_an_error(nlp, tmp_path, write_lines, read):
    path = write_lines(tmp_path / "raw.txt", ["a"])
    with pytest.raises(ValueError, match=r"nodev\.spacy"):
        read(nlp, path, exclude=[tmp_path / "nodev.spacy"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"limit": -1}, "limit must not be negative, got -1"),
        ({"shuffle_buffer": -2}, "shuffle_buffer must not be negative, got -2"),
        ({"min_length": -1}, "min_length must not be negative"),
        ({"max_length": -1}, "max_length must not be negative"),
        ({"on_error": "ignore"}, "on_error must be 'raise' or 'skip', got 'ignore'"),
        ({"rejects": "r.jsonl"}, "rejects needs on_error = 'skip', got 'r.jsonl'"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        UnlabeledCorpus("raw.txt", **settings)


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_lines_are_read_on_demand(nlp, tmp_path, monkeypatch, name, write_lines):
    path = write_lines(tmp_path / name, [f"t{i}" for i in range(5000)])
    seen = []
    make = module.make_doc
    monkeypatch.setattr(
        module,
        "make_doc",
        lambda vocab, record, **rest: seen.append(record.line) or make(vocab, record, **rest),
    )
    stream = UnlabeledCorpus(path, shuffle_buffer=4)(nlp)
    assert seen == []
    for _ in range(3):
        next(stream)
    assert seen == [1, 2, 3, 4, 5, 6, 7]


def test_config_resolves_with_variables(nlp, tmp_path, write_lines):
    raw = write_lines(tmp_path / "raw.txt", ["a", "b"])
    dev = write_lines(tmp_path / "dev.txt", ["b"])
    config = spacy.util.load_config_from_str(
        f"""
        [paths]
        unlabeled = "{raw.as_posix()}"
        dev = "{dev.as_posix()}"
        none = null

        [corpora]

        [corpora.unlabeled]
        @readers = "semivae.UnlabeledCorpus.v1"
        path = ${{paths.unlabeled}}
        exclude = ["${{paths.dev}}"]
        on_error = "skip"
        rejects = null

        [corpora.missing]
        @readers = "semivae.UnlabeledCorpus.v1"
        path = ${{paths.none}}
        """.replace("        ", ""),
        interpolate=True,
    )
    corpora = registry.resolve(config["corpora"])
    assert isinstance(corpora["unlabeled"], UnlabeledCorpus)
    assert corpora["unlabeled"].shuffle_buffer == 10000
    assert [eg.predicted.text for eg in corpora["unlabeled"](nlp)] == ["a"]
    with pytest.raises(ValueError, match=r"paths\.unlabeled"):
        corpora["missing"](nlp)
    filled = registry.fill({"unlabeled": {**config["corpora"]["unlabeled"]}})
    assert filled["unlabeled"]["max_length"] == 0
    assert "epoch" not in filled["unlabeled"]
    config["corpora"]["unlabeled"]["shuffel"] = 1
    with pytest.raises(ConfigValidationError, match="shuffel"):
        registry.resolve(config["corpora"])
