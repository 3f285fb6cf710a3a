"""What `calibrate` and `thresholds` share: corpora, components, whole folders."""

import pytest
import spacy
from spacy.tokens import Doc, DocBin

from spacy_semivae.analysis.trust import check_output, find_pipes, predict_corpus, save


def test_a_corpus_is_annotated_as_by_spacy(tiny_pipeline, tmp_path):
    nlp = tiny_pipeline("vsl_tagger", steps=5)
    docs = [Doc(nlp.vocab, ["Ann", "saw"], tags=["N", "V"]), Doc(nlp.vocab, ["raw"])]
    DocBin(docs=docs).to_disk(tmp_path / "dev.spacy")
    examples = predict_corpus(nlp, tmp_path / "dev.spacy")
    assert [[t.tag_ for t in eg.reference] for eg in examples] == [["N", "V"], [""]]
    for eg in examples:
        assert [t.tag_ for t in eg.predicted] == [t.tag_ for t in nlp(eg.predicted.text)]


def test_components(tiny_pipeline):
    nlp = tiny_pipeline("vsl_tagger")
    nlp.add_pipe("sentencizer")
    assert [pipe.name for pipe in find_pipes(nlp)] == ["vsl_tagger"]
    with pytest.raises(ValueError, match=r"no component of this package: \[\]"):
        find_pipes(spacy.blank("en"))


def test_an_own_folder_keeps_what_is_not_changed(tiny_pipeline, tmp_path):
    nlp, model = tiny_pipeline("vsl_tagger"), tmp_path / "model"
    nlp.to_disk(model)
    (model / "note.txt").write_text("kept")
    before = {p: p.read_bytes() for p in model.rglob("*") if p.is_file()}
    nlp = spacy.load(model)
    nlp.get_pipe("vsl_tagger").calibrate(2.0)
    assert save(nlp, str(model), None) == model
    after = {p: p.read_bytes() for p in model.rglob("*") if p.is_file()}
    changed = {p.relative_to(model).as_posix() for p in after if before.get(p) != after[p]}
    assert before.keys() == after.keys()
    assert changed == {"vsl_tagger/cfg", "vsl_tagger/checksums.json"}
    assert spacy.load(model).get_pipe("vsl_tagger").calibration_temperature == 2.0


def test_a_new_folder(tiny_pipeline, tmp_path):
    nlp = tiny_pipeline("vsl_tagger")
    nlp.get_pipe("vsl_tagger").calibrate(2.0)
    output = tmp_path / "new" / "model"
    assert save(nlp, "somewhere", output) == output
    assert spacy.load(output).get_pipe("vsl_tagger").calibration_temperature == 2.0


def test_where_nothing_could_be_saved(tmp_path):
    with pytest.raises(ValueError, match="exists: choose another folder"):
        check_output("en_model", tmp_path)
    with pytest.raises(ValueError, match="en_model is no folder: an installed package needs"):
        check_output("en_model", None)
    check_output("en_model", tmp_path / "new")
    check_output(str(tmp_path), None)
