"""Read token-per-line files: CoNLL-like columns of words, tags and entities.

Beyond the plain format this reads what real corpora hold: empty tokens, tokens that are a
non-breaking space, partial annotation, a literal `#` or `-` among tokens and tags, and blanks or
TABs on the line between two sentences.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spacy.parts_of_speech import IDS as POS_IDS
from spacy.tokens import Doc, Span
from spacy.training.iob_utils import tags_to_entities
from spacy.vocab import Vocab

from .convert_lines import Notes, bad_line, read_lines
from .iob import bilou_from_iob

COLUMN_NAMES = ("token", "tag", "pos", "lemma", "ner", "_")
# Only metadata as in CoNLL-U is a comment: a line that merely begins with "#" holds a token.
COMMENT = re.compile(r"#\s*(?:newdoc|newpar|[\w.:-]+\s*=)[^\t]*$")
DOCSTART = "-DOCSTART-"


@dataclass(frozen=True)
class Columns:
    """Which column of a line is what.

    places (dict[str, int]): Position of each named column from 0, or from the end if negative.
    width (int | None): Number of columns every line must have; None for any.
    """

    places: dict[str, int]
    width: int | None

    @classmethod
    def from_names(cls, names: Sequence[str]) -> "Columns":
        """Name all columns in their order.

        names (Sequence[str]): Of `COLUMN_NAMES`; `_` is a column to ignore.
        RETURNS (Columns): The columns.
        RAISES (ValueError): If a name is unknown or stands twice, or if no column is the token.
        """
        named = [name for name in names if name != "_"]
        if set(names) - set(COLUMN_NAMES) or len(set(named)) < len(named) or "token" not in named:
            raise ValueError(
                f"columns must be of {', '.join(COLUMN_NAMES)}, each but _ at most once, and hold "
                f"token (got {','.join(names)!r})"
            )
        return cls({name: i for i, name in enumerate(names) if name != "_"}, len(names))

    @classmethod
    def from_numbers(cls, **numbers: int | None) -> "Columns":
        """Name some columns by their numbers.

        numbers (int | None): For a name, the number from 1, or from the end if negative; None for
            none. The token is column 1 unless given.
        RETURNS (Columns): The columns.
        RAISES (ValueError): If a number is 0.
        """
        given = {"token": 1} | {k: n for k, n in numbers.items() if n is not None}
        if 0 in given.values():
            raise ValueError(f"columns are numbered from 1, or from -1 at the end (got {given!r})")
        return cls({name: n - 1 if n > 0 else n for name, n in given.items()}, None)


@dataclass(frozen=True)
class Row:
    """A line of a file by column names; an empty cell is missing annotation."""

    line: int
    cells: dict[str, str]


def read_conll(
    path: Path,
    vocab: Vocab,
    *,
    columns: Columns,
    notes: Notes,
    missing: str | None = None,
    encoding: str = "utf-8",
) -> Iterator[Doc]:
    """Read a file of one token a line as one Doc a sentence, without known spaces.

    Columns are split at TABs where a line has one, else at blanks. An empty token is dropped and
    counted; an entity that loses its first token so begins at the next. Entity tags are IOB1,
    IOB2, BIOES or BILOU. In every column an empty cell is missing annotation, in the entity column
    also `-`.

    path (Path): The file.
    vocab (Vocab): Vocabulary of the Docs.
    columns (Columns): What the columns are.
    notes (Notes): Receives the counts of what was dropped.
    missing (str | None): A further mark of missing annotation, in all columns but the token's.
    encoding (str): The file's encoding.
    YIELDS (Doc): The sentences that have a token.
    RAISES (ValueError): If a line breaks the format.
    """
    for rows in _read_sentences(path, columns, missing, encoding):
        doc = _make_doc(path, vocab, rows, notes)
        if doc is not None:
            yield doc


def _read_sentences(
    path: Path, columns: Columns, missing: str | None, encoding: str
) -> Iterator[list[Row]]:
    rows: list[Row] = []
    for number, line in read_lines(path, encoding):
        if not rows and COMMENT.match(line):
            continue
        cells = _split(line)
        if any(cells) and cells[0] != DOCSTART:
            rows.append(_make_row(path, number, cells, columns, missing))
        elif rows:
            yield rows
            rows = []
    if rows:
        yield rows


def _split(line: str) -> list[str]:
    # Blanks only, never other white space: a token may be a non-breaking space.
    if "\t" in line:
        return [cell.strip(" ") for cell in line.split("\t")]
    return re.split(" +", line.strip(" "))


def _make_row(
    path: Path, number: int, cells: list[str], columns: Columns, missing: str | None
) -> Row:
    width = columns.width or max(n + 1 if n >= 0 else -n for n in columns.places.values())
    if len(cells) < width or (columns.width and any(cells[width:])):
        least = "" if columns.width else "at least "
        raise bad_line(path, number, f"a token's line must have {least}{width} columns", cells)
    named = {name: cells[place] for name, place in columns.places.items()}
    for name, cell in named.items():
        if name != "token" and cell == missing:
            named[name] = ""
    if named.get("pos", "") not in POS_IDS:
        raise bad_line(path, number, "pos must be a universal part of speech", named["pos"])
    return Row(number, named)


def _make_doc(path: Path, vocab: Vocab, rows: list[Row], notes: Notes) -> Doc | None:
    kept = [i for i, row in enumerate(rows) if row.cells["token"]]
    if len(kept) < len(rows):
        notes["empty tokens dropped"] += len(rows) - len(kept)
    if not kept:
        notes["sentences without a token dropped"] += 1
        return None

    def column(name: str) -> list[str] | None:
        return [rows[i].cells[name] for i in kept] if name in rows[0].cells else None

    doc = Doc(
        vocab,
        words=column("token"),
        tags=column("tag"),
        pos=column("pos"),
        lemmas=column("lemma"),
    )
    if "ner" in rows[0].cells:
        _set_entities(doc, _to_bilou(path, rows), kept, notes)
    return doc


def _to_bilou(path: Path, rows: list[Row]) -> list[str]:
    tags = [row.cells["ner"] for row in rows]
    try:
        return bilou_from_iob(tags)
    except ValueError as err:
        rule = f"the sentence from here on must have IOB, BIOES or BILOU tags ({err})"
        raise bad_line(path, rows[0].line, rule, tags) from err


def _set_entities(doc: Doc, bilou: list[str], kept: list[int], notes: Notes) -> None:
    """Set the entities of all rows on the tokens that were kept."""
    place = {row: token for token, row in enumerate(kept)}
    ents = []
    for label, first, last in tags_to_entities(bilou):
        tokens = [place[i] for i in range(first, last + 1) if i in place]
        if label and tokens:
            ents.append(Span(doc, tokens[0], tokens[-1] + 1, label=label))
        elif label:
            notes["entities without a token dropped"] += 1
    missing = [doc[place[i] : place[i] + 1] for i in kept if bilou[i] == "-"]
    doc.set_ents(ents, missing=missing, default="outside")
