import pytest

from spacy_semivae.analysis.curve.manifest import MANIFEST, describe_curve, open_folder


@pytest.fixture
def describe(make_config):
    def describe(metric="tag_acc", twin=None, test=None, code=None, **overrides):
        config = make_config(**overrides).interpolate()
        return describe_curve(config, metric=metric, twin=twin or {}, test=test, code=code)

    return describe


def test_a_folder_is_used_again_for_the_same_curve(describe, tmp_path):
    open_folder(tmp_path / "a" / "b", describe(), overwrite=False)
    # each point has a seed of its own, so that later runs may add some
    open_folder(tmp_path / "a" / "b", describe(system__seed=5), overwrite=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training__max_steps": 9}, "config.training.max_steps: 2 then, 9 now"),
        ({"metric": "pos_acc"}, "metric: 'tag_acc' then, 'pos_acc' now"),
        ({"twin": {"training.dropout": 0.5}}, "twin.training.dropout: 'nothing' then, 0.5 now"),
    ],
)
def test_another_curve_is_refused(describe, tmp_path, change, message):
    open_folder(tmp_path, describe(), overwrite=False)
    (tmp_path / "points").mkdir()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=message):
        open_folder(tmp_path, describe(**change), overwrite=False)
    assert (tmp_path / "points").exists()
    open_folder(tmp_path, describe(**change), overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [MANIFEST, "notes.txt"]


def test_other_corpora_are_refused(describe, tmp_path):
    raw, out = tmp_path / "raw.txt", tmp_path / "out"
    raw.write_text("one\n", encoding="utf8")
    open_folder(out, describe(paths__unlabeled=str(raw)), overwrite=False)
    raw.write_text("one\ntwo\n", encoding="utf8")
    with pytest.raises(ValueError, match=r"raw.txt: 4 then, 8 now"):
        open_folder(out, describe(paths__unlabeled=str(raw)), overwrite=False)


def test_a_damaged_manifest(describe, tmp_path):
    (tmp_path / MANIFEST).write_text("{", encoding="utf8")
    with pytest.raises(ValueError, match=r"is damaged: --overwrite starts anew"):
        open_folder(tmp_path, describe(), overwrite=False)


def test_no_raw_text(describe):
    with pytest.raises(ValueError, match=r"needs raw text: set paths.unlabeled"):
        describe(corpora__unlabeled__path=None)
