"""`ssvae_textcat`: labels, terms, scores, encoders, writing."""

import warnings

import numpy
import pytest
import spacy
from spacy.training import Example
from spacy.util import fix_random_seed
from thinc.api import Adam
from tiny import CONVOLUTION

from spacy_semivae.layers.shim import collect_gradients
from spacy_semivae.pipeline.latents import PATIENCE

NAME = "ssvae_textcat"
TRIP, TALK = "city trip \U0001f600", "talk"
TERMS = ("classification", "reconstruction", "kl", "label_prior", "entropy")
LISTENER = {"@architectures": "spacy.Tok2VecListener.v1", "width": 8, "upstream": "*"}
SMALL = {"width": 8, "hidden": 12, "width_z": 4, "width_y": 4, "dropout": 0.0}


def example(nlp, text, cats):
    reference = nlp.make_doc(text)
    reference.cats = cats
    return Example(nlp.make_doc(text), reference)


@pytest.fixture
def trained(make_nlp, gold, raw, fit):
    """Make a pipeline that tells the two classes apart."""

    def make(**settings):
        nlp = make_nlp(NAME, **settings)
        fit(nlp, [*gold(nlp), *raw(nlp)], 30)
        return nlp

    return make


# Labels


def test_labels_and_cats(make_nlp):
    nlp = make_nlp(NAME)
    assert nlp.get_pipe(NAME).labels == (TRIP, TALK)
    for doc in nlp.pipe(["Ann saw Rome", "", "zebras", " "]):
        assert list(doc.cats) == [TRIP, TALK]
        assert sum(doc.cats.values()) == pytest.approx(1.0)
        assert all(0 < p < 1 for p in doc.cats.values())


@pytest.mark.parametrize(
    ("cats", "message"),
    [
        ([{"A": 1.0, "B": 0.0}, {"A": 1.0}], "every labelled Doc is of the class 'A'"),
        ([{"A": 1.0, "B": 1.0}, {"B": 1.0}], r"one cat of 1\.0 .*'some text' has"),
        ([{"A": 1.0}, {"A": 0.0, "B": 0.0}], r"one cat of 1\.0 .*'some text' has"),
        ([{"A": 1.0}, {"A": 0.2, "B": 0.8}], r"'A': 0\.2, 'B': 0\.8"),
        ([{}, {}], "needs labels, but none of 2 Docs is annotated"),
    ],
)
def test_labels_of_which_nothing_can_be_learned(cats, message, make_nlp):
    with pytest.raises(ValueError, match=message):
        make_nlp(NAME, examples=lambda nlp: [example(nlp, "some text", each) for each in cats])


def test_labels_can_be_given(make_nlp, gold):
    nlp = make_nlp(NAME, initialize=False)
    pipe = nlp.get_pipe(NAME)
    pipe.initialize(lambda: gold(nlp), nlp=nlp, labels=["new", TALK, TRIP])
    assert pipe.label_data == ["new", TALK, TRIP]
    assert pipe.predict([nlp.make_doc("Ann")]).shape == (1, 3)
    other = make_nlp(NAME, initialize=False).get_pipe(NAME)
    with pytest.raises(ValueError, match=r"needs two labels or more, but got \['A'\]"):
        other.initialize(lambda: gold(nlp), labels=["A"])


def test_wrong_cats_in_training(make_nlp, gold):
    nlp = make_nlp(NAME)
    for cats in ({TRIP: 1.0, TALK: 1.0}, {TRIP: 0.0}, {TRIP: 0.5}):
        with pytest.raises(ValueError, match=r"exclusive classifier .* 'Ann saw' has"):
            nlp.update([*gold(nlp), example(nlp, "Ann saw", cats)])


# The loss


