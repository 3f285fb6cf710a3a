import pytest
import spacy
import srsly
from spacy.tokens import Doc, DocBin
from spacy.util import load_model_from_config

from spacy_semivae.analysis.curve import corpora
from spacy_semivae.training.unlabeled import UnlabeledCorpus


@pytest.fixture
def nlp(make_config):
    return load_model_from_config(make_config(), auto_fill=True)


def read(path, nlp):
    return [doc.text for doc in DocBin().from_disk(path).get_docs(nlp.vocab)]


def test_labelled_docs_are_shuffled_by_the_seed(nlp, make_config, tmp_path):
    docs = corpora.read_labeled_docs(nlp, make_config().interpolate())
    texts = [doc.text for doc in docs]
    assert len(texts) == 20
    orders = [read(corpora.write_labeled(docs, tmp_path, seed), nlp) for seed in (0, 1)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(texts)
    assert read(corpora.write_labeled(docs, tmp_path / "again", 1), nlp) == orders[1]
    (first,) = (doc for doc in docs if doc.text == orders[0][0])
    (copied, *_) = DocBin().from_disk(tmp_path / "corpora/labeled-seed-0.spacy").get_docs(nlp.vocab)
    assert [t.tag_ for t in copied] == [t.tag_ for t in first] != [""] * len(first)


def test_no_labelled_docs(nlp, make_config, tmp_path):
    DocBin(docs=[Doc(nlp.vocab)]).to_disk(tmp_path / "empty.spacy")
    config = make_config(paths__train=str(tmp_path / "empty.spacy")).interpolate()
    with pytest.raises(ValueError, match=r"empty.spacy: a curve needs labelled Docs, got none"):
        corpora.read_labeled_docs(nlp, config)
    config["corpora"]["train"]["path"] = None
    with pytest.raises(ValueError, match=r"set paths.train"):
        corpora.read_labeled_docs(nlp, config)


def test_raw_docs_are_shuffled_and_filtered_once(nlp, make_config, tmp_path):
    lines = [f"text number {i}" for i in range(50)]
    source, dev = tmp_path / "raw.txt", tmp_path / "dev.jsonl"
    source.write_text("\n".join(lines), encoding="utf8")
    srsly.write_jsonl(dev, [{"text": "text number 3"}])
    config = make_config(
        paths__unlabeled=str(source), corpora__unlabeled__exclude=str(dev)
    ).interpolate()
    assert corpora.write_raw(nlp, config, tmp_path) == 30
    written = [row["text"] for row in srsly.read_jsonl(tmp_path / corpora.RAW)]
    kept = [line for line in lines[:31] if line != "text number 3"]
    assert written != kept
    assert sorted(written) == sorted(kept)
    assert [path.name for path in (tmp_path / "corpora").iterdir()] == ["raw.jsonl"]
    time = (tmp_path / corpora.RAW).stat().st_mtime_ns
    assert corpora.write_raw(nlp, config, tmp_path) == 30
    assert (tmp_path / corpora.RAW).stat().st_mtime_ns == time


def test_raw_docs_keep_their_tokens(tmp_path):
    nlp = spacy.blank("en")
    docs = [
        nlp.make_doc("Isn't it?  Yes \u2028 it\nis"),
        Doc(nlp.vocab, words=["Isn't", "it?"], spaces=[True, False]),
        Doc(nlp.vocab, words=["is", "n't"]),
    ]
    records = [corpora.to_record(nlp, doc) for doc in docs]
    assert [sorted(record) for record in records] == [["text"], ["spaces", "tokens"], ["tokens"]]
    srsly.write_jsonl(tmp_path / "raw.jsonl", records)
    corpus = UnlabeledCorpus(tmp_path / "raw.jsonl", shuffle_buffer=0)
    for eg, doc in zip(corpus(nlp), docs, strict=True):
        assert [t.text for t in eg.predicted] == [t.text for t in doc]
        assert [t.norm_ for t in eg.predicted] == [t.norm_ for t in doc]


def test_no_raw_docs(nlp, make_config, tmp_path):
    source = tmp_path / "raw.txt"
    source.write_text("\n\n", encoding="utf8")
    config = make_config(paths__unlabeled=str(source)).interpolate()
    for _ in range(2):
        with pytest.raises(ValueError, match=r"corpora.unlabeled has none"):
            corpora.write_raw(nlp, config, tmp_path)
