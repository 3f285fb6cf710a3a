"""`spacy semivae bootstrap`: from a word list to a partially annotated corpus."""

from pathlib import Path

from spacy.cli._util import Arg, Opt, import_code
from tqdm import tqdm
from wasabi import msg

from ..analysis.bootstrap import Bootstrapped, BootstrapSettings, bootstrap
from .tokenizers import load_tokenizer


def bootstrap_cli(
    patterns: Path = Arg(
        ..., help="EntityRuler patterns (.jsonl), or a list: a word, perhaps TAB LABEL", exists=True
    ),
    raw: str = Arg(..., help="Raw text: a file, a glob pattern or a folder"),
    out: Path = Arg(..., help="The .spacy file for the texts with an entity"),
    label: str | None = Opt(None, "--label", "-l", help="Label of words without one"),
    ignore_case: bool = Opt(False, "--ignore-case", help="Match upper and lower case alike"),
    rest: Path | None = Opt(None, "--rest", help="JSONL file for the texts without an entity"),
    limit: int = Opt(0, "--limit", help="Texts read at most; 0 for all", min=0),
    lang: str = Opt("en", "--lang", help="Take the tokenizer of this language"),
    config: Path | None = Opt(
        None, "--config", help="Take the tokenizer of this config's [nlp] block", exists=True
    ),
    code: Path | None = Opt(None, "--code", help="Python file with the config's own functions"),
) -> None:
    """Annotate raw text with what is on a list and leave all else unknown, to train a crf_vae_ner
    on. With --rest the texts without a match become raw text for the same training.
    """
    try:
        import_code(code)
        nlp = load_tokenizer(lang, config=config)
        settings = BootstrapSettings(label=label, ignore_case=ignore_case, limit=limit, rest=rest)
        with tqdm(desc="Matching", unit=" texts", disable=None) as bar:
            done = bootstrap(patterns, raw, out, settings, nlp=nlp, progress=bar.update)
    except (ValueError, OSError) as error:
        msg.fail("Cannot bootstrap a corpus", str(error), exits=1)
    show(done, out)


def show(done: Bootstrapped, out: Path) -> None:
    """Say what was found.

    done (Bootstrapped): Counts.
    out (Path): The file.
    """
    msg.table(done.labels.most_common(), header=("label", "entities"), divider=True)
    msg.info(f"{done.inside / done.tokens:.1%} of the tokens of these texts stand in entities")
    msg.good(f"{done.docs} of {done.texts} texts have an entity: {out}")
