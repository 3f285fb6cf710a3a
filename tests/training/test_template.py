"""The configs that init-config writes: complete, commented, and training as they are."""

import io
from itertools import pairwise
from pathlib import Path

import numpy
import pytest
import spacy
from spacy.tokens import DocBin
from spacy.util import load_config_from_str, registry

from spacy_semivae.training.initialize import initialize_nlp
from spacy_semivae.training.run import train_nlp
from spacy_semivae.training.schema import DEFAULT_PRETRAINING
from spacy_semivae.training.template import COMPONENTS, make_config

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "assets" / "demo"


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    """A vectors package with a vector for most words of the demo corpus."""
    nlp = spacy.blank("en")
    words = (DEMO / "unlabeled.txt").read_text(encoding="utf8").split()[:5000]
    rng = numpy.random.default_rng(0)
    for word in sorted(set(words)):
        nlp.vocab.set_vector(word, rng.normal(size=8).astype("f"))
    path = tmp_path_factory.mktemp("vectors")
    nlp.to_disk(path)
    return str(path)


@pytest.fixture(scope="module")
def with_cats(tmp_path_factory):
    """The demo corpus with a class of each text: whether it is long."""
    folder, vocab = tmp_path_factory.mktemp("cats"), spacy.blank("en").vocab
    for name in ("train.spacy", "dev.spacy"):
        docs = list(DocBin().from_disk(DEMO / name).get_docs(vocab))
        middle = sorted(map(len, docs))[len(docs) // 2]
        for doc in docs:
            doc.cats = {"long": float(len(doc) > middle), "short": float(len(doc) <= middle)}
        DocBin(docs=docs).to_disk(folder / name)
    return folder


def on_demo_corpus(text, folder):
    overrides = {
        "paths.train": str(folder / "train.spacy"),
        "paths.dev": str(folder / "dev.spacy"),
        "paths.unlabeled": str(DEMO / "unlabeled.txt"),
        "corpora.dev.limit": 5,
        "corpora.unlabeled.limit": 50,
        "training.max_steps": 2,
    }
    return load_config_from_str(text, overrides=overrides, interpolate=False)


@pytest.mark.parametrize("with_vectors", [True, False])
@pytest.mark.parametrize("name", COMPONENTS)
def test_a_config_trains_as_it_is(name, with_vectors, vectors, with_cats):
    path = vectors if with_vectors else None
    config = on_demo_corpus(make_config([name], lang="en", vectors=path), with_cats)
    nlp, settings = initialize_nlp(config)
    result = train_nlp(nlp, settings, stdout=io.StringIO(), stderr=io.StringIO())
    assert result["steps"] == 2
    is_static = nlp.get_pipe(name).model.attrs["static"]
    assert is_static == (with_vectors and name.startswith("vsl"))
    assert nlp.vocab.vectors.shape[1] == (8 if with_vectors else 0)
    assert nlp.config["initialize"]["vectors"] == "${paths.vectors}"


def test_several_components_in_one_pipeline():
    config = load_config_from_str(make_config(COMPONENTS, lang="de"), interpolate=False)
    assert config["nlp"]["lang"] == "de"
    assert config["nlp"]["pipeline"] == COMPONENTS
    weights = config["training"]["score_weights"]
    main = [weights[name] for name in ("tag_acc", "ents_f", "cats_score")]
    assert main == pytest.approx([1 / 3] * 3, abs=0.01)
    nlp = spacy.util.load_model_from_config(config, auto_fill=False)  # nothing is left to fill in
    assert nlp.pipe_names == COMPONENTS


def test_nothing_of_pretraining_is_left():
    config = load_config_from_str(make_config(["vsl_tagger"], lang="en"), interpolate=False)
    assert "pretraining" not in config
    assert set(config["paths"]) == {"train", "dev", "unlabeled", "vectors"}
    registry.resolve(config.interpolate()["training"])


def comments_of(text):
    """The section and setting below each comment."""
    lines, section, found = text.splitlines(), "", {}
    for line, below in pairwise(lines):
        section = line if line.startswith("[") else section
        if line.startswith("# "):
            setting = "" if below.startswith("[") else below.split(" = ")[0]
            found.setdefault((below if not setting else section).strip("[]"), []).append(setting)
    return found


def test_comments_stand_where_they_belong():
    found = comments_of(make_config(["vsl_tagger"], lang="en"))
    model = "components.vsl_tagger.model"
    assert found == {
        "semivae": ["", "init_unlabeled", "checkpoint_every", "keep_checkpoints"],
        "corpora.unlabeled": ["", "limit", "exclude"],
        "training.optimizer": ["grad_clip"],
        "semivae.warm_start": [""],
        "components.vsl_tagger": ["attr", "alpha", "labelled_weight"],
        model: ["variant", "max_targets"],
        "components.vsl_tagger.kl_weight": [""],
        "components.vsl_tagger.prior": [""],
        f"{model}.tok2vec": ["embeddings", "min_count"],
    }


def test_comments_of_the_text_classifier():
    found = comments_of(make_config(["ssvae_textcat"], lang="en"))
    name = "components.ssvae_textcat"
    assert {key: found[key] for key in found if key.startswith(name)} == {
        name: ["discrimination_docs"],
        f"{name}.alpha": [""],
        f"{name}.kl_weight": [""],
        f"{name}.word_dropout": [""],
        f"{name}.model": ["tok2vec", "decoder", "marginal", "truncation"],
    }


def test_the_language_model_of_the_text_classifier():
    config = load_config_from_str(make_config(["ssvae_textcat"], lang="en"), interpolate=False)
    assert config["paths"]["language_model"] is None
    assert config["initialize"]["components"]["ssvae_textcat"] == {
        "language_model": "${paths.language_model}",
        "language_model_encoder": False,
    }
    text = make_config(["ssvae_textcat"], lang="en")
    assert comments_of(text)["semivae.pretraining"] == ["", "autoencoder", "heldout"]
    assert config["semivae"]["pretraining"] == DEFAULT_PRETRAINING
    others = load_config_from_str(make_config(["vsl_tagger"], lang="en"), interpolate=False)
    assert "pretraining" not in others["semivae"]


@pytest.mark.parametrize("name", ["tagger", "vsl", ""])
def test_an_unknown_pipeline_is_named(name):
    with pytest.raises(ValueError, match=f"pipeline takes .*'vsl_ner'.*, but got {name!r}"):
        make_config(["vsl_ner", name], lang="en")


@pytest.mark.parametrize("name", COMPONENTS)
def test_the_configs_of_the_project_are_those_of_the_template(name):
    text = (ROOT / "configs" / f"{name}.cfg").read_text(encoding="utf8")
    assert text == make_config([name], lang="en"), "write it anew: spacy semivae init-config"
