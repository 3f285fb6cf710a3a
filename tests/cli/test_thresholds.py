"""`semivae thresholds`."""

import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example

WORDS = "Ann saw Bob Lee in Rome".split()
RIGHT = [(0, 1, "PER"), (2, 4, "PER"), (5, 6, "LOC")]


@pytest.fixture
def model(tmp_path):
    """A trained recognizer, and beside it a corpus that calls its place wrong."""
    encoder = {"@architectures": "semivae.CharWordBiGRU.v1", "width": 6, "char_width": 4}
    encoder |= {"char_hidden": 4, "hidden": 6, "min_count": 1}
    small = {"width": 8, "generator": None, "tok2vec": encoder}
    spacy.util.fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("crf_vae_ner", config={"model": small, "alpha": 0.0})
    docs = [Doc(nlp.vocab, WORDS), Doc(nlp.vocab, WORDS)]
    for doc, spans in zip(docs, (RIGHT, RIGHT[:2])):
        doc.ents = [Span(doc, *span) for span in spans]
    examples = [Example(Doc(nlp.vocab, WORDS), docs[0])]
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.02
    for _ in range(40):
        nlp.update(examples, sgd=optimizer)
    DocBin(docs=docs[1:]).to_disk(tmp_path / "dev.spacy")
    nlp.to_disk(tmp_path / "model")
    return tmp_path / "model"


def entities(path):
    nlp = spacy.load(path)
    return [(e.start, e.end, e.label_) for e in nlp(Doc(nlp.vocab, WORDS)).ents]


def test_thresholds_are_saved_and_taken_off(semivae, model, tmp_path):
    dev = tmp_path / "dev.spacy"
    assert entities(model) == RIGHT
    code, output = semivae("thresholds", model, dev, "--precision", 0.9)
    assert code == 0, output
    assert "LOC 1.0000 0/1 0.0 - -" in output
    assert "PER 0.0000 2/2 100.0 100.0 100.0" in output
    assert "LOC: no threshold reaches a precision of 0.9 on 1 predictions; with 1 none" in output
    assert entities(model) == RIGHT[:2]
    code, output = semivae("calibrate", model, dev)
    assert code == 1
    assert "has thresholds" in output
    code, output = semivae("thresholds", model, dev, "--precision", 0)
    assert code == 0, output
    assert entities(model) == RIGHT
    assert semivae("calibrate", model, dev)[0] == 0


def test_a_new_folder(semivae, model, tmp_path):
    new = tmp_path / "new"
    code, output = semivae("thresholds", model, tmp_path / "dev.spacy", "-p", 0.5, "-o", new)
    assert code == 0, output
    assert entities(model) == RIGHT
    assert entities(new) == RIGHT[:2]


def test_what_cannot_be_done(semivae, model, tmp_path):
    dev = tmp_path / "dev.spacy"
    spacy.blank("en").to_disk(tmp_path / "blank")
    for args, message in (
        ([model, dev, "-p", 90], "a precision is from 0 to 1, but got 90"),
        ([tmp_path / "blank", dev, "-p", 0.9], "no component of this package"),
        ([model, dev, "-p", 0.9, "--output", tmp_path], "exists: choose another folder"),
    ):
        code, output = semivae("thresholds", *args)
        assert code == 1
        assert message in output
    assert semivae("thresholds", model, dev)[0] == 2
