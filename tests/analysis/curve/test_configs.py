from pathlib import Path

import pytest
from spacy.util import load_model_from_config
from thinc.api import Config

from spacy_semivae.analysis.curve.configs import (
    choose_metric,
    corpus_name,
    make_point_config,
    make_twin,
)
from spacy_semivae.analysis.curve.plan import Point
from spacy_semivae.training.resume import compare_configs
from spacy_semivae.training.template import make_config as make_template

FILES = (Path("labeled.spacy"), Path("raw.jsonl"))


def test_points_differ_in_their_docs_and_seed_alone(make_config):
    config = make_config(corpora__unlabeled__limit=0)
    before = config.to_str()
    first, more, other = (
        make_point_config(config, point, *FILES, {"training.dropout": 0.5})
        for point in (Point(0, 10, 20), Point(0, 10, 30), Point(1, 20, 30))
    )
    assert compare_configs(first, more) == ["corpora.unlabeled.limit: 20 then, 30 now"]
    assert [line.split(":")[0] for line in compare_configs(more, other)] == [
        "corpora.train.limit",
        "system.seed",
        "training.seed",
    ]
    assert first["corpora"]["train"]["path"] == "labeled.spacy"
    assert first["corpora"]["unlabeled"] == {
        "@readers": "semivae.UnlabeledCorpus.v1",
        "path": "raw.jsonl",
        "limit": 20,
    }
    assert config.to_str() == before


def test_a_twin_has_no_raw_text(make_config):
    config, point = make_config(), Point(0, 10, 0)
    twin = make_point_config(config, point, *FILES, {"training.dropout": 0.5})
    raw = make_point_config(config, Point(0, 10, 5), *FILES, {})
    assert twin["semivae"]["unlabeled_corpus"] is None
    assert twin["training"]["dropout"] == 0.5
    assert twin["components"] == raw["components"]  # of a VSL nothing else goes
    with pytest.raises(ValueError, match=r"one of the config \(got 'components.tagger.alpha'\)"):
        make_twin(config.copy(), {"components.tagger.alpha": 0})


@pytest.mark.parametrize(
    ("factory", "part"),
    [("crf_vae_ner", "generator"), ("crf_vae_tagger", "generator"), ("ssvae_textcat", "decoder")],
)
def test_a_twin_writes_no_texts(factory, part):
    config = Config().from_str(make_template([factory], lang="en"), interpolate=False)
    assert make_twin(config, {})["components"][factory]["model"][part] is None
    assert load_model_from_config(config, auto_fill=True).pipe_names == [factory]


def test_the_metric(make_config):
    nlp = load_model_from_config(make_config(), auto_fill=True)
    assert choose_metric(nlp, None) == "tag_acc"
    assert choose_metric(nlp, "pos_acc") == "pos_acc"
    for wanted in ("ents_f", "speed", "tag_accuracy"):
        with pytest.raises(ValueError, match=rf"--metric must be one of .*'tag_acc'.*'{wanted}'"):
            choose_metric(nlp, wanted)
    nlp.config["training"]["score_weights"] = {"tag_acc": None}
    with pytest.raises(ValueError, match=r"the highest of \[training.score_weights\].*got None"):
        choose_metric(nlp, None)


def test_a_corpus_that_is_not_there(make_config):
    config = make_config()
    assert corpus_name(config, "semivae", "unlabeled_corpus") == "unlabeled"
    config["semivae"]["unlabeled_corpus"] = None
    with pytest.raises(ValueError, match=r"semivae.unlabeled_corpus to name a block.*got 'None'"):
        corpus_name(config, "semivae", "unlabeled_corpus")
