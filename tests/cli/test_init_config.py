"""`semivae init-config`."""

import pytest
import spacy
from spacy.util import load_config


def test_a_written_config_trains(semivae, tiny, tmp_path):
    path = tmp_path / "new" / "config.cfg"
    code, output = semivae("init-config", path, "--pipeline", "vsl_tagger, vsl_ner", "--lang", "de")
    assert code == 0, output
    assert "semivae train" in output
    config = load_config(path)
    assert (config["nlp"]["lang"], config["nlp"]["pipeline"]) == ("de", ["vsl_tagger", "vsl_ner"])
    assert "# Raw text" in path.read_text(encoding="utf8")
    command, _, *options = tiny(training__max_steps=1, corpora__dev__limit=3)
    code, output = semivae(command, path, *options, "--output", tmp_path / "out")
    assert code == 0, output
    assert spacy.load(tmp_path / "out" / "model-last").pipe_names == ["vsl_tagger", "vsl_ner"]


def test_vectors_are_kept_fixed(semivae, tmp_path):
    path = tmp_path / "config.cfg"
    code, output = semivae("init-config", path, "--vectors", "some_vectors")
    assert code == 0, output
    config = load_config(path)
    assert config["paths"]["vectors"] == "some_vectors"
    assert config["components"]["vsl_tagger"]["model"]["tok2vec"]["embeddings"] == "fixed"


def test_a_file_is_not_overwritten_by_accident(semivae, tmp_path):
    path = tmp_path / "config.cfg"
    path.write_text("precious", encoding="utf8")
    code, output = semivae("init-config", path)
    assert code == 1
    assert "--force overwrites it" in output
    assert path.read_text(encoding="utf8") == "precious"
    assert semivae("init-config", path, "--force")[0] == 0
    assert "[semivae]" in path.read_text(encoding="utf8")


@pytest.mark.parametrize(
    ("args", "message"),
    [(["--pipeline", "vsl_tager"], "'vsl_tager'"), (["--lang", "zzz"], "zzz")],
)
def test_wrong_options_write_nothing(semivae, tmp_path, args, message):
    path = tmp_path / "config.cfg"
    code, output = semivae("init-config", path, *args)
    assert code == 1
    assert message in output
    assert not path.exists()
