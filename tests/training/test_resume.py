"""A run that is stopped and resumed ends as one that never stopped, to the bit."""

import io
import shutil
import signal

import numpy
import pytest
import spacy
import srsly
from spacy.util import registry

from spacy_semivae.training.initialize import initialize_nlp
from spacy_semivae.training.resume import (
    FOLDER,
    STATE,
    compare_configs,
    load_pipeline,
    read_checkpoint,
)
from spacy_semivae.training.run import train_nlp
from spacy_semivae.training.schema import resolve_semivae
from spacy_semivae.training.snapshots import MANIFEST, save_snapshot

STEPS = {"training__max_steps": 11, "training__eval_frequency": 4, "training__patience": 0}
MIXED = {"training__batcher__size": 3, "semivae__batcher__size": 9}  # epochs of 7 batches
COMPOUNDING = {
    "training__batcher__size": {
        "@schedules": "compounding.v1", "start": 2, "stop": 9, "compound": 1.2
    },
    "training__optimizer__learn_rate": {
        "@schedules": "warmup_linear.v1", "warmup_steps": 3, "total_steps": 20, "initial_rate": 0.05
    },
}  # fmt: skip
BY_WORDS = {
    "semivae__batcher": {
        "@batchers": "spacy.batch_by_words.v1",
        "size": 40,
        "tolerance": 0.3,
        "discard_oversize": False,
        "get_length": None,
    }
}
AVERAGES = {"training__optimizer__use_averages": True}
DROPOUT = {"training__dropout": 0.3}
CASES = {
    "vsl_tagger": {},
    "vsl_ner": {},
    "crf_vae_tagger": DROPOUT,
    "crf_vae_ner": {"components__crf_vae_ner__beta": {"@misc": "semivae.AdaptiveBeta.v1"}},
    "ssvae_textcat": {},
    "vsl_tagger, averages": AVERAGES | DROPOUT,
    "vsl_tagger, schedules": COMPOUNDING,
    "vsl_tagger, words": BY_WORDS,
    "vsl_tagger, streamed": {"training__max_epochs": -1},
    "vsl_tagger, snapshots": {
        "components__vsl_tagger__prior": {"@misc": "semivae.SnapshotPrior.v1", "every": 3}
    },
    "vsl_tagger, memory": {"components__vsl_tagger__prior": {"@misc": "semivae.MemoryPrior.v1"}},
}


class Killed(BaseException):
    """Stands for the sudden end of a process: nothing is saved after it."""


@registry.callbacks("test.killed_at.v1")
def create_killed_at(step):
    def before_update(nlp, args):
        if args["step"] == step:
            raise Killed

    return before_update


def train(config, output, *, resume=False, kill=None):
    """Train, or go on, perhaps only until a step; gives the pipeline and what was written."""
    stdout, checkpoint = io.StringIO(), None
    if resume:
        checkpoint, _ = read_checkpoint(output)
        nlp = load_pipeline(checkpoint, config)
        settings = resolve_semivae(nlp.config.interpolate())
    else:
        nlp, settings = initialize_nlp(config)
    # a later run reads the config of the checkpoint
    callback = {"@callbacks": "test.killed_at.v1", "step": kill}
    nlp.config["training"]["before_update"] = callback
    options = {"config": config, "checkpoint": checkpoint, "stderr": io.StringIO()}
    try:
        train_nlp(nlp, settings, output, stdout=stdout, **options)
    except Killed:
        assert kill is not None
    return nlp, stdout.getvalue()


def state_of(nlp):
    """Everything of the pipeline that another step depends on."""
    return {name: pipe.to_bytes(exclude=["vocab"]) for name, pipe in nlp.pipeline}


def rows(text):
    """The table's rows without words a second."""
    return [line.split()[:-1] for line in text.splitlines() if line.strip()[:1].isdigit()]


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """Gives a function from case and config to a run that is not stopped, made once."""
    found = {}

    def make(case, config):
        if case not in found:
            folder = tmp_path_factory.mktemp("whole")
            found[case] = (*train(config, folder), folder)
        return found[case]

    return make


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "kill", [6, *(pytest.param(k, marks=pytest.mark.slow) for k in (1, 9, 10))]
)
def test_a_resumed_run_ends_as_one_that_never_stopped(case, kill, make_tiny, whole_run, tmp_path):
    settings = {"semivae__checkpoint_every": 1, **STEPS, **MIXED, **CASES[case]}
    config = make_tiny(case.split(",")[0], **settings)
    whole, table, folder = whole_run(case, config)
    train(config, tmp_path, kill=kill)
    numpy.random.seed(7)  # another process
    resumed, rest = train(config, tmp_path, resume=True)
    assert f"Resumed at step {kill} from" in rest
    assert state_of(resumed) == state_of(whole)
    assert rows(rest) == [row for row in rows(table) if int(row[1]) > kill]
    for last in ("model-last", "model-best"):
        one, two = [spacy.load(run / last) for run in (folder, tmp_path)]
        assert state_of(one) == state_of(two)
        assert one.meta["performance"] == two.meta["performance"]


def test_stopped_again_and_again(load_tiny, tmp_path):
    config = load_tiny(semivae__checkpoint_every=2, **{**STEPS, **MIXED})
    whole, _ = train(config, tmp_path / "whole")
    train(config, tmp_path / "cut", kill=3)
    for kill in (4, 5, 8):  # back to 2, 4, 4
        train(config, tmp_path / "cut", resume=True, kill=kill)
    resumed, _ = train(config, tmp_path / "cut", resume=True)
    assert state_of(resumed) == state_of(whole)


