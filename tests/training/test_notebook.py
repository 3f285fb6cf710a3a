"""Training on Docs in memory."""

import numpy
import pytest
import spacy
from spacy.tokens import Doc

from spacy_semivae.training.notebook import train


def notebook_docs(nlp):
    texts = [("a dog ran", "DT NN VB"), ("the old cat sat", "DT JJ NN VB"), ("dogs ran", "NN VB")]
    return [Doc(nlp.vocab, words=w.split(), tags=t.split()) for w, t in texts]


@pytest.fixture
def notebook():
    nlp = spacy.blank("en")
    tok2vec = {"width": 8, "char_width": 6, "char_hidden": 6, "hidden": 8, "min_count": 1}
    sizes = {"width_y": 6, "width_z": 4, "hidden": 8, "width": 8}
    nlp.add_pipe("vsl_tagger", config={"model": {**sizes, "tok2vec": tok2vec}})
    return nlp


def test_train_on_docs_in_memory(notebook):
    docs = notebook_docs(notebook)
    raw = ["a cat ran", notebook.make_doc("the dog sat here"), docs[0]]
    settings = {"max_steps": 120, "eval_frequency": 20, "dropout": 0.0}
    result = train(notebook, docs, raw, docs, **settings)
    assert result["score"] > 0.8
    assert result["steps"] == 120
    predicted = [notebook(doc.copy()) for doc in notebook_docs(notebook)]
    tags = [(p.tag_, g.tag_) for pred, gold in zip(predicted, docs) for p, g in zip(pred, gold)]
    assert numpy.mean([p == g for p, g in tags]) == pytest.approx(result["score"])
    assert [token.tag_ for token in docs[0]] == ["DT", "NN", "VB"]


def test_train_needs_labelled_docs(notebook):
    with pytest.raises(ValueError, match="needs labelled Docs"):
        train(notebook, [], ["a cat ran"])


def test_train_without_dev_says_so(notebook):
    with pytest.warns(UserWarning, match="no dev Docs: the last weights are kept"):
        result = train(notebook, notebook_docs(notebook), max_steps=2)
    assert result["steps"] == 2
