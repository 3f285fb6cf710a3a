"""Word forms: normalisation, look-up, and the features of distinct words, found once and kept.

A word is looked up in its exact form, else in lower case, both after normalisation (Chen et al.
2018, section 4.1, map every digit to 0 for NER).
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from threading import Lock
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


def read_texts(docs: Sequence[Doc], orths: Iterable[int]) -> list[str]:
    """Give the texts of words.

    docs (Sequence[Doc]): Docs that hold the words; raw ones have vocabularies of their own.
    orths (Iterable[int]): ORTH ids.
    RETURNS (list[str]): The texts.
    """
    stores: list[Any] = list({id(doc.vocab): doc.vocab.strings for doc in docs}.values())
    return [next(store for store in stores if orth in store)[orth] for orth in orths]


def flatten_orths(docs: Sequence[Doc]) -> NDArray[numpy.uint64]:
    """Give the ORTH ids of all tokens.

    docs (Sequence[Doc]): B Docs of N tokens.
    RETURNS (ndarray): One Doc after the other, uint64, (T,).
    """
    arrays = [doc.to_array(ORTH) for doc in docs if len(doc)]
    return numpy.concatenate(arrays) if arrays else numpy.zeros((0,), dtype="uint64")


class WordTable:
    """Features of the words met so far, each at a slot of its own.

    It only grows, and a word is listed in `slots` when all else of it is there. So it is read
    without a lock while another thread adds to it.

    source (Vectors | None): What static vectors are read from.
    width (int): Width of a static vector, 0 where words have none.
    """

    def __init__(self, source: Vectors | None, width: int) -> None:
        self.source = source
        self.slots: dict[int, int] = {}
        self.spellings: list[NDArray[numpy.int64]] = []
        self.rows = numpy.zeros((0,), dtype="int64")  # of the embedding, (words,)
        self.vectors = numpy.zeros((0, width), dtype="f")  # (words, width)

    def characters(
        self, slots: NDArray[numpy.int64]
    ) -> tuple[NDArray[numpy.int64], NDArray[numpy.int64]]:
        """Give the characters of words.

        slots (ndarray): Their slots, (words,).
        RETURNS (tuple): Ids of all characters, (characters,), and their number a word, (words,).
        """
        spellings = [self.spellings[slot] for slot in slots.tolist()]
        lengths = numpy.array([len(ids) for ids in spellings], dtype="int64")
        return numpy.concatenate([*spellings, lengths[:0]]), lengths

    def add(
        self,
        orths: Sequence[int],
        spellings: Sequence[NDArray[numpy.int64]],
        rows: Sequence[int],
        vectors: NDArray[numpy.float32],
    ) -> None:
        """Take in words, by one thread at a time.

        orths (Sequence[int]): Their ORTH ids, none known before.
        spellings (Sequence[ndarray]): Ids of their characters.
        rows (Sequence[int]): Their rows of the embedding.
        vectors (ndarray): Their static vectors, (words, width).
        """
        first = len(self.slots)
        self.spellings.extend(spellings)
        self.rows = numpy.concatenate((self.rows, numpy.array(rows, dtype="int64")))
        self.vectors = numpy.concatenate((self.vectors, vectors))
        self.slots.update(zip(orths, range(first, first + len(orths))))


@dataclass(frozen=True)
class DistinctWords:
    """The distinct words of a batch of T tokens."""

    table: WordTable  # where their features are
    slots: NDArray[numpy.int64]  # place of each word in the table, (words,)
    positions: NDArray[numpy.int64]  # the word that stands at each token, (T,)


class WordIndex:
    """Table rows, static vectors and characters of every word met so far.

    It only caches what vocabulary and vectors say, so that copies of a model, and threads, may
    share it.

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
        self.forms = {form: row for row, form in enumerate(words, start=UNKNOWN + 1)}
        self.chars = {char: row for row, char in enumerate(chars, start=UNKNOWN + 1)}
        self.lock = Lock()  # held to add words, not to find those that are known
        self.table = WordTable(None, 0)

    def look_up(self, docs: Sequence[Doc]) -> DistinctWords:
        """Find the distinct words of a batch, taking in those not met before.

        docs (Sequence[Doc]): The batch.
        RETURNS (DistinctWords): The words and where they stand.
        """
        orths, positions = numpy.unique(flatten_orths(docs), return_inverse=True)
        keys, vocab, table = orths.tolist(), docs[0].vocab, self.table
        if is_stale(table, vocab) or not all(map(table.slots.__contains__, keys)):
            with self.lock:
                table = self._take_in(keys, docs)
        slots = numpy.array([table.slots[key] for key in keys], dtype="int64")
        return DistinctWords(table, slots, positions.astype("int64", copy=False))

    def _take_in(self, keys: Sequence[int], docs: Sequence[Doc]) -> WordTable:
        vocab = docs[0].vocab
        if is_stale(self.table, vocab):
            # a new one: other threads may still be reading the old one
            self.table = WordTable(vocab.vectors, vocab.vectors.shape[1] if self.static else 0)
        new = [key for key in keys if key not in self.table.slots]
        if new:
            self._add(self.table, new, read_texts(docs, new), vocab)
        return self.table

    def _add(
        self, table: WordTable, orths: Sequence[int], texts: Sequence[str], vocab: Vocab
    ) -> None:
        known = has_vector(vocab) if self.static else (lambda form: False)
        forms = [find_form(text, self.rules, known) for text in texts]
        vectors = numpy.zeros((len(texts), table.vectors.shape[1]), dtype="f")
        found = [i for i, form in enumerate(forms) if form is not None]
        if found:
            vectors[found] = static_vectors(vocab, [forms[i] or "" for i in found])
        rows = [self._row(text, form is not None) for text, form in zip(texts, forms)]
        table.add(orths, [self._spell(text) for text in texts], rows, vectors)

    def _row(self, text: str, has_static: bool) -> int:
        form = find_form(text, self.rules, self.forms.__contains__)
        if form is not None:
            return self.forms[form]
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


def is_stale(table: WordTable, vocab: Vocab) -> bool:
    """Tell whether a table is to be left for a new one.

    table (WordTable): The table.
    vocab (Vocab): The vocabulary of the words looked up.
    RETURNS (bool): Where the vocabulary has other vectors, or the table has grown too large.
    """
    return vocab.vectors is not table.source or len(table.slots) > MAX_WORDS
