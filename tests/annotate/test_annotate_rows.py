"""What a row says of a Doc: offsets, probabilities, tags and cats, and from where they come."""

import numpy
import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span

from spacy_semivae.annotate.rows import Annotated, Fields, find_fields, make_row
from spacy_semivae.annotate.scores import EntityScorer

TEXTS = ["Ann saw Bob Lee in Rome !", "", "We like New Rome", "Rome", "zebras like Ann Lee", "no"]
ALL = Fields(entities=True, probabilities=True, attrs=("tag", "pos", "morph"), cats=True)


@pytest.fixture(scope="module")
def vsl(make_pipeline):
    """A pipeline with a `vsl_ner`."""
    return make_pipeline("vsl_ner")


def test_offsets_are_characters_of_the_text():
    words, spaces = ["😀", "Zoë", "ﬁ", "Rom", "e\u0301"], [True, True, False, False, False]
    doc = Doc(spacy.blank("en").vocab, words, spaces)
    doc.ents = [Span(doc, 0, 1, "X"), Span(doc, 1, 2, "PER"), Span(doc, 3, 5, "LOC")]
    row = make_row(Annotated(doc, {}, "f", 1), ALL)
    found = [(row["text"][e["start"] : e["end"]], e["label"]) for e in row["entities"]]
    assert found == [("😀", "X"), ("Zoë", "PER"), ("Rome\u0301", "LOC")]
    assert [(e["start"], e["end"]) for e in row["entities"]] == [(0, 1), (2, 5), (7, 12)]
    assert {e["probability"] for e in row["entities"]} == {None}


def test_all_that_a_row_holds():
    doc = Doc(
        spacy.blank("en").vocab,
        ["Ann", "runs"],
        [True, False],
        tags=["N", "V"],
        pos=["PROPN", "VERB"],
        morphs=["Number=Sing", ""],
    )
    doc.ents = [Span(doc, 0, 1, "PER")]
    doc.cats = {"b": 0.12345678, "a": numpy.float32(1)}
    assert make_row(Annotated(doc, {(0, 1, "PER"): 0.98765432}, "a/b", 7), ALL) == {
        "text": "Ann runs",
        "tokens": ["Ann", "runs"],
        "spaces": [True, False],
        "entities": [{"start": 0, "end": 3, "label": "PER", "probability": 0.987654}],
        "tag": ["N", "V"],
        "pos": ["PROPN", "VERB"],
        "morph": ["Number=Sing", ""],
        "cats": {"b": 0.123457, "a": 1.0},
        "file": "a/b",
        "line": 7,
    }


def test_fields_are_those_that_components_assign(trained, vsl, ruler):
    nlp = spacy.load(trained)
    scored = bool(EntityScorer(nlp))
    assert find_fields(nlp, probabilities=scored) == Fields(True, True, ("tag",), True)
    assert find_fields(spacy.load(vsl), probabilities=True) == Fields(True, True, (), False)
    nlp = spacy.load(ruler)
    assert not EntityScorer(nlp)
    assert find_fields(nlp, probabilities=False) == Fields(True, False, ("tag",), False)
    nlp = spacy.blank("en")
    assert find_fields(nlp, probabilities=False) == Fields(False, False, (), False)
    nlp.add_pipe("morphologizer")
    assert find_fields(nlp, probabilities=False).attrs == ("pos", "morph")
    nlp.add_pipe("ner")
    nlp.disable_pipe("morphologizer")
    assert find_fields(nlp, probabilities=False) == Fields(True, False, (), False)


