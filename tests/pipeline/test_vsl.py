from itertools import product as cartesian

import numpy
import pytest
from spacy.tokens import Doc, Span
from spacy.training import Example
from thinc.api import Adam

FACTORIES = ("vsl_tagger", "vsl_ner")
VARIANTS = ("baseline", "g", "flat", "hier")
TERMS = {"supervised", "reconstruction", "kl", "unlabeled_reconstruction", "unlabeled_kl"}
PRIORS = [f"semivae.{kind}Prior.v1" for kind in ("Standard", "Memory", "Snapshot")]


def product(*parts):
    return list(cartesian(*parts))


def prior(name):
    return {"@misc": name, "every": 1} if "Snapshot" in name else {"@misc": name}


# Learning


@pytest.mark.parametrize("factory", FACTORIES)
def test_raw_text_is_learned(factory, make_nlp, raw, fit):
    nlp = make_nlp(factory, alpha=1.0)
    losses = fit(nlp, raw(nlp), 60)
    key = f"{factory}_unlabeled_reconstruction"
    assert losses[-1][key] < 0.5 * losses[0][key]
    assert losses[0][f"{factory}_supervised"] == losses[0][f"{factory}_reconstruction"] == 0.0


@pytest.mark.parametrize(("factory", "variant"), product(FACTORIES, VARIANTS))
def test_losses_name_every_term_and_sum_up(factory, variant, make_nlp, gold, raw):
    nlp = make_nlp(factory, variant=variant, alpha=0.3, labelled_weight=0.6, kl_weight=0.5)
    pipe = nlp.get_pipe(factory)
    losses = pipe.update([*gold(nlp), *raw(nlp)])
    terms = {
        key.removeprefix(f"{factory}_"): value for key, value in losses.items() if key != factory
    }
    assert set(terms) == (TERMS if variant != "baseline" else {"supervised"})
    assert all(value > 0 for value in terms.values())
    weights = {
        "supervised": 1.0,
        "reconstruction": 0.6,
        "kl": 0.3,
        "unlabeled_reconstruction": 0.3,
        "unlabeled_kl": 0.15,
    }
    assert losses[factory] == pytest.approx(sum(weights[term] * terms[term] for term in terms))


@pytest.mark.parametrize("factory", FACTORIES)
def test_losses_add_up_over_updates(factory, make_nlp, gold):
    nlp = make_nlp(factory, variant="baseline")
    pipe = nlp.get_pipe(factory)
    once = dict(pipe.update(gold(nlp)))
    twice = pipe.update(gold(nlp), losses=dict(once))
    assert twice == {key: pytest.approx(2 * value) for key, value in once.items()}


@pytest.mark.parametrize("factory", FACTORIES)
def test_only_labelled_docs(factory, make_nlp, gold):
    losses = (nlp := make_nlp(factory)).get_pipe(factory).update(gold(nlp))
    assert losses[f"{factory}_unlabeled_reconstruction"] == losses[f"{factory}_unlabeled_kl"] == 0.0
    assert losses[f"{factory}_supervised"] > 0 < losses[f"{factory}_reconstruction"]


def name_partly(nlp):
    reference = Doc(nlp.vocab, words=["Ann", "saw", "Rome"])
    reference.set_ents([Span(reference, 2, 3, label="LOC")], default="missing")
    return Example(Doc(nlp.vocab, words=["Ann", "saw", "Rome"]), reference), {2: "U-LOC"}


def tag_partly(nlp):
    reference = Doc(nlp.vocab, words=["Ann", "saw", "Rome"], tags=["NNP", "", "NNP"])
    return Example(Doc(nlp.vocab, words=["Ann", "saw", "Rome"]), reference), {0: "NNP", 2: "NNP"}


@pytest.mark.parametrize(
    ("factory", "annotate"), [("vsl_tagger", tag_partly), ("vsl_ner", name_partly)]
)
def test_missing_annotation_adds_nothing_to_the_supervised_loss(factory, annotate, make_nlp, raw):
    nlp = make_nlp(factory, variant="baseline")  # no noise: training and prediction score alike
    pipe = nlp.get_pipe(factory)
    partial, labels = annotate(nlp)
    (probabilities,) = pipe.predict_probabilities([partial.predicted])
    names = pipe.scheme.names
    expected = numpy.mean([-numpy.log(probabilities[i, names.index(n)]) for i, n in labels.items()])
    key = f"{factory}_supervised"
    assert pipe.update([partial])[key] == pytest.approx(expected, rel=1e-4)
    assert pipe.update([partial, *raw(nlp)])[key] == pytest.approx(expected, rel=1e-4)
    assert pipe.update(raw(nlp))[key] == 0.0


@pytest.mark.parametrize(
    ("factory", "annotate"), [("vsl_tagger", tag_partly), ("vsl_ner", name_partly)]
)
def test_partly_labelled_docs_count_as_labelled(factory, annotate, make_nlp):
    nlp = make_nlp(factory)
    losses = nlp.get_pipe(factory).update([annotate(nlp)[0]])
    assert (
        losses[f"{factory}_unlabeled_reconstruction"] == 0.0 < losses[f"{factory}_reconstruction"]
    )


