"""Probabilities of entities: exact ones of a CRF, products of tags, none of other components."""

import numpy
import pytest
import spacy

from spacy_semivae.annotate.rows import Annotated, Fields, make_row
from spacy_semivae.annotate.scores import EntityScorer

TEXTS = ["Ann saw Bob Lee in Rome !", "", "We like New Rome", "Rome", "zebras like Ann Lee", "no"]
FIELDS = Fields(entities=True, probabilities=True, attrs=(), cats=False)


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
    rows = [make_row(Annotated(doc, p, "", 1), FIELDS) for doc, p in zip(docs, known)]
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
