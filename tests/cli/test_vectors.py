"""`semivae vectors`."""

import pytest
import spacy

RAW = "Pre-war cats sat on 12 mats. Post-war dogs sat on 34 mats.\n" * 10


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "raw.txt"
    path.write_text(RAW, encoding="utf8")
    return path


def vectors_of(path):
    return spacy.load(path).vocab


def test_vectors_of_a_language(semivae, tmp_path, raw):
    out = tmp_path / "vectors"
    args = ["--dim", "8", "--epochs", "1", "--normalize", "digits", "--seed", "2"]
    code, output = semivae("vectors", raw, out, *args)
    assert code == 0, output
    assert "11 vectors from 180 words" in output
    vocab = vectors_of(out)
    assert vocab.vectors.shape == (11, 8)
    assert vocab.has_vector("00")
    assert vocab.has_vector("war")
    assert not vocab.has_vector("Pre")
    meta = spacy.load(out).meta["semivae_vectors"]
    assert (meta["seed"], meta["normalize"], meta["lower"]) == (2, ["digits"], True)
    semivae("vectors", raw, tmp_path / "cased", "--dim", "8", "--no-lower")
    assert vectors_of(tmp_path / "cased").has_vector("Pre")


def test_vectors_in_the_words_of_a_config_or_a_model(semivae, tmp_path, raw):
    config = tmp_path / "config.cfg"
    config.write_text(
        '[nlp]\nlang = "en"\npipeline = ["ner"]\n\n'
        '[nlp.tokenizer]\n@tokenizers = "spacy.Tokenizer.v1"\n',
        encoding="utf8",
    )
    code, output = semivae("vectors", raw, tmp_path / "en", "--config", config)
    assert code == 0, output
    assert not vectors_of(tmp_path / "en").has_vector("pre-war")
    model = tmp_path / "model"
    spacy.blank("xx").to_disk(model)
    code, output = semivae("vectors", raw, tmp_path / "xx", "--config", config, "--nlp.lang", "id")
    assert code == 0, output
    assert spacy.load(tmp_path / "xx").lang == "id"
    code, output = semivae(
        "vectors", raw, tmp_path / "model_vectors", "--model", tmp_path / "model"
    )
    assert code == 0, output
    assert spacy.load(tmp_path / "model_vectors").lang == "xx"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--normalize", "digit"], "digit"),
        (["--min-count", "99"], "must occur 99 times"),
        (["--dims", "3"], "--dims"),
        (["--model", "no_such_model"], "no_such_model"),
    ],
)
def test_errors_are_messages_and_nothing_is_written(semivae, raw, tmp_path, options, message):
    code, output = semivae("vectors", raw, tmp_path / "out", *options)
    assert code == 1
    assert message in output
    assert not (tmp_path / "out").exists()
