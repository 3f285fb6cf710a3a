"""Files, folders and settings of a conversion."""

import gzip

import pytest
from spacy.tokens import DocBin

from spacy_semivae.analysis.convert import ConvertSettings, convert


def test_folders_give_a_file_each_or_one_for_all(nlp, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name, label in (("a.train", "X"), ("a.dev", "Y"), (".hidden", "Z"), ("b.tsv.gz", "X")):
        data = f"{label}\ttext\n".encode()
        (folder / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    settings = ConvertSettings(format="textcat")
    report = convert(folder, tmp_path / "out", settings, nlp=nlp)
    assert [path.name for path in report.files] == ["a.dev.spacy", "a.train.spacy", "b.spacy"]
    dev, train, _ = (next(DocBin().from_disk(p).get_docs(nlp.vocab)) for p in report.files)
    assert (dev.cats, train.cats) == ({"X": 0.0, "Y": 1.0}, {"X": 1.0, "Y": 0.0})
    report = convert(folder, tmp_path / "all.spacy", settings, nlp=nlp)
    assert report.files == (tmp_path / "all.spacy",)
    assert len(DocBin().from_disk(report.files[0])) == report.n_docs == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "iob"}, "format must be one of conll, conllu, spans, textcat .*'iob'"),
        ({"format": "spans", "missing": "-"}, "missing is a setting of conll only"),
        ({"format": "conllu", "columns": ["token"]}, "columns is a setting of conll and textcat"),
        ({"format": "conll", "columns": ["token", "x"]}, "columns must be of token, tag"),
        ({"format": "conll", "columns": ["tag"]}, "columns must be of token, tag"),
        ({"format": "conll", "columns": ["token"], "ner_column": 2}, "not by both"),
        ({"format": "conll", "ner_column": 0, "tag_column": 1}, "numbered from 1"),
        ({"format": "textcat", "columns": ["text"]}, "label,text or text,label .*'text'"),
        ({"format": "spans", "on_misaligned": "x"}, "on_misaligned must be one of .*'x'"),
        ({"format": "conll", "encoding": "utf9"}, "encoding must be one of Python's .*'utf9'"),
    ],
)
def test_wrong_settings_are_refused(run, settings, message):
    with pytest.raises(ValueError, match=message):
        run('{"text": "a"}\n', **settings)


def test_a_missing_input_is_refused(nlp, tmp_path):
    with pytest.raises(ValueError, match="must be a file or a folder with files"):
        convert(tmp_path / "none", tmp_path, ConvertSettings(format="spans"), nlp=nlp)
