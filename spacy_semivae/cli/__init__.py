"""Typer commands under `spacy semivae`; each module here holds one thin command."""

import typer
from spacy.cli._util import app as spacy_app

from .train import train_cli

app = typer.Typer(
    name="semivae",
    help="Train spaCy pipelines from few labels and much raw text.",
    no_args_is_help=True,
)
WITH_OVERRIDES = {"allow_extra_args": True, "ignore_unknown_options": True}
app.command("train", context_settings=WITH_OVERRIDES)(train_cli)

spacy_app.add_typer(app)
