"""From a config to an initialized pipeline: raw text in the vocabularies, checks, warm starts."""

import warnings

import numpy
import pytest
import spacy
from spacy.tokens import Doc
from spacy.util import registry

from spacy_semivae.layers.vsl import infer
from spacy_semivae.training.initialize import (
    check_streams,
    init_docs,
    initialize_nlp,
    semi_supervised_pipes,
)
from spacy_semivae.training.priors import doc_key
from spacy_semivae.training.run import train_nlp


@pytest.fixture
def vocab():
    return spacy.blank("en").vocab  # a bare Vocab knows no lower-case forms


def parameters_of(pipe):
    named = [n.shims[0].module.named_parameters() for n in pipe.model.walk() if n.shims]
    return [param.detach().numpy().copy() for found in named for _, param in found]


def docs_of(vocab, *texts):
    return [Doc(vocab, words=text.split()) for text in texts]


# What initialize sees


def test_raw_docs_join_the_vocabularies(start, tmp_path, write_lines):
    raw = str(write_lines(tmp_path / "raw.txt", ["zzzfirst zzzfirst", "zzzsecond zzzsecond"]))
    targets = {}
    for limit in (0, 1, 2):
        nlp, _ = start(paths__unlabeled=raw, semivae__init_unlabeled=limit)
        model = nlp.get_pipe("vsl_tagger").model
        targets[limit] = {word for word in model.attrs["targets"] if word.startswith("zzz")}
    assert targets[0] == set()
    assert len(targets[1]) == 1
    assert targets[2] == {"zzzfirst", "zzzsecond"}


def test_a_streamed_training_corpus_is_read_beyond_spacys_sample(start, tmp_path, write_lines):
    raw = str(write_lines(tmp_path / "raw.txt", ["zzz " * 3] * 150 + ["yyy " * 3]))
    nlp, _ = start(paths__unlabeled=raw, corpora__unlabeled__limit=0, training__max_epochs=-1)
    assert "yyy" in nlp.get_pipe("vsl_tagger").model.attrs["targets"]
    assert nlp.config["training"]["max_epochs"] == -1


def test_the_config_is_left_as_it_was(load_tiny):
    config = load_tiny()
    before = config.to_str(interpolate=False)
    nlp, _ = initialize_nlp(config)
    assert config.to_str(interpolate=False) == before
    assert nlp.config["training"]["train_corpus"] == "corpora.train"
    assert nlp.config["training"]["max_epochs"] == 0
    assert set(nlp.config["corpora"]) == {"train", "dev", "unlabeled"}
    assert nlp.config["corpora"]["unlabeled"]["path"] == "${paths.unlabeled}"
    registry.resolve(nlp.config.interpolate()["corpora"])


def test_a_corpus_that_is_not_in_the_config_is_named(start):
    with pytest.raises(ValueError, match=r"'corpora\.raw', but \[corpora\] has \['dev', 'train'"):
        start(semivae__unlabeled_corpus="corpora.raw")


def test_a_missing_raw_corpus_says_which_path_to_set(start):
    with pytest.raises(ValueError, match=r"set paths\.unlabeled"):
        start(paths__unlabeled=None)


def test_an_empty_raw_corpus(start, tmp_path, write_lines):
    raw = str(write_lines(tmp_path / "raw.txt", ["", "  "]))
    with pytest.raises(ValueError, match="the unlabeled corpus has none"):
        start(paths__unlabeled=raw)


def test_frozen_components_do_not_count_as_learners(start):
    nlp, _ = start()
    assert semi_supervised_pipes(nlp) == [nlp.get_pipe("vsl_tagger")]
    assert semi_supervised_pipes(nlp, ["vsl_tagger"]) == []


# Whether the raw text fits


def test_streams_that_fit_give_no_warning(vocab):
    labeled = docs_of(vocab, "The cat sat", "a dog")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = check_streams(labeled, docs_of(vocab, "x y"), docs_of(vocab, "the CAT", "a sat"))
    assert result == (0.8, 0)


