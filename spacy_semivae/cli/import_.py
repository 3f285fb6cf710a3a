"""`spacy semivae import`: the export of an annotation tool as a corpus."""

from pathlib import Path

from spacy.cli._util import Arg, Opt
from wasabi import msg

from ..analysis.exchange.files import FORMATS
from ..analysis.import_answers import KNOWN, TARGETS, ImportSettings, import_answers
from .tokenizers import load_tokenizer


def import_cli(
    export: Path = Arg(..., help="What the tool exported: .jsonl or .json, also .gz", exists=True),
    out: Path = Arg(..., help="The .spacy file"),
    format_: str = Opt(..., "--format", help=f"One of {', '.join(FORMATS)}"),
    known: str | None = Opt(
        None,
        "--as",
        help=f"What is known: {', '.join(KNOWN)} (default: full, of questions partial)",
    ),
    target: str | None = Opt(
        None, "--target", help=f"What the labels are: {', '.join(TARGETS)} (default: ents or cats)"
    ),
    labels: str | None = Opt(None, "--labels", help="cats: all classes (default: those found)"),
    on_misaligned: str = Opt(
        "raise", "--on-misaligned", help="raise, or skip (the tokens become missing)"
    ),
    model: str | None = Opt(None, "--model", help="Take the tokenizer of this pipeline"),
    lang: str = Opt("en", "--lang", help="Take the tokenizer of this language"),
) -> None:
    """Read what people answered in Prodigy, doccano, Label Studio or Argilla."""
    try:
        settings = ImportSettings(
            format=format_,
            known=known,
            target=target,
            labels=None if labels is None else [name.strip() for name in labels.split(",")],
            on_misaligned=on_misaligned,
        )
        nlp = load_tokenizer(lang, model=model)
        done = import_answers(export, out, settings, nlp=nlp)
    except (ValueError, OSError) as error:
        msg.fail("Cannot import the export", str(error), exits=1)
    for note, count in done.notes.items():
        msg.warn(f"{note}: {count}")
    msg.good(f"{done.docs} Docs: {out}")
