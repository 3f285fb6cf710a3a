"""`spacy semivae train`: a config, labelled and raw corpora in; a trained pipeline out."""

import subprocess
import sys
from collections.abc import Sequence
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
    resume: bool = Opt(False, "--resume", help="Go on with the run in the output folder"),
    num_workers: int = Opt(1, "--num-workers", help="Processes that share the work"),
    allow_config_change: bool = Opt(
        False, "--allow-config-change", help="Resume although the config has changed"
    ),
) -> None:
    """Train a pipeline on labelled and raw text together.

    Settings of the config are overridden as in `spacy train`: --paths.train labeled.spacy.
    """
    if num_workers > 1:
        raise typer.Exit(launch(num_workers, sys.argv))
    try:
        overrides = parse_config_overrides(ctx.args)
        import_code(code)
        result = train(
            config_path,
            output,
            overrides=overrides,
            gpu_id=gpu_id,
            overwrite=overwrite,
            resume=resume,
            allow_config_change=allow_config_change,
        )
    except click.NoSuchOption as error:
        msg.fail(error.message, "Settings of the config are overridden by --section.name", exits=1)
    except (ValueError, OSError, FloatingPointError) as error:
        msg.fail("Training stopped", str(error), exits=1)
    else:
        if "signal" in result:
            raise typer.Exit(128 + result["signal"])


def train(
    config_path: Path,
    output: Path | None,
    *,
    overrides: dict[str, Any],
    gpu_id: int = -1,
    overwrite: bool = False,
    resume: bool = False,
    allow_config_change: bool = False,
) -> dict[str, Any]:
    """Train from a config file.

    config_path (Path): The config.
    output (Path | None): Folder for model-best, model-last and checkpoints.
    overrides (dict): Settings by dotted name.
    gpu_id (int): GPU, or -1 for CPU.
    overwrite (bool): Delete a run in the output folder.
    resume (bool): Go on with the run in the output folder.
    allow_config_change (bool): Go on although the config is another one.
    RETURNS (dict[str, Any]): What `train_nlp` gives.
    RAISES (ValueError): When both or neither run is wanted, or the config has changed.
    """
    from ..training.distributed import local_rank
    from ..training.initialize import initialize_nlp
    from ..training.resume import open_run
    from ..training.run import check_output, train_nlp

    if resume and (overwrite or output is None):
        raise ValueError("--resume goes on with the run of --output, and excludes --overwrite")
    check_output(output, overwrite=overwrite or resume or local_rank() > 0)
    gpu_id = gpu_id if gpu_id < 0 else gpu_id + local_rank()
    setup_gpu(gpu_id, silent=local_rank() > 0)
    config = load_config(config_path, overrides=overrides, interpolate=False)
    checkpoint = None
    if resume and output is not None:
        nlp, settings, checkpoint, notes = open_run(
            config, output, allow_config_change=allow_config_change
        )
        for note in notes:
            msg.warn(note)
    else:
        msg.info("Initializing pipeline")
        nlp, settings = initialize_nlp(config, use_gpu=gpu_id)
    return train_nlp(
        nlp,
        settings,
        output,
        overwrite=overwrite,
        config=config,
        checkpoint=checkpoint,
        stdout=sys.stdout,
        stderr=sys.stderr,
    )


def launch(num_workers: int, args: Sequence[str]) -> int:
    """Run a command in several processes by torchrun.

    num_workers (int): How many.
    args (Sequence[str]): The command line of `train`, with the number of processes.
    RETURNS (int): The exit code.
    """
    rest = list(args[list(args).index("train") :])
    i = next(i for i, arg in enumerate(rest) if arg.startswith("--num-workers"))
    del rest[i : i + (1 if "=" in rest[i] else 2)]
    torchrun = ["torch.distributed.run", "--standalone", f"--nproc-per-node={num_workers}"]
    return subprocess.call([sys.executable, "-m", *torchrun, "-m", "spacy_semivae", *rest])
