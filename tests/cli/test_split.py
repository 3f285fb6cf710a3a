"""`semivae split`, also of what `convert` wrote."""

import pytest
import spacy
import srsly
from spacy.tokens import Doc, DocBin

from spacy_semivae.cli.split import parse_size


def test_convert_then_split(semivae, tmp_path):
    source = tmp_path / "data.train"
    source.write_text("".join(f"w{i}\tB-X\n\tO\nx\t-\n\n" for i in range(20)), encoding="utf8")
    code, output = semivae(
        "convert", source, tmp_path, "--format", "conll", "--columns", "token, ner"
    )
    assert code == 0, output
    assert "empty tokens dropped: 20" in output
    assert "20 Docs" in output
    args = ["--labeled", ".2", "--unlabeled", "10", "--seed", "3", "--keep-spans", ".5"]
    code, output = semivae("split", tmp_path / "data.train.spacy", tmp_path / "out", *args)
    assert code == 0, output
    assert "4 labeled, 10 unlabeled, 6 rest" in output
    vocab = spacy.blank("en").vocab
    labeled = DocBin().from_disk(tmp_path / "out" / "labeled.spacy").get_docs(vocab)
    assert sum(len(doc.ents) for doc in labeled) == 2
    assert len(DocBin().from_disk(tmp_path / "out" / "rest.spacy")) == 6
    raw = list(srsly.read_jsonl(tmp_path / "out" / "unlabeled.jsonl"))
    assert len(raw) == 10
    assert raw[0]["tokens"][1] == "x"


@pytest.mark.parametrize(
    ("value", "size"), [(".2", 0.2), ("1.0", 1.0), ("100", 100), ("0", 0), ("1", 1)]
)
def test_a_point_makes_a_share(value, size):
    assert parse_size(value) == size
    assert type(parse_size(value)) is type(size)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["2"], "must not exceed the corpus"),
        (["half"], "got 'half'"),
        (["1", "--balance"], "exactly one category"),
    ],
)
def test_errors_are_messages_and_nothing_is_written(semivae, tmp_path, options, message):
    corpus, out = tmp_path / "corpus.spacy", tmp_path / "out"
    DocBin(docs=[Doc(spacy.blank("en").vocab, words=["a"])]).to_disk(corpus)
    code, output = semivae("split", corpus, out, "--unlabeled", "0", "--labeled", *options)
    assert code == 1
    assert message in output
    assert not out.exists()
