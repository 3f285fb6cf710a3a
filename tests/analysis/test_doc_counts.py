import random

import numpy
import pytest
from spacy.scorer import Scorer, get_ner_prf
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_semivae.analysis.doc_counts import METRICS, count_docs, count_entities, count_tokens
from spacy_semivae.analysis.paired import mean_score

LABELS = ["u", "v", "w"]


def draw_doc(rng, vocab, words, gold):
    doc = Doc(vocab, words=words, spaces=[False] * len(words))
    for token in doc:
        if not gold or rng.random() < 0.8:
            token.tag_ = rng.choice(["X", "Y"])
    ents = [
        Span(doc, i, min(len(doc), i + rng.randint(1, 2)), rng.choice(["P", "Q"]))
        for i in range(0, len(doc), 2)
        if rng.random() < 0.6
    ]
    doc.set_ents(ents, default="missing" if gold and rng.random() < 0.4 else "outside")
    chosen = rng.choice(LABELS)
    doc.cats = {k: float(k == chosen) if gold else rng.random() for k in LABELS}
    return doc


@pytest.fixture
def examples():
    """Random Docs with missing annotation, a third of which are tokenized otherwise."""
    rng, vocab, found = random.Random(0), Vocab(), []
    for i in range(80):
        words = [rng.choice(["ab", "cd", "ef"]) for _ in range(rng.randint(1, 9))]
        merged = ["".join(words[:2]), *words[2:]] if i % 3 == 0 else words
        gold = draw_doc(rng, vocab, words, True)
        found.append(Example(draw_doc(rng, vocab, merged, False), gold))
    return found


@pytest.fixture
def scores(examples):
    return {
        **get_ner_prf(examples),
        **Scorer.score_cats(examples, "cats", labels=LABELS, multi_label=False),
        **Scorer.score_token_attr(examples, "tag"),
    }


@pytest.mark.parametrize("name", sorted(METRICS))
def test_counts_give_the_scorers_score(examples, scores, name):
    if name in ("pos_acc", "morph_acc"):
        attr = name.split("_")[0]
        for eg in examples:
            for doc in (eg.predicted, eg.reference):
                for token in doc:
                    if attr == "pos" and token.tag:
                        token.pos_ = {"X": "NOUN", "Y": "VERB"}[token.tag_]
                    elif token.tag:
                        token.set_morph(f"Case={token.tag_}")
        scores = Scorer.score_token_attr(examples, attr, getter=lambda t, a: get(t, a))
    counts = count_docs(examples, name, scores)
    assert counts.shape[0] == len(examples)
    (score,) = mean_score([counts], numpy.ones((1, len(examples))), METRICS[name].score)
    assert score == pytest.approx(scores[name], abs=1e-9)
    assert 0 < score < 1


def get(token, attr):
    return token.morph.key if attr == "morph" else getattr(token, attr)


def test_a_positive_label_counts_alone(examples):
    for eg in examples:
        for doc in (eg.predicted, eg.reference):
            doc.cats = {k: v for k, v in doc.cats.items() if k != "w"}
    scores = Scorer.score_cats(
        examples, "cats", labels=["u", "v"], multi_label=False, positive_label="v"
    )
    assert scores["cats_score"] != scores["cats_macro_f"]
    assert count_docs(examples, "cats_score", scores).shape == (80, 1, 3)
    assert count_docs(examples, "cats_macro_f", scores).shape == (80, 2, 3)


def test_what_is_missing_counts_for_nothing():
    vocab = Vocab()
    gold = Doc(vocab, words=["a", "b", "c"])
    predicted = Doc(vocab, words=["a", "b", "c"], tags=["X", "X", "X"])
    predicted.ents = [Span(predicted, 0, 1, "P"), Span(predicted, 1, 2, "P")]
    eg = Example(predicted, gold)
    assert count_entities(eg) == count_tokens(eg, "tag") == [(0, 0, 0)]
    gold.set_ents([Span(gold, 1, 2, "P")], default="missing")
    gold[0].tag_ = "X"
    assert count_entities(eg) == count_tokens(eg, "tag") == [(1, 1, 1)]


def test_scores_that_counts_do_not_give_are_refused(examples, scores):
    with pytest.raises(ValueError, match=r"ents_f is 0.9876 by the pipeline's scorer"):
        count_docs(examples, "ents_f", scores | {"ents_f": 0.9876})
    with pytest.raises(ValueError, match="no annotation for the metric 'pos_acc'"):
        count_docs(examples, "pos_acc", scores)
    multi = Scorer.score_cats(examples, "cats", labels=LABELS, multi_label=True)
    with pytest.raises(ValueError, match="exclusive classes"):
        count_docs(examples, "cats_score", multi)
