"""`semivae convert`: read annotated text files that are partial or irregular."""

from pathlib import Path

import spacy
from spacy.cli._util import Arg, Opt
from wasabi import msg

from ..analysis.convert import FORMATS, Conversion, ConvertSettings, convert


def convert_cli(
    source: Path = Arg(..., metavar="INPUT", help="File, or folder of files", exists=True),
    out: Path = Arg(..., help="A .spacy file, or a folder for one .spacy file per input"),
    format_: str = Opt(..., "--format", help=f"One of {', '.join(FORMATS)}"),
    lang: str = Opt("en", "--lang", help="Language of the tokenizer for texts without tokens"),
    columns: str | None = Opt(
        None,
        "--columns",
        help="conll: each column's name, of token tag pos lemma ner _ (token,ner); textcat: "
        "label,text (default) or text,label",
    ),
    tag_column: int | None = Opt(
        None, "--tag-column", help="conll: number of the tag column; -1 is the last"
    ),
    ner_column: int | None = Opt(
        None, "--ner-column", help="conll: number of the entity column; -1 is the last"
    ),
    missing: str | None = Opt(
        None, "--missing", help="conll: mark of missing annotation, beside the empty cell"
    ),
    labels: str | None = Opt(None, "--labels", help="textcat: the classes (default: those found)"),
    on_misaligned: str = Opt(
        "raise", "--on-misaligned", help="spans: raise, or skip (the tokens become missing)"
    ),
    encoding: str = Opt("utf-8", "--encoding", help="Encoding of the input"),
) -> None:
    """Convert token columns (conll), Universal Dependencies (conllu), character spans in JSONL
    (spans) or labeled texts (textcat) to .spacy files. Missing annotation stays missing.
    """
    try:
        settings = ConvertSettings(
            format=format_,
            columns=_split_list(columns),
            tag_column=tag_column,
            ner_column=ner_column,
            missing=missing,
            labels=_split_list(labels),
            on_misaligned=on_misaligned,
            encoding=encoding,
        )
        report = convert(source, out, settings, nlp=spacy.blank(lang), progress=True)
    except ValueError as err:
        msg.fail("Cannot convert the input", str(err), exits=1)
    _report(report)


def _split_list(value: str | None) -> list[str] | None:
    return None if value is None else [name.strip() for name in value.split(",")]


def _report(report: Conversion) -> None:
    for note, count in report.notes.items():
        msg.warn(f"{note}: {count}")
    files = ", ".join(map(str, report.files))
    msg.good(f"{report.n_docs} Docs: {files}")
