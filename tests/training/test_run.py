"""Whole training runs: what is saved, what is refused, how they end."""

import io
import signal
from pathlib import Path

import numpy
import pytest
import spacy
from spacy.util import load_config, registry

from spacy_semivae.training.initialize import initialize_nlp
from spacy_semivae.training.run import train_nlp

AVERAGES = {"training__optimizer__use_averages": True, "training__optimizer__learn_rate": 0.05}


def parameters_of(nlp, name="vsl_tagger"):
    model = nlp.get_pipe(name).model
    shims = [shim for node in model.walk() for shim in node.shims]
    return [p.detach().numpy().copy() for shim in shims for p in shim.module.parameters()]


def same(a, b):
    assert len(a) == len(b) > 5
    return all(numpy.array_equal(x, y) for x, y in zip(a, b))


def run(nlp, settings, output=None, **options):
    """Train without output on the console; gives the result and what was written."""
    stdout = io.StringIO()
    result = train_nlp(nlp, settings, output, stdout=stdout, stderr=io.StringIO(), **options)
    return result, " ".join(stdout.getvalue().split())


def evaluate(path):
    nlp = spacy.load(path)
    config = nlp.config.interpolate()
    dev = registry.resolve(config["corpora"])["dev"]
    return nlp.evaluate(list(dev(nlp)))["tag_acc"]


def at_step(step, action):
    """Give the override of a [training.before_update] that acts at one step."""

    def make():
        return lambda nlp, args: action(nlp) if args["step"] == step else None

    registry.callbacks.register("test.at_step.v1", func=make)
    return {"training__before_update": {"@callbacks": "test.at_step.v1"}}


def interrupt(nlp):
    raise KeyboardInterrupt


def poison(nlp):
    for shim in nlp.get_pipe("vsl_tagger").model.shims:
        for param in shim.module.parameters():
            param.data.fill_(float("nan"))


# What is saved


def test_the_best_and_the_last_pipeline_are_saved(start, tmp_path):
    rate = {"training__optimizer__learn_rate": 0.05, "training__max_steps": 6}
    result, text = run(*start(**rate), tmp_path / "new" / "out")
    out = tmp_path / "new" / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "checkpoints",
        "model-best",
        "model-last",
    ]
    assert evaluate(out / "model-best") == pytest.approx(result["score"])
    assert result["score"] > 0.2
    assert result["steps"] == 6
    assert result["best_step"] in (2, 4, 6)
    meta = spacy.load(out / "model-best").meta["performance"]
    assert meta["tag_acc"] == pytest.approx(result["score"])
    assert f"Saved pipeline to {out / 'model-last'}" in text
    assert spacy.load(out / "model-last").get_pipe("vsl_tagger").cfg["step"] == 6
    assert spacy.load(out / "model-best").get_pipe("vsl_tagger").cfg["step"] == result["best_step"]


def test_a_run_is_repeatable_and_needs_no_output_folder(start):
    runs = []
    for _ in range(2):
        nlp, settings = start()
        runs.append((run(nlp, settings)[0], parameters_of(nlp)))
    assert runs[0][0] == runs[1][0]
    assert same(runs[0][1], runs[1][1])


def test_a_saved_config_trains_again(start, tmp_path):
    run(*start(), tmp_path / "one")
    saved = load_config(tmp_path / "one" / "model-last" / "config.cfg", interpolate=False)
    assert "semivae_init" not in saved.to_str(interpolate=False)
    assert saved["corpora"]["train"]["path"] == "${paths.train}"
    run(*initialize_nlp(saved), tmp_path / "two")
    one, two = [spacy.load(tmp_path / name / "model-last") for name in ("one", "two")]
    assert same(parameters_of(one), parameters_of(two))


def test_averages_are_evaluated_and_saved(start, tmp_path):
    nlp, settings = start(**AVERAGES)
    result, _ = run(nlp, settings, tmp_path)
    assert evaluate(tmp_path / "model-best") == pytest.approx(result["score"])
    saved = spacy.load(tmp_path / "model-last")
    assert not same(parameters_of(nlp), parameters_of(saved))
    plain, settings = start(**{**AVERAGES, "training__optimizer__use_averages": False})
    run(plain, settings)
    assert same(parameters_of(nlp), parameters_of(plain))  # averaging does not steer training


def test_frozen_components_do_not_learn(start, tmp_path):
    run(*start(), tmp_path / "old")
    sourced = {"source": str(tmp_path / "old" / "model-last"), "component": "vsl_tagger"}
    nlp, settings = start(
        "ner",
        nlp__pipeline=["frozen", "vsl_ner"],
        components__frozen=sourced,
        training__frozen_components=["frozen"],
    )
    before = parameters_of(nlp, "frozen"), parameters_of(nlp, "vsl_ner")
    run(nlp, settings)
    assert same(before[0], parameters_of(nlp, "frozen"))
    assert not same(before[1], parameters_of(nlp, "vsl_ner"))
    steps = [nlp.get_pipe(name).cfg["step"] for name in ("frozen", "vsl_ner")]
    assert steps == [4, 4]  # the first was trained before


