"""Write the demo corpus: texts of an invented language with part-of-speech tags, entities, topics.

Function words are English. Open-class words and names are built from the same syllables, so their
spelling says nothing about their class: it has to be learned from the contexts they stand in, and
60 labelled texts show only a small part of them. Usage: `generate.py OUT [--seed 0]`.
"""

import argparse
import random
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin

SIZES = {"train": 60, "dev": 300, "test": 300, "unlabeled": 2000}
TOPICS = ("sport", "market", "travel", "music")
GENERAL = "general"
# Words of each class per topic, and words of each class that every topic shares.
TOPIC_WORDS = {"NOUN": 70, "VERB": 40, "ADJ": 25}
GENERAL_WORDS = {"NOUN": 70, "VERB": 40, "ADJ": 40, "ADV": 60}
NAMES = {"PERSON": 110, "PLACE": 90, "ORG": 90}
# Every n-th word of a class belongs to a second class too, as "watch" is a noun and a verb.
SHARED = (("NOUN", "VERB", 6), ("PLACE", "ORG", 10), ("PERSON", "ORG", 16))
ONSETS, VOWELS, CODAS = "b d f g k l m n p r s t v z br dr kl st tr".split(), "aeiou", "lmnrst"

P_TOPIC, P_OTHER_TOPIC = 0.6, 0.05
P_DROP_DETERMINER, P_LOWER_NAME, P_CAPITALISE, P_TYPO, P_ELONGATE = 0.3, 0.65, 0.3, 0.02, 0.04

CLOSED = {
    "DET": "the the the a a this that my your some every no",
    "PRON": "i you he she we they it this that everyone",
    "AUX": "can will should must could might did",
    "BE": "is was are looks seems",
    "ADP": "with on from about near for after like",
    "DEGREE": "so very too really pretty quite",
    "CCONJ": "and but or so",
    "INTJ": "lol wow hey omg yeah ugh haha ok",
    "END": ". . . ! !! ? ...",
}
TAG_OF = {"BE": "AUX", "DEGREE": "ADV", "END": "PUNCT"}

# Each symbol's weighted expansions, into symbols, classes of words or names, and word/TAG.
GRAMMAR = """
TEXT = 3 CLAUSE END CLAUSE END | 2 CLAUSE CCONJ CLAUSE END | 2 INTJ ,/PUNCT CLAUSE END HEADLINE
     | 2 INTJ HEADLINE END CLAUSE END | 2 HEADLINE END CLAUSE CCONJ CLAUSE END
     | 2 CLAUSE END CLAUSE END HEADLINE END | 1 HEADLINE END HEADLINE
CLAUSE = 4 SUBJECT PREDICATE | 3 SUBJECT AUX PREDICATE | 1 AUX SUBJECT PREDICATE
       | 2 SUBJECT BE DEGREE ADJ | 1 SUBJECT BE ADJ
       | 2 VERB PHRASE | 1 ADV VERB PHRASE | 1 VERB PHRASE ADV
HEADLINE = 2 NOUN VERB NOUN | 2 ADJ NOUN VERB | 2 NOUN VERB ADV | 2 VERB ADJ NOUN
         | 1 NOUN NOUN VERB | 1 ADV VERB NOUN | 1 ADJ ADJ NOUN
         | 2 NAME VERB NOUN | 2 VERB NAME NOUN | 1 NAME NOUN VERB NAME
SUBJECT = 3 PRON | 3 PHRASE | 1 PERSON
PREDICATE = 3 VERB PHRASE | 2 VERB PHRASE PLACING | 1 VERB PLACING
          | 1 VERB ADV | 1 ADV VERB PHRASE | 1 VERB PHRASE ADV
PHRASE = 4 DET NOUN | 3 DET ADJ NOUN | 1 DET DEGREE ADJ NOUN | 1 DET NOUN NOUN | 2 NAME
PLACING = 3 ADP PHRASE | 1 in/ADP PLACE | 1 at/ADP ORG | 1 by/ADP PERSON
NAME = 2 PERSON | 1 mr/NOUN PERSON | 1 coach/NOUN PERSON
     | 2 PLACE | 1 downtown/ADJ PLACE | 2 ORG | 1 the/DET ORG team/NOUN
"""
Rules = dict[str, list[list[str]]]