@pytest.mark.parametrize(("raw", "coverage"), [("the cat a", 0.6), ("the cat", 0.4), ("", 0.0)])
def test_coverage_below_60_percent_warns(vocab, raw, coverage):
    labeled = docs_of(vocab, "the cat sat", "a dog")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert check_streams(labeled, [], docs_of(vocab, raw)) == (coverage, 0)
    expected = [] if coverage >= 0.6 else [f"Only {coverage:.0%} of the labelled tokens"]
    assert [str(w.message)[: len(e)] for w, e in zip(caught, expected)] == expected
    assert len(caught) == len(expected)


def test_raw_texts_that_stand_in_dev_are_counted(vocab):
    dev = docs_of(vocab, "The cat sat .", "a dog")
    raw = docs_of(vocab, "the CAT sat", "a dog", "a dog", "the dog")
    with pytest.warns(UserWarning, match="^3 raw texts stand in the dev corpus: set exclude"):
        assert check_streams(docs_of(vocab, "a dog"), dev, raw) == (1.0, 3)


# Warm starts


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return tmp_path_factory.mktemp("teacher")


@pytest.fixture
def trained(start, teacher):
    """The path of a trained pipeline with a memory prior."""
    path = teacher / "model-last"
    if not path.exists():
        nlp, settings = start()
        train_nlp(nlp, settings, teacher, stdout=_Nowhere())
    return str(path)


class _Nowhere:
    def write(self, text):
        pass


@pytest.mark.parametrize("weights", [True, False])
def test_memory_priors_begin_at_the_teachers_posteriors(start, trained, weights):
    warm = {"semivae__warm_start__path": trained, "semivae__warm_start__weights": weights}
    nlp, settings = start(system__seed=3, **warm)
    pipe, old = nlp.get_pipe("vsl_tagger"), spacy.load(trained).get_pipe("vsl_tagger")
    docs = list(init_docs(nlp, settings))
    assert len(docs) == 20 + 60
    assert set(pipe.prior.entries) == {doc_key(doc) for doc in docs}
    for doc in docs[::20]:
        prior = pipe.prior.read(pipe.model, [doc])
        for name, posterior in infer(old.model, [doc]).items():
            found = prior(name, None)
            assert numpy.allclose(found.mean, posterior.mean, atol=1e-5)
            assert numpy.allclose(found.log_var, posterior.log_var, atol=1e-5)
    same = [numpy.array_equal(a, b) for a, b in zip(parameters_of(pipe), parameters_of(old))]
    assert all(same) == weights
    assert pipe.cfg["step"] == 0


def test_weights_without_priors(start, trained):
    warm = {"semivae__warm_start__path": trained, "semivae__warm_start__weights": True}
    nlp, settings = start(system__seed=3, semivae__warm_start__prior=False, **warm)
    pipe, old = nlp.get_pipe("vsl_tagger"), spacy.load(trained).get_pipe("vsl_tagger")
    assert not pipe.prior.entries
    assert len(parameters_of(pipe)) == len(parameters_of(old)) > 5
    for a, b in zip(parameters_of(pipe), parameters_of(old)):
        assert numpy.array_equal(a, b)
    doc = nlp.make_doc("the cat sat")
    assert numpy.allclose(pipe.predict([doc]).dataXd, old.predict([doc]).dataXd, atol=1e-6)
    train_nlp(nlp, settings, stdout=_Nowhere())
    assert pipe.cfg["step"] == 4


def test_weights_need_the_same_labels(start, trained):
    labels = [*spacy.load(trained).get_pipe("vsl_tagger").labels, "NEW"]
    warm = {"semivae__warm_start__path": trained, "semivae__warm_start__weights": True}
    with pytest.raises(ValueError, match=r"needs the labels of .*'NEW'\]"):
        start(initialize__components={"vsl_tagger": {"labels": labels}}, **warm)


def test_a_warm_start_from_nowhere(start, tmp_path):
    with pytest.raises(OSError, match="no_such_model"):
        start(semivae__warm_start__path=str(tmp_path / "no_such_model"))


def test_a_warm_start_from_another_kind_of_pipeline(start, tmp_path):
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(ValueError, match="blank has no component like 'vsl_tagger'"):
        start(semivae__warm_start__path=str(tmp_path / "blank"))


def test_a_warm_start_of_nothing(start, trained):
    warm = {"semivae__warm_start__path": trained, "semivae__warm_start__prior": False}
    with pytest.raises(ValueError, match="has nothing for 'vsl_tagger': set weights = true"):
        start(**warm)
