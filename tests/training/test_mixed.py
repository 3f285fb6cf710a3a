"""The reader that interleaves labeled and raw Examples."""

import warnings
from itertools import islice

import pytest
import spacy
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.util import load_config_from_str, registry

from spacy_semivae.training.mixed import MixedCorpus, create_mixed_corpus
from spacy_semivae.training.unlabeled import UnlabeledCorpus


@pytest.fixture(scope="module")
def nlp():
    return spacy.blank("en")


def make_reader(prefix: str, size: int):
    """A reader of `size` one-word Docs that counts its calls and the Docs taken."""

    def reader(nlp):
        reader.calls += 1
        for i in range(size):
            reader.taken += 1
            doc = Doc(nlp.vocab, words=[f"{prefix}{i}"])
            yield Example(doc, doc.copy())

    reader.calls = reader.taken = 0
    return reader


def make_corpus(n_labeled: int, n_raw: int, **settings) -> MixedCorpus:
    return create_mixed_corpus(make_reader("L", n_labeled), make_reader("r", n_raw), **settings)


def texts_of(examples) -> list[str]:
    return [eg.predicted[0].text for eg in examples]


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (1, "L0 r0 L1 r1 L2 r2"),
        (2.0, "L0 r0 r1 L1 r2 r3 L2 r4 r5"),
        (0.5, "L0 L1 r0 L2"),
        (1.5, "L0 r0 L1 r1 r2 L2 r3"),
        (0, "L0 L1 L2"),
    ],
)
def test_ratio(nlp, ratio, expected):
    assert " ".join(texts_of(make_corpus(3, 10, ratio=ratio)(nlp))) == expected


def test_default_ratio_is_one(nlp):
    assert texts_of(make_corpus(2, 9)(nlp)) == ["L0", "r0", "L1", "r1"]


@pytest.mark.parametrize("ratio", [0.1, 0.3, 1.0, 2.7])
def test_the_mean_ratio_holds_over_short_epochs(nlp, ratio):
    corpus = make_corpus(2, 5, ratio=ratio)
    texts = [text for _ in range(100) for text in texts_of(corpus(nlp))]
    n_labeled = sum(text.startswith("L") for text in texts)
    assert n_labeled == 200
    assert abs((len(texts) - n_labeled) - 200 * ratio) <= 1


def test_raw_stream_goes_on_across_epochs_and_restarts_when_used_up(nlp):
    corpus = make_corpus(2, 5)
    raw = [t for _ in range(4) for t in texts_of(corpus(nlp)) if t.startswith("r")]
    assert raw == ["r0", "r1", "r2", "r3", "r4", "r0", "r1", "r2"]
    assert corpus.labeled.calls == 4
    assert corpus.unlabeled.calls == 2


def test_raw_stream_restarts_within_an_epoch(nlp):
    texts = texts_of(make_corpus(2, 2, ratio=3)(nlp))
    assert texts == ["L0", "r0", "r1", "r0", "L1", "r1", "r0", "r1"]


def test_another_pipeline_gets_docs_of_its_own_vocabulary(nlp):
    corpus = make_corpus(2, 5)
    list(corpus(nlp))
    other = spacy.blank("de")
    assert all(eg.predicted.vocab is other.vocab for eg in corpus(other))


def test_raw_docs_are_read_on_demand(nlp):
    corpus = make_corpus(100, 100, ratio=2)
    assert texts_of(islice(corpus(nlp), 4)) == ["L0", "r0", "r1", "L1"]
    assert corpus.unlabeled.taken <= 3
    assert corpus.labeled.taken <= 3


@pytest.mark.parametrize(
    ("limit", "n_raw"),
    [(0, 4), (3, 3), (4, 4), (9, 4)],
)
def test_without_ratio_raw_docs_follow_once(nlp, limit, n_raw):
    corpus = make_corpus(2, 4, ratio=None, limit=limit)
    for _ in range(2):
        assert texts_of(corpus(nlp)) == ["L0", "L1"] + [f"r{i}" for i in range(n_raw)]
    assert corpus.unlabeled.taken == 2 * n_raw


def test_without_ratio_the_raw_corpus_is_opened_last(nlp):
    corpus = make_corpus(2, 4, ratio=None)
    assert texts_of(islice(corpus(nlp), 2)) == ["L0", "L1"]
    assert corpus.unlabeled.calls == 0


@pytest.mark.parametrize("ratio", [1.0, 0, None])
def test_empty_labeled_corpus(nlp, ratio):
    with pytest.raises(ValueError, match="the labeled corpus has none"):
        list(make_corpus(0, 3, ratio=ratio)(nlp))


