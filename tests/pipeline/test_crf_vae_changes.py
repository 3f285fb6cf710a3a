"""CRF-VAE components: odd Docs, storage, changes after training, warnings and errors."""

import warnings

import numpy
import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import fix_random_seed
from thinc.api import SGD, Adam

from spacy_semivae.layers.language_model import get_vocabulary

FACTORIES = ("crf_vae_tagger", "crf_vae_ner")
WORDS = ["Ann", "saw", "Bob", "Lee", "in", "Rome", "!"]
TEXTS = ["Ann saw Bob Lee", "", "We like New York City .", " ", "Rome"]


def annotation(factory, doc):
    if factory == "crf_vae_tagger":
        return [token.tag_ for token in doc]
    return [(ent.start, ent.end, ent.label_) for ent in doc.ents]


def marginals(nlp, factory, texts=TEXTS):
    return nlp.get_pipe(factory).predict_probabilities([nlp.make_doc(text) for text in texts])


def same(one, other):
    return all(numpy.array_equal(a, b) for a, b in zip(one, other))


def keep(nlp, sentence, *spans):
    """An Example in which only some spans are known."""
    reference = Doc(nlp.vocab, sentence)
    reference.set_ents([Span(reference, *span) for span in spans], default="missing")
    return Example(Doc(nlp.vocab, sentence), reference)


# Odd Docs


ODD = ["", " ", "\n\n \t", "x", "  Ann   saw  ", "\U0001f600", "\U0001f469\u200d\U0001f680 \u4e2d"]


@pytest.mark.parametrize("generator", ["mf", "mt_lm"])
@pytest.mark.parametrize("factory", FACTORIES)
def test_odd_docs_train_and_predict(factory, generator, make_nlp, crf_model, gold):
    nlp = make_nlp(factory, model=crf_model(generator))
    odd = [Example(nlp.make_doc(text), nlp.make_doc(text)) for text in ODD]
    for examples in (odd, [*odd, *gold(nlp)], odd[:1], odd[1:2]):
        losses = nlp.update(examples, sgd=Adam(0.001), losses={}, drop=0.1)
        assert all(numpy.isfinite(value) for value in losses.values())
    for doc, text in zip(nlp.pipe(ODD), ODD):
        assert doc.text == text
        assert annotation(factory, nlp(text)) == annotation(factory, doc)
        assert all(t.tag_ or t.ent_iob_ for t in doc)


@pytest.mark.parametrize("generator", ["mf", "mf_lm"])
def test_a_long_doc(generator, make_nlp, crf_model, gold):
    nlp = make_nlp("crf_vae_ner", model=crf_model(generator))
    words = [WORDS[i % 7] for i in range(2000)]
    long = Example(Doc(nlp.vocab, words), Doc(nlp.vocab, words))
    losses = nlp.update([long, *gold(nlp)], sgd=Adam(0.01), losses={})
    assert losses["crf_vae_ner_reconstruction"] > 0
    doc = nlp(Doc(nlp.vocab, words))
    (mu,) = nlp.get_pipe("crf_vae_ner").predict_probabilities([doc])
    assert mu.shape == (2000, 9)
    if generator == "mf":
        assert numpy.allclose(mu.sum(1), 1.0, atol=1e-4)


@pytest.mark.parametrize("factory", FACTORIES)
def test_empty_docs_contribute_nothing(factory, make_nlp, gold, tensors):
    nlp = make_nlp(factory, alpha=0.0)
    pipe = nlp.get_pipe(factory)
    empty = Example(Doc(nlp.vocab), Doc(nlp.vocab))
    assert nlp.update([empty, empty], sgd=Adam(0.01), losses={}) == {factory: 0.0}
    docs = [Doc(nlp.vocab), Doc(nlp.vocab)]
    pipe.set_annotations(docs, pipe.predict(docs))
    assert [p.shape for p in pipe.predict_probabilities(docs)] == [(0, len(pipe.scheme.names))] * 2
    first, *rest = gold(nlp)
    found = [pipe.update(x) for x in ([first, *rest], [empty, first, empty, *rest])]
    assert found[1][f"{factory}_supervised"] == pytest.approx(found[0][f"{factory}_supervised"])
    assert found[1][f"{factory}_generation"] == pytest.approx(found[0][f"{factory}_generation"])


# Storage and changes


def save_to_disk(nlp, path):
    nlp.to_disk(path)
    return spacy.load(path)


