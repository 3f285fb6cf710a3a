"""What a curve's folder was made of: points are reused only where nothing of it has changed."""

import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import srsly
from thinc.api import Config

from ...annotate.manifest import PACKAGES, hash_files
from ...training.files import replacing
from ...training.raw_text import find_files
from ...training.resume import flatten, list_changes
from .configs import corpus_name
from .corpora import FOLDER as CORPORA

POINTS, MANIFEST = "points", "curve.json"
SEEDS = ("system.seed", "training.seed")  # each point has its own


def describe_curve(
    config: Config, *, metric: str, twin: dict[str, Any], test: Path | None, code: Path | None
) -> dict[str, Any]:
    """Describe all that the points depend on, save for their amounts and seeds.

    config (Config): The training config, interpolated.
    metric (str): What is measured.
    twin (dict): Further settings of the supervised twin.
    test (Path | None): Docs that are measured.
    code (Path | None): Python file with registered functions.
    RETURNS (dict[str, Any]): What goes into the manifest, by dotted name.
    RAISES (ValueError): When there is no raw text.
    """
    train, dev, raw = (
        config["corpora"][corpus_name(config, section, key)]["path"]
        for section, key in (
            ("training", "train_corpus"),
            ("training", "dev_corpus"),
            ("semivae", "unlabeled_corpus"),
        )
    )
    if raw is None:
        raise ValueError("a curve needs raw text: set paths.unlabeled")
    read = {"labeled": train, "dev": dev, "test": test, "code": code}
    settings = flatten({"config": config, "twin": twin})
    return {
        **{f"versions.{name}": version(name) for name in PACKAGES},
        **{k: v for k, v in settings.items() if k.removeprefix("config.") not in SEEDS},
        "metric": metric,
        **{name: hash_files(Path(path)) for name, path in read.items() if path is not None},
        **{f"raw.{file}": file.stat().st_size for file in find_files(raw)},
    }


def open_folder(output: Path, manifest: dict[str, Any], *, overwrite: bool) -> None:
    """Make a curve's folder, or go on with the curve in it.

    output (Path): The folder.
    manifest (dict): What the curve is made of now.
    overwrite (bool): Delete the curve in it.
    RAISES (ValueError): When its curve was made of something else; says what.
    """
    path = output / MANIFEST
    if overwrite:
        path.unlink(missing_ok=True)
        for name in (POINTS, CORPORA):
            shutil.rmtree(output / name, ignore_errors=True)
    text = srsly.json_dumps(manifest, indent=2)
    if path.exists():
        changes = list_changes(read_manifest(path), srsly.json_loads(text))
        if changes:
            rule = "holds a curve of which this has changed since (--overwrite starts anew)"
            raise ValueError(f"{output} {rule}: {'; '.join(changes)}")
        return
    output.mkdir(parents=True, exist_ok=True)
    with replacing(path) as stream:
        stream.write(text.encode())


def read_manifest(path: Path) -> dict[str, Any]:
    """Read a manifest.

    path (Path): The file.
    RETURNS (dict[str, Any]): Its entries.
    RAISES (ValueError): When it is damaged.
    """
    try:
        return dict(srsly.read_json(path))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged: --overwrite starts anew ({error})") from error
