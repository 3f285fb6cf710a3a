"""Typer commands under `spacy semivae`; each module here holds one thin command."""

import typer
from spacy.cli._util import app as spacy_app

from .annotate import annotate_cli
from .bootstrap import bootstrap_cli
from .calibrate import calibrate_cli
from .convert import convert_cli
from .curve import curve_cli
from .generate import generate_cli
from .import_ import import_cli
from .init_config import init_config_cli
from .pretrain import pretrain_cli
from .prune import prune_cli
from .report import report_cli
from .split import split_cli
from .suggest import suggest_cli
from .thresholds import thresholds_cli
from .train import train_cli
from .vectors import vectors_cli

app = typer.Typer(
    name="semivae",
    help="Train spaCy pipelines from few labels and much raw text.",
    no_args_is_help=True,
)
WITH_OVERRIDES = {"allow_extra_args": True, "ignore_unknown_options": True}

app.command("annotate")(annotate_cli)
app.command("bootstrap")(bootstrap_cli)
app.command("calibrate")(calibrate_cli)
app.command("convert")(convert_cli)
app.command("curve", context_settings=WITH_OVERRIDES)(curve_cli)
app.command("generate")(generate_cli)
app.command("import")(import_cli)
app.command("init-config")(init_config_cli)
app.command("pretrain", context_settings=WITH_OVERRIDES)(pretrain_cli)
app.command("prune")(prune_cli)
app.command("report")(report_cli)
app.command("split")(split_cli)
app.command("suggest")(suggest_cli)
app.command("thresholds")(thresholds_cli)
app.command("train", context_settings=WITH_OVERRIDES)(train_cli)
app.command("vectors", context_settings=WITH_OVERRIDES)(vectors_cli)

spacy_app.add_typer(app)
