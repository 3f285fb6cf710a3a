"""`project.yml`: its commands and options exist, and the demo runs from a copy of the project."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import spacy
import typer
from spacy.cli import app
from spacy.tokens import DocBin
from spacy.training import Example
from spacy.util import load_config
from spacy.vocab import Vocab
from weasel.cli.run import project_run
from weasel.util import get_checksum, load_project_config, split_command

import spacy_semivae.cli  # noqa: F401 (adds `spacy semivae`)

ROOT = Path(__file__).parent.parent
COMMITTED = ("configs/", "assets/demo")
PARTS = ("project.yml", "configs", "assets/demo", "assets/verify.py")
CONFIG = load_project_config(ROOT)
SCRIPTS = {
    f"{command['name']}-{i}": split_command(line)
    for command in CONFIG["commands"]
    for i, line in enumerate(command["script"])
}


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    for part in PARTS:
        source, dest = ROOT / part, folder / part
        dest.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, dest, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, dest)
    return folder


def run(*args, cwd):
    command = [sys.executable, *map(str, args)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def find_command(words):
    """Follow the words of `spacy ...` to a command; give it and the words behind its name."""
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        assert words[0] in command.commands, words
        command, words = command.commands[words[0]], words[1:]
    return command, words


def parse(command, words):
    """Divide words into the values of arguments, and options with their values."""
    flags = {opt for p in command.params if getattr(p, "is_flag", False) for opt in p.opts}
    arguments, options, words = [], {}, list(words)
    while words:
        word = words.pop(0)
        if word.startswith("--"):
            options[word] = None if word in flags else words.pop(0)
        else:
            arguments.append(word)
    return arguments, options


def lookup(config, dotted):
    for key in dotted.split("."):
        assert key in config, dotted
        config = config[key]
    return config


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_command_names_what_exists(name):
    python, *words = SCRIPTS[name]
    assert python == "python"
    if words[0] != "-m":
        assert (ROOT / words[0]).is_file()
        return
    assert words[:2] == ["-m", "spacy"]
    command, words = find_command(words[2:])
    arguments, options = parse(command, words)
    required = [p for p in command.params if p.param_type_name == "argument" and p.required]
    allowed = [p for p in command.params if p.param_type_name == "argument"]
    assert len(required) <= len(arguments) <= len(allowed)
    known = {opt for p in command.params for opt in p.opts}
    overrides = {opt: value for opt, value in options.items() if "." in opt}
    assert set(options) - set(overrides) <= known
    for opt in overrides:
        lookup(load_config(ROOT / arguments[0]), opt.removeprefix("--"))


def test_configs_that_commands_name_exist():
    named = {word for words in SCRIPTS.values() for word in words if word.endswith(".cfg")}
    assert {"configs/demo.cfg", "configs/twitter.cfg"} <= named
    assert all((ROOT / path).is_file() for path in named)


def test_each_workflow_makes_what_it_needs():
    commands = {command["name"]: command for command in CONFIG["commands"]}
    present = {asset["dest"] for asset in CONFIG["assets"]}
    present |= {str(Path(path).parent) for path in present}
    for name, steps in CONFIG["workflows"].items():
        made = set(present)
        for step in steps:
            needed = set(commands[step].get("deps", [])) - made
            missing = [path for path in needed if not path.startswith(COMMITTED)]
            assert not missing, (name, step)
            made |= set(commands[step].get("outputs", []))


@pytest.mark.parametrize("path", sorted((ROOT / "configs").rglob("*.cfg")), ids=lambda p: p.stem)
def test_a_training_config_is_complete(path):
    config = load_config(path)
    if "training" in config:
        nlp = spacy.util.load_model_from_config(config, auto_fill=False)
        assert nlp.pipe_names == config["nlp"]["pipeline"]
        # some rows of the paper have no raw text
        raw = {"corpora.unlabeled"} | ({None} if path.parent.name == "paper" else set())
        assert config["semivae"]["unlabeled_corpus"] in raw


def test_all_assets_of_the_network_are_extra_and_have_a_checksum():
    for asset in CONFIG["assets"]:
        if "url" in asset:
            assert asset["extra"], asset
            assert re.fullmatch("[0-9a-f]{32}", asset["checksum"]), asset


def test_the_demo_compares_both_pipelines(project, capfd):
    project_run(project, "demo", overrides={"vars.demo_config": "configs/test/demo.cfg"})
    output = capfd.readouterr().out
    results = dict(re.findall(r"^(supervised|semi-supervised|difference) +(\S+)$", output, re.M))
    test = list(DocBin().from_disk(project / "assets/demo/test.spacy").get_docs(Vocab()))
    for name in ("supervised", "semi-supervised"):
        nlp = spacy.load(project / "training" / "demo" / name / "model-best")
        score = nlp.evaluate([Example(nlp.make_doc(doc.text), doc) for doc in test])["tag_acc"]
        assert float(results[name]) == pytest.approx(100 * score, abs=0.005)
    gain = float(results["semi-supervised"]) - float(results["supervised"])
    assert results["difference"][0] in "+-"
    assert float(results["difference"]) == pytest.approx(gain, abs=0.0101)


def test_the_supervised_twin_begins_with_the_same_weights(project):
    spec = importlib.util.spec_from_file_location("demo_run", project / "assets/demo/run.py")
    demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(demo)
    started = []

    def train_nlp(nlp, settings, output, *, overwrite):
        started.append((nlp, settings))

    demo.train_nlp = train_nlp
    demo.save_vectors(project / "vectors")
    for raw in (False, True):
        path = project / "configs/test/demo.cfg"
        demo.train(path, project / "vectors", project / "out", raw=raw)
    (twin, twin_settings), (joint, joint_settings) = started
    weights = [nlp.get_pipe("vsl_tagger").model.to_bytes() for nlp in (twin, joint)]
    assert weights[0] == weights[1]
    assert [nlp.config["components"]["vsl_tagger"]["alpha"] for nlp in (twin, joint)] == [0, 0.1]
    assert twin_settings.unlabeled_corpus is None
    assert joint_settings.unlabeled_corpus == "corpora.unlabeled"


def test_verify_passes_files_that_are_right_or_not_there(project):
    code, output = run("assets/verify.py", cwd=project)
    assert code == 0, output
    assert "oct27.train: not there" in output


def test_verify_names_a_wrong_file_and_both_checksums(project):
    wrong = project / "assets" / "twitter" / "oct27.test"
    wrong.parent.mkdir()
    wrong.write_text("not it\n", encoding="utf8")
    code, output = run(ROOT / "assets" / "verify.py", project, cwd=ROOT)
    assert code == 1
    (asset,) = [a for a in CONFIG["assets"] if a["dest"] == "assets/twitter/oct27.test"]
    line = f"{asset['dest']}: expected md5 {asset['checksum']}, found {get_checksum(wrong)}"
    assert line in " ".join(output.split())


def test_project_does_not_name_a_path_of_one_machine():
    texts = [ROOT / part for part in ("project.yml", "README.md", "Makefile", ".ci/run")]
    for path in (*texts, *(ROOT / "configs").rglob("*.cfg")):
        assert not re.search(r"(^|[^\w.$}*])/(home|root|tmp|work|Users)/", path.read_text()), path
