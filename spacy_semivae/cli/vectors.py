"""`semivae vectors`: word vectors from raw text as a spaCy vectors package."""

from dataclasses import asdict
from pathlib import Path

import click
import spacy
import typer
from spacy.cli._util import Arg, Opt, import_code, parse_config_overrides
from spacy.language import Language
from wasabi import msg

from ..analysis.vectors import MODES, VectorSettings, make_vectors
from .tokenizers import load_tokenizer


def vectors_cli(
    ctx: typer.Context,
    raw: Path = Arg(..., help="Raw text: a .txt, .jsonl or .spacy file, also .gz, or a folder"),
    out: Path = Arg(..., help="Folder of the vectors package, for [initialize] vectors"),
    dim: int = Opt(100, "--dim", help="Width of a vector"),
    mode: str = Opt("gensim", "--mode", help=f"One of {', '.join(MODES)}"),
    config: Path | None = Opt(
        None, "--config", help="Take the tokenizer of this config's [nlp] block", exists=True
    ),
    model: str | None = Opt(None, "--model", help="Take the tokenizer of this trained pipeline"),
    lang: str = Opt("en", "--lang", help="Take the tokenizer of this language"),
    code: Path | None = Opt(None, "--code", help="Python file with the config's own functions"),
    min_count: int = Opt(5, "--min-count", help="Occurrences a word must have"),
    window: int = Opt(5, "--window", help="Largest distance of words that predict each other"),
    epochs: int = Opt(5, "--epochs", help="Passes over the text"),
    negative: int = Opt(5, "--negative", help="Noise words for each pair"),
    seed: int = Opt(0, "--seed", help="Seed; a run can be repeated with one worker only"),
    workers: int = Opt(1, "--workers", help="Training threads"),
    lower: bool = Opt(True, "--lower/--no-lower", help="Lower-case the words"),
    normalize: str = Opt("", "--normalize", help="Rules for words, of digits,users,urls"),
) -> None:
    """Train skip-gram vectors on raw text in the words of the pipeline's tokenizer and save them as
    a package for `[initialize] vectors`. Further options such as --nlp.tokenizer.x override CONFIG.
    """
    try:
        settings = VectorSettings(
            mode=mode,
            dim=dim,
            min_count=min_count,
            window=window,
            epochs=epochs,
            negative=negative,
            seed=seed,
            workers=workers,
            lower=lower,
            normalize=tuple(filter(None, (rule.strip() for rule in normalize.split(",")))),
        )
        import_code(code)
        overrides = parse_config_overrides(ctx.args)
        nlp = load_tokenizer(lang, model=model, config=config, overrides=overrides)
        n_words = make_vectors(nlp, raw, settings, progress=True)
    except (ValueError, ImportError, OSError, click.NoSuchOption) as err:
        msg.fail("Cannot train vectors", str(err), exits=1)
    _save(nlp, out, settings)
    msg.good(f"{len(nlp.vocab.vectors)} vectors from {n_words} words: {out}")


def _save(nlp: Language, out: Path, settings: VectorSettings) -> None:
    # A plain pipeline: whoever loads the vectors need not have the tokenizer's code.
    package = spacy.blank(str(nlp.lang))
    package.vocab.vectors = nlp.vocab.vectors
    for key in nlp.vocab.vectors.keys():
        package.vocab.strings.add(nlp.vocab.strings[key])
    package.meta["semivae_vectors"] = {**asdict(settings), "normalize": list(settings.normalize)}
    out.mkdir(parents=True, exist_ok=True)
    package.to_disk(out)
