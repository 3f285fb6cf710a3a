"""Numbered checkpoints: each is written whole, checked before it is read, the last few stay."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..layers.loading import file_checksum
from .files import replace_folder

MANIFEST = "manifest.json"
FORMAT = "spacy_semivae checkpoint 1"


def save_snapshot(folder: Path, step: int, write: Callable[[Path], None], *, keep: int) -> Path:
    """Write a checkpoint and remove those that are no longer kept.

    folder (Path): The folder of the checkpoints.
    step (int): The step that it belongs to.
    write (Callable): Fills an empty folder.
    keep (int): Checkpoints that stay.
    RETURNS (Path): The checkpoint.
    RAISES (OSError): When the disk does not take it; earlier checkpoints stay.
    """

    def write_all(path: Path) -> None:
        write(path)
        text = json.dumps({"format": FORMAT, "files": list_files(path)}, indent=2)
        (path / MANIFEST).write_text(text, encoding="utf8")

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:08d}"
    replace_folder(path, write_all)
    for old in list_snapshots(folder)[keep:]:
        hidden = old.with_name(f".{old.name}.old")  # half a checkpoint is never seen
        shutil.rmtree(hidden, ignore_errors=True)
        old.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)
    return path


def list_snapshots(folder: Path) -> list[Path]:
    """List the checkpoints of a run.

    folder (Path): The folder of the checkpoints, which need not exist.
    RETURNS (list[Path]): The checkpoints, the last one first.
    """
    return sorted(folder.glob("step-*"), reverse=True)


def find_snapshot(folder: Path) -> tuple[Path | None, list[str]]:
    """Find the last checkpoint that is whole.

    folder (Path): The folder of the checkpoints.
    RETURNS (tuple[Path | None, list[str]]): The checkpoint, and what is wrong with later ones.
    """
    damages = []
    for path in list_snapshots(folder):
        try:
            check_snapshot(path)
        except (OSError, ValueError) as error:
            damages.append(str(error))
        else:
            return path, damages
    return None, damages


def check_snapshot(path: Path) -> None:
    """Compare a checkpoint with what was written.

    path (Path): The checkpoint.
    RAISES (ValueError): When it was written by something else, or a file is missing or another.
    RAISES (OSError): When a file cannot be read.
    """
    try:
        manifest: Any = json.loads((path / MANIFEST).read_text(encoding="utf8"))
        files = manifest["files"] if manifest["format"] == FORMAT else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} has no readable {MANIFEST} ({error})") from error
    if not isinstance(files, dict):
        raise ValueError(f"{path / MANIFEST} is not that of a {FORMAT}: {manifest['format']!r}")
    found = list_files(path)
    for name in sorted({*files, *found} - {MANIFEST}):
        if files.get(name) != found.get(name):
            state = "is missing" if name not in found else "is not what was written"
            raise ValueError(f"{path / name} {state}")


def list_files(path: Path) -> dict[str, list[Any]]:
    """List size and digest of the files in a folder.

    path (Path): The folder.
    RETURNS (dict[str, list]): By relative name.
    """
    names = sorted(file for file in path.rglob("*") if file.is_file())
    return {
        file.relative_to(path).as_posix(): [file.stat().st_size, file_checksum(file)]
        for file in names
    }
