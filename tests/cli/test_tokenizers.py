"""The tokenizer of a language, a pipeline or a config."""

import pytest
import spacy

from spacy_semivae.cli.tokenizers import load_tokenizer

CONFIG = """
[nlp]
lang = "en"
pipeline = ["no_such_component"]

[nlp.tokenizer]
@tokenizers = "spacy.Tokenizer.v1"
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.cfg"
    path.write_text(CONFIG, encoding="utf8")
    return path


def test_components_of_a_config_are_not_made(config):
    nlp = load_tokenizer("fr", config=config)
    assert (nlp.lang, nlp.pipe_names) == ("en", [])
    assert load_tokenizer("fr", config=config, overrides={"nlp.lang": "de"}).lang == "de"
    assert load_tokenizer("fr", overrides={}).lang == "fr"


def test_only_one_is_taken(config, tmp_path):
    with pytest.raises(ValueError, match=r"that of a config or of a model \(got .*config.cfg, m\)"):
        load_tokenizer("en", model="m", config=config)
    spacy.blank("xx").to_disk(tmp_path / "model")
    for model in (None, str(tmp_path / "model")):
        with pytest.raises(ValueError, match=r"only a config can be overridden \(got nlp.lang\)"):
            load_tokenizer("en", model=model, overrides={"nlp.lang": "de"})
