"""spaCy's own commands run on configs and pipelines with the components."""

import numpy
import pytest
import spacy
from spacy.cli._util import app
from spacy.cli.debug_config import debug_config
from spacy.cli.evaluate import evaluate
from spacy.cli.init_config import fill_config
from spacy.tokens import DocBin
from spacy.training import Example
from spacy.util import load_config
from typer.testing import CliRunner

from spacy_semivae.training.template import make_config


@pytest.fixture
def trained(make_nlp, gold, fit):
    """Make a trained pipeline with one component."""

    def make(factory="vsl_tagger"):
        nlp = make_nlp(factory)
        fit(nlp, gold(nlp), 10)
        return nlp

    return make


def scores(nlp, name):
    return nlp.get_pipe(name).predict_probabilities([nlp.make_doc("Ann saw Bob Lee in Rome!")])[0]


@pytest.fixture
def corpus(gold, tmp_path):
    path = tmp_path / "gold.spacy"
    DocBin(docs=[eg.reference for eg in gold(spacy.blank("en"))]).to_disk(path)
    return path


PIPELINES = [["vsl_tagger"], ["vsl_ner"], ["vsl_tagger", "vsl_ner"]]
PIPELINES += [["crf_vae_tagger"], ["crf_vae_ner"], ["ssvae_textcat"]]


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_configs_are_accepted(pipeline, corpus, tmp_path, capsys):
    path, filled = tmp_path / "config.cfg", tmp_path / "filled.cfg"
    path.write_text(make_config(pipeline, lang="en"))
    overrides = {f"paths.{name}": str(corpus) for name in ("train", "dev", "unlabeled")}
    debug_config(path, overrides=overrides)
    assert "Config is valid" in capsys.readouterr().out
    fill_config(filled, path)
    assert load_config(filled) == load_config(path).merge(load_config(filled))
    debug_config(filled, overrides=overrides)


@pytest.mark.parametrize(
    ("factory", "key"),
    [("vsl_tagger", "tag_acc"), ("crf_vae_ner", "ents_f"), ("ssvae_textcat", "cats_score")],
)
def test_evaluate(factory, key, trained, corpus, tmp_path):
    nlp = trained(factory)
    nlp.to_disk(tmp_path / "model")
    result = evaluate(str(tmp_path / "model"), corpus, silent=True)
    examples = [
        Example(nlp.make_doc(doc.text), doc)
        for doc in DocBin().from_disk(corpus).get_docs(nlp.vocab)
    ]
    assert result[key] == pytest.approx(nlp.evaluate(examples)[key])


@pytest.mark.slow
def test_benchmark_speed(trained, corpus, tmp_path):
    trained("vsl_ner").to_disk(tmp_path / "model")
    arguments = [
        "benchmark",
        "speed",
        str(tmp_path / "model"),
        str(corpus),
        "--batches",
        "30",
        "--warmup",
        "1",
    ]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "words/s" in result.output


@pytest.mark.parametrize("factory", ["vsl_tagger", "crf_vae_ner", "ssvae_textcat"])
def test_assemble(factory, trained, tmp_path):
    nlp = trained(factory)
    nlp.to_disk(tmp_path / "model")
    config = f"""
    [nlp]
    lang = "en"
    pipeline = ["{factory}"]

    [components]

    [components.{factory}]
    source = "{tmp_path / "model"}"
    """
    (tmp_path / "config.cfg").write_text(config.replace("\n    ", "\n"))
    arguments = ["assemble", str(tmp_path / "config.cfg"), str(tmp_path / "assembled")]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    loaded = spacy.load(tmp_path / "assembled")
    assert numpy.array_equal(scores(loaded, factory), scores(nlp, factory))