def test_every_term_is_reported(make_nlp, gold, raw):
    nlp = make_nlp(NAME, kl_weight=0.5, alpha=3.0)
    losses = nlp.update([*gold(nlp), *raw(nlp)], losses={})
    terms = {term: losses[f"{NAME}_{term}"] for term in TERMS}
    weights = {"classification": 3.0, "kl": 0.5}
    whole = sum(weights.get(term, 1.0) * value for term, value in terms.items())
    assert losses[NAME] == pytest.approx(whole)
    assert terms["label_prior"] == pytest.approx(numpy.log(2), abs=1e-5)
    assert terms["entropy"] < 0
    assert 0 <= losses[f"{NAME}_active_units"] <= 4
    assert 0 < losses[f"{NAME}_largest_unit_kl"] <= terms["kl"] + 1e-5


def test_terms_of_raw_text_do_not_depend_on_its_annotation(make_nlp, gold, tensors, same):
    nlp = make_nlp(NAME)
    pipe, docs = nlp.get_pipe(NAME), [eg.reference for eg in gold(nlp)]
    before, terms = tensors(pipe.model), pipe.evaluate_terms(docs)
    assert terms == pipe.evaluate_terms(docs)
    assert terms["classification"] == 0 < terms["reconstruction"]
    assert terms["entropy"] < 0
    assert not any(collect_gradients(pipe.model))
    assert same(before, tensors(pipe.model))


@pytest.mark.parametrize("labeled", [True, False])
def test_a_batch_of_one_and_of_one_kind(labeled, make_nlp, gold, raw):
    nlp = make_nlp(NAME)
    examples = gold(nlp) if labeled else raw(nlp)
    for batch in (examples, examples[:1]):
        losses = nlp.update(batch, sgd=Adam(0.01), losses={})
        assert (losses[f"{NAME}_classification"] > 0) == labeled
        assert (losses[f"{NAME}_entropy"] == 0) == labeled
        assert losses[f"{NAME}_reconstruction"] > 0


@pytest.mark.parametrize(
    "model",
    [
        {"marginal": "sample", "baseline": "length", "samples": 1},
        {"marginal": "sample", "baseline": "mean"},
        {"marginal": "sample", "baseline": "leave_one_out", "samples": 3},
        {"marginal": "sample", "baseline": "none", "replacement": False},
        {"length_normalize": True},
        {"truncation": "random_crop", "max_length": 3},
        {"tok2vec": CONVOLUTION},
    ],
)
def test_variants_learn_and_repeat(model, make_nlp, gold, raw, fit, measured, same):
    found = []
    for _ in range(2):
        nlp = make_nlp(NAME, model=model)
        losses = fit(nlp, [*gold(nlp), *raw(nlp)], 30)
        assert losses[-1][f"{NAME}_classification"] < 0.5 * losses[0][f"{NAME}_classification"]
        found.append((losses, measured(nlp, NAME)))
    assert found[0][0] == found[1][0]
    assert same(found[0][1], found[1][1])


def test_the_classifier_alone(make_nlp, gold, raw):
    nlp = make_nlp(NAME, model={"decoder": None})
    losses = nlp.update([*gold(nlp), *raw(nlp)], losses={})
    assert set(losses) == {NAME, f"{NAME}_classification"}
    assert "cats_discrimination" not in nlp.evaluate(gold(nlp))
    with pytest.raises(ValueError, match="decoder = null"):
        nlp.get_pipe(NAME).generate()


def test_a_collapse_is_reported(make_nlp, gold):
    nlp = make_nlp(NAME, kl_weight=1.0)
    pipe = nlp.get_pipe(NAME)
    module = pipe.model.shims[0].module
    head = module.generator.head.output
    head.weight.data.zero_()
    head.bias.data.zero_()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for _ in range(PATIENCE):
            pipe.update(gold(nlp)[:1])
    assert [str(w.message) for w in found if "the KL of the latent" in str(w.message)]


def test_a_doc_of_20000_tokens(make_nlp, gold):
    nlp = make_nlp(NAME, model={"max_length": 50})
    text = "Ann saw Bob Lee in " * 4000
    nlp.max_length = 10**6
    long = Example(nlp.make_doc(text), nlp.make_doc(text))
    assert len(long.predicted) == 20_000
    losses = nlp.update([long, *gold(nlp)], sgd=Adam(0.01), losses={})
    assert numpy.isfinite(losses[NAME])
    head = nlp.make_doc("Ann saw Bob Lee in " * 11)
    cats = [nlp.get_pipe(NAME)(doc).cats for doc in (long.predicted, head)]
    assert cats[0] == pytest.approx(cats[1], abs=1e-6)


