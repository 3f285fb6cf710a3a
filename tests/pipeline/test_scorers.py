import pytest
import spacy
from spacy.tokens import Doc
from spacy.training import Example

from spacy_semivae.pipeline.scorers import make_token_scorer

WORDS = ["a", "b", "c", "d"]


def example(nlp, attr, predicted, reference):
    eg = Example(Doc(nlp.vocab, WORDS), Doc(nlp.vocab, WORDS))
    for doc, values in ((eg.predicted, predicted), (eg.reference, reference)):
        for token, value in zip(doc, values.split()):
            if value != "?":
                token.set_morph(value) if attr == "morph" else setattr(token, f"{attr}_", value)
    return eg


@pytest.mark.parametrize(
    ("attr", "predicted", "reference", "accuracy"),
    [
        ("tag", "A B C D", "A B X X", 0.5),
        ("tag", "A B C D", "A X ? ?", 0.5),  # missing annotation is no error
        ("pos", "NOUN VERB NOUN NOUN", "NOUN NOUN NOUN NOUN", 0.75),
        ("morph", "A=1 A=1 A=1 A=1", "A=1 ? ? A=2", 0.5),
    ],
)
def test_token_scorer(attr, predicted, reference, accuracy):
    nlp = spacy.blank("en")
    scores = make_token_scorer(attr)(
        [example(nlp, attr, predicted, reference)], labels=["A"], step=3
    )
    assert scores == {f"{attr}_acc": pytest.approx(accuracy)}


def test_nothing_annotated_has_no_score():
    nlp = spacy.blank("en")
    assert make_token_scorer("tag")([example(nlp, "tag", "A B C D", "? ? ? ?")]) == {
        "tag_acc": None
    }


def test_a_scorer_without_attribute_is_an_error():
    with pytest.raises(ValueError, match="needs attr"):
        make_token_scorer()([])


@pytest.mark.parametrize("attr", ["tag", "pos", "morph"])
def test_a_tagger_scores_its_own_attribute(attr):
    nlp = spacy.blank("en")
    tagger = nlp.add_pipe("vsl_tagger", config={"attr": attr})
    assert set(tagger.score([])) == {f"{attr}_acc"}
    other = nlp.add_pipe(
        "vsl_tagger",
        name="other",
        config={"attr": attr, "scorer": {"@scorers": "semivae.token_scorer.v1", "attr": "tag"}},
    )
    assert set(other.score([])) == {"tag_acc"}
