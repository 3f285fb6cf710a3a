"""Split an annotated corpus into a labeled, an unlabeled and an unused part.

The papers simulate few labels by keeping a share of a treebank's annotation and using other texts
of it as raw text. The parts are disjoint in their texts, so no raw text repeats a labeled one.
"""

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import srsly
from spacy.tokens import Doc, DocBin, Span
from spacy.training.corpus import walk_corpus
from spacy.vocab import Vocab

from ..training.raw_text import normalize_text

# Texts are a list of positions of Docs that say the same; a side takes all of them or none.
Texts = list[int]


@dataclass(frozen=True)
class Split:
    """Three parts of a corpus, each in the corpus's own order.

    labeled (tuple[Doc, ...]): Docs with their annotation (partial after `keep_spans`).
    unlabeled (tuple[Doc, ...]): Docs with their words and spaces only.
    rest (tuple[Doc, ...]): Docs that stand in neither, with their annotation.
    """

    labeled: tuple[Doc, ...]
    unlabeled: tuple[Doc, ...]
    rest: tuple[Doc, ...]


def split_corpus(
    docs: Sequence[Doc],
    *,
    labeled: float | int,
    unlabeled: float | int,
    seed: int,
    balance: bool = False,
    keep_spans: float | None = None,
) -> Split:
    """Choose the labeled and the unlabeled Docs by a seed; the given Docs are not changed.

    Texts are shuffled once; the labeled part is taken from the front and the unlabeled part from
    the back, so parts of several sizes with one seed are nested as far as no text is repeated. A
    repeated text that does not fit whole into a part is passed over.

    docs (Sequence[Doc]): The corpus.
    labeled (float | int): Size of the labeled part: a float is a share, an int a count of Docs.
    unlabeled (float | int): Size of the unlabeled part, in the same form.
    seed (int): Seed of every random choice.
    balance (bool): Take equally many labeled Docs of each class in `doc.cats`.
    keep_spans (float | None): Share of the labeled Docs' entity spans to keep; every token
        outside of them is set to missing.
    RETURNS (Split): The three parts.
    RAISES (ValueError): If a size is out of range, the sizes exceed the corpus, or `balance`
        meets a Doc without a class.
    """
    n_labeled, n_unlabeled = _sizes(len(docs), labeled=labeled, unlabeled=unlabeled)
    rng = random.Random(seed)
    texts = _group_texts(docs)
    rng.shuffle(texts)
    front = _take_balanced(docs, texts, n_labeled) if balance else _take(texts, n_labeled)
    back = _take([text for text in reversed(texts) if text[0] not in front], n_unlabeled)
    chosen = [docs[i] for i in sorted(front)]
    if keep_spans is not None:
        chosen = _keep_spans(chosen, keep_spans, rng)
    return Split(
        labeled=tuple(chosen),
        unlabeled=tuple(_strip(docs[i]) for i in sorted(back)),
        rest=tuple(doc for i, doc in enumerate(docs) if i not in front and i not in back),
    )


def read_docs(path: Path, vocab: Vocab | None = None) -> Iterator[Doc]:
    """Read the Docs of a .spacy file or of every .spacy file below a folder.

    path (Path): The file or folder.
    vocab (Vocab | None): The Docs' vocabulary; a new one by default.
    YIELDS (Doc): The Docs.
    RAISES (ValueError): If there is no such file or it cannot be read.
    """
    vocab = Vocab() if vocab is None else vocab
    files = sorted(walk_corpus(path, ".spacy")) if path.exists() else []
    if not files:
        raise ValueError(f"{path}: a corpus must be a .spacy file or a folder of them")
    for file in files:
        try:
            doc_bin = DocBin().from_disk(file)
        except Exception as err:  # zlib, msgpack and the file system each have their own
            raise ValueError(f"{file}: not a readable .spacy file ({err})") from err
        yield from doc_bin.get_docs(vocab)


