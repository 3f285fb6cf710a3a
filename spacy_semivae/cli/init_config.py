"""`spacy semivae init-config`: write a config to start from."""

from pathlib import Path

from spacy.cli._util import Arg, Opt
from wasabi import msg


def init_config_cli(
    output: Path = Arg(..., help="File to write"),
    pipeline: str = Opt("vsl_tagger", "--pipeline", "-p", help="Components, comma-separated"),
    lang: str = Opt("en", "--lang", "-l", help="Language code"),
    vectors: str | None = Opt(None, "--vectors", "-v", help="Vectors package, kept fixed"),
    force: bool = Opt(False, "--force", "-F", help="Overwrite the file"),
) -> None:
    """Write a complete, commented config; only the paths are missing."""
    from ..training.template import make_config

    if output.exists() and not force:
        msg.fail(f"{output} exists; --force overwrites it", exits=1)
    try:
        config = make_config(
            [name.strip() for name in pipeline.split(",")], lang=lang, vectors=vectors
        )
    except (ValueError, ImportError) as error:
        msg.fail("Cannot write the config", str(error), exits=1)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(config, encoding="utf8")
    msg.good(f"Saved {output}")
    msg.text(
        f"python -m spacy semivae train {output} --output out --paths.train train.spacy "
        "--paths.dev dev.spacy --paths.unlabeled raw.txt"
    )
