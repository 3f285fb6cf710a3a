"""What is read of an output folder."""

import pytest
import spacy

from spacy_semivae.analysis.report.source import find_pipeline, read_source


def test_the_best_pipeline_and_its_log(source, all_trained):
    assert source.folder == all_trained / "model-best"
    assert [pipe.name for pipe in source.pipes] == ["vsl_tagger", "crf_vae_ner", "ssvae_textcat"]
    assert [row["step"] for row in source.rows] == [2, 4, 6]
    assert len(source.examples) == 8


def test_dev_docs_are_annotated_as_by_evaluate(source):
    nlp, examples = spacy.load(source.folder), source.examples
    scores = nlp.evaluate([eg.copy() if hasattr(eg, "copy") else eg for eg in examples])
    for name in ("tag_acc", "ents_f", "cats_micro_f"):
        assert source.scores[name] == pytest.approx(scores[name])
    assert all(eg.predicted[0].tag_ for eg in examples)


def test_a_pipeline_in_the_output_may_be_named(all_trained):
    found = read_source(all_trained / "model-last", None)
    assert found.folder == all_trained / "model-last"
    assert len(found.rows) == 3


def test_other_dev_docs(all_trained):
    found = read_source(all_trained, all_trained.parent / "train.spacy")
    assert len(found.examples) == 4
    assert found.dev.endswith("train.spacy")


def test_a_folder_without_pipeline(tmp_path):
    with pytest.raises(ValueError, match="holds no trained pipeline"):
        find_pipeline(tmp_path)


def test_a_pipeline_of_others(tmp_path, all_trained):
    spacy.blank("en").to_disk(tmp_path)
    with pytest.raises(ValueError, match="no component of this package"):
        read_source(tmp_path, all_trained.parent / "dev.spacy")


def test_dev_docs_that_are_gone(output):
    config = output / "model-best" / "config.cfg"
    config.write_text(config.read_text().replace("dev.spacy", "gone.spacy"))
    with pytest.raises(ValueError, match="name it with --dev"):
        read_source(output, None)
    with pytest.raises(ValueError, match="there is no file"):
        read_source(output, output / "none.spacy")