def test_with_warm_start(load_tiny, tmp_path):
    train(load_tiny(**STEPS), tmp_path / "teacher")
    start = {"semivae__warm_start__path": str(tmp_path / "teacher" / "model-last")}
    config = load_tiny(semivae__checkpoint_every=1, **{**STEPS, **start})
    whole, _ = train(config, tmp_path / "whole")
    train(config, tmp_path / "cut", kill=5)
    shutil.rmtree(tmp_path / "teacher")
    resumed, _ = train(config, tmp_path / "cut", resume=True)
    assert state_of(resumed) == state_of(whole)


def test_a_finished_run_has_nothing_left_to_do(load_tiny, tmp_path):
    config = load_tiny(**STEPS)
    train(config, tmp_path)
    whole = spacy.load(tmp_path / "model-last")
    resumed, text = train(config, tmp_path, resume=True)
    assert "Resumed at step 11" in text
    assert not rows(text)
    assert state_of(resumed) == state_of(whole)
    assert state_of(spacy.load(tmp_path / "model-last")) == state_of(whole)


def test_a_signal_ends_the_step_and_keeps_it(load_tiny, tmp_path):
    config = load_tiny(**{**STEPS, **MIXED})
    whole, _ = train(config, tmp_path / "whole")

    @registry.callbacks("test.signal.v1")
    def create():
        return lambda nlp, args: signal.raise_signal(signal.SIGTERM) if args["step"] == 6 else None

    nlp, settings = initialize_nlp(config)
    nlp.config["training"]["before_update"] = {"@callbacks": "test.signal.v1"}
    result = train_nlp(nlp, settings, tmp_path / "cut", config=config, stdout=io.StringIO())
    assert result["signal"] == signal.SIGTERM
    assert result["steps"] == 7
    resumed, text = train(config, tmp_path / "cut", resume=True)
    assert "Resumed at step 7" in text
    assert state_of(resumed) == state_of(whole)


def test_the_last_checkpoints_stay(load_tiny, tmp_path):
    changes = {"semivae__checkpoint_every": 3, "semivae__keep_checkpoints": 2}
    train(load_tiny(**{**STEPS, **changes}), tmp_path)
    names = sorted(path.name for path in (tmp_path / FOLDER).iterdir())
    assert names == ["step-00000009", "step-00000011"]


def test_no_checkpoints_where_none_are_wanted(load_tiny, tmp_path):
    train(load_tiny(semivae__checkpoint_every=0, **STEPS), tmp_path)
    assert not (tmp_path / FOLDER).exists()
    with pytest.raises(ValueError, match="holds no checkpoint to resume from"):
        read_checkpoint(tmp_path)


def test_other_corpora_are_refused(load_tiny, tmp_path):
    config = load_tiny(semivae__checkpoint_every=1, **STEPS)
    train(config, tmp_path, kill=5)
    other = load_tiny(semivae__checkpoint_every=1, **{**STEPS, "corpora__train__limit": 19})
    with pytest.raises(ValueError, match="labelled corpus is not the one of the checkpoint"):
        train(other, tmp_path, resume=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: {},
        lambda state: [],
        lambda state: {**state, "progress": {**state["progress"], "step": "many"}},
        lambda state: {**state, "progress": [1, 2]},
        lambda state: {**state, "labeled": None},
        lambda state: {**state, "unlabeled": {"epoch": b""}},
        lambda state: {**state, "random": {**state["random"], "torch": b"123"}},
        lambda state: {**state, "random": {**state["random"], "numpy": ["none", [], 0, 0, 0.0]}},
        lambda state: {**state, "random": {**state["random"], "random": [9, [1], None]}},
    ],
)
def test_a_state_of_something_else(load_tiny, tmp_path, change):
    config = load_tiny(**STEPS)
    train(config, tmp_path)
    path = read_checkpoint(tmp_path)[0].path

    def write(folder):
        shutil.copytree(path, folder, dirs_exist_ok=True)
        (folder / MANIFEST).unlink()
        srsly.write_msgpack(folder / STATE, change(srsly.read_msgpack(path / STATE)))

    save_snapshot(tmp_path / FOLDER, 12, write, keep=9)
    with pytest.raises(ValueError, match=r"step-00000012.* cannot be loaded"):
        train(config, tmp_path, resume=True)


def test_changes_of_a_config_are_named(load_tiny):
    old, new = load_tiny(), load_tiny(training__max_steps=99)
    (line,) = compare_configs(old, new)
    assert line.startswith("training.max_steps: ")
    assert line.endswith(" then, 99 now")
    assert not compare_configs(old, load_tiny())
    del new["training"]["max_steps"]
    assert "'nothing' now" in " ".join(compare_configs(old, new))


def test_a_checkpoint_is_plain_data(load_tiny, tmp_path):
    train(load_tiny(**STEPS), tmp_path)
    checkpoint, damages = read_checkpoint(tmp_path)
    assert not damages
    assert checkpoint.state == srsly.read_msgpack(checkpoint.path / STATE)
    assert checkpoint.state["progress"]["step"] == 11
    assert not list(checkpoint.path.rglob("*.pkl"))