def test_ner_learns_nothing_of_o_where_annotation_is_missing(make_nlp, gold, fit):
    nlp = make_nlp("vsl_ner", variant="baseline")
    partial, _ = name_partly(nlp)
    fit(nlp, [partial], 40)
    doc = nlp(Doc(nlp.vocab, words=["Ann", "saw", "Rome"]))
    assert [ent.label_ for ent in doc.ents] == ["LOC"] * len(doc.ents) != []
    (probabilities,) = nlp.get_pipe("vsl_ner").predict_probabilities([partial.predicted])
    assert probabilities[1, 0] < 0.5  # nothing taught it that "saw" is outside


# Rejected spans


def span_probability(nlp, words, start, end, label):
    pipe = nlp.get_pipe("vsl_ner")
    (rows,) = pipe.predict_probabilities([Doc(nlp.vocab, words=words.split(" "))])
    kinds = ["B", *"I" * (end - start - 2), "L"] if end - start > 1 else ["U"]
    ids = [pipe.scheme.names.index(f"{kind}-{label}") for kind in kinds]
    return numpy.prod([rows[start + i, id_] for i, id_ in enumerate(ids)])


@pytest.mark.parametrize("span", [(0, 1, "PER"), (2, 4, "PER"), (2, 5, "LOC")])
@pytest.mark.parametrize("variant", VARIANTS)
def test_rejected_spans_become_less_probable(variant, span, make_nlp, fit, reject):
    nlp = make_nlp("vsl_ner", variant=variant)
    words = "Ann saw Bob Lee Rome"
    before = span_probability(nlp, words, *span)
    losses = fit(nlp, [reject(nlp, words.split(), span)], 20)
    assert span_probability(nlp, words, *span) < before
    assert losses[-1]["vsl_ner_negative"] < losses[0]["vsl_ner_negative"]
    assert losses[0]["vsl_ner_supervised"] == 0.0


def test_rejected_spans_have_their_exact_loss(make_nlp, reject):
    nlp = make_nlp("vsl_ner", variant="baseline")
    spans = [(0, 1, "PER"), (1, 3, "LOC"), (1, 4, "PER")]
    words = "Ann saw Bob Lee Rome"
    expected = numpy.mean([-numpy.log1p(-span_probability(nlp, words, *span)) for span in spans])
    # behind an empty and a longer Doc, so that offsets count
    examples = [reject(nlp, words.split(), spans[0]), Example(Doc(nlp.vocab), Doc(nlp.vocab))]
    examples += [reject(nlp, words.split(), span) for span in spans[1:]]
    losses = nlp.get_pipe("vsl_ner").update(examples)
    assert losses["vsl_ner_negative"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("key", "labels"),
    [("incorrect_spans", ("LOC", "ORG", "PER")), ("other", ("LOC", "PER")), (None, ("LOC", "PER"))],
)
def test_types_of_rejected_spans_are_labels(key, labels, make_nlp, gold, reject):
    def examples(nlp):
        return [*gold(nlp), reject(nlp, ["Ann", "saw", "Rome"], (0, 1, "ORG"))]

    nlp = make_nlp("vsl_ner", examples=examples, incorrect_spans_key=key)
    assert nlp.get_pipe("vsl_ner").labels == labels
    nlp.get_pipe("vsl_ner").update(examples(nlp))


# What a step changes


def variants_with_classifiers():
    pairs = [
        ("baseline", "h"),
        ("g", "z"),
        ("flat", "y"),
        ("flat", "z"),
        ("hier", "y"),
        ("hier", "z"),
    ]
    tagger = [("vsl_tagger", *pair, name) for pair, name in product(pairs, PRIORS)]
    return [*tagger, *(("vsl_ner", *pair, PRIORS[0]) for pair in pairs)]


@pytest.mark.parametrize(
    ("factory", "variant", "classifier_on", "store"), variants_with_classifiers()
)
def test_one_step_changes_every_tensor(
    factory, variant, classifier_on, store, make_nlp, gold, raw, tensors
):
    nlp = make_nlp(
        factory,
        variant=variant,
        model={"classifier_on": classifier_on},
        prior=prior(store),
        kl_weight=0.5,
    )
    pipe = nlp.get_pipe(factory)
    before = tensors(pipe.model)
    nlp.update([*gold(nlp), *raw(nlp)], sgd=Adam(0.01))
    after = tensors(pipe.model)
    same = [name for name in before if numpy.array_equal(before[name], after[name])]
    assert not same
    parts = {name.split(".")[1] for name in before if ":vsl." in name}
    heads = {"heads", "decoder", "output"} if variant != "baseline" else set()
    assert parts == {"classifier", *heads}
    for name in before:
        if name.endswith("embedding.weight"):  # the padding
            assert not after[name][0].any()