def write_split(split: Split, folder: Path) -> None:
    """Write `labeled.spacy`, `unlabeled.jsonl` and `rest.spacy`.

    split (Split): The parts.
    folder (Path): The folder, made if need be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    DocBin(docs=split.labeled, store_user_data=True).to_disk(folder / "labeled.spacy")
    srsly.write_jsonl(folder / "unlabeled.jsonl", map(_raw_record, split.unlabeled))
    DocBin(docs=split.rest, store_user_data=True).to_disk(folder / "rest.spacy")


def _sizes(n_docs: int, *, labeled: float | int, unlabeled: float | int) -> tuple[int, int]:
    n_labeled = _size(n_docs, labeled, "labeled")
    n_unlabeled = _size(n_docs, unlabeled, "unlabeled")
    if n_labeled + n_unlabeled > n_docs:
        raise ValueError(
            "labeled and unlabeled together must not exceed the corpus "
            f"(got {n_labeled} + {n_unlabeled} of {n_docs} Docs)"
        )
    return n_labeled, n_unlabeled


def _size(n_docs: int, size: float | int, name: str) -> int:
    if isinstance(size, float):
        if not 0.0 <= size <= 1.0:
            raise ValueError(f"{name} as a share must be between 0 and 1 (got {size!r})")
        # The shares of a corpus may sum to 1, so they are rounded down, save for float error.
        return math.floor(round(size * n_docs, 6))
    if size < 0:
        raise ValueError(f"{name} as a count must not be negative (got {size!r})")
    return size


def _group_texts(docs: Sequence[Doc]) -> list[Texts]:
    groups: dict[str, Texts] = {}
    for i, doc in enumerate(docs):
        # Texts without letters and digits normalize to nothing, yet are not all the same text.
        key = normalize_text(doc.text) or "".join(doc.text.split())
        groups.setdefault(key, []).append(i)
    return list(groups.values())


def _take(texts: Iterable[Texts], size: int) -> set[int]:
    taken: set[int] = set()
    for text in texts:
        if len(taken) + len(text) <= size:
            taken.update(text)
    return taken


def _take_balanced(docs: Sequence[Doc], texts: list[Texts], size: int) -> set[int]:
    by_class: dict[str, list[Texts]] = {}
    for text in texts:
        labels = {_class_of(docs[i], i) for i in text}
        for label in labels:
            by_class.setdefault(label, [])
        if len(labels) == 1:  # one text under two classes says nothing about either
            by_class[labels.pop()].append(text)
    taken: set[int] = set()
    for k, label in enumerate(sorted(by_class)):
        share = size // len(by_class) + (k < size % len(by_class))
        part = _take(by_class[label], share)
        if len(part) < share:
            raise ValueError(
                f"balance needs {share} Docs of the class {label!r} whose texts fit (got "
                f"{len(part)})"
            )
        taken |= part
    return taken


def _class_of(doc: Doc, position: int) -> str:
    positive = [label for label, value in doc.cats.items() if value == 1.0]
    if len(positive) != 1:
        raise ValueError(
            f"balance needs exactly one category of 1.0 in doc.cats (Doc {position} has "
            f"{doc.cats!r})"
        )
    return positive[0]


def _keep_spans(docs: list[Doc], share: float, rng: random.Random) -> list[Doc]:
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"keep_spans must be between 0 and 1 (got {share!r})")
    places = [(i, k) for i, doc in enumerate(docs) for k in range(len(doc.ents))]
    n_kept = math.floor(round(share * len(places), 6))
    if share and places:
        n_kept = max(n_kept, 1)
    kept = set(rng.sample(places, n_kept))
    return [
        _set_only(doc, [ent for k, ent in enumerate(doc.ents) if (i, k) in kept])
        for i, doc in enumerate(docs)
    ]


def _set_only(doc: Doc, spans: list[Span]) -> Doc:
    partial = doc.copy()
    ents = [
        Span(partial, s.start, s.end, label=s.label, kb_id=s.kb_id, span_id=s.id) for s in spans
    ]
    partial.set_ents(ents, default="missing")
    return partial


def _strip(doc: Doc) -> Doc:
    words, spaces = _words_and_spaces(doc)
    return Doc(doc.vocab, words=words, spaces=spaces)


def _raw_record(doc: Doc) -> dict[str, list[str] | list[bool]]:
    words, spaces = _words_and_spaces(doc)
    return {"tokens": words} if spaces is None else {"tokens": words, "spaces": spaces}


def _words_and_spaces(doc: Doc) -> tuple[list[str], list[bool] | None]:
    words = [token.text for token in doc]
    # Readers retokenise a Doc that knows its spaces, so unknown ones must stay unknown.
    return words, None if doc.has_unknown_spaces else [bool(t.whitespace_) for t in doc]
