import copy
import pickle
import warnings

import numpy
import pytest
import spacy
from thinc.api import Adam

import spacy_semivae

VSL = ("vsl_tagger", "vsl_ner")
FACTORIES = (*VSL, "crf_vae_tagger", "crf_vae_ner", "ssvae_textcat")
TAGGERS = ("vsl_tagger", "crf_vae_tagger")
TEXTS = ["Ann saw Bob Lee in Rome!", "", "We like zebras", "\U0001f600"] * 3


def scores(nlp, name, texts=TEXTS):
    docs = [nlp.make_doc(text) for text in texts]
    return numpy.concatenate(nlp.get_pipe(name).predict_probabilities(docs))


def written(docs):
    return [
        (
            [t.tag_ for t in doc],
            [(e.start, e.end, e.label_) for e in doc.ents],
            [label for label, p in doc.cats.items() if p > 0.5],
        )
        for doc in docs
    ]


@pytest.fixture
def trained(make_nlp, gold, raw, fit):
    """Make a trained pipeline with one component."""

    def make(factory="vsl_tagger", **settings):
        nlp = make_nlp(factory, **settings)
        fit(nlp, [*gold(nlp), *raw(nlp)], 10)
        return nlp

    return make


# Copies and processes


@pytest.mark.parametrize("factory", FACTORIES)
def test_several_processes_predict_alike(factory, trained):
    is_text = factory == "ssvae_textcat"  # its probabilities are the cats
    nlp = trained(factory, **({} if is_text else {"store_probabilities": True}))
    expected = list(nlp.pipe(TEXTS))  # in this process first: its threads must not stop the others
    found = list(nlp.pipe(TEXTS, n_process=2, batch_size=2))
    assert written(found) == written(expected)
    key = f"{factory}_probabilities"
    for one, other in zip(found, expected):
        if is_text:
            assert one.cats == pytest.approx(other.cats, abs=1e-6)
        else:
            assert numpy.allclose(one.user_data[key], other.user_data[key], atol=1e-6)


def by_pickle(nlp):
    return pickle.loads(pickle.dumps(nlp))


SCHEDULE = {
    "@schedules": "constant_then.v1",
    "rate": 0.1,
    "steps": 12,
    "schedule": {"@schedules": "constant.v1", "rate": 0.7},
}


PRIORS = [{"@misc": f"semivae.{kind}Prior.v1"} for kind in ("Memory", "Snapshot")]
KINDS = [(factory, prior) for factory in VSL for prior in PRIORS]
KINDS += [("crf_vae_tagger", "empirical"), ("crf_vae_ner", "empirical")]
KINDS += [("ssvae_textcat", "uniform")]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, by_pickle])
@pytest.mark.parametrize(("factory", "prior"), KINDS)
def test_copies_predict_alike_and_train_apart(factory, duplicate, prior, trained, gold, raw, fit):
    # a generator of Thinc's can be neither copied nor pickled
    nlp = trained(factory, prior=prior, alpha=SCHEDULE)
    expected = scores(nlp, factory)
    other = duplicate(nlp)
    pipe = other.get_pipe(factory)
    assert pipe is not nlp.get_pipe(factory)
    assert pipe.cfg == nlp.get_pipe(factory).cfg
    assert pipe.cfg is not nlp.get_pipe(factory).cfg
    assert numpy.array_equal(scores(other, factory), expected)
    fit(other, [*gold(other), *raw(other)], 5)
    assert not numpy.array_equal(scores(other, factory), expected)
    assert numpy.array_equal(scores(nlp, factory), expected)
    assert nlp.get_pipe(factory).cfg["step"] == 10


@pytest.mark.parametrize("duplicate", [copy.deepcopy, by_pickle])
def test_copied_schedules_keep_their_values(duplicate, trained):
    def alphas(nlp):
        return [nlp.get_pipe("vsl_tagger").alpha.at(step) for step in range(15)]

    ours = {"@schedules": "semivae.linear.v1", "start": 0.0, "end": 1.0, "steps": 14}
    nlp = trained(alpha=ours)
    assert alphas(duplicate(nlp)) == alphas(nlp) == pytest.approx([i / 14 for i in range(15)])
    # of a generator only the values that were drawn can be copied
    nlp = trained(alpha=SCHEDULE)
    assert alphas(duplicate(nlp)) == [0.1] * 15
    assert alphas(nlp) == [0.1] * 12 + [0.7] * 3
    assert alphas(duplicate(nlp)) == alphas(nlp)


@pytest.mark.parametrize("factory", FACTORIES)
def test_vectors_are_stored_with_the_pipeline(factory, trained):
    nlp = trained(factory, vectors=True, encoder={"embeddings": "fixed"})
    loaded = spacy.blank("en").from_config(nlp.config).from_bytes(nlp.to_bytes())
    assert numpy.array_equal(scores(loaded, factory), scores(nlp, factory))


