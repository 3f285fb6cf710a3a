import pytest
import spacy
import srsly
import typer
from spacy.tokens import Doc, DocBin
from typer.testing import CliRunner

from spacy_semivae.cli.convert import convert_cli
from spacy_semivae.cli.split import parse_size, split_cli
from spacy_semivae.cli.vectors import vectors_cli

WITH_OVERRIDES = {"allow_extra_args": True, "ignore_unknown_options": True}
RAW = "Pre-war cats sat on 12 mats. Post-war dogs sat on 34 mats.\n" * 10


@pytest.fixture
def run():
    app = typer.Typer()
    app.command("split")(split_cli)
    app.command("convert")(convert_cli)
    app.command("vectors", context_settings=WITH_OVERRIDES)(vectors_cli)

    def run(*args):
        return CliRunner().invoke(app, [str(arg) for arg in args])

    return run


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "raw.txt"
    path.write_text(RAW, encoding="utf8")
    return path


def vectors_of(path):
    return spacy.load(path).vocab


def test_convert_then_split(run, tmp_path):
    source = tmp_path / "data.train"
    source.write_text("".join(f"w{i}\tB-X\n\tO\nx\t-\n\n" for i in range(20)), encoding="utf8")
    done = run("convert", source, tmp_path, "--format", "conll", "--columns", "token, ner")
    assert done.exit_code == 0, done.output
    assert "empty tokens dropped: 20" in done.output
    assert "20 Docs" in done.output
    args = ["--labeled", ".2", "--unlabeled", "10", "--seed", "3", "--keep-spans", ".5"]
    done = run("split", tmp_path / "data.train.spacy", tmp_path / "out", *args)
    assert done.exit_code == 0, done.output
    assert "4 labeled, 10 unlabeled, 6 rest" in done.output
    vocab = spacy.blank("en").vocab
    labeled = DocBin().from_disk(tmp_path / "out" / "labeled.spacy").get_docs(vocab)
    assert sum(len(doc.ents) for doc in labeled) == 2
    assert len(DocBin().from_disk(tmp_path / "out" / "rest.spacy")) == 6
    raw = list(srsly.read_jsonl(tmp_path / "out" / "unlabeled.jsonl"))
    assert len(raw) == 10
    assert raw[0]["tokens"][1] == "x"


def test_convert_passes_its_options_on(run, tmp_path):
    source = tmp_path / "data.tsv"
    source.write_bytes("caf\xe9\tA\n".encode("latin-1"))
    out = tmp_path / "out.spacy"
    args = ["--columns", "text,label", "--labels", "A,B", "--encoding", "latin-1", "--lang", "fr"]
    done = run("convert", source, out, "--format", "textcat", *args)
    assert done.exit_code == 0, done.output
    (doc,) = DocBin().from_disk(out).get_docs(spacy.blank("fr").vocab)
    assert (doc.text, doc.cats) == ("café", {"A": 1.0, "B": 0.0})
    source.write_text("a ? X B-Y\n", encoding="utf8")
    args = ["--tag-column", "2", "--ner-column", "-1", "--missing", "?"]
    done = run("convert", source, out, "--format", "conll", *args)
    assert done.exit_code == 0, done.output
    (doc,) = DocBin().from_disk(out).get_docs(spacy.blank("en").vocab)
    assert (doc[0].tag_, doc.ents[0].label_) == ("", "Y")


def test_errors_end_with_one_message_and_write_nothing(run, tmp_path, raw):
    bad = tmp_path / "bad.conll"
    bad.write_text("a\tO\nb\n", encoding="utf8")
    docs = DocBin(docs=[Doc(spacy.blank("en").vocab, words=["a"])])
    docs.to_disk(tmp_path / "corpus.spacy")
    out = tmp_path / "out"
    split = ["split", tmp_path / "corpus.spacy", out, "--unlabeled", "0"]
    for args, message in [
        (["convert", bad, out, "--format", "conll"], "line 2: a token's line must have 2 columns"),
        ([*split, "--labeled", "2"], "must not exceed the corpus"),
        ([*split, "--labeled", "half"], "got 'half'"),
        ([*split, "--labeled", "1", "--balance"], "exactly one category"),
        (["vectors", raw, out, "--normalize", "digit"], "digit"),
        (["vectors", raw, out, "--min-count", "99"], "must occur 99 times"),
        (["vectors", raw, out, "--dims", "3"], "--dims"),
        (["vectors", raw, out, "--nlp.lang", "de"], "only a config can be overridden"),
        (["vectors", raw, out, "--model", "no_such_model"], "no_such_model"),
    ]:
        done = run(*args)
        assert done.exit_code == 1, (args, done.output)
        assert message in " ".join(done.output.split()), (args, done.output)
    assert not out.exists()


@pytest.mark.parametrize(
    ("value", "size"), [(".2", 0.2), ("1.0", 1.0), ("100", 100), ("0", 0), ("1", 1)]
)
def test_a_point_makes_a_share(value, size):
    assert parse_size(value) == size
    assert type(parse_size(value)) is type(size)


def test_vectors_of_a_language(run, tmp_path, raw):
    out = tmp_path / "vectors"
    args = ["--dim", "8", "--epochs", "1", "--normalize", "digits", "--seed", "2"]
    done = run("vectors", raw, out, *args)
    assert done.exit_code == 0, done.output
    assert "11 vectors from 180 words" in done.output
    vocab = vectors_of(out)
    assert vocab.vectors.shape == (11, 8)
    assert vocab.has_vector("00")
    assert vocab.has_vector("war")
    assert not vocab.has_vector("Pre")
    meta = spacy.load(out).meta["semivae_vectors"]
    assert (meta["seed"], meta["normalize"], meta["lower"]) == (2, ["digits"], True)
    run("vectors", raw, tmp_path / "cased", "--dim", "8", "--no-lower")
    assert vectors_of(tmp_path / "cased").has_vector("Pre")


def test_vectors_in_the_words_of_a_config_or_a_model(run, tmp_path, raw):
    config = tmp_path / "config.cfg"
    config.write_text(
        '[nlp]\nlang = "en"\npipeline = ["ner"]\n\n'
        '[nlp.tokenizer]\n@tokenizers = "spacy.Tokenizer.v1"\n',
        encoding="utf8",
    )
    done = run("vectors", raw, tmp_path / "en", "--config", config)
    assert done.exit_code == 0, done.output
    assert not vectors_of(tmp_path / "en").has_vector("pre-war")
    spacy.blank("xx").to_disk(tmp_path / "model")
    done = run("vectors", raw, tmp_path / "xx", "--config", config, "--nlp.lang", "id")
    assert done.exit_code == 0, done.output
    assert spacy.load(tmp_path / "xx").lang == "id"
    done = run("vectors", raw, tmp_path / "model_vectors", "--model", tmp_path / "model")
    assert done.exit_code == 0, done.output
    assert spacy.load(tmp_path / "model_vectors").lang == "xx"
