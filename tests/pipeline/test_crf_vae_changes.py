"""CRF-VAE components: odd Docs, storage, changes after training, warnings and errors."""

import warnings

import numpy
import pytest
from spacy.tokens import Doc, Span
from spacy.training import Example
from thinc.api import SGD

from spacy_semivae.layers.language_model import get_vocabulary

FACTORIES = ("crf_vae_tagger", "crf_vae_ner")
WORDS = ["Ann", "saw", "Bob", "Lee", "in", "Rome", "!"]
TEXTS = ["Ann saw Bob Lee", "", "We like New York City .", " ", "Rome"]


def test_pieces_are_counted_as_they_stand(make_nlp, crf_model):
    def examples(nlp):
        doc = nlp.make_doc("Ann, Ann, Rome,")
        doc.ents = [Span(doc, 0, 1, "PER")]
        return [Example(nlp.make_doc(doc.text), doc), Example(nlp.make_doc("a"), nlp.make_doc("a"))]

    nlp = make_nlp("crf_vae_ner", model=crf_model("mf_lm"), examples=examples)
    model = nlp.get_pipe("crf_vae_ner").model
    counts = nlp.get_pipe("crf_vae_ner").piece_counts
    assert max(counts.values()) >= 3  # a comma follows no space
    ids = get_vocabulary(model).encode([nlp.make_doc("a,")]).ids
    assert counts[int(ids[-1])] == 3
    assert set(model.attrs["targets"]) == {piece for piece, n in counts.items() if n > 1}


# Warnings and errors


def test_no_raw_docs_with_alpha(make_nlp, gold):
    for settings in ({"alpha": 0.0}, {"model": {"generator": None}, "beta": 0.0}):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            make_nlp("crf_vae_ner", examples=gold, **settings)
    for factory in FACTORIES:
        with pytest.warns(UserWarning, match=f"'{factory}': alpha is 0.1, but every Doc"):
            make_nlp(factory, examples=gold)


def test_an_empirical_prior_needs_full_annotation(make_nlp, keep):
    with pytest.raises(ValueError, match="needs fully annotated Docs"):
        make_nlp(
            "crf_vae_ner",
            prior="empirical",
            examples=lambda nlp: [keep(nlp, WORDS, (0, 1, "PER"))],
        )


def test_an_encoder_of_another_width(make_nlp):
    nlp, other = (
        make_nlp("crf_vae_ner", encoder={"hidden": hidden}).get_pipe("crf_vae_ner")
        for hidden in (8, 5)
    )
    nlp.model.layers[0] = other.model.layers[0]
    with pytest.raises(ValueError, match="width 10, but the tagger was initialized with width 16"):
        nlp.predict([Doc(nlp.vocab, WORDS)])


def update_often(nlp, examples, times):
    for _ in range(times):
        nlp.get_pipe("crf_vae_ner").update(examples)


def test_nothing_teaches_o(make_nlp, crf_model, keep):
    nlp = make_nlp(
        "crf_vae_ner",
        model=crf_model(None),
        beta=0.0,
        examples=lambda nlp: [keep(nlp, WORDS, (0, 1, "PER"))],
    )
    example = keep(nlp, ["Ann"] * 2, (0, 1, "PER"))
    with pytest.warns(UserWarning, match=r"no token was annotated as O.*expected share of O 0\.\d"):
        update_often(nlp, [example], 50)


def test_a_collapse_is_reported(make_nlp, crf_model, raw):
    nlp = make_nlp("crf_vae_ner", model=crf_model(None), beta=0.1)
    pipe = nlp.get_pipe("crf_vae_ner")
    pipe.model.shims[0].module.score.bias.data[0] = 50.0
    with pytest.warns(UserWarning, match=r"for 100 updates the best paths have been O everywhere"):
        update_often(nlp, raw(nlp)[:1], 100)


def test_the_generator_gives_no_gradient_to_the_tagger(make_nlp, gold, tensors):
    nlp = make_nlp("crf_vae_ner", generator_weight=1.0, alpha=0.0)
    other = make_nlp("crf_vae_ner", generator_weight=0.0, alpha=0.0)
    found = []
    for each in (nlp, other):
        pipe = each.get_pipe("crf_vae_ner")
        pipe.max_grad_norm = 0.0
        each.update(gold(each), sgd=SGD(0.1))
        found.append(tensors(pipe.model))
    different = {n for n in found[0] if not numpy.allclose(found[0][n], found[1][n], atol=1e-7)}
    assert different
    assert all("generator" in name for name in different)
