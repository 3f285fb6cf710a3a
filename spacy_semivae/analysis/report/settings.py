"""A chapter on what the run was given: settings and corpora."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from spacy.tokens import DocBin

from ...annotate.corpus import count_texts
from ...training.raw_text import find_files
from .blocks import Chapter, Section, Table
from .source import Source


def show_settings(source: Source) -> Chapter:
    """Show corpora and settings.

    source (Source): The run.
    RETURNS (Chapter): Tables.
    """
    config = source.config
    parts = {
        **{f"components.{pipe.name}": config["components"][pipe.name] for pipe in source.pipes},
        "training": config["training"],
        "semivae": config.get("semivae") or {},
    }
    tables = [
        Table(("setting", "value"), list(flatten(part)), f"[{name}]", texts=3, folded=True)
        for name, part in parts.items()
        if part
    ]
    versions = source.nlp.meta
    lead = (
        f"{versions['lang']}_{versions['name']} {versions['version']}, spaCy "
        f"{versions['spacy_version']}, from {source.folder}"
    )
    corpora = Table(("corpus", "Docs", "where"), count_corpora(source), "Sizes", texts=3)
    sections = [Section("Corpora", "", [corpora]), Section("Settings", "", tables)]
    return Chapter("Run", lead, sections=sections)


def count_corpora(source: Source) -> list[tuple[str, str, str]]:
    """Count the Docs of each corpus.

    source (Source): The run.
    RETURNS (list[tuple]): Name, number and place of each; corpora that are not where they were are
        not counted.
    """
    tokens = sum(len(eg.predicted) for eg in source.examples)
    rows = [("dev", f"{len(source.examples)} ({tokens} tokens)", source.dev)]
    paths = source.config["paths"]
    if paths.get("train"):
        rows.append(("train", count_docs(paths["train"]), str(paths["train"])))
    if paths.get("unlabeled"):
        rows.append(("raw", count_docs(paths["unlabeled"]), str(paths["unlabeled"])))
    if source.rows:
        last = source.rows[-1]
        for name in ("labeled", "unlabeled"):
            if name in last:
                rows.append((f"seen {name}", str(last[name]), f"until step {last['step']}"))
    return rows


def count_docs(path: str) -> str:
    """Count the Docs of files.

    path (str): A file, a glob pattern or a folder.
    RETURNS (str): Their number, or why it is unknown.
    """
    try:
        files = find_files(path)
        if all(file.suffix == ".spacy" for file in files):
            return str(sum(len(DocBin().from_disk(file)) for file in files))
        lines = count_texts(files)
    except (OSError, ValueError):
        return "not found here"
    return "compressed, not counted" if lines is None else str(lines)


def flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """YIELDS (tuple[str, str]): Dotted names and values of all settings."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(Path(value) if isinstance(value, Path) else value)
