"""What is shown of a text is what the pipeline predicts for it."""

import pytest
from spacy.tokens import Doc

from spacy_semivae.analysis.suggest_tasks import make_tasks

TEXTS = ["Ann saw Bob", "Rome", "We like New Rome .", "no names  here", "Bob likes us", "!"]


@pytest.fixture
def make():
    """Give the tasks of texts."""

    def make(nlp, texts=TEXTS):
        docs = [nlp.make_doc(text) for text in texts]
        metas = [{"line": i} for i, _ in enumerate(docs)]
        tasks = make_tasks(nlp.get_pipe(nlp.pipe_names[0]), docs, metas)
        assert [(task.text, task.meta) for task in tasks] == list(zip(texts, metas))
        return tasks

    return make


@pytest.mark.parametrize("factory", ["crf_vae_ner", "vsl_ner"])
def test_entities(factory, make, tiny_pipeline):
    nlp, seen = tiny_pipeline(factory, steps=30), 0
    for task in make(nlp):
        assert [(m.start, m.end, m.label) for m in task.marks] == [
            (e.start_char, e.end_char, e.label_) for e in nlp(task.text).ents
        ]
        assert all(0 < m.probability <= 1 for m in task.marks)
        seen += len(task.marks)
    assert seen


def test_tags_of_all_tokens_but_spaces(make, tiny_pipeline):
    nlp = tiny_pipeline("vsl_tagger")
    for task in make(nlp):
        words = [t for t in nlp(task.text) if not t.is_space]
        assert [(m.start, m.label) for m in task.marks] == [(t.idx, t.tag_) for t in words]
        assert all(0 < m.probability <= 1 for m in task.marks)
        assert [task.text[i:j] for i, j in task.tokens] == [t.text for t in nlp(task.text)]


def test_classes(make, tiny_pipeline):
    nlp = tiny_pipeline("ssvae_textcat")
    for task in make(nlp):
        cats = nlp(task.text).cats
        assert task.cats == pytest.approx(cats, abs=1e-5)
        assert task.best == max(cats, key=cats.get)
        assert not task.marks


@pytest.mark.parametrize("factory", ["crf_vae_ner", "vsl_tagger", "ssvae_textcat"])
def test_no_texts_and_an_empty_one(factory, tiny_pipeline):
    pipe = tiny_pipeline(factory).get_pipe(factory)
    assert make_tasks(pipe, [], []) == []
    (task,) = make_tasks(pipe, [Doc(pipe.vocab)], [{}])
    assert (task.text, task.tokens, list(task.marks)) == ("", [], [])
