"""The Docs of a curve in seeded orders, of which each point reads the first ones.

Every seed has an order of the labelled Docs of its own, so that the scores also say how much
depends on which Docs were labelled. There is one order of the raw Docs.
"""

import random
from array import array
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import srsly
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.util import resolve_dot_names
from thinc.api import Config
from tqdm import tqdm

from ...training.files import replacing
from ..split import read_docs
from .configs import corpus_name

FOLDER = "corpora"
RAW = f"{FOLDER}/raw.jsonl"


def read_labeled_docs(nlp: Language, config: Config) -> list[Doc]:
    """Read the labelled Docs of a config.

    nlp (Language): The pipeline.
    config (Config): The config, interpolated.
    RETURNS (list[Doc]): The Docs with tokens, as many as the reader's limit says.
    RAISES (ValueError): When there are none, or they cannot be read.
    """
    block = config["corpora"][corpus_name(config, "training", "train_corpus")]
    if block["path"] is None:
        raise ValueError("a curve needs labelled Docs: set paths.train")
    docs = (doc for doc in read_docs(Path(block["path"]), nlp.vocab) if len(doc))
    found = list(islice(docs, block.get("limit") or None))
    if not found:
        raise ValueError(f"{block['path']}: a curve needs labelled Docs, got none with tokens")
    return found


def write_labeled(docs: list[Doc], folder: Path, seed: int) -> Path:
    """Write the labelled Docs in the order of a seed, unless the file is there.

    docs (list[Doc]): The Docs.
    folder (Path): The curve's folder.
    seed (int): The seed.
    RETURNS (Path): The file.
    """
    path = folder / FOLDER / f"labeled-seed-{seed}.spacy"
    if not path.exists():
        order = random.Random(seed).sample(docs, len(docs))
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as stream:
            stream.write(DocBin(docs=order, store_user_data=True).to_bytes())
    return path


def write_raw(nlp: Language, config: Config, folder: Path) -> int:
    """Write the raw Docs of a config in a seeded order, unless the file is there.

    nlp (Language): The pipeline, whose tokens the Docs have.
    config (Config): The config, interpolated.
    folder (Path): The curve's folder.
    RETURNS (int): The number of Docs.
    RAISES (ValueError): When there are none, or they cannot be read.
    """
    path = folder / RAW
    if path.exists():
        with path.open("rb") as stream:
            return sum(1 for _ in stream)
    name = corpus_name(config, "semivae", "unlabeled_corpus")
    corpus: Callable[[Language], Iterable[Example]]
    (corpus,) = resolve_dot_names(config, [f"corpora.{name}"])
    docs = (eg.predicted for eg in tqdm(corpus(nlp), "Raw Docs", disable=None, leave=False))
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.with_suffix(".unordered")
    with lines.open("w+b") as unordered:
        starts = _write_lines(unordered, (to_record(nlp, doc) for doc in docs))
        order = list(range(len(starts)))
        random.Random(0).shuffle(order)
        with replacing(path) as stream:
            for i in order:
                unordered.seek(starts[i])
                stream.write(unordered.readline())
    lines.unlink()
    if not starts:
        path.unlink()
        raise ValueError(f"a curve needs raw Docs: corpora.{name} has none")
    return len(starts)


def to_record(nlp: Language, doc: Doc) -> dict[str, Any]:
    """Describe a raw Doc so that reading it gives the same tokens.

    nlp (Language): The pipeline.
    doc (Doc): The Doc.
    RETURNS (dict[str, Any]): A line of the file: the text where the pipeline's tokenizer makes just
        these tokens of it, as they have their norms then, else the tokens.
    """
    words = [token.text for token in doc]
    if doc.has_unknown_spaces:
        return {"tokens": words}
    if [token.text for token in nlp.make_doc(doc.text)] == words:
        return {"text": doc.text}
    return {"tokens": words, "spaces": [bool(token.whitespace_) for token in doc]}


def _write_lines(stream: BinaryIO, records: Iterable[dict[str, Any]]) -> "array[int]":
    starts = array("Q")
    for record in records:
        starts.append(stream.tell())
        stream.write(f"{srsly.json_dumps(record)}\n".encode())
    return starts
