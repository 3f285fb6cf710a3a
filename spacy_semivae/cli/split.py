"""`semivae split`: make a labeled, an unlabeled and an unused part of a corpus."""

from pathlib import Path

from spacy.cli._util import Arg, Opt
from tqdm import tqdm
from wasabi import msg

from ..analysis.split import read_docs, split_corpus, write_split


def split_cli(
    corpus: Path = Arg(
        ..., help="Annotated corpus: a .spacy file or a folder of them", exists=True
    ),
    out: Path = Arg(..., help="Folder for labeled.spacy, unlabeled.jsonl and rest.spacy"),
    labeled: str = Opt(..., "--labeled", help="Share with a point (.2) or number (100) of Docs"),
    unlabeled: str = Opt(..., "--unlabeled", help="Share with a point or number of Docs"),
    seed: int = Opt(0, "--seed", help="Seed of the choice"),
    balance: bool = Opt(False, "--balance", help="As many labeled Docs of each doc.cats class"),
    keep_spans: float | None = Opt(
        None, "--keep-spans", help="Share of labeled entity spans to keep, all else missing"
    ),
) -> None:
    """Split a corpus as the papers do: a labeled part with its annotation, an unlabeled part of
    words only, and the rest. No text stands in two parts, and a seed gives one split.
    """
    try:
        docs = list(tqdm(read_docs(corpus), desc="Reading", unit=" docs", disable=None))
        split = split_corpus(
            docs,
            labeled=parse_size(labeled),
            unlabeled=parse_size(unlabeled),
            seed=seed,
            balance=balance,
            keep_spans=keep_spans,
        )
    except ValueError as err:
        msg.fail("Cannot split the corpus", str(err), exits=1)
    write_split(split, out)
    sizes = (
        f"{len(split.labeled)} labeled, {len(split.unlabeled)} unlabeled, {len(split.rest)} rest"
    )
    msg.good(f"{sizes}: {out}")


def parse_size(value: str) -> float | int:
    """Read the size of a part.

    value (str): A share such as ".2" or "1.0", or a count such as "100".
    RETURNS (float | int): The share as a float, the count as an int.
    RAISES (ValueError): If it is neither.
    """
    try:
        return float(value) if "." in value else int(value)
    except ValueError as err:
        raise ValueError(
            f"a size must be a share with a point, or a number of Docs (got {value!r})"
        ) from err