# Scores


def test_scores(trained, gold, raw):
    nlp = trained()
    found = nlp.evaluate([*gold(nlp), *raw(nlp)])
    assert found["cats_score"] == found["cats_micro_p"] == 1.0  # raw Docs do not count
    pipe = nlp.get_pipe(NAME)
    assert found["cats_discrimination"] == pipe.discrimination_index(gold(nlp))
    assert found["cats_unit_kl"] == pytest.approx(pipe.unit_kl(gold(nlp)).tolist())
    weights = nlp.config["training"]["score_weights"]
    assert weights["cats_score"] == 1.0
    assert weights["cats_discrimination"] == 0.0
    stock = spacy.blank("en")
    stock.add_pipe("textcat")
    assert set(stock.config["training"]["score_weights"]) < set(weights)
    assert "cats_score" in nlp.evaluate([*gold(nlp), example(nlp, "us", {"unseen": 1.0})])


def test_scores_of_a_pruned_component(trained, gold, raw):
    nlp = trained()
    before = nlp.evaluate(gold(nlp))
    nlp.get_pipe(NAME).prune()
    after = nlp.evaluate(gold(nlp))
    assert after["cats_score"] == before["cats_score"]
    assert "cats_discrimination" not in after
    assert "cats_score" in nlp.evaluate(raw(nlp))


def test_a_positive_label(make_nlp, gold, save):
    nlp = make_nlp(NAME, initialize=False)
    nlp.get_pipe(NAME).initialize(lambda: gold(nlp), nlp=nlp, positive_label=TALK)
    for each in (nlp, save(nlp)):
        found = each.evaluate(gold(each))
        assert found["cats_score_desc"] == f"F ({TALK})"
        assert found["cats_score"] == found["cats_f_per_type"][TALK]["f"]
    for labels, positive in ((None, "other"), ([TALK, TRIP, "third"], TALK)):
        pipe = make_nlp(NAME, initialize=False).get_pipe(NAME)
        with pytest.raises(ValueError, match="positive_label is one of two labels, but got"):
            pipe.initialize(lambda: gold(nlp), labels=labels, positive_label=positive)


def test_discrimination_index(make_nlp, gold, raw):
    nlp = make_nlp(NAME)
    pipe, examples = nlp.get_pipe(NAME), gold(nlp)
    costs = pipe.label_costs(eg.predicted for eg in examples)
    names = [max(eg.reference.cats, key=eg.reference.cats.get) for eg in examples]
    hits = [pipe.labels[costs[i].argmin()] == name for i, name in enumerate(names)]
    empty = example(nlp, "", {TALK: 1.0})
    assert pipe.discrimination_index([*examples, *raw(nlp), empty]) == sum(hits) / 4
    with pytest.raises(ValueError, match="needs labelled Docs to measure D"):
        pipe.discrimination_index([*raw(nlp), empty])


# Encoders


def test_the_gradient_reaches_a_shared_encoder(gold, raw, tmp_path):
    fix_random_seed(0)
    nlp = spacy.blank("en")
    shared = nlp.add_pipe("tok2vec", config={"model": CONVOLUTION})
    nlp.add_pipe(NAME, config={"model": {**SMALL, "tok2vec": LISTENER}})
    examples = [*gold(nlp), *raw(nlp), example(nlp, "", {})]
    nlp.initialize(lambda: examples)
    nodes = [n for n in shared.model.walk() if n.has_param("E")]
    before = [n.get_param("E").copy() for n in nodes]
    optimizer = Adam(0.02)
    losses = [nlp.update(examples, sgd=optimizer, losses={}) for _ in range(30)]
    assert losses[-1][f"{NAME}_classification"] < 0.2 * losses[0][f"{NAME}_classification"]
    assert all(not numpy.array_equal(n.get_param("E"), E) for n, E in zip(nodes, before))
    nlp.to_disk(tmp_path)
    texts = ["Ann saw Rome", "", "zebras"]
    for one, other in zip(spacy.load(tmp_path).pipe(texts), nlp.pipe(texts)):
        assert one.cats == pytest.approx(other.cats, abs=1e-6)