def save_to_bytes(nlp, path):
    return spacy.blank("en").from_config(nlp.config).from_bytes(nlp.to_bytes())


def train_on(nlp, examples, steps):
    fix_random_seed(3)
    optimizer = Adam(0.01)
    return [nlp.update(examples, sgd=optimizer, losses={}, drop=0.1) for _ in range(steps)]


@pytest.mark.parametrize("save", [save_to_disk, save_to_bytes])
@pytest.mark.parametrize(
    ("factory", "generator"),
    [("crf_vae_tagger", "mt"), ("crf_vae_ner", "mf"), ("crf_vae_ner", "mt_lm_residual")],
)
def test_round_trip_predicts_and_trains_on_alike(
    factory, generator, save, make_nlp, crf_model, gold, raw, tmp_path
):
    nlp = make_nlp(factory, model=crf_model(generator), alpha=0.7)
    train_on(nlp, [*gold(nlp), *raw(nlp)], 2)
    loaded = save(nlp, tmp_path)
    pipe, copied = nlp.get_pipe(factory), loaded.get_pipe(factory)
    assert copied.cfg["step"] == 2
    assert copied.cfg["tag_counts"] == pipe.cfg["tag_counts"] != {}
    assert same(marginals(loaded, factory), marginals(nlp, factory))
    after = train_on(nlp, [*gold(nlp), *raw(nlp)], 2)
    assert train_on(loaded, [*gold(loaded), *raw(loaded)], 2) == after
    assert same(marginals(loaded, factory), marginals(nlp, factory))


@pytest.mark.parametrize("generator", ["mf", "mf_lm"])
def test_labels_can_be_added_after_training(generator, make_nlp, crf_model, gold, fit):
    nlp = make_nlp("crf_vae_ner", model=crf_model(generator))
    fit(nlp, gold(nlp), 10)
    pipe = nlp.get_pipe("crf_vae_ner")
    assert pipe.add_label("NEW") == 1
    assert pipe.add_label("NEW") == 0
    reference = Doc(nlp.vocab, ["zebras", "here"])
    reference.ents = [Span(reference, 0, 1, "NEW")]
    example = Example(Doc(nlp.vocab, ["zebras", "here"]), reference)
    fit(nlp, [example, *gold(nlp)], 30, lr=0.03)
    doc = nlp(Doc(nlp.vocab, ["zebras", "here"]))
    assert [ent.label_ for ent in doc.ents] == ["NEW"]
    loaded = save_to_bytes(nlp, None)
    assert same(marginals(loaded, "crf_vae_ner"), marginals(nlp, "crf_vae_ner"))


@pytest.mark.parametrize("generator", ["factored", "mt", "mt_lm"])
@pytest.mark.parametrize("factory", FACTORIES)
def test_prune(factory, generator, make_nlp, crf_model, gold, fit, tmp_path):
    nlp = make_nlp(factory, model=crf_model(generator))
    fit(nlp, gold(nlp), 2)
    expected = marginals(nlp, factory)
    size = len(nlp.get_pipe(factory).to_bytes(exclude=["vocab"]))
    nlp.get_pipe(factory).prune()
    assert same(marginals(nlp, factory), expected)
    assert len(nlp.get_pipe(factory).to_bytes(exclude=["vocab"])) < size
    loaded = save_to_disk(nlp, tmp_path)
    assert same(marginals(loaded, factory), expected)
    for each in (nlp, loaded):
        with pytest.raises(ValueError, match="pruned of its generator"):
            each.update(gold(each), sgd=Adam(0.01))


def test_a_pipeline_can_be_initialized_again(make_nlp, crf_model, gold, raw, fit):
    nlp = make_nlp("crf_vae_ner", model=crf_model("mf_lm"))
    fit(nlp, gold(nlp), 2)
    nlp.initialize(lambda: [*gold(nlp), *raw(nlp)])
    assert nlp.get_pipe("crf_vae_ner").cfg["step"] == 0
    fit(nlp, [*gold(nlp), *raw(nlp)], 1)


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


@pytest.mark.parametrize("factory", FACTORIES)
def test_raw_docs_only(factory, make_nlp, raw):
    with pytest.raises(ValueError, match=f"'{factory}' needs labels, but none of 3 Docs"):
        make_nlp(factory, examples=raw)


def test_an_empirical_prior_needs_full_annotation(make_nlp):
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


def test_nothing_teaches_o(make_nlp, crf_model):
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