@pytest.mark.parametrize("ratio", [1.0, None])
def test_empty_raw_corpus(nlp, ratio):
    corpus = make_corpus(2, 0, ratio=ratio)
    for _ in range(2):
        with pytest.raises(ValueError, match="the unlabeled corpus has none"):
            list(corpus(nlp))


def test_a_raw_corpus_that_is_not_used_may_be_empty(nlp):
    corpus = make_corpus(2, 0, ratio=0)
    assert texts_of(corpus(nlp)) == ["L0", "L1"]
    assert corpus.unlabeled.calls == 0


def test_an_error_in_the_raw_text_is_passed_on(nlp, tmp_path):
    path = tmp_path / "raw.jsonl"
    path.write_text('{"text": "a"}\n{\n', encoding="utf8")
    corpus = MixedCorpus(make_reader("L", 5), UnlabeledCorpus(path, shuffle_buffer=0))
    examples = corpus(nlp)
    with pytest.raises(ValueError, match=r"raw\.jsonl, line 2"):
        list(examples)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ratio": -0.5}, "ratio must be null or a finite number from 0, got -0.5"),
        ({"ratio": float("nan")}, "ratio must be .* got nan"),
        ({"ratio": float("inf")}, "ratio must be .* got inf"),
        ({"ratio": None, "limit": -1}, "limit must be .* got -1"),
        ({"ratio": 1.0, "limit": 5}, "limit must be .* ratio = null, got 5"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        make_corpus(1, 1, **settings)


def test_warning_for_an_exclusive_textcat_is_given_once():
    nlp = spacy.blank("en")
    nlp.add_pipe("textcat", name="topic")
    corpus = make_corpus(2, 2)
    with pytest.warns(UserWarning, match="'topic' learns from raw Docs"):
        list(corpus(nlp))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(corpus(nlp))


@pytest.mark.parametrize(("pipe", "ratio"), [("textcat_multilabel", 1.0), ("textcat", 0)])
def test_no_warning_where_nothing_is_amiss(pipe, ratio):
    nlp = spacy.blank("en")
    nlp.add_pipe(pipe)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(make_corpus(2, 2, ratio=ratio)(nlp))


CONFIG = """
[corpora]

[corpora.train]
@readers = "semivae.MixedCorpus.v1"
ratio = {ratio}

[corpora.train.labeled]
@readers = "spacy.Corpus.v1"
path = "{labeled}"
gold_preproc = false

[corpora.train.unlabeled]
@readers = "semivae.UnlabeledCorpus.v1"
path = "{unlabeled}"
shuffle_buffer = 0
"""


@pytest.fixture
def paths(nlp, tmp_path):
    docs = []
    for text in ("one two", "three four"):
        doc = nlp.make_doc(text)
        for token in doc:
            token.tag_ = "EVEN" if token.i % 2 == 0 else "ODD"
        docs.append(doc)
    DocBin(docs=docs, attrs=["TAG"]).to_disk(tmp_path / "train.spacy")
    (tmp_path / "raw.txt").write_text("raw one\nraw two\nraw three\n", encoding="utf8")
    names = {"labeled": "train.spacy", "unlabeled": "raw.txt"}
    return {key: (tmp_path / name).as_posix() for key, name in names.items()}


@pytest.mark.parametrize(("ratio", "n_raw"), [("1.0", 2), ("1", 2), ("null", 3)])
def test_config_resolves(nlp, paths, ratio, n_raw):
    config = load_config_from_str(CONFIG.format(ratio=ratio, **paths))
    corpus = registry.resolve(config["corpora"])["train"]
    examples = list(corpus(nlp))
    tagged = [eg.reference.text for eg in examples if eg.reference.has_annotation("TAG")]
    assert tagged == ["one two", "three four"]
    raw = [eg for eg in examples if not eg.reference.has_annotation("TAG")]
    assert [eg.reference.text for eg in raw] == ["raw one", "raw two", "raw three"][:n_raw]
    assert raw[0].get_aligned("TAG", as_string=True) == ["", ""]


def test_stock_tagger_trains_on_the_mixture(paths):
    nlp = spacy.blank("en")
    nlp.add_pipe("tagger")
    config = load_config_from_str(CONFIG.format(ratio="1.0", **paths))
    corpus = registry.resolve(config["corpora"])["train"]
    nlp.initialize(lambda: corpus(nlp))
    losses = nlp.update(list(corpus(nlp)))
    assert nlp.get_pipe("tagger").labels == ("EVEN", "ODD")
    assert losses["tagger"] > 0
