"""The components on odd, long and empty Docs."""

import numpy
import pytest
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import fix_random_seed
from thinc.api import Adam

FACTORIES = ("vsl_tagger", "vsl_ner", "crf_vae_tagger", "crf_vae_ner", "ssvae_textcat")
ODD = [
    "",
    " ",
    "\n\n \t",
    "x",
    "  Ann   saw  ",
    "\U0001f600",
    "\U0001f469\u200d\U0001f680 \u4e2d\u6587 e\u0301",
]


@pytest.mark.parametrize(
    ("factory", "generator"),
    [
        *((factory, None) for factory in FACTORIES[:2]),
        *((factory, generator) for factory in FACTORIES[2:4] for generator in ("mf", "mt_lm")),
        ("ssvae_textcat", None),
    ],
)
def test_odd_docs_train_and_predict(factory, generator, make_nlp, crf_model, gold, annotation):
    nlp = make_nlp(factory, model=crf_model(generator) if generator else None)
    odd = [Example(nlp.make_doc(text), nlp.make_doc(text)) for text in ODD]
    for examples in (odd, [*odd, *gold(nlp)], *([eg] for eg in odd)):
        losses = nlp.update(examples, sgd=Adam(0.001), losses={}, drop=0.1)
        assert all(numpy.isfinite(value) for value in losses.values())
    for doc, text in zip(nlp.pipe(ODD), ODD):
        assert doc.text == text
        assert annotation(factory, nlp(text)) == annotation(factory, doc)
        assert all(doc.cats or t.tag_ or t.ent_iob_ for t in doc)


@pytest.mark.parametrize(
    ("factory", "generator", "size"),
    [
        pytest.param("vsl_tagger", None, 5000, marks=pytest.mark.slow),
        ("vsl_ner", None, 5000),
        ("crf_vae_ner", "mf", 2000),
        ("crf_vae_ner", "mf_lm", 2000),
    ],
)
def test_a_long_doc(factory, generator, size, make_nlp, crf_model, gold):
    nlp = make_nlp(factory, model=crf_model(generator) if generator else None)
    words = [["Ann", "saw", "x7", "Bob", "Lee", "in", "."][i % 7] for i in range(size)]
    long = Example(Doc(nlp.vocab, words), Doc(nlp.vocab, words))
    losses = nlp.update([long, *gold(nlp)], sgd=Adam(0.01), losses={})
    term = "reconstruction" if generator else "unlabeled_reconstruction"
    assert losses[f"{factory}_{term}"] > 0
    doc = nlp(Doc(nlp.vocab, words))
    assert all(t.tag_ or t.ent_iob_ for t in doc)
    (mu,) = nlp.get_pipe(factory).predict_probabilities([doc])
    assert mu.shape == (size, 9 if factory.endswith("ner") else mu.shape[1])
    if generator != "mf_lm":
        assert numpy.allclose(mu.sum(1), 1.0, atol=1e-4 if generator else 1e-5)


@pytest.mark.parametrize("factory", FACTORIES)
def test_empty_docs_contribute_nothing(factory, make_nlp, gold, tensors, same):
    is_crf, is_text = factory.startswith("crf_vae"), factory == "ssvae_textcat"
    settings = {"alpha": 0.0} if is_crf else {"prior": {"@misc": "semivae.StandardPrior.v1"}}
    nlp = make_nlp(factory, **({} if is_text else settings))
    pipe, classes = nlp.get_pipe(factory), len(nlp.get_pipe(factory).scheme.names)
    before, empty = tensors(pipe.model), Example(Doc(nlp.vocab), Doc(nlp.vocab))
    assert nlp.update([empty, empty], sgd=Adam(0.01), losses={}) == {factory: 0.0}
    assert same(before, tensors(pipe.model))
    docs = [Doc(nlp.vocab), Doc(nlp.vocab)]
    scores = pipe.predict(docs)
    pipe.set_annotations(docs, scores)
    shape = (classes,) if is_text else (0, classes)
    assert [p.shape for p in pipe.predict_probabilities(docs)] == [shape] * 2
    assert [len(doc) for doc in nlp.pipe(["", ""])] == [0, 0]
    if is_text:
        assert scores.shape == (2, classes)
        assert numpy.isfinite(scores).all()
        assert pipe.predict([]).shape == (0, classes)
    elif not is_crf:
        assert scores.dataXd.shape == (0, classes)
        assert pipe.predict([]).dataXd.shape[0] == 0
    (first, *rest), found = gold(nlp), []
    for examples in ([first, *rest], [empty, first, empty, *rest]):
        fix_random_seed(0)
        losses = pipe.update(examples)
        if is_crf:  # the other terms depend on how many Docs noise is drawn for
            losses = {term: losses[f"{factory}_{term}"] for term in ("supervised", "generation")}
        found.append(losses)
    assert found[1] == pytest.approx(found[0])
