"""Read Universal Dependencies' CoNLL-U as words with parts of speech, tags, morphology and lemmas.

Heads and relations are left out: no component here uses them, and partial treebanks lack them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spacy.parts_of_speech import IDS as POS_IDS
from spacy.tokens import Doc
from spacy.vocab import Vocab

from .convert_lines import bad_line, read_lines

FIELDS = 10
FEATS = re.compile(r"[^=|]+=[^=|]+(?:\|[^=|]+=[^=|]+)*")
NO_SPACE = "SpaceAfter=No"


@dataclass
class Sentence:
    """The words of a sentence so far; an empty string is missing annotation."""

    words: list[str]
    pos: list[str]
    tags: list[str]
    morphs: list[str]
    lemmas: list[str]
    no_space: set[int]  # ids of the words, from 1, that no space follows


def read_conllu(path: Path, vocab: Vocab, *, encoding: str = "utf-8") -> Iterator[Doc]:
    """Read a CoNLL-U file as one Doc a sentence.

    Lines of multi-word ranges and empty nodes are left out, `_` stays unset. A file that never says
    `SpaceAfter=No` does not record spaces, so its Docs have unknown spaces.

    path (Path): The file.
    vocab (Vocab): Vocabulary of the Docs.
    encoding (str): The file's encoding.
    YIELDS (Doc): The sentences.
    RAISES (ValueError): If a line breaks the format.
    """
    knows_spaces = any(NO_SPACE in line for _, line in read_lines(path, encoding))
    for sentence in _read_sentences(path, encoding):
        ids = range(1, len(sentence.words) + 1)
        doc = Doc(
            vocab,
            words=sentence.words,
            spaces=[i not in sentence.no_space for i in ids] if knows_spaces else None,
            pos=sentence.pos,
            tags=sentence.tags,
            lemmas=sentence.lemmas,
        )
        for token, morph in zip(doc, sentence.morphs):
            if morph:  # Doc would read an empty string as "has no features", not as unset
                token.set_morph(morph)  # type: ignore[attr-defined]
        yield doc


def _read_sentences(path: Path, encoding: str) -> Iterator[Sentence]:
    sentence = _start()
    for number, line in read_lines(path, encoding):
        if line.strip():
            if not line.startswith("#"):
                _add_line(sentence, path, number, line)
        elif sentence.words:
            yield sentence
            sentence = _start()
    if sentence.words:
        yield sentence


def _start() -> Sentence:
    return Sentence([], [], [], [], [], set())


def _add_line(sentence: Sentence, path: Path, number: int, line: str) -> None:
    fields = line.split("\t")
    if len(fields) != FIELDS:
        raise bad_line(path, number, f"a word's line must have {FIELDS} TAB-separated fields", line)
    id_, form, lemma, pos, tag, feats = fields[:6]
    range_ = re.fullmatch(r"\d+-(\d+)", id_)
    last = range_[1] if range_ else id_
    if last.isdecimal() and NO_SPACE in fields[-1].split("|"):
        sentence.no_space.add(int(last))
    if range_ or re.fullmatch(r"\d+\.\d+", id_):
        return
    if id_ != str(len(sentence.words) + 1):
        raise bad_line(path, number, "word ids must count from 1 in each sentence", id_)
    pos, tag, feats = ("" if field == "_" else field for field in (pos, tag, feats))
    if not form:
        raise bad_line(path, number, "a word must not be empty", line)
    if pos not in POS_IDS:
        raise bad_line(path, number, "UPOS must be a universal part of speech or _", pos)
    if feats and not FEATS.fullmatch(feats):
        raise bad_line(path, number, "FEATS must be Name=Value pairs joined by | or _", feats)
    sentence.words.append(form)
    sentence.pos.append(pos)
    sentence.tags.append(tag)
    sentence.morphs.append(feats)
    # The lemma of a literal underscore is an underscore.
    sentence.lemmas.append("" if lemma == "_" and form != "_" else lemma)
