"""`semivae suggest`, and the way of what it wrote through a tool and `import`."""

import pytest
import spacy
import srsly
from spacy.tokens import DocBin, Span
from spacy.training import Example


@pytest.fixture
def model(tmp_path):
    nlp = spacy.blank("en")
    encoder = {"@architectures": "semivae.CharWordBiGRU.v1", "width": 8, "char_width": 4}
    encoder |= {"char_hidden": 4, "hidden": 8, "min_count": 1}
    small = {"width": 8, "generator": None, "tok2vec": encoder}
    nlp.add_pipe("crf_vae_ner", config={"model": small})
    doc = nlp.make_doc("Ann saw Rome")
    doc.ents = [Span(doc, 0, 1, "PER")]
    nlp.initialize(
        lambda: [
            Example(nlp.make_doc(t), d) for t, d in ((doc.text, doc), ("a", nlp.make_doc("a")))
        ]
    )
    nlp.to_disk(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "raw.txt"
    path.write_text("Ann saw Rome\nBob likes us\nno names here\n", encoding="utf8")
    return path


def test_suggest_then_import(semivae, model, raw, tmp_path):
    tasks, out = tmp_path / "new" / "tasks.jsonl", tmp_path / "new" / "labeled.spacy"
    code, output = semivae("suggest", model, raw, "-n", 2, "-o", tasks)
    assert (code, "2 texts for prodigy" in output) == (0, True)
    records = [{**r, "answer": a} for r, a in zip(srsly.read_jsonl(tasks), ("accept", "ignore"))]
    srsly.write_jsonl(tasks, records)
    code, output = semivae("import", tasks, out, "--format", "prodigy", "--as", "full")
    assert code == 0
    assert "left out (ignored by the annotator): 1" in output
    assert "1 Docs" in output
    (doc,) = DocBin().from_disk(out).get_docs(spacy.blank("en").vocab)
    assert doc.text == records[0]["text"]
    code, output = semivae("suggest", model, raw, "-o", tasks, "--exclude", out, "--exclude", out)
    assert code == 0
    assert "2 texts were left of 50 wanted" in output


def test_errors_are_messages(semivae, model, raw, tmp_path):
    tasks = tmp_path / "tasks.jsonl"
    code, output = semivae("suggest", model, raw, "-o", tasks, "--by", "disagreement")
    assert code == 1
    assert "disagreement needs samples of latents" in output
    code, output = semivae("suggest", model, raw, "-o", tasks, "--format", "x")
    assert "must be one of prodigy, doccano, labelstudio, argilla" in output
    assert not tasks.exists()
