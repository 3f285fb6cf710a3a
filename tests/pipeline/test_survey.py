"""One pass over Examples: counts, labelled Docs, a sample of Docs with tokens."""

from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_semivae.pipeline.survey import SAMPLE, Survey


def make_examples(texts):
    vocab = Vocab()
    return [Example(Doc(vocab, text.split()), Doc(vocab, text.split())) for text in texts]


def test_a_survey_passes_examples_on_and_counts():
    examples = make_examples(["a b a", "", "b c"])
    survey = Survey(lambda eg: len(eg.reference) == 3)
    assert list(survey.watch(iter(examples))) == examples
    assert survey.counts == {"a": 2, "b": 2, "c": 1}
    assert (survey.docs, survey.labeled) == (3, 1)
    assert survey.sample == [examples[0].predicted, examples[2].predicted]


def test_the_sample_is_bounded():
    survey = Survey(lambda eg: False)
    assert len(list(survey.watch(make_examples(["x"] * (SAMPLE + 5))))) == SAMPLE + 5
    assert len(survey.sample) == SAMPLE
    assert survey.labeled == 0
