"""Read texts with one label each: `label TAB text`, `text TAB label`, or JSONL with both keys."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import srsly
from spacy.language import Language
from spacy.tokens import Doc

from .convert_lines import bad_line, read_lines

NAMES = {"label", "text"}


def read_textcat(
    path: Path,
    nlp: Language,
    *,
    labels: Sequence[str],
    columns: Sequence[str] = ("label", "text"),
    encoding: str = "utf-8",
) -> Iterator[Doc]:
    """Read a file of one text a line as Docs with exclusive categories.

    path (Path): The file; `.jsonl` (perhaps with `.gz`) is read by keys, any other by columns.
    nlp (Language): The pipeline whose tokenizer is used.
    labels (Sequence[str]): All classes. A Doc's own is 1.0 and the others are 0.0; a Doc with an
        empty label is unlabeled, so it has no categories.
    columns (Sequence[str]): "label" and "text" in the order of the columns. The text may hold TABs.
    encoding (str): The file's encoding.
    YIELDS (Doc): The texts.
    RAISES (ValueError): If a line breaks the format or its label is not one of `labels`.
    """
    for number, label, text in _read_rows(path, columns, encoding):
        if label and label not in labels:
            raise bad_line(path, number, f"the label must be one of {list(labels)}", label)
        doc = nlp.make_doc(text)
        if label:
            doc.cats = {name: float(name == label) for name in labels}
        yield doc


def find_labels(
    paths: Iterable[Path], *, columns: Sequence[str] = ("label", "text"), encoding: str = "utf-8"
) -> list[str]:
    """Read files for their labels alone.

    paths (Iterable[Path]): The files.
    columns (Sequence[str]): As in `read_textcat`.
    encoding (str): The files' encoding.
    RETURNS (list[str]): The labels, sorted.
    RAISES (ValueError): If a line breaks the format or no text has a label.
    """
    paths = list(paths)
    labels = {label for path in paths for _, label, _ in _read_rows(path, columns, encoding)} - {""}
    if not labels:
        names = ", ".join(map(str, paths))
        raise ValueError(
            f"a text must have a label where no labels are given (got none in {names})"
        )
    return sorted(labels)


def _read_rows(path: Path, columns: Sequence[str], encoding: str) -> Iterator[tuple[int, str, str]]:
    """YIELDS (tuple[int, str, str]): Number of the line, label and text."""
    if set(columns) != NAMES or len(columns) != len(NAMES):
        raise ValueError(f"columns must be label,text or text,label (got {','.join(columns)!r})")
    split = _split_json if ".jsonl" in path.suffixes[-2:] else _split_columns
    for number, line in read_lines(path, encoding):
        if line.strip():
            row = split(path, number, line, columns)
            label, text = row["label"].strip(), row["text"].strip()
            if not text:
                raise bad_line(path, number, "a line must have a text", line)
            yield number, label, text


def _split_columns(path: Path, number: int, line: str, columns: Sequence[str]) -> dict[str, str]:
    # The label is on the outer side, so every other TAB belongs to the text.
    cells = line.split("\t", 1) if columns[0] == "label" else line.rsplit("\t", 1)
    if len(cells) != len(columns):
        raise bad_line(path, number, f"a line must be {' TAB '.join(columns)}", line)
    return dict(zip(columns, cells))


def _split_json(path: Path, number: int, line: str, columns: Sequence[str]) -> dict[str, str]:
    try:
        record = srsly.json_loads(line)
        row = {"text": record["text"], "label": record.get("label") or ""}
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise bad_line(path, number, 'a line must be a JSON object with "text"', line) from err
    if not all(isinstance(value, str) for value in row.values()):
        raise bad_line(path, number, '"text" and "label" must be strings', line)
    return row
