"""Texts in a pipeline's vocabulary, and what they are compared by."""

from pathlib import Path

import pytest
import spacy

from spacy_semivae.analysis.raw_texts import make_doc, text_key
from spacy_semivae.training.raw_text import RawRecord, RawTextError


def test_tokens_of_a_record_stay():
    nlp, path = spacy.blank("en"), Path("raw.jsonl")
    assert [t.text for t in make_doc(nlp, RawRecord(path, 1, text="can't"))] == ["ca", "n't"]
    assert [t.text for t in make_doc(nlp, RawRecord(path, 2, words=["can't"]))] == ["can't"]
    assert len(make_doc(nlp, RawRecord(path, 3, text=""))) == 0


def test_a_text_that_the_tokenizer_refuses():
    nlp = spacy.blank("en")
    nlp.max_length = 10
    record = RawRecord(Path("raw.txt"), 2, text="much too long")
    rule = "raw.txt, line 2: the text must suit the tokenizer .*got 'much too long'"
    with pytest.raises(RawTextError, match=rule):
        make_doc(nlp, record)


def test_texts_are_compared_by_letters_and_digits_where_there_are_any():
    assert text_key("We like -- New Rome.") == text_key("we LIKE newrome") != text_key("We like")
    assert text_key("! ?") == "!?" != text_key("") == ""
