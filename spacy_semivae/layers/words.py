"""Word forms: normalisation, look-up, and the features of distinct words, found once and kept.

A word is looked up in its exact form, else in lower case, both after normalisation (Chen et al.
2018, section 4.1, map every digit to 0 for NER).
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray
from spacy.attrs import ORTH
from spacy.strings import get_string_id
from spacy.tokens import Doc
from spacy.vectors import Mode, Vectors
from spacy.vocab import Vocab

RULES: dict[str, tuple[re.Pattern[str], str]] = {
    "urls": (re.compile(r"^(https?://|www\.).+$", re.IGNORECASE), "<url>"),
    "users": (re.compile(r"^@\w+$"), "@user"),
    "digits": (re.compile(r"\d"), "0"),
}
PAD, UNKNOWN = 0, 1  # first rows of the character and word tables
MAX_WORDS = 100_000  # distinct words kept before the index starts anew: a stream never ends
MAX_CHARACTERS = 24  # of one word; the middle of longer ones is left out


def check_rules(rules: Collection[str]) -> None:
    """Refuse unknown normalisation rules.

    rules (Collection[str]): Names of rules.
    RAISES (ValueError): When a name is unknown.
    """
    unknown = sorted(set(rules) - set(RULES))
    if unknown:
        raise ValueError(f"normalize takes {sorted(RULES)}, but got {unknown}")


def normalize_word(word: str, rules: Collection[str]) -> str:
    """Map a word to the form under which it is looked up.

    word (str): The token's text.
    rules (Collection[str]): "urls" (one form for all), "users" (@name), "digits" (each becomes 0).
    RETURNS (str): The form.
    """
    for name, (pattern, form) in RULES.items():
        if name in rules:
            word = pattern.sub(form, word)
    return word


def find_form(word: str, rules: Collection[str], known: Callable[[str], bool]) -> str | None:
    """Find the form of a word that a table knows: exact, else lower-case.

    word (str): The token's text.
    rules (Collection[str]): Normalisation rules.
    known (Callable): Whether the table has a form.
    RETURNS (str | None): The form, or None where neither is known.
    """
    form = normalize_word(word, rules)
    if known(form):
        return form
    return form.lower() if known(form.lower()) else None


def count_words(docs: Iterable[Doc]) -> Counter[str]:
    """Count token texts.

    docs (Iterable[Doc]): The Docs, read once.
    RETURNS (Counter[str]): Occurrences of each text.
    """
    counts: Counter[str] = Counter()
    for doc in docs:
        strings = doc.vocab.strings
        counts.update(strings[orth] for orth in doc.to_array(ORTH).tolist())
    return counts


def has_vector(vocab: Vocab) -> Callable[[str], bool]:
    """Tell which forms have a static vector.

    vocab (Vocab): Holds the vectors.
    RETURNS (Callable[[str], bool]): The test; floret vectors know every form.
    """
    vectors = vocab.vectors
    if vectors.mode == Mode.floret:
        return bool
    return lambda form: get_string_id(form) in vectors  # strings themselves are never `in` vectors


def static_vectors(vocab: Vocab, forms: Sequence[str]) -> NDArray[numpy.float32]:
    """Read the static vectors of forms that have one.

    vocab (Vocab): Holds the vectors.
    forms (Sequence[str]): The forms, each known to `has_vector`.
    RETURNS (ndarray): (len(forms), width), on the CPU.
    """
    found = vocab.vectors.get_batch(forms)
    return numpy.asarray(found.get() if hasattr(found, "get") else found, dtype="f")


def flatten_orths(docs: Sequence[Doc]) -> NDArray[numpy.uint64]:
    """Give the ORTH ids of all tokens.

    docs (Sequence[Doc]): B Docs of N tokens.
    RETURNS (ndarray): One Doc after the other, uint64, (T,).
    """
    arrays = [doc.to_array(ORTH) for doc in docs if len(doc)]
    return numpy.concatenate(arrays) if arrays else numpy.zeros((0,), dtype="uint64")


@dataclass(frozen=True)
class DistinctWords:
    """The distinct words of a batch of T tokens."""

    slots: NDArray[numpy.int64]  # place of each word in the index, (words,)
    positions: NDArray[numpy.int64]  # the word that stands at each token, (T,)


class WordIndex:
    """Table rows, static vectors and characters of every word met so far.

    It only caches what vocabulary and vectors say, so that copies of a model may share it.

    words (Sequence[str]): Forms with an embedding row of their own, from row 2 on.
    chars (str): Characters with an embedding, from row 2 on.
    rules (Collection[str]): Normalisation rules.
    static (bool): Whether words have static vectors.
    """

    def __init__(
        self, words: Sequence[str], chars: str, rules: Collection[str], static: bool
    ) -> None:
        self.words = words
        self.rules = rules
        self.static = static
        self.rows = {form: row for row, form in enumerate(words, start=UNKNOWN + 1)}
        self.chars = {char: row for row, char in enumerate(chars, start=UNKNOWN + 1)}
        self.generation = 0
        self.clear(None)

    def clear(self, vectors: Vectors | None) -> None:
        """Forget all words, as when the vocabulary's vectors have changed.

        vectors (Vectors | None): The vectors in use from now on.
        """
        self.vectors = vectors
        self.generation += 1
        self.slots: dict[int, int] = {}
        self.spellings: list[NDArray[numpy.int64]] = []
        width = vectors.shape[1] if self.static and vectors is not None else 0
        self.word_rows = numpy.zeros((0,), dtype="int64")
        self.word_vectors = numpy.zeros((0, width), dtype="f")

    def look_up(self, docs: Sequence[Doc]) -> DistinctWords:
        """Find the distinct words of a batch, taking in those not met before.

        docs (Sequence[Doc]): The batch.
        RETURNS (DistinctWords): The words and where they stand.
        """
        vocab = docs[0].vocab
        if vocab.vectors is not self.vectors or len(self.slots) > MAX_WORDS:
            self.clear(vocab.vectors)
        orths, positions = numpy.unique(flatten_orths(docs), return_inverse=True)
        new = [orth for orth in orths.tolist() if orth not in self.slots]
        if new:
            self._add(new, vocab)
        slots = numpy.array([self.slots[orth] for orth in orths.tolist()], dtype="int64")
        return DistinctWords(slots, positions.astype("int64", copy=False))

    def characters(
        self, slots: NDArray[numpy.int64]
    ) -> tuple[NDArray[numpy.int64], NDArray[numpy.int64]]:
        """Give the characters of words.

        slots (ndarray): Places in the index, (words,).
        RETURNS (tuple): Ids of all characters, (characters,), and their number a word, (words,).
        """
        spellings = [self.spellings[slot] for slot in slots.tolist()]
        lengths = numpy.array([len(ids) for ids in spellings], dtype="int64")
        return numpy.concatenate([*spellings, lengths[:0]]), lengths

    def _add(self, orths: Sequence[int], vocab: Vocab) -> None:
        texts = [vocab.strings[orth] for orth in orths]
        for orth, text in zip(orths, texts):
            self.slots[orth] = len(self.slots)
            self.spellings.append(self._spell(text))
        known = has_vector(vocab) if self.static else (lambda form: False)
        vector_forms = [find_form(text, self.rules, known) for text in texts]
        vectors = numpy.zeros((len(texts), self.word_vectors.shape[1]), dtype="f")
        found = [i for i, form in enumerate(vector_forms) if form is not None]
        if found:
            vectors[found] = static_vectors(vocab, [vector_forms[i] or "" for i in found])
        rows = [self._row(text, form is not None) for text, form in zip(texts, vector_forms)]
        self.word_vectors = numpy.concatenate((self.word_vectors, vectors))
        self.word_rows = numpy.concatenate((self.word_rows, numpy.array(rows, dtype="int64")))

    def _row(self, text: str, has_static: bool) -> int:
        form = find_form(text, self.rules, self.rows.__contains__)
        if form is not None:
            return self.rows[form]
        return PAD if has_static else UNKNOWN

    def _spell(self, text: str) -> NDArray[numpy.int64]:
        if len(text) > MAX_CHARACTERS:
            text = text[: MAX_CHARACTERS // 2] + text[-MAX_CHARACTERS // 2 :]
        ids = [self.chars.get(char, UNKNOWN) for char in text]
        return numpy.array(ids or [UNKNOWN], dtype="int64")

    def __deepcopy__(self, memo: dict[int, Any]) -> "WordIndex":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (WordIndex, (self.words, "".join(self.chars), self.rules, self.static))
