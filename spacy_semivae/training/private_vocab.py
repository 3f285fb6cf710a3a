"""Vocabularies for raw Docs that die with them.

A `Vocab` keeps every word it has met, so that an endless stream of raw text fills the memory. Raw
Docs therefore have vocabularies of their own, which share all but the words with the pipeline's:
hashes, features, vectors and labels are the same. After so many words a new one takes over, and
the old one goes when the last of its Docs does.
"""

from typing import Any, cast

from spacy.errors import Errors
from spacy.language import Language
from spacy.strings import get_string_id
from spacy.tokenizer import Tokenizer
from spacy.tokens import Doc
from spacy.util import logger
from spacy.vectors import Mode, Vectors
from spacy.vocab import Vocab

MAX_LEXEMES = 30_000  # words that a vocabulary takes in before another one takes over
TOKENIZER_SETTINGS = (
    "rules",
    "prefix_search",
    "suffix_search",
    "infix_finditer",
    "token_match",
    "url_match",
    "faster_heuristics",
)


class RawVocab:
    """Tokenize raw text with a vocabulary that is renewed.

    The pipeline's own vocabulary and tokenizer are used where they cannot be rebuilt: with a
    tokenizer that is not exactly spaCy's class, and with vectors that are not a table of words.

    nlp (Language): The pipeline.
    """

    def __init__(self, nlp: Language) -> None:
        self.nlp = nlp
        self.tokenizer: Any = nlp.tokenizer
        self.settings = read_settings(nlp)
        self.vocab = nlp.vocab
        self.known = len(nlp.vocab.strings)
        self.private = self.settings is not None
        if self.private:
            self._renew()
        else:
            logger.debug("Raw text shares the vocabulary of the pipeline, which grows with it")

    def fits(self, nlp: Language) -> bool:
        """Tell whether a pipeline is still what this was made for.

        nlp (Language): The pipeline.
        RETURNS (bool): Whether vocabulary, labels and tokenizer are the same.
        """
        settings = read_settings(nlp)
        same = nlp is self.nlp and settings is not None and settings == self.settings
        vectors, known = nlp.vocab.vectors, len(nlp.vocab.strings)
        return same and vectors is self.vocab.vectors and known == self.known

    def tokenize(self, text: str, *, any_length: bool) -> Doc:
        """Tokenize a text.

        text (str): The text.
        any_length (bool): Whether the pipeline's `max_length` is of no matter.
        RETURNS (Doc): Its tokens.
        RAISES (ValueError): If the text is too long or not a text.
        """
        if not any_length and len(text) > self.nlp.max_length:
            raise ValueError(Errors.E088.format(length=len(text), max_length=self.nlp.max_length))
        self._renew_when_full()
        doc: Doc = self.tokenizer(text)
        return doc

    def join(self, words: list[str], spaces: list[bool] | None) -> Doc:
        """Make a Doc of words.

        words (list[str]): The tokens.
        spaces (list[bool] | None): Whether a space follows each; None where that is unknown.
        RETURNS (Doc): The Doc.
        RAISES (ValueError): If a word is not a text.
        """
        self._renew_when_full()
        return Doc(self.vocab, words=words, spaces=spaces)

    def _renew_when_full(self) -> None:
        if self.private and len(self.vocab) > self.full:
            self._renew()

    def _renew(self) -> None:
        self.vocab = make_private(self.nlp.vocab)
        self.tokenizer = Tokenizer(self.vocab, **(self.settings or {}))
        self.full = len(self.vocab) + MAX_LEXEMES


def read_settings(nlp: Language) -> dict[str, Any] | None:
    """Read what a tokenizer is rebuilt from.

    nlp (Language): The pipeline.
    RETURNS (dict[str, Any] | None): Arguments of `Tokenizer`; None where no other tokenizer and
        vocabulary would do the same.
    """
    vectors = nlp.vocab.vectors
    # Other vectors, as floret's, are looked up by texts in the store of the pipeline.
    is_table = type(vectors) is Vectors and vectors.mode == Mode.default
    if type(nlp.tokenizer) is not Tokenizer or not is_table:
        return None
    settings = {name: getattr(nlp.tokenizer, name) for name in TOKENIZER_SETTINGS}
    return {**settings, "rules": dict(settings["rules"])}


def make_private(vocab: Vocab) -> Vocab:
    """Make a vocabulary that knows no words yet and shares all else with another.

    vocab (Vocab): The pipeline's vocabulary.
    RETURNS (Vocab): A vocabulary with the labels of the pipeline and its vectors.
    """
    private: Any = Vocab(
        lex_attr_getters=vocab.lex_attr_getters,  # type: ignore[attr-defined]
        writing_system=vocab.writing_system,
        get_noun_chunks=vocab.get_noun_chunks,
    )
    # The setters would copy every word of the table, and take the table's strings away.
    private._vectors, private._lookups = vocab.vectors, vocab.lookups
    private.morphology, private.cfg = vocab.morphology, vocab.cfg
    for string in vocab.strings:
        # Components write hashes of labels into Docs; words with vectors are no labels.
        if get_string_id(string) not in vocab.vectors:
            private.strings.add(string)
    return cast(Vocab, private)
