"""Train word vectors from raw text in the words of a pipeline's tokenizer.

Skip-gram with negative sampling (Mikolov et al. 2013) by gensim, or floret's sub-word table. The
papers start from vectors trained on raw text of the domain; here they become spaCy vectors.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from zlib import crc32

import numpy
import srsly
from numpy.typing import NDArray
from spacy.language import Language
from spacy.training.initialize import convert_vectors
from spacy.vectors import Vectors
from tqdm import tqdm

from ..layers.words import check_rules, normalize_word
from ..training.unlabeled import create_unlabeled_corpus
from .vectors_floret import import_extra, train_floret

MODES = ("gensim", "floret")
MAX_SENTENCE = 10_000  # gensim drops the words of a sentence beyond these


@dataclass(frozen=True, kw_only=True)
class VectorSettings:
    """How to train vectors.

    mode (str): "gensim", a vector for each frequent word, or "floret", one for any word from its
        character n-grams.
    dim (int): Width of a vector.
    min_count (int): Occurrences a word must have.
    window (int): Largest distance of two words that predict each other.
    epochs (int): Passes over the text.
    negative (int): Noise words drawn for each pair.
    seed (int): Seed; equal runs give equal vectors if `workers` is 1. floret's is always 0.
    workers (int): Training threads.
    lower (bool): Whether words are lower-cased. Layers of this package look up the lower-case form
        of a word that has no vector; stock layers do so for floret's vectors only.
    normalize (tuple[str, ...]): Rules of `layers.words.normalize_word`, applied to each word.
    """

    mode: str = "gensim"
    dim: int = 100
    min_count: int = 5
    window: int = 5
    epochs: int = 5
    negative: int = 5
    seed: int = 0
    workers: int = 1
    lower: bool = True
    normalize: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """RAISES (ValueError): If a setting is out of range."""
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)} (got {self.mode!r})")
        for name in ("dim", "min_count", "window", "epochs", "negative", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more (got {getattr(self, name)})")
        if self.mode == "floret" and self.seed:
            raise ValueError(f"floret's seed is fixed to 0 (got {self.seed})")
        check_rules(self.normalize)


class SpooledSentences:
    """Sentences kept in a file, to be read in several passes with bounded memory.

    sentences (Iterable[Sequence[str]]): The sentences, read once.
    path (Path): The file to write.
    progress (bool): Show a progress bar for each pass.
    """

    def __init__(
        self, sentences: Iterable[Sequence[str]], path: Path, *, progress: bool = False
    ) -> None:
        self.path = path
        self.progress = progress
        self.n_words = 0
        self.n_sentences = 0
        srsly.write_jsonl(path, self._count(sentences))

    def __iter__(self) -> Iterator[list[str]]:
        """YIELDS (list[str]): The sentences."""
        bar = {"desc": "Pass", "total": self.n_sentences, "leave": False}
        yield from tqdm(srsly.read_jsonl(self.path), disable=None if self.progress else True, **bar)

    def _count(self, sentences: Iterable[Sequence[str]]) -> Iterator[list[str]]:
        for words in tqdm(
            sentences, desc="Tokenizing", unit=" texts", disable=None if self.progress else True
        ):
            self.n_words += len(words)
            self.n_sentences += 1
            yield list(words)


def make_vectors(
    nlp: Language, raw: Path, settings: VectorSettings, *, progress: bool = False
) -> int:
    """Train word vectors on raw text and give them to the vocabulary of a pipeline.

    nlp (Language): The pipeline; its tokenizer makes the words, its vectors are replaced.
    raw (Path): Raw text, as for the reader of unlabeled text.
    settings (VectorSettings): The settings.
    progress (bool): Show progress bars.
    RETURNS (int): The number of words read.
    RAISES (ValueError): If no word is frequent enough or the raw text cannot be read.
    """
    words = read_words(nlp, raw, lower=settings.lower, normalize=settings.normalize)
    options = {k: v for k, v in asdict(settings).items() if k not in ("mode", "lower", "normalize")}
    with TemporaryDirectory() as folder:
        sentences = SpooledSentences(words, Path(folder) / "words.jsonl", progress=progress)
        if settings.mode == "floret":
            path = Path(folder) / "vectors.floret"
            options.pop("seed")
            train_floret(sentences, path, **options)
            attr = "LOWER" if settings.lower else "ORTH"
            convert_vectors(nlp, path, truncate=0, prune=-1, mode="floret", attr=attr)
        else:
            keys, data = train_vectors(sentences, **options)
            set_vectors(nlp, keys, data)
    return sentences.n_words


def read_words(
    nlp: Language, raw: Path, *, lower: bool, normalize: Collection[str]
) -> Iterator[list[str]]:
    """Tokenize raw text to word forms; tokens of white space are left out.

    nlp (Language): The pipeline.
    raw (Path): The raw text.
    lower (bool): Whether to lower-case.
    normalize (Collection[str]): Normalisation rules.
    YIELDS (list[str]): The words of each text.
    """
    for example in create_unlabeled_corpus(path=raw, shuffle_buffer=0)(nlp):
        words = [
            normalize_word(token.text, normalize)
            for token in example.predicted
            if not token.is_space
        ]
        yield [word.lower() for word in words] if lower else words


def train_vectors(
    sentences: Iterable[Sequence[str]],
    *,
    dim: int,
    min_count: int = 5,
    window: int = 5,
    epochs: int = 5,
    negative: int = 5,
    seed: int = 0,
    workers: int = 1,
) -> tuple[list[str], NDArray[numpy.float32]]:
    """Train skip-gram vectors; the arguments are those of `VectorSettings`.

    sentences (Iterable[Sequence[str]]): Words, iterated once for the counts and once an epoch.
    RETURNS (tuple[list[str], NDArray]): Words by falling count, V of them, and vectors, (V, dim).
    RAISES (ValueError): If no word is frequent enough. ImportError without gensim.
    """
    word2vec = import_extra("gensim.models.word2vec")
    model = word2vec.Word2Vec(
        sg=1,
        vector_size=dim,
        min_count=min_count,
        window=window,
        negative=negative,
        seed=seed,
        workers=workers,
        hashfxn=_hash_word,
    )
    pieces = _Pieces(sentences)
    model.build_vocab(pieces)
    if not len(model.wv):
        raise ValueError(f"a word must occur {min_count} times or more to get a vector (got none)")
    model.train(pieces, total_examples=model.corpus_count, epochs=epochs)
    return list(model.wv.index_to_key), model.wv.vectors.astype("float32")


def set_vectors(nlp: Language, keys: Sequence[str], data: NDArray[numpy.float32]) -> None:
    """Give a pipeline's vocabulary vectors in place of those it has.

    nlp (Language): The pipeline.
    keys (Sequence[str]): The words, V of them.
    data (NDArray): Their vectors, (V, dim).
    RAISES (ValueError): If the shapes do not match.
    """
    if data.ndim != 2 or len(keys) != len(data):
        raise ValueError(f"data must be ({len(keys)}, dim) for as many keys (got {data.shape})")
    for key in keys:
        nlp.vocab.strings.add(key)
    name = f"{nlp.meta['lang']}_{nlp.meta['name']}.vectors"
    nlp.vocab.vectors = Vectors(strings=nlp.vocab.strings, data=data, keys=keys, name=name)


class _Pieces:
    """Sentences cut to the length gensim reads, as often as they are asked for."""

    def __init__(self, sentences: Iterable[Sequence[str]]) -> None:
        if iter(sentences) is sentences:
            raise ValueError(f"sentences must be iterable more than once (got {type(sentences)})")
        self.sentences = sentences

    def __iter__(self) -> Iterator[Sequence[str]]:
        for words in self.sentences:
            for i in range(0, len(words), MAX_SENTENCE):
                yield words[i : i + MAX_SENTENCE]


def _hash_word(word: str) -> int:
    # gensim's default, hash(), differs from process to process.
    return crc32(word.encode("utf8"))
