"""Train floret vectors: one small table with a vector for any word (Bojanowski et al. 2017)."""

import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType


def train_floret(
    sentences: Iterable[Sequence[str]],
    path: Path,
    *,
    dim: int,
    min_count: int = 5,
    window: int = 5,
    epochs: int = 5,
    negative: int = 5,
    workers: int = 1,
    min_n: int = 4,
    max_n: int = 5,
    buckets: int = 50_000,
    hash_count: int = 2,
) -> None:
    """Train floret's skip-gram table; the further arguments are those of `vectors.VectorSettings`.

    sentences (Iterable[Sequence[str]]): Words; one that holds white space counts as several.
    path (Path): File to write the table to, in floret's text format.
    min_n (int): Shortest character n-gram.
    max_n (int): Longest character n-gram.
    buckets (int): Rows of the table.
    hash_count (int): Rows that are summed for an n-gram.
    RAISES (ValueError): If no word is frequent enough. ImportError without floret.
    """
    floret = import_extra("floret")
    text = path.with_suffix(".txt")
    with text.open("w", encoding="utf8") as stream:
        stream.writelines(" ".join(words) + "\n" for words in sentences)
    sizes = {"dim": dim, "minCount": min_count, "ws": window, "epoch": epochs, "neg": negative}
    table = {"minn": min_n, "maxn": max_n, "bucket": buckets, "hashCount": hash_count}
    run = {"model": "skipgram", "mode": "floret", "thread": workers, "verbose": 0}
    try:
        model = floret.train_unsupervised(str(text), **sizes, **table, **run)
    except ValueError as err:
        raise ValueError(
            f"a word must occur {min_count} times or more to train vectors (floret: {err})"
        ) from err
    model.save_floret_vectors(str(path))


def import_extra(name: str) -> ModuleType:
    """Import a package that only `vectors` needs.

    name (str): The module.
    RETURNS (ModuleType): It.
    RAISES (ImportError): If it is not installed; the message says how to.
    """
    try:
        return importlib.import_module(name)
    except ImportError as err:
        package = name.partition(".")[0]
        raise ImportError(
            f"training vectors needs {package}: pip install 'spacy-semivae[vectors]'"
        ) from err
