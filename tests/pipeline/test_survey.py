"""One pass over Examples: counts, labelled Docs, a sample of Docs with tokens."""

from collections import Counter

from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_semivae.pipeline.survey import SAMPLE, Survey


def count_classes(doc):
    return Counter(word.isupper() for word in doc.text.split()) if len(doc) == 3 else Counter()


def make_examples(texts):
    vocab = Vocab()
    return [Example(Doc(vocab, text.split()), Doc(vocab, text.split())) for text in texts]


def test_a_survey_passes_examples_on_and_counts():
    examples = make_examples(["a b A", "", "b c"])
    survey = Survey(lambda eg: len(eg.reference) == 3, count_classes)
    assert list(survey.watch(iter(examples))) == examples
    assert survey.counts == {"a": 1, "A": 1, "b": 2, "c": 1}
    assert survey.classes == {False: 2, True: 1}
    assert (survey.docs, survey.labeled, survey.latent) == (3, 1, 1)
    assert survey.sample == [examples[0].predicted, examples[2].predicted]


def test_the_sample_is_bounded():
    survey = Survey(lambda eg: False, count_classes)
    assert len(list(survey.watch(make_examples(["x"] * (SAMPLE + 5))))) == SAMPLE + 5
    assert len(survey.sample) == SAMPLE
    assert survey.labeled == 0
