"""From a list of words, or patterns of spaCy's EntityRuler, to a partially annotated corpus.

What matches is an entity; of everything else nothing is known. From such Docs a CRF-VAE can learn
entities that are not on the list.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import srsly
from spacy.language import Language
from spacy.pipeline import EntityRuler
from spacy.tokens import Doc, DocBin
from spacy.util import minibatch

from ..training.files import replacing
from ..training.raw_text import find_files, raise_error, read_records
from .convert_lines import bad_line, read_lines
from .raw_texts import make_doc

BATCH = 1000  # texts
Pattern = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class BootstrapSettings:
    """How to match.

    label (str | None): The label of a word list whose lines have none.
    ignore_case (bool): Whether upper and lower case are the same.
    limit (int): Texts read at most; 0 for all.
    rest (Path | None): A JSONL file for the texts without a match, to be trained on as raw text.
    """

    label: str | None = None
    ignore_case: bool = False
    limit: int = 0
    rest: Path | None = None


@dataclass
class Bootstrapped:
    """What `bootstrap` did: counts of texts, tokens and entities."""

    texts: int = 0
    docs: int = 0  # texts with an entity
    tokens: int = 0  # of these
    inside: int = 0  # tokens of entities
    labels: Counter[str] = field(default_factory=Counter)  # entities

    def note(self, doc: Doc) -> bool:
        """Count a text.

        doc (Doc): The text.
        RETURNS (bool): Whether it has an entity.
        """
        self.texts += 1
        if doc.ents:
            self.docs += 1
            self.tokens += len(doc)
            self.inside += sum(len(ent) for ent in doc.ents)
            self.labels.update(ent.label_ for ent in doc.ents)
        return bool(doc.ents)


def bootstrap(
    patterns: Path,
    source: str | Path,
    out: Path,
    settings: BootstrapSettings | None = None,
    *,
    nlp: Language,
    progress: Callable[[int], None] | None = None,
) -> Bootstrapped:
    """Annotate raw text with what is on a list.

    patterns (Path): A `.jsonl` file of EntityRuler patterns, or a list as `read_patterns` reads it.
    source (str | Path): Raw text: a file, a glob pattern or a folder.
    out (Path): The `.spacy` file for the texts with an entity.
    settings (BootstrapSettings | None): How to match.
    nlp (Language): A pipeline whose tokenizer is used.
    progress (Callable | None): Called with the number of texts after each batch.
    RETURNS (Bootstrapped): Counts.
    RAISES (ValueError): For a bad line of either input, and when nothing matches.
    """
    settings = settings or BootstrapSettings()
    ruler = make_ruler(nlp, read_patterns(patterns, settings.label), settings.ignore_case)
    done, found = Bootstrapped(), DocBin()
    records = read_records(find_files(source), on_error=raise_error)
    with nullcontext() if settings.rest is None else writing(settings.rest) as rest:
        for batch in minibatch(islice(records, settings.limit or None), BATCH):
            with nlp.memory_zone():
                for doc in (ruler(make_doc(nlp, record)) for record in batch):
                    if done.note(doc):
                        found.add(keep_entities(doc))
                    elif rest is not None:
                        rest.write(f"{srsly.json_dumps(describe(doc))}\n".encode())
            if progress is not None:
                progress(len(batch))
        if not done.docs:
            rule = f"a pattern must be found in the texts of {source}"
            raise ValueError(f"{patterns}: {rule}, got none in {done.texts}")
        with writing(out) as stream:
            stream.write(found.to_bytes())
    return done


def read_patterns(path: Path, label: str | None) -> list[Pattern]:
    """Read patterns.

    path (Path): A `.jsonl` file of objects with "label" and "pattern", a text or a list of token
        descriptions; else a list with a text a line, perhaps with a TAB and its label.
    label (str | None): The label of lines that have none.
    RETURNS (list[Pattern]): The patterns.
    RAISES (ValueError): For a line that is none, and when there is none at all.
    """
    parse = parse_pattern if ".jsonl" in path.suffixes[-2:] else parse_word
    lines = ((number, line) for number, line in read_lines(path) if line.strip())
    found = [parse(path, number, line, label) for number, line in lines]
    if not found:
        raise ValueError(f"{path}: a list must have a line, got none")
    return found


def parse_pattern(path: Path, number: int, line: str, label: str | None) -> Pattern:
    """RETURNS (Pattern): The pattern of a line of JSON."""
    try:
        found = srsly.json_loads(line)
    except ValueError as error:
        raise bad_line(path, number, f"a pattern must be JSON ({error})", line) from error
    found = {"label": label, **found} if isinstance(found, dict) else {}
    pattern = found.get("pattern")
    is_list = isinstance(pattern, list) and all(isinstance(token, dict) for token in pattern)
    if not (pattern and (isinstance(pattern, str) or is_list) and is_label(found.get("label"))):
        rule = 'a pattern must have a "label" and a "pattern", a text or a list of tokens'
        raise bad_line(path, number, rule, line)
    return found


def parse_word(path: Path, number: int, line: str, label: str | None) -> Pattern:
    """RETURNS (Pattern): The pattern of a line of a word list."""
    text, _, own = (part.strip() for part in line.partition("\t"))
    if not (text and (own or label)):
        rule = "a line must be a text, a TAB and its label, which --label gives to those without"
        raise bad_line(path, number, rule, line)
    return {"label": own or label, "pattern": text}


def is_label(value: Any) -> bool:
    """RETURNS (bool): Whether a value can be a label."""
    return isinstance(value, str) and bool(value)


def make_ruler(nlp: Language, patterns: list[Pattern], ignore_case: bool) -> EntityRuler:
    """Make spaCy's ruler.

    nlp (Language): The pipeline that the Docs come from.
    patterns (list[Pattern]): The patterns.
    ignore_case (bool): Whether texts match in any case; patterns of tokens say so themselves.
    RETURNS (EntityRuler): The ruler; of matches that overlap it takes the longest.
    RAISES (ValueError): For a pattern that spaCy does not take.
    """
    ruler = EntityRuler(nlp, phrase_matcher_attr="LOWER" if ignore_case else "ORTH")
    ruler.add_patterns(patterns)
    return ruler


def keep_entities(doc: Doc) -> Doc:
    """Forget that the other tokens are outside of entities: nobody has looked at them.

    doc (Doc): A Doc with entities, which is changed.
    RETURNS (Doc): The same.
    """
    doc.set_ents(list(doc.ents), default="missing")
    return doc


def describe(doc: Doc) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): The tokens, as raw corpora are read."""
    row: dict[str, Any] = {"tokens": [token.text for token in doc]}
    if not doc.has_unknown_spaces:
        row["spaces"] = [bool(token.whitespace_) for token in doc]
    return row


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """YIELDS (BinaryIO): A file that is written whole or not at all, in a folder made for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as stream:
        yield stream
