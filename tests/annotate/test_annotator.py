"""A worker: its shards depend on their texts alone; texts at which the pipeline fails are told."""

from types import SimpleNamespace

import pytest
import spacy
import srsly
from thinc.api import Model

from spacy_semivae.annotate.annotator import Annotator, forget
from spacy_semivae.annotate.engines import run_here
from spacy_semivae.annotate.output import find_output
from spacy_semivae.annotate.run import AnnotateSettings, make_job
from spacy_semivae.annotate.shards import cut_shards
from spacy_semivae.layers.cache import VectorCache
from spacy_semivae.training.raw_text import RawTextError, raise_error, read_records

SETTINGS = {"shard_size": 9, "batch_size": 4}
CODE = """
from spacy.language import Language

@Language.component("picky", assigns=["doc.ents"])
def picky(doc):
    if "bad" in doc.text:
        raise RuntimeError("too bad")
    return doc
"""


@pytest.mark.parametrize("order", [[3, 1], [4], [0, 0, 2]])
def test_a_shard_does_not_depend_on_those_before(trained, many, run, contents, tmp_path, order):
    out = tmp_path / "out"
    run(trained, many, out, **SETTINGS)
    expected = contents(out)
    job = make_job(trained, [many], find_output(out, None), AnnotateSettings(batch_size=4))
    shards = list(cut_shards(read_records([many], on_error=raise_error), 9))
    for number in order:
        (out / f"shard-00000{number}.jsonl").unlink(missing_ok=True)
    assert [done.number for done in run_here(job, [shards[i] for i in order], print)] == order
    assert contents(out) == expected


def test_no_number_is_taken_from_a_shard_before(trained, many, tmp_path):
    job = make_job(trained, [many], find_output(tmp_path, "spacy"), AnnotateSettings())
    annotator, path = Annotator(job), tmp_path / "shard-000000.spacy"
    shard = next(cut_shards(read_records([many], on_error=raise_error), 9))
    annotator.run(shard)
    expected = path.read_bytes()
    model = annotator.nlp.get_pipe("crf_vae_ner").model
    kept = [node.attrs["spellings"] for node in model.walk() if "spellings" in node.attrs]
    assert kept[0].states.values.abs().sum() > 0
    kept[0].states.values.mul_(-100)  # who takes it predicts something else
    annotator.run(shard)
    assert path.read_bytes() == expected


def test_vectors_of_texts_are_not_kept():
    node = Model("encoder", lambda model, X, is_train: (X, lambda dY: dY))
    node.attrs["cache"] = VectorCache(limit_mb=10)
    forget(SimpleNamespace(pipeline=[("a", SimpleNamespace(model=node)), ("b", None)]))
    assert node.attrs["cache"].limit == 0


def test_predictions_are_those_of_the_pipeline(trained, many, run, read, tmp_path):
    run(trained, many, tmp_path / "out", **SETTINGS)
    nlp = spacy.load(trained)
    rows = read(tmp_path / "out")
    for row, doc in zip(rows, nlp.pipe([row["text"] for row in rows], batch_size=3), strict=True):
        assert row["tag"] == [token.tag_ for token in doc]
        assert [(e["start"], e["end"], e["label"]) for e in row["entities"]] == [
            (ent.start_char, ent.end_char, ent.label_) for ent in doc.ents
        ]
        assert row["cats"] == pytest.approx(doc.cats, abs=1e-5)


def test_the_vocabulary_does_not_grow(ruler, corpus, tmp_path):
    path = corpus("raw.txt", [f"word{i} other{i}" for i in range(50)])
    output, settings = find_output(tmp_path / "out", None), AnnotateSettings(batch_size=5)
    annotator = Annotator(make_job(ruler, [path], output, settings))
    (tmp_path / "out").mkdir()
    vocab = annotator.nlp.vocab
    before = len(list(vocab)), len(vocab.strings)
    for shard in cut_shards(read_records([path], on_error=raise_error), 25):
        assert annotator.run(shard).docs == 25
    assert (len(list(vocab)), len(vocab.strings)) == before


@pytest.fixture
def picky(tmp_path):
    """A pipeline that fails at some texts, and the code of its component."""
    code = tmp_path / "picky.py"
    code.write_text(CODE)
    spacy.util.import_file("picky", code)
    nlp = spacy.blank("en")
    nlp.add_pipe("picky")
    nlp.to_disk(tmp_path / "picky")
    return {"model": tmp_path / "picky", "code": code}


def test_texts_at_which_the_pipeline_fails(picky, corpus, run, read, tmp_path):
    texts = ["good", "bad one", "x", "\ud800", "bad two", "y" * 1_000_001, "z"]
    source, out = corpus("raw.jsonl", texts), tmp_path / "out"
    with pytest.raises(
        RawTextError, match=r"line 2: the pipeline must .* \(too bad\), got 'bad one'"
    ):
        run(source=source, output=out, **picky)
    assert {path.name for path in out.iterdir()} == {"finished.log", "manifest.json"}
    done = run(source=source, output=out, on_error="skip", shard_size=4, **picky)
    assert (done.docs, done.rejected) == (3, 4)
    assert [row["text"] for row in read(out)] == ["good", "x", "z"]
    rejects = list(srsly.read_jsonl(tmp_path / "out.rejects.jsonl"))
    assert [row["line"] for row in rejects] == [2, 4, 5, 6]
    again = run(source=source, output=out, on_error="skip", shard_size=4, **picky)
    assert (again.skipped, again.rejected) == (3, 4)
    assert list(srsly.read_jsonl(tmp_path / "out.rejects.jsonl")) == rejects
    with pytest.raises(RawTextError, match="line 2"):
        run(source=source, output=out, shard_size=4, **picky)