# Pipelines


@pytest.mark.parametrize("pair", [VSL, ("crf_vae_tagger", "crf_vae_ner")])
def test_two_components_in_one_pipeline(pair, gold, raw, fit):
    nlp = spacy.blank("en")
    for factory in pair:
        nlp.add_pipe(factory)
    nlp.initialize(lambda: [*gold(nlp), *raw(nlp)])
    losses = fit(nlp, [*gold(nlp), *raw(nlp)], 40, lr=0.01)[-1]
    assert {*pair, *(f"{factory}_kl" for factory in pair)} <= set(losses)
    found = written(nlp.pipe([eg.reference.text for eg in gold(nlp)]))
    expected = written(eg.reference for eg in gold(nlp))
    assert [doc[:2] for doc in found] == [doc[:2] for doc in expected]
    result = nlp.evaluate(gold(nlp))
    assert result["tag_acc"] == result["ents_f"] == 1.0
    weights = nlp.config["training"]["score_weights"]
    assert weights["tag_acc"] == weights["ents_f"] == 0.5


@pytest.mark.parametrize("factory", TAGGERS)
def test_one_factory_twice(factory, make_nlp, gold, raw, fit):
    nlp = make_nlp(factory, initialize=False)
    nlp.add_pipe(factory, name="pos", config={"attr": "pos"})
    nlp.initialize(lambda: [*gold(nlp), *raw(nlp)])
    fit(nlp, gold(nlp), 60)
    words = [token.text for token in gold(nlp)[0].reference]
    doc = nlp(spacy.tokens.Doc(nlp.vocab, words))
    assert [t.tag_ for t in doc] == [t.tag_ for t in gold(nlp)[0].reference]
    assert [t.pos_ for t in doc] == [t.pos_ for t in gold(nlp)[0].reference]
    assert set(nlp.evaluate(gold(nlp))) >= {"tag_acc", "pos_acc"}


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_trained_component_moves_to_another_pipeline(factory, trained, gold, raw, fit, tmp_path):
    source = trained(factory)
    expected = scores(source, factory)
    nlp = spacy.blank("en")
    nlp.add_pipe(factory, source=source, name="moved")
    assert numpy.array_equal(scores(nlp, "moved"), expected)
    assert written(nlp.pipe(TEXTS)) == written(source.pipe(TEXTS))
    nlp.to_disk(tmp_path)
    assert numpy.array_equal(scores(spacy.load(tmp_path), "moved"), expected)
    losses = fit(nlp, [*gold(nlp), *raw(nlp)], 2)[-1]
    assert losses["moved"] > 0


def test_a_frozen_component_stays_as_it_is(trained, gold, raw):
    source = trained("vsl_ner")
    nlp = spacy.blank("en")
    nlp.add_pipe("vsl_ner", source=source)
    expected = scores(nlp, "vsl_ner")
    nlp.add_pipe("vsl_tagger")
    with nlp.select_pipes(disable=["vsl_ner"]):
        nlp.initialize(lambda: gold(nlp))
    before = scores(nlp, "vsl_tagger")
    optimizer = Adam(0.01, L2=0.1)
    for _ in range(2):
        nlp.update(
            [*gold(nlp), *raw(nlp)], sgd=optimizer, exclude=["vsl_ner"], annotates=["vsl_ner"]
        )
    assert numpy.array_equal(scores(nlp, "vsl_ner"), expected)
    assert not numpy.array_equal(scores(nlp, "vsl_tagger"), before)


def test_components_state_what_they_write():
    nlp = spacy.blank("en")
    for factory in FACTORIES:
        nlp.add_pipe(factory)
    attrs = nlp.analyze_pipes()["attrs"]
    assert attrs["token.tag"]["assigns"] == list(TAGGERS)
    assert attrs["doc.ents"]["assigns"] == ["vsl_ner", "crf_vae_ner"]
    assert attrs["doc.spans"]["assigns"] == ["crf_vae_ner"]
    assert attrs["doc.cats"]["assigns"] == ["ssvae_textcat"]


@pytest.mark.parametrize("factory", FACTORIES)
def test_pruned_components_are_smaller_on_disk(factory, trained, tmp_path):
    nlp = trained(factory)
    expected = scores(nlp, factory)
    nlp.to_disk(tmp_path / "whole")
    nlp.get_pipe(factory).prune()
    nlp.to_disk(tmp_path / "pruned")
    sizes = [
        sum(p.stat().st_size for p in (tmp_path / n / factory).rglob("*"))
        for n in ("whole", "pruned")
    ]
    assert sizes[1] < 0.97 * sizes[0]
    assert numpy.array_equal(scores(spacy.load(tmp_path / "pruned"), factory), expected)


