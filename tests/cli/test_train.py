"""`semivae train` from the command line: a whole run, and every way to get it wrong."""

import pytest
import spacy
from spacy.tokens import Doc, DocBin


def write_docs(path, docs):
    DocBin(docs=docs).to_disk(path)
    return path


def test_a_whole_run_with_overrides(semivae, tiny, tmp_path):
    out = tmp_path / "runs" / "one"
    args = tiny(training__max_steps=3, components__vsl_tagger__alpha=0.25)
    code, output = semivae(*args, "--output", out)
    assert code == 0, output
    assert "Saved pipeline to" in output
    assert "LOSS VSL_TAGGER" in output
    nlp = spacy.load(out / "model-best")
    assert nlp.config["components"]["vsl_tagger"]["alpha"] == 0.25
    assert nlp("the cat")[0].tag_
    assert spacy.load(out / "model-last").get_pipe("vsl_tagger").cfg["step"] == 3


def test_a_run_is_not_overwritten_by_accident(semivae, tiny, tmp_path):
    assert semivae(*tiny(), "--output", tmp_path)[0] == 0
    time = (tmp_path / "model-last" / "meta.json").stat().st_mtime_ns
    code, output = semivae(*tiny(), "--output", tmp_path)
    assert code == 1
    assert "holds a run: --resume goes on with it, --overwrite deletes it" in output
    # a run that cannot start does not delete the old one either
    broken = tiny(training__max_stepz=3)
    assert semivae(*broken, "--output", tmp_path, "--overwrite")[0] == 1
    assert (tmp_path / "model-last" / "meta.json").stat().st_mtime_ns == time
    assert semivae(*tiny(), "--output", tmp_path, "--overwrite")[0] == 0
    assert (tmp_path / "model-last" / "meta.json").stat().st_mtime_ns > time


def test_own_code_is_imported(semivae, tiny, tmp_path):
    code_file = tmp_path / "own.py"
    code_file.write_text(
        "import spacy\n\n"
        '@spacy.registry.callbacks("test.own_code.v1")\n'
        "def make():\n"
        "    def before_update(nlp, args):\n"
        "        raise ValueError(f\"own code at step {args['step']}\")\n\n"
        "    return before_update\n",
        encoding="utf8",
    )
    config = tmp_path / "config.cfg"
    text = tiny()[1].read_text(encoding="utf8").replace("before_update = null\n", "")
    block = '[training.before_update]\n@callbacks = "test.own_code.v1"\n\n'
    config.write_text(text.replace("[training.batcher]", block + "[training.batcher]"))
    command, _, *options = tiny()
    code, output = semivae(command, config, *options, "--code", code_file)
    assert code == 1
    assert "own code at step 0" in output


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--bogus", "3"], "--bogus"),
        (["--training.max_stepz", "3"], "Unknown settings in [training]: training.max_stepz"),
        (["--semivae.alfa", "3"], "semivae.alfa: Extra inputs"),
        (["--components.vsl_tagger.alfa", "3"], "alfa"),
        (["--components.vsl_tagger.alpha", "much"], "alpha"),
        (["--no_such.section", "3"], "no_such"),
        (["--code", "no_such_file.py"], "no_such_file.py"),
        (["--corpora.train.path", "no_such.spacy"], "no_such.spacy"),
        (["--paths.dev", "no_such_dev.spacy"], "no_such_dev.spacy"),
        (["--paths.unlabeled", "no_such.txt"], "no_such.txt"),
        (["--paths.vectors", "no_such_vectors"], "no_such_vectors"),
        (["--semivae.warm_start.path", "no_such_model"], "no_such_model"),
        (["--semivae.unlabeled_corpus", "corpora.raw"], "'corpora.raw'"),
        (["--training.train_corpus", "corpora.labeled"], "'corpora.labeled'"),
        (["--components.vsl_tagger.model.variant", "hierarchical"], "hierarchical"),
        (["--components.vsl_tagger.attr", "dep"], "attr must be one of"),
    ],
)
def test_a_wrong_setting_ends_with_one_message(semivae, tiny, tmp_path, args, message):
    code, output = semivae(*tiny(), *args, "--output", tmp_path / "out")
    assert code == 1, output
    assert message in output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["train", "dev", "unlabeled"])
def test_a_path_that_is_not_set(semivae, tiny, name):
    command, config, *options = tiny()
    at = options.index(f"--paths.{name}")
    code, output = semivae(command, config, *options[:at], *options[at + 2 :])
    assert code == 1
    assert f"set paths.{name}" in output


def test_a_config_that_is_not_there(semivae):
    code, output = semivae("train", "no_such.cfg")
    assert code == 2
    assert "no_such.cfg" in output
    assert "does not exist" in output


def test_a_config_without_the_block(semivae, tiny, tmp_path):
    config = tmp_path / "stock.cfg"
    spacy.blank("en").config.to_disk(config)
    code, output = semivae("train", config)
    assert code == 1
    assert "no [semivae] block" in output


def test_a_file_that_is_no_config(semivae, tmp_path):
    config = tmp_path / "broken.cfg"
    config.write_text("[training\nx = \n", encoding="utf8")
    code, output = semivae("train", config)
    assert code == 1
    assert output


def test_an_empty_training_corpus(semivae, tiny, tmp_path):
    empty = write_docs(tmp_path / "empty.spacy", [])
    code, output = semivae(*tiny(paths__train=empty))
    assert code == 1
    assert "the labeled corpus has none" in output


def test_a_training_corpus_without_labels(semivae, tiny, tmp_path):
    docs = [Doc(spacy.blank("en").vocab, words=["a", "b"])]
    code, output = semivae(*tiny(paths__train=write_docs(tmp_path / "bare.spacy", docs)))
    assert code == 1
    assert "needs labels" in output
    assert "check the training corpus" in output


def test_a_label_that_initialize_did_not_see(semivae, tiny, tmp_path):
    labels = '{"vsl_tagger":{"labels":["NOUN","VERB"]}}'
    code, output = semivae(*tiny(initialize__components=labels))
    assert code == 1
    assert "token attribute 'tag'" in output


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("raw.jsonl", b'{"text": "a"', "raw.jsonl, line 3: a line must be JSON"),
        ("raw.jsonl", b'{"body": "a"}', "raw.jsonl, line 3: a line must be an object with text"),
        ("raw.jsonl", b'{"text": "\xff"}', "raw.jsonl, line 3: a line must be UTF-8"),
    ],
)
def test_a_bad_line_of_raw_text_is_named(semivae, tiny, tmp_path, name, line, message):
    raw = tmp_path / name
    raw.write_bytes(b'{"text": "one"}\n{"text": "two"}\n' + line + b'\n{"text": "four"}\n')
    code, output = semivae(*tiny(paths__unlabeled=raw))
    assert code == 1
    assert message in output


def test_bad_utf8_in_plain_text(semivae, tiny, tmp_path):
    raw = tmp_path / "raw.txt"
    raw.write_bytes(b"one\ncaf\xe9\n")
    code, output = semivae(*tiny(paths__unlabeled=raw))
    assert code == 1
    assert "raw.txt, line 2: a line must be UTF-8" in output


def test_a_gpu_that_is_not_there(semivae, tiny):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    code, output = semivae(*tiny(), "--gpu-id", "0")
    assert code == 1
    assert "GPU" in output
