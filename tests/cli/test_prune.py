"""`semivae prune`."""

import numpy
import pytest
import spacy


@pytest.fixture
def trained(semivae, tiny, tmp_path):
    code, output = semivae(*tiny(), "--output", tmp_path / "run")
    assert code == 0, output
    return tmp_path / "run" / "model-last"


def size_of(path):
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def test_a_pruned_pipeline_is_smaller_and_predicts_the_same(semivae, trained, tmp_path):
    output_path = tmp_path / "new" / "pruned"
    code, output = semivae("prune", trained, output_path)
    assert code == 0, output
    assert "vsl_tagger pruned" in output
    before, after = spacy.load(trained), spacy.load(output_path)
    docs = [before.make_doc("the cat sat on 12 mats"), before.make_doc("Paris")]
    scores = [nlp.get_pipe("vsl_tagger").predict(docs).dataXd for nlp in (before, after)]
    assert numpy.array_equal(*scores)
    assert len(before.get_pipe("vsl_tagger").prior.entries) > 0
    assert not after.get_pipe("vsl_tagger").prior.entries
    assert size_of(output_path) < size_of(trained)


def test_an_existing_folder_is_refused(semivae, trained, tmp_path):
    code, output = semivae("prune", trained, tmp_path)
    assert code == 1
    assert "exists: choose another folder" in output


def test_a_pipeline_with_nothing_to_prune(semivae, tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.to_disk(tmp_path / "plain")
    code, output = semivae("prune", tmp_path / "plain", tmp_path / "out")
    assert code == 1
    assert "no component to prune, only ['sentencizer']" in output
    assert not (tmp_path / "out").exists()


def test_a_pipeline_that_is_not_there(semivae, tmp_path):
    code, output = semivae("prune", tmp_path / "no_such_model", tmp_path / "out")
    assert code == 1
    assert "no_such_model" in output
