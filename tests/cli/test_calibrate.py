"""`semivae calibrate`."""

import pytest
import spacy
from spacy.tokens import Doc, DocBin
from spacy.training import Example

WORDS = "the dog saw a cat".split()
TAGS = ["D N V D N".split(), "D N N D V".split()]  # the second half contradicts the first


@pytest.fixture
def model(tmp_path):
    """A trained tagger, and its corpora beside it."""
    encoder = {"@architectures": "semivae.CharWordBiGRU.v1", "width": 6, "char_width": 4}
    encoder |= {"char_hidden": 4, "hidden": 6, "min_count": 1}
    small = {"variant": "baseline", "tok2vec": encoder}
    spacy.util.fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("vsl_tagger", config={"model": small})
    docs = [Doc(nlp.vocab, WORDS, tags=tags) for tags in TAGS]
    examples = [Example(Doc(nlp.vocab, WORDS), docs[0])]
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.02
    for _ in range(30):
        nlp.update(examples, sgd=optimizer)
    DocBin(docs=docs).to_disk(tmp_path / "dev.spacy")
    DocBin(docs=docs[1:]).to_disk(tmp_path / "test.spacy")
    DocBin(docs=[Doc(nlp.vocab, WORDS)]).to_disk(tmp_path / "raw.spacy")
    nlp.to_disk(tmp_path / "model")
    return tmp_path / "model"


def temperature(path):
    return spacy.load(path).get_pipe("vsl_tagger").calibration_temperature


def test_a_model_is_calibrated_in_place(semivae, model):
    tags = [token.tag_ for token in spacy.load(model)("the dog saw")]
    code, output = semivae("calibrate", model, model.parent / "dev.spacy")
    assert code == 0, output
    found = temperature(model)
    assert found > 1.5
    assert f"vsl_tagger: temperature {found:.3f}" in output
    assert "tokens 10 10" in output
    assert "give --test another" in output
    assert [token.tag_ for token in spacy.load(model)("the dog saw")] == tags


def test_a_new_folder_and_another_corpus(semivae, model, tmp_path):
    args = ["--test", tmp_path / "test.spacy", "--output", tmp_path / "new" / "model"]
    code, output = semivae("calibrate", model, tmp_path / "dev.spacy", *args)
    assert code == 0, output
    assert "tokens 5 5" in output
    assert "give --test" not in output
    assert temperature(model) == 1.0 < temperature(tmp_path / "new" / "model")


def test_the_edge_is_pointed_out(semivae, model, tmp_path):
    code, output = semivae(
        "calibrate", model, tmp_path / "test.spacy", "-t", tmp_path / "dev.spacy"
    )
    assert code == 0, output
    assert ("at the edge" in output) == (not 0.12 < temperature(model) < 10 / 1.2)


def test_what_cannot_be_done(semivae, model, tmp_path):
    dev = tmp_path / "dev.spacy"
    for args, message in (
        ([model, tmp_path / "raw.spacy"], "'vsl_tagger' needs annotated Docs to be calibrated"),
        ([model, dev, "--output", tmp_path], "exists: choose another folder"),
        (["en_none", dev], "en_none is no folder: an installed package needs --output"),
        ([model, tmp_path / "none.spacy"], "none.spacy"),
    ):
        code, output = semivae("calibrate", *args)
        assert code == 1
        assert message in output
    assert temperature(model) == 1.0
