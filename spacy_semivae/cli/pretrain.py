"""`spacy semivae pretrain`: the language model that starts a text classifier, from raw text."""

import sys
from pathlib import Path

import click
import typer
from spacy.cli._util import Arg, Opt, import_code, parse_config_overrides, setup_gpu
from spacy.util import load_config
from wasabi import msg


def pretrain_cli(
    ctx: typer.Context,
    config_path: Path = Arg(..., help="Training config with an ssvae_textcat", exists=True),
    output: Path = Opt(..., "--output", "-o", help="Folder for model-best, model-last"),
    code: Path | None = Opt(None, "--code", "-c", help="Python file with registered functions"),
    gpu_id: int = Opt(-1, "--gpu-id", "-g", help="GPU, or -1 for CPU"),
    resume: bool = Opt(False, "--resume", help="Go on with the run in the output folder"),
    overwrite: bool = Opt(False, "--overwrite", help="Delete a run in the output folder"),
) -> None:
    """Train a language model on the raw corpus; --paths.language_model starts a classifier with it.

    Settings of the config are overridden as in `spacy train`: --semivae.pretraining.max_epochs 3.
    """
    try:
        overrides = parse_config_overrides(ctx.args)
        import_code(code)
        from ..training.pretrain_run import check_folder, pretrain

        check_folder(output, resume=resume, overwrite=overwrite)
        setup_gpu(gpu_id)
        pretrain(
            load_config(config_path, overrides=overrides, interpolate=False),
            output,
            resume=resume,
            overwrite=overwrite,
            use_gpu=gpu_id,
            stdout=sys.stdout,
            stderr=sys.stderr,
        )
    except click.NoSuchOption as error:
        msg.fail(error.message, "Settings of the config are overridden by --section.name", exits=1)
    except (ValueError, OSError, FloatingPointError) as error:
        msg.fail("Pretraining stopped", str(error), exits=1)