class Token(NamedTuple):
    """One token: its text, its tag and its entity label with a B- or I- before it, or O."""

    text: str
    tag: str
    entity: str = "O"


@dataclass
class Lexicon:
    """Invented words by (class, topic), each list from frequent to rare (Zipf's law).

    rng (random.Random): The source of all choices.
    nlp (Language): Its tokenizer must leave every word whole.
    words (dict[tuple[str, str], list[str]]): The words.
    """

    rng: random.Random
    nlp: Language
    words: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def fill(self) -> None:
        """Invent all words; no word has two classes but those of SHARED."""
        used: set[str] = set()
        for topic in (*TOPICS, GENERAL):
            sizes = GENERAL_WORDS | NAMES if topic == GENERAL else TOPIC_WORDS
            for kind, size in sizes.items():
                self.words[kind, topic] = [self._invent(used) for _ in range(size)]
            for first, second, step in SHARED:
                if first in sizes:
                    both = slice(step // 2, len(self.words[second, topic]), step)
                    self.words[second, topic][both] = self.words[first, topic][both]

    def draw(self, kind: str, topic: str = GENERAL) -> str:
        """Draw a word of a class by Zipf's law.

        kind (str): The class.
        topic (str): The topic of the text; its words, others' and general ones are mixed.
        RETURNS (str): The word.
        """
        words = self.words[kind, self._source(topic) if kind in TOPIC_WORDS else GENERAL]
        weights = accumulate(1 / (rank + 4) for rank in range(len(words)))
        return self.rng.choices(words, cum_weights=list(weights))[0]

    def _source(self, topic: str) -> str:
        draw = self.rng.random()
        if draw < P_OTHER_TOPIC:
            return self.rng.choices(TOPICS)[0]
        return topic if draw < P_OTHER_TOPIC + P_TOPIC else GENERAL

    def _invent(self, used: set[str]) -> str:
        while True:
            word = ""
            for _ in range(self.rng.choices((2, 3), (3, 1))[0]):
                word += self.rng.choices(ONSETS)[0] + self.rng.choices(VOWELS)[0]
                word += self.rng.choices(CODAS)[0] if self.rng.random() < 0.3 else ""
            if word not in used and len(self.nlp.make_doc(f"{word} {word.title()}")) == 2:
                used.add(word)
                return word


def parse_grammar(text: str) -> Rules:
    """Read a grammar of `SYMBOL = weight expansion | weight expansion` lines.

    text (str): The grammar.
    RETURNS (Rules): Each symbol's expansions: the weight, then the parts.
    """
    rules = (line.split(" = ") for line in text.replace("\n ", " ").strip().splitlines())
    return {symbol: [part.split() for part in right.split("|")] for symbol, right in rules}


def expand(symbol: str, topic: str, rules: Rules, lexicon: Lexicon) -> list[Token]:
    """Expand a symbol of the grammar.

    symbol (str): A rule, a class of words, an entity type or a word/TAG.
    topic (str): The topic of the text.
    rules (Rules): The grammar.
    lexicon (Lexicon): The open-class words.
    RETURNS (list[Token]): The tokens.
    """
    if symbol in rules:
        weights = [float(expansion[0]) for expansion in rules[symbol]]
        parts = lexicon.rng.choices(rules[symbol], weights)[0][1:]
        return [token for part in parts for token in expand(part, topic, rules, lexicon)]
    if symbol in NAMES:
        count = 2 if symbol == "PERSON" and lexicon.rng.random() < 0.3 else 1
        names = [lexicon.draw(symbol).title() for _ in range(count)]
        return [Token(n, "PROPN", f"{'I' if i else 'B'}-{symbol}") for i, n in enumerate(names)]
    if symbol in CLOSED:
        return [Token(lexicon.rng.choices(CLOSED[symbol].split())[0], TAG_OF.get(symbol, symbol))]
    if "/" in symbol:
        return [Token(*symbol.split("/"))]
    return [Token(lexicon.draw(symbol, topic), symbol)]


def add_noise(tokens: list[Token], rng: random.Random) -> list[Token]:
    """Make a text look typed in haste.

    tokens (list[Token]): The text as the grammar gives it.
    rng (random.Random): The source of all choices.
    RETURNS (list[Token]): The text with dropped determiners, names in lower case, an initial
        capital at times, typos and elongated words.
    """
    noisy = []
    for text, tag, entity in tokens:
        if tag == "DET" and rng.random() < P_DROP_DETERMINER:
            continue
        if tag == "PROPN" and rng.random() < P_LOWER_NAME:
            text = text.lower()
        if len(text) > 4 and rng.random() < P_TYPO:
            at = 1 + int(rng.random() * (len(text) - 2))
            text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        if tag in ("ADJ", "ADV", "INTJ") and rng.random() < P_ELONGATE:
            text += text[-1] * (2 + int(rng.random() * 3))
        noisy.append(Token(text, tag, entity))
    if noisy and rng.random() < P_CAPITALISE:
        noisy[0] = noisy[0]._replace(text=noisy[0].text[0].upper() + noisy[0].text[1:])
    return noisy


def make_doc(tokens: list[Token], topic: str, nlp: Language) -> Doc:
    """Make an annotated Doc.

    tokens (list[Token]): The tokens.
    topic (str): The topic.
    nlp (Language): The pipeline whose vocabulary is used.
    RETURNS (Doc): With `tag_`, `pos_`, `ents` (outside elsewhere) and exclusive `cats`.
    """
    words, tags, entities = (list(column) for column in zip(*tokens))
    doc = Doc(nlp.vocab, words=words, tags=tags, pos=tags, ents=entities)
    doc.cats = {name: float(name == topic) for name in TOPICS}
    return doc


def generate(seed: int) -> dict[str, list[Doc]]:
    """Generate the four parts of the corpus. No two texts are equal but for case.

    seed (int): The seed.
    RETURNS (dict[str, list[Doc]]): The annotated Docs of each part of SIZES.
    """
    nlp, rng = spacy.blank("en"), random.Random(seed)
    lexicon, rules = Lexicon(rng, nlp), parse_grammar(GRAMMAR)
    lexicon.fill()
    seen: set[str] = set()
    parts: dict[str, list[Doc]] = {name: [] for name in SIZES}
    for name, docs in parts.items():
        while len(docs) < SIZES[name]:
            topic = TOPICS[len(docs) % len(TOPICS)]
            tokens = add_noise(expand("TEXT", topic, rules, lexicon), rng)
            text = " ".join(token.text for token in tokens)
            # Typos may hit on a word that the tokenizer splits: both must agree on every text.
            whole = [token.text for token in nlp.make_doc(text)] == [token.text for token in tokens]
            if whole and text.lower() not in seen:
                seen.add(text.lower())
                docs.append(make_doc(tokens, topic, nlp))
    return parts


def main() -> None:
    """Write `train.spacy`, `dev.spacy`, `test.spacy` and `unlabeled.txt` (one text a line)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    parts = generate(args.seed)
    lines = [" ".join(token.text for token in doc) for doc in parts.pop("unlabeled")]
    (args.out / "unlabeled.txt").write_text("\n".join(lines) + "\n", encoding="utf8")
    for name, docs in parts.items():
        bin_ = DocBin(attrs=["TAG", "POS", "ENT_IOB", "ENT_TYPE"], docs=docs)
        bin_.to_disk(args.out / f"{name}.spacy")


if __name__ == "__main__":
    main()
