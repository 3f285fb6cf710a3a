"""Convert annotated text files to spaCy's binary format without losing what is partial in them."""

import codecs
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc, DocBin
from tqdm import tqdm

from .convert_conll import Columns, read_conll
from .convert_conllu import read_conllu
from .convert_lines import Notes
from .convert_spans import read_spans
from .convert_textcat import find_labels, read_textcat

FORMATS = ("conll", "conllu", "spans", "textcat")
DEFAULT_COLUMNS: dict[str, Sequence[str]] = {
    "conll": ("token", "ner"),
    "textcat": ("label", "text"),
}
# Only these are cut from a file's name: "a.train" and "a.dev" must not become one "a.spacy".
SUFFIXES = {".conll", ".conllu", ".iob", ".bio", ".jsonl", ".tsv", ".txt", ".gz"}
ReaderT = Callable[[Path], Iterable[Doc]]


@dataclass(frozen=True, kw_only=True)
class ConvertSettings:
    """How to read the input; a setting that the format does not use must stay unset.

    format (str): One of `FORMATS`.
    columns (Sequence[str] | None): conll: name of every column, of `convert_conll.COLUMN_NAMES`,
        "token,ner" by default. textcat: "label,text" (default) or "text,label".
    tag_column (int | None): conll, instead of `columns`: number of the tag's column, from 1, or
        from the end if negative.
    ner_column (int | None): The same for the entities.
    missing (str | None): conll: mark of missing annotation beside the empty cell.
    labels (Sequence[str] | None): textcat: the classes; those found in the input by default.
    on_misaligned (str): spans: "raise" or "skip", for spans that do not fit the tokens.
    encoding (str): The files' encoding.
    """

    format: str
    columns: Sequence[str] | None = None
    tag_column: int | None = None
    ner_column: int | None = None
    missing: str | None = None
    labels: Sequence[str] | None = None
    on_misaligned: str = "raise"
    encoding: str = "utf-8"


@dataclass(frozen=True)
class Conversion:
    """What `convert` did.

    files (tuple[Path, ...]): The files written.
    n_docs (int): The number of Docs in them.
    notes (dict[str, int]): Counts of what was dropped or skipped.
    """

    files: tuple[Path, ...]
    n_docs: int
    notes: dict[str, int]


def convert(
    source: Path, out: Path, settings: ConvertSettings, *, nlp: Language, progress: bool = False
) -> Conversion:
    """Convert a file, or every file of a folder.

    source (Path): The file or folder.
    out (Path): A `.spacy` file, which receives all Docs, or a folder, which receives one `.spacy`
        file for each input.
    settings (ConvertSettings): The format and its settings.
    nlp (Language): Pipeline whose vocabulary, and where need be tokenizer, the Docs have.
    progress (bool): Show a progress bar.
    RETURNS (Conversion): What was done.
    RAISES (ValueError): If the settings or a line of the input are wrong; nothing is written then.
    """
    paths = _find_files(source)
    notes = Notes()
    read = _configure_reader(settings, paths, nlp, notes)
    outputs: dict[Path, DocBin] = {}
    with tqdm(desc="Converting", unit=" docs", disable=None if progress else True) as bar:
        for path in paths:
            target = out if out.suffix == ".spacy" else out / _name_output(path)
            doc_bin = outputs.setdefault(target, DocBin())
            for doc in read(path):
                doc_bin.add(doc)
                bar.update()
    _write(outputs, source)
    return Conversion(tuple(outputs), sum(map(len, outputs.values())), dict(notes))


def _find_files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    found = sorted(source.iterdir()) if source.is_dir() else []
    files = [path for path in found if path.is_file() and not path.name.startswith(".")]
    if not files:
        raise ValueError(f"the input must be a file or a folder with files (got '{source}')")
    return files


def _configure_reader(
    settings: ConvertSettings, paths: list[Path], nlp: Language, notes: Notes
) -> ReaderT:
    _check_settings(settings)
    encoding = settings.encoding
    if settings.format == "conll":
        return partial(
            read_conll,
            vocab=nlp.vocab,
            columns=_choose_columns(settings),
            notes=notes,
            missing=settings.missing,
            encoding=encoding,
        )
    if settings.format == "conllu":
        return partial(read_conllu, vocab=nlp.vocab, encoding=encoding)
    if settings.format == "spans":
        policy = settings.on_misaligned
        return partial(read_spans, nlp=nlp, notes=notes, on_misaligned=policy, encoding=encoding)
    columns = settings.columns or DEFAULT_COLUMNS["textcat"]
    labels = settings.labels or find_labels(paths, columns=columns, encoding=encoding)
    return partial(read_textcat, nlp=nlp, labels=labels, columns=columns, encoding=encoding)


def _check_settings(settings: ConvertSettings) -> None:
    if settings.format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)} (got {settings.format!r})")
    used = {"columns": DEFAULT_COLUMNS, "labels": ("textcat",)}
    used |= dict.fromkeys(("tag_column", "ner_column", "missing"), ("conll",))
    for name, formats in used.items():
        if getattr(settings, name) is not None and settings.format not in formats:
            rule = f"{name} is a setting of {' and '.join(formats)} only"
            raise ValueError(f"{rule} (got format {settings.format!r})")
    try:
        codecs.lookup(settings.encoding)
    except LookupError as err:
        raise ValueError(f"encoding must be one of Python's (got {settings.encoding!r})") from err


def _choose_columns(settings: ConvertSettings) -> Columns:
    numbers = {"tag": settings.tag_column, "ner": settings.ner_column}
    if not any(numbers.values()):
        return Columns.from_names(settings.columns or DEFAULT_COLUMNS["conll"])
    if settings.columns is not None:
        raise ValueError(f"columns are given by names or by numbers, not by both (got {settings})")
    return Columns.from_numbers(**numbers)


def _name_output(path: Path) -> str:
    while path.suffix in SUFFIXES:
        path = path.with_suffix("")
    return f"{path.name}.spacy"


def _write(outputs: dict[Path, DocBin], source: Path) -> None:
    if not any(map(len, outputs.values())):
        raise ValueError(f"the input must hold a text (got none in '{source}')")
    for target, doc_bin in outputs.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        doc_bin.to_disk(target)
