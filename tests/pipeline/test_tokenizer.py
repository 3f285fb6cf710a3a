"""Tests for the tweet tokenizer."""

import pytest
import spacy
from spacy.tokenizer import Tokenizer

from spacy_semivae.pipeline.tokenizer import create_tweet_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return create_tweet_tokenizer()(spacy.blank("en"))


def texts(tokenizer, text):
    return [token.text for token in tokenizer(text)]


@pytest.mark.parametrize(
    "word",
    """I'm don't DON'T y'all he\u2019s @maya's mid-week b/c 1/2 w/ 4,900 10:30 $20 60% -lol RT R&B
    #tag #2day @user_1 http://ab.cd/e?f=D#g https://ab.cd/ www.shop.example ab.com/x.html ab@cd.org
    :) :-D :')) (: ]: ;) <3 <333 :/ =D :P -__- ^_^ xD D: &amp; &lt; &#39; &lt;3 U.S. p.m. Mr.
    !!! ... ?! ?!? ." --> <-- -- (( ♥♥♥ 😂😂 ❤️ \U0001f468\u200d\U0001f469""".split(),
)
def test_kept_whole(tokenizer, word):
    assert texts(tokenizer, word) == [word]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("word,", "word ,"),
        ("word!!!", "word !!!"),
        ("(word)", "( word )"),
        ("((word))", "(( word ))"),
        ('"word"', '" word "'),
        ('"word."', '" word ."'),
        ("“word”", "“ word ”"),
        ("'word'", "' word '"),
        ("*sigh*", "* sigh *"),
        ("don't...", "don't ..."),
        ("RT @user: hi", "RT @user : hi"),
        (".@user", ". @user"),
        ('"@user', '" @user'),
        ("(http://ab.cd/e),", "( http://ab.cd/e ) ,"),
        ("http://ab.cd/e.", "http://ab.cd/e ."),
        ("great:)", "great :)"),
        ("great:) #a#b", "great :) #a #b"),
        ("great😂😂!", "great 😂😂 !"),
        ("😂!", "😂 !"),
        (":)!!", ":) !!"),
        ("so...what", "so ... what"),
        ("yes,no", "yes , no"),
        ("end.Next", "end . Next"),
        ("win!@user", "win ! @user"),
        ("(10:3)", "( 10:3 )"),
        ("I love&amp; you", "I love &amp; you"),
    ],
)
def test_split_from_punctuation(tokenizer, text, expected):
    assert texts(tokenizer, text) == expected.split()


def test_stock_english_tokenizer_differs():
    text = "I'm at #tag ..."
    assert texts(spacy.blank("en").tokenizer, text) != text.split()


def test_text_is_preserved(tokenizer):
    text = "  RT @a:  (so)...\tfun!!\xa0ok 😂\n"
    assert tokenizer(text).text == text
    assert tokenizer("").text == ""


def test_config_and_disk_round_trip(tmp_path):
    config = {"nlp": {"tokenizer": {"@tokenizers": "semivae.TweetTokenizer.v1"}}}
    nlp = spacy.blank("en", config=config)
    text = "@user I'm (so) happy!! :-D #yes 😂"
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert type(loaded.tokenizer) is Tokenizer
    assert texts(loaded.tokenizer, text) == texts(nlp.tokenizer, text)
    assert texts(nlp.tokenizer, text) == "@user I'm ( so ) happy !! :-D #yes 😂".split()


def test_bytes_replace_the_rules_of_a_stock_tokenizer(tokenizer):
    stock = spacy.blank("en").tokenizer
    stock.from_bytes(tokenizer.to_bytes())
    assert texts(stock, "I'm #ok") == ["I'm", "#ok"]