@pytest.mark.parametrize("embeddings", ["fixed", "tuned"])
def test_static_vectors_are_never_trained(embeddings, make_nlp, gold, raw, tensors):
    nlp = make_nlp(vectors=True, encoder={"embeddings": embeddings})
    vectors = nlp.vocab.vectors.data.copy()
    before = tensors(nlp.get_pipe("vsl_tagger").model)
    assert not any(name.endswith("vsl.output") for name in before)  # the vectors are the output
    nlp.update([*gold(nlp), *raw(nlp)], sgd=Adam(0.01))
    after = tensors(nlp.get_pipe("vsl_tagger").model)
    assert not [name for name in before if numpy.array_equal(before[name], after[name])]
    assert numpy.array_equal(nlp.vocab.vectors.data, vectors)
    embedding = next(name for name in before if name.endswith("bigru.embedding.weight"))
    assert len(before[embedding]) == 2 if embeddings == "fixed" else len(before[embedding]) > 10


def test_parameters_without_a_part_in_a_step_stay_where_they_are(make_nlp, gold, raw, tensors):
    nlp = make_nlp(variant="flat", labelled_weight=0.0)
    pipe = nlp.get_pipe("vsl_tagger")
    optimizer = Adam(0.01, L2=0.01)

    def changed(examples):
        before = tensors(pipe.model)
        nlp.update(examples, sgd=optimizer)
        after = tensors(pipe.model)
        return {n.split(":")[1] for n in before if not numpy.array_equal(before[n], after[n])}

    everything = changed([*gold(nlp), *raw(nlp)])  # now there is momentum
    without_labels = changed(raw(nlp))
    assert everything - without_labels == {"vsl.classifier.weight", "vsl.classifier.bias"}
    without_raw = changed(gold(nlp))
    assert {name.split(".")[1] for name in everything - without_raw} == {
        "heads",
        "decoder",
        "output",
    }
    assert "vsl.heads.y.weight" in without_raw


# Labels


STRANGE = ["!", ",", "O", "-", "B-PER", " ", "\U0001f600"]


def test_any_string_is_a_tag(make_nlp, fit):
    words = [f"w{i}" for i in range(len(STRANGE))]

    def examples(nlp):
        return [Example(Doc(nlp.vocab, words), Doc(nlp.vocab, words, tags=STRANGE))]

    nlp = make_nlp(examples=examples)
    fit(nlp, examples(nlp), 60)
    assert sorted(nlp.get_pipe("vsl_tagger").labels) == sorted(STRANGE)
    assert [token.tag_ for token in nlp(Doc(nlp.vocab, words))] == STRANGE


def test_any_string_is_an_entity_type(make_nlp, fit, annotation):
    words = [f"w{i}" for i in range(2 * len(STRANGE))]

    def examples(nlp):
        doc = Doc(nlp.vocab, words)
        doc.ents = [
            Span(doc, 2 * i, 2 * i + 1 + i % 2, label=name) for i, name in enumerate(STRANGE)
        ]
        return [Example(Doc(nlp.vocab, words), doc)]

    nlp = make_nlp("vsl_ner", variant="baseline", examples=examples)
    (eg,) = examples(nlp)
    fit(nlp, [eg], 80, lr=0.05)
    assert annotation("vsl_ner", nlp(Doc(nlp.vocab, words))) == annotation("vsl_ner", eg.reference)


def test_ner_predicts_well_formed_entities_only(make_nlp):
    nlp = make_nlp("vsl_ner")
    pipe = nlp.get_pipe("vsl_ner")
    rng = numpy.random.default_rng(0)
    docs = [nlp.make_doc("a b c d e f g"), nlp.make_doc(""), nlp.make_doc("x")]
    for _ in range(20):
        scores = pipe.predict(docs)
        scores.dataXd[:] = rng.normal(size=scores.dataXd.shape) * 5
        pipe.set_annotations(docs, scores)  # raises for a path that is not well-formed
        assert [ids.shape for ids in pipe.decode(scores)] == [(7,), (0,), (1,)]


@pytest.mark.parametrize("variant", ["g", "flat", "hier"])
def test_an_evaluation_measures_the_units_of_the_latents(make_nlp, gold, variant):
    nlp = make_nlp(variant=variant)
    pipe, examples = nlp.get_pipe("vsl_tagger"), gold(nlp)
    found = nlp.evaluate(examples)["vsl_tagger_unit_kl"]
    assert len(found) == (6 if variant == "g" else 10)  # z, and y before it
    kl = pipe.evaluate_terms([eg.predicted for eg in examples])["unlabeled_kl"]
    assert sum(found) == pytest.approx(kl, rel=1e-4)


@pytest.mark.parametrize("settings", [{"variant": "baseline"}, {"model": {"variational": False}}])
def test_without_a_kl_no_unit_is_measured(make_nlp, gold, settings):
    nlp = make_nlp(**settings)
    assert "vsl_tagger_unit_kl" not in nlp.evaluate(gold(nlp))


def test_a_pruned_tagger_is_still_scored(make_nlp, gold):
    nlp = make_nlp()
    nlp.get_pipe("vsl_tagger").prune()
    scores = nlp.evaluate(gold(nlp))
    assert "tag_acc" in scores
    assert "vsl_tagger_unit_kl" not in scores