def test_a_transformer_as_encoder(tiny_bert, gold, raw):
    nlp = spacy.blank("en")
    encoder = {"@architectures": "semivae.FrozenTransformer.v1", "name": str(tiny_bert)}
    pipe = nlp.add_pipe(NAME, config={"model": {**SMALL, "tok2vec": encoder}})
    nlp.initialize(lambda: [*gold(nlp), *raw(nlp)])
    assert pipe.model.shims[0].cfg["nI"] == 12
    optimizer = Adam(0.02)
    key = f"{NAME}_classification"
    losses = [nlp.update([*gold(nlp), *raw(nlp)], sgd=optimizer, losses={}) for _ in range(40)]
    assert losses[-1][key] < 0.7 * losses[0][key]


# Writing


def test_generate(trained):
    nlp = trained()
    pipe = nlp.get_pipe(NAME)
    every = pipe.generate(n=3, seed=1)
    assert list(every) == [TRIP, TALK]
    for label, docs in every.items():
        assert [doc.text for doc in pipe.generate(label, 3, seed=1)] == [d.text for d in docs]
        assert len(docs) == 3
        assert all(doc.vocab is nlp.vocab for doc in docs)
    for strategy in ("sample", "beam"):
        one, other, third = (
            [doc.text for doc in pipe.generate(TALK, 4, seed=seed, strategy=strategy)]
            for seed in (1, 1, 2)
        )
        assert one == other
        assert one != third
    fix_random_seed(1)
    first = [doc.text for doc in pipe.generate(TALK, 4, strategy="sample")]
    assert first != [doc.text for doc in pipe.generate(TALK, 4, strategy="sample")]
    fix_random_seed(1)
    assert first == [doc.text for doc in pipe.generate(TALK, 4, strategy="sample")]
    assert max(len(doc) for doc in pipe.generate(TALK, 4, seed=1, max_length=2)) <= 2


def test_generate_from_latents(trained, gold):
    nlp = trained()
    pipe = nlp.get_pipe(NAME)
    z = pipe.encode([eg.predicted for eg in gold(nlp)])
    assert z.shape == (4, 4)
    every = pipe.generate(z=z)
    assert [len(docs) for docs in every.values()] == [4, 4]
    again = pipe.generate(z=z.astype("d").tolist())
    assert str(every) == str(again)
    with pytest.raises(ValueError, match=r"a label is one of .*, got 'none'"):
        pipe.generate("none")
    with pytest.raises(ValueError, match=r"strategy is one of .* got 'best'"):
        pipe.generate(strategy="best")
    pipe.prune()
    docs = [nlp("Ann")]
    for call in (pipe.generate, lambda: pipe.label_costs(docs), lambda: pipe.encode(docs)):
        with pytest.raises(ValueError, match="has no generator"):
            call()


def test_encode(make_nlp, gold):
    nlp = make_nlp(NAME)
    pipe, docs = nlp.get_pipe(NAME), [eg.predicted for eg in gold(nlp)] * 20
    q = numpy.stack(pipe.predict_probabilities(docs))
    each = numpy.stack([pipe.encode(docs, [label] * len(docs)) for label in pipe.labels])
    assert pipe.encode(docs) == pytest.approx(numpy.einsum("bc,cbz->bz", q, each), abs=1e-5)
    assert pipe.encode([]).shape == (0, 4)
    assert pipe.label_costs([]).shape == (0, 2)
    with pytest.raises(ValueError, match="a label is one of"):
        pipe.encode(docs[:1], ["none"])
    with pytest.raises(ValueError, match="a label for each of 80 Docs, but got 1"):
        pipe.encode(docs, ["talk"])