# Training from a notebook


def docs_of(examples):
    return [eg.reference for eg in examples]


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("factory", FACTORIES)
def test_train_in_a_notebook(factory, as_text, make_nlp, gold, raw):
    nlp = make_nlp(factory, initialize=False)
    unlabeled = [eg.text if as_text else eg.reference for eg in raw(nlp)]
    result = spacy_semivae.train(
        nlp,
        docs_of(gold(nlp)),
        unlabeled,
        docs_of(gold(nlp)),
        max_steps=60,
        eval_frequency=20,
        dropout=0.0,
        optimizer=Adam(0.03),
    )
    key = "tag_acc" if factory in TAGGERS else "ents_f"
    key = "cats_score" if factory == "ssvae_textcat" else key
    assert nlp.evaluate(gold(nlp))[key] == pytest.approx(result["score"])
    assert result["score"] > 0.9
    assert result["steps"] == 60
    assert result["best_step"] in (20, 40, 60)


def note_evaluations(nlp):
    """Keep accuracy and scores of every evaluation of a tagger."""
    seen, evaluate = [], nlp.evaluate

    def noting(examples):
        result = evaluate(examples)
        seen.append((result["tag_acc"], scores(nlp, "vsl_tagger")))
        return result

    nlp.evaluate = noting
    return seen


@pytest.mark.parametrize("averages", [True, False])
def test_train_ends_with_the_best_weights(averages, make_nlp, gold):
    nlp = make_nlp(variant="baseline", initialize=False)
    seen = note_evaluations(nlp)
    result = train_on_dev(nlp, gold, Adam(0.03, use_averages=averages))
    best = max(range(len(seen)), key=lambda i: (seen[i][0], -i))
    assert 0 < best < len(seen) - 1
    assert result == {"score": seen[best][0], "best_step": 5 * (best + 1), "steps": 60}
    assert numpy.allclose(scores(nlp, "vsl_tagger"), seen[best][1], atol=1e-4)
    assert not numpy.allclose(seen[-1][1], seen[best][1], atol=1e-2)


def test_train_keeps_the_best_weights_of_a_run_that_diverges(make_nlp, gold):
    nlp = make_nlp(initialize=False)
    seen = note_evaluations(nlp)
    with pytest.raises(FloatingPointError):
        train_on_dev(nlp, gold, Adam(iter([0.02] * 30 + [1e4] * 100)))
    best = max(range(len(seen)), key=lambda i: (seen[i][0], -i))
    assert numpy.allclose(scores(nlp, "vsl_tagger"), seen[best][1], atol=1e-4)


def train_on_dev(nlp, gold, optimizer):
    return spacy_semivae.train(
        nlp,
        docs_of(gold(nlp)),
        ["Ann saw us"],
        docs_of(gold(nlp)),
        max_steps=60,
        eval_frequency=5,
        dropout=0.0,
        optimizer=optimizer,
    )


def test_train_goes_on_with_a_trained_pipeline(trained, gold):
    nlp = trained()
    with pytest.warns(UserWarning, match="no dev Docs"):
        result = spacy_semivae.train(nlp, docs_of(gold(nlp)), max_steps=3)
    assert nlp.get_pipe("vsl_tagger").cfg["step"] == 13
    assert result == {"score": 0.0, "best_step": 3, "steps": 3}


def test_train_needs_labels(make_nlp):
    with pytest.raises(ValueError, match="needs labelled Docs"):
        spacy_semivae.train(make_nlp(initialize=False), [], ["Ann saw us"])


def test_a_score_without_weight_is_reported(make_nlp, gold):
    nlp = make_nlp(initialize=False, attr="pos")
    arguments = (nlp, docs_of(gold(nlp)), (), docs_of(gold(nlp)))
    with pytest.warns(UserWarning, match=r"None of the scores .*pos_acc.* has a weight"):
        spacy_semivae.train(*arguments, max_steps=1)
    nlp.config["training"]["score_weights"]["pos_acc"] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert spacy_semivae.train(*arguments, max_steps=1)["score"] > 0


@pytest.mark.parametrize("factory", FACTORIES)
def test_what_was_loaded_is_saved_as_it_was(factory, make_nlp, gold, fit, through_bytes):
    nlp = make_nlp(factory)
    fit(nlp, gold(nlp), 1)
    nlp("Ann saw no zebras")  # fills caches
    saved = nlp.get_pipe(factory).to_bytes()
    assert through_bytes(nlp).get_pipe(factory).to_bytes() == saved
