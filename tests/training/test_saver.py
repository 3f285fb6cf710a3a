"""Checkpoints between steps and at the end of a run, the last good state, runs without a folder."""

from types import SimpleNamespace

import pytest
import spacy
from thinc.api import Config

from spacy_semivae.training import saver as module
from spacy_semivae.training.saver import Saver
from spacy_semivae.training.snapshots import save_snapshot

SETTINGS = {"before_to_disk": None, "seed": 3, "score_weights": {"tag_acc": 1.0}}
INFO = {"other_scores": {"tag_acc": 0.5}, "losses": {}}


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Make a Saver whose checkpoints are empty."""

    def save(session, output, config, *, keep):
        save_snapshot(output / module.FOLDER, session.progress.step, lambda path: None, keep=keep)

    def make(every=2, output=tmp_path):
        aligned = []
        session = SimpleNamespace(
            nlp=spacy.blank("en"),
            optimizer=SimpleNamespace(averages=None),
            progress=SimpleNamespace(step=0, results=[]),
            group=SimpleNamespace(align=lambda nlp, seed, step: aligned.append((seed, step))),
            aligned=aligned,
        )
        settings = SimpleNamespace(checkpoint_every=every, keep_checkpoints=2)
        return Saver(session, SETTINGS, output, settings, Config())

    monkeypatch.setattr(module, "save_checkpoint", save)
    return make


def steps(saver, n):
    for _ in range(n):
        saver.session.progress.step += 1
        saver.after_step()


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_checkpoints_are_written_in_step_and_the_last_stay(make, tmp_path):
    saver = make(every=2)
    steps(saver, 7)
    assert names(tmp_path / module.FOLDER) == ["step-00000004", "step-00000006"]
    assert saver.session.aligned == [(3, 2), (3, 4), (3, 6)]
    saver.finish()
    assert names(tmp_path / module.FOLDER) == ["step-00000006", "step-00000007"]


@pytest.mark.parametrize(("every", "whole", "n"), [(2, True, 2), (2, False, 3), (0, True, 3)])
def test_nothing_more_is_saved_at_the_end(make, tmp_path, every, whole, n):
    saver = make(every=every)
    steps(saver, n)
    before = names(tmp_path / module.FOLDER)
    saver.is_whole = whole  # or cut off within a step
    saver.finish()
    assert names(tmp_path / module.FOLDER) == before
    assert (tmp_path / "model-last").exists()


def test_the_last_good_state(make, tmp_path):
    saver = make()
    assert saver.last_good() == "none"
    saver.session.progress.results.append((0.5, 1))
    assert saver.last_good() == tmp_path / "model-best"
    steps(saver, 2)
    assert saver.last_good() == tmp_path / module.FOLDER / "step-00000002"


def test_without_a_folder_nothing_is_written(make, tmp_path):
    saver = make(output=None)
    saver.save_pipelines(INFO, is_best=True)
    steps(saver, 2)
    saver.finish()
    assert saver.last_good() == "none"
    assert saver.session.nlp.meta["performance"] == {"tag_acc": 0.5}
    assert not list(tmp_path.iterdir())