@pytest.mark.parametrize("threshold", [None, 0.999, 0.01])
def test_probabilities_of_the_crf_are_exact(make_pipeline, threshold):
    nlp = spacy.load(make_pipeline("crf_vae_ner", threshold=threshold))
    pipe, scorer = nlp.get_pipe("crf_vae_ner"), EntityScorer(nlp)
    docs = list(nlp.pipe(TEXTS, batch_size=3))
    assert sum(len(doc.ents) for doc in docs) > 2
    for doc, scores in zip(docs, scorer.score(docs), strict=True):
        keys = [(ent.start, ent.end, ent.label_) for ent in doc.ents]
        exact = pipe.score_spans(doc, doc.ents)
        assert [scores[key] for key in keys] == pytest.approx(exact, abs=1e-6)
        assert all(0 < p <= 1 for p in exact)


def test_entities_of_others_have_no_probability(make_pipeline):
    nlp = spacy.load(make_pipeline("crf_vae_ner"))
    nlp.get_pipe("crf_vae_ner").overwrite = False
    patterns = [{"label": "ANIMAL", "pattern": "zebras"}, {"label": "PER", "pattern": "no"}]
    nlp.add_pipe("entity_ruler", first=True).add_patterns(patterns)
    docs = [nlp("zebras"), nlp("no")]
    known = EntityScorer(nlp).score(docs)
    assert [[e.label_ for e in doc.ents] for doc in docs] == [["ANIMAL"], ["PER"]]
    rows = [make_row(Annotated(doc, p, "", 1), ALL) for doc, p in zip(docs, known)]
    assert rows[0]["entities"][0]["probability"] is None
    (p,) = nlp.get_pipe("crf_vae_ner").score_spans(docs[1], docs[1].ents)
    assert rows[1]["entities"][0]["probability"] == pytest.approx(p, abs=1e-6)


def test_probabilities_of_the_vsl_are_products_of_its_tags(vsl):
    nlp = spacy.load(vsl)
    pipe, scorer = nlp.get_pipe("vsl_ner"), EntityScorer(nlp)
    docs = list(nlp.pipe(TEXTS, batch_size=3))
    found = scorer.score(docs)
    lengths = set()
    for doc, scores, P in zip(docs, found, pipe.predict_probabilities(docs), strict=True):
        assert len(scores) == len(doc.ents)
        for ent in doc.ents:
            inner = ["I"] * (len(ent) - 2)
            tags = ["U"] if len(ent) == 1 else ["B", *inner, "L"]
            columns = [pipe.scheme.names.index(f"{tag}-{ent.label_}") for tag in tags]
            product = numpy.prod([P[ent.start + i, c] for i, c in enumerate(columns)])
            assert scores[ent.start, ent.end, ent.label_] == pytest.approx(product, rel=1e-4)
            lengths.add(len(ent))
        group = doc.spans["vsl_ner"]
        assert group.attrs["scores"].tolist() == pytest.approx([*scores.values()])
        assert [span.label_ for span in group] == [ent.label_ for ent in doc.ents]
    assert lengths


@pytest.mark.parametrize("format", ["jsonl", "parquet", "spacy"])
def test_probabilities_in_files(trained, corpus, run, read, tmp_path, format):
    if format == "parquet":
        pytest.importorskip("pyarrow")
    run(trained, corpus("raw.jsonl", TEXTS), tmp_path / f"out.{format}")
    nlp = spacy.load(trained)
    docs = list(nlp.pipe(TEXTS))
    assert any(doc.ents for doc in docs)
    exact = [nlp.get_pipe("crf_vae_ner").score_spans(doc, doc.ents) for doc in docs]
    if format == "spacy":
        loaded = list(DocBin().from_disk(tmp_path / "out.spacy").get_docs(nlp.vocab))
        found = [doc.spans["crf_vae_ner"].attrs["scores"].tolist() for doc in loaded]
        cats = [doc.cats for doc in loaded]
    else:
        rows = read(tmp_path / f"out.{format}")
        found = [[entity["probability"] for entity in row["entities"]] for row in rows]
        cats = [dict(row["cats"]) for row in rows]
    for i, doc in enumerate(docs):
        assert found[i] == pytest.approx(exact[i], abs=2e-6)
        assert cats[i] == pytest.approx(doc.cats, abs=2e-6)
