"""`spacy semivae train`: a config, labelled and raw corpora in; a trained pipeline out."""

import sys
from pathlib import Path
from typing import Any

import click
import typer
from spacy.cli._util import Arg, Opt, import_code, parse_config_overrides, setup_gpu
from spacy.util import load_config
from wasabi import msg


def train_cli(
    ctx: typer.Context,
    config_path: Path = Arg(..., help="Training config with a [semivae] block", exists=True),
    output: Path | None = Opt(None, "--output", "-o", help="Folder for model-best, model-last"),
    code: Path | None = Opt(None, "--code", "-c", help="Python file with registered functions"),
    gpu_id: int = Opt(-1, "--gpu-id", "-g", help="GPU, or -1 for CPU"),
    overwrite: bool = Opt(False, "--overwrite", help="Delete a run in the output folder"),
) -> None:
    """Train a pipeline on labelled and raw text together.

    Settings of the config are overridden as in `spacy train`: --paths.train labeled.spacy.
    """
    try:
        overrides = parse_config_overrides(ctx.args)
        import_code(code)
        train(config_path, output, overrides=overrides, gpu_id=gpu_id, overwrite=overwrite)
    except click.NoSuchOption as error:
        msg.fail(error.message, "Settings of the config are overridden by --section.name", exits=1)
    except (ValueError, OSError, FloatingPointError) as error:
        msg.fail("Training stopped", str(error), exits=1)


def train(
    config_path: Path,
    output: Path | None,
    *,
    overrides: dict[str, Any],
    gpu_id: int = -1,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Train from a config file.

    config_path (Path): The config.
    output (Path | None): Folder for model-best and model-last.
    overrides (dict): Settings by dotted name.
    gpu_id (int): GPU, or -1 for CPU.
    overwrite (bool): Delete a run in the output folder.
    RETURNS (dict[str, Any]): Best score, its step, and the number of steps.
    """
    from ..training.initialize import initialize_nlp
    from ..training.run import check_output, train_nlp

    check_output(output, overwrite=overwrite)
    setup_gpu(gpu_id)
    config = load_config(config_path, overrides=overrides, interpolate=False)
    msg.info("Initializing pipeline")
    nlp, settings = initialize_nlp(config, use_gpu=gpu_id)
    streams = {"stdout": sys.stdout, "stderr": sys.stderr}
    return train_nlp(nlp, settings, output, overwrite=overwrite, **streams)