def test_a_dropout_of_integer_zero(start):
    result, _ = run(*start(training__dropout=0))
    assert result["steps"] == 4


def test_labels_alone(start):
    result, _ = run(*start(semivae__unlabeled_corpus=None, paths__unlabeled=None))
    assert result["steps"] == 4


def test_no_check_of_the_streams_without_raw_docs_for_it(start, recwarn):
    run(*start(semivae__init_unlabeled=0))
    assert not [w for w in recwarn if "labelled tokens" in str(w.message)]


# What is refused


def test_a_folder_that_holds_a_run_is_refused(start, tmp_path):
    nlp, settings = start()
    run(nlp, settings, tmp_path)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(FileExistsError, match="holds a run: --resume"):
        run(nlp, settings, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == files
    (tmp_path / "model-last" / "stale").touch()
    run(*start(), tmp_path, overwrite=True)
    assert not (tmp_path / "model-last" / "stale").exists()


def test_nothing_is_deleted_when_training_cannot_start(start, tmp_path):
    nlp, settings = start()
    run(nlp, settings, tmp_path)
    nlp.config["semivae"]["unlabeled_corpus"] = None
    nlp.config["corpora"]["unlabeled"]["path"] = str(tmp_path / "gone.txt")
    with pytest.raises(ValueError, match=r"gone\.txt"):
        run(nlp, settings, tmp_path, overwrite=True)
    assert evaluate(tmp_path / "model-best") > 0


def test_raw_text_without_a_component_for_it(load_tiny):
    config = load_tiny()
    config["nlp"]["pipeline"] = ["tagger"]
    config["components"] = {"tagger": {"factory": "tagger"}}
    nlp, settings = initialize_nlp(config)
    with pytest.raises(ValueError, match=r"raw text, but none of \['tagger'\] learns from it"):
        run(nlp, settings)


@pytest.mark.filterwarnings("ignore:Only .* of the labelled tokens")
def test_bad_raw_text_in_the_middle_of_a_run_keeps_what_was_saved(start, tmp_path, write_lines):
    lines = [f'{{"text": "the line {i}"}}' for i in range(50)]
    raw = write_lines(tmp_path / "raw.jsonl", [*lines, '{"text": 7}'])
    limits = {"corpora__unlabeled__limit": 0, "semivae__init_unlabeled": 10}
    order = {"corpora__unlabeled__shuffle_buffer": 0, "training__max_steps": 20}
    nlp, settings = start(paths__unlabeled=str(raw), **limits, **order)
    with pytest.raises(ValueError, match=r"raw\.jsonl, line 51: text must be a string"):
        run(nlp, settings, tmp_path / "out")
    assert spacy.load(tmp_path / "out" / "model-last").get_pipe("vsl_tagger").cfg["step"] == 4


# How runs end


def test_an_interrupted_run_saves_the_last_pipeline(start, tmp_path):
    nlp, settings = start(**at_step(3, interrupt))
    result, text = run(nlp, settings, tmp_path)
    assert (result["steps"], result["best_step"]) == (3, 2)
    assert f"Interrupted; saved pipeline to {tmp_path / 'model-last'}" in text
    last = spacy.load(tmp_path / "model-last")
    assert last.get_pipe("vsl_tagger").cfg["step"] == 3
    assert same(parameters_of(last), parameters_of(nlp))
    assert spacy.load(tmp_path / "model-best").get_pipe("vsl_tagger").cfg["step"] == 2


def test_an_interrupt_before_the_first_step(start, tmp_path):
    result, _ = run(*start(**at_step(0, interrupt)), tmp_path)
    assert result == {"score": 0.0, "best_step": 0, "steps": 0, "signal": signal.SIGINT}
    assert [path.name for path in tmp_path.iterdir()] == ["model-last"]


@pytest.mark.parametrize(("step", "good"), [(3, True), (1, False)])
def test_a_loss_that_is_not_finite_ends_the_run(start, tmp_path, step, good):
    nlp, settings = start(**at_step(step, poison))
    with pytest.raises(FloatingPointError) as info:
        run(nlp, settings, tmp_path)
    last = str(tmp_path / "model-best") if good else "none"
    assert f"'vsl_tagger', step {step}: loss term 'supervised' is nan" in str(info.value)
    assert str(info.value).endswith(f"Last good checkpoint: {last}")
    if good:
        saved = spacy.load(tmp_path / "model-last")
        assert saved.get_pipe("vsl_tagger").cfg["step"] == 2
        assert all(numpy.isfinite(array).all() for array in parameters_of(saved))
    else:
        assert not list(Path(tmp_path).iterdir())
