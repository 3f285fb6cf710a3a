"""Files and folders that are written whole or not at all."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

TEMPORARY = ".tmp"  # suffix of files that are not whole yet; the name has a dot in front


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file under a temporary name; it takes its place once all of it is on the disk.

    path (Path): The file.
    YIELDS (BinaryIO): The stream; an error leaves the file as it was.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex}{TEMPORARY}")
    try:
        with temporary.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def replace_folder(path: Path, write: Callable[[Path], None]) -> None:
    """Write a folder beside its old state and let it take the old one's place.

    path (Path): The folder; its parent exists.
    write (Callable): Fills a new, empty folder.
    RAISES (OSError): When the disk does not take it; the old state stays.
    """
    new, old = (path.with_name(f".{path.name}.{state}") for state in ("new", "old"))
    restore_folder(path)
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    try:
        write(new)
        sync(new)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    if path.exists():
        path.rename(old)
    new.rename(path)
    sync_folder(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def restore_folder(path: Path) -> None:
    """Take back the old state of a folder whose replacement was cut off between two renames.

    path (Path): The folder.
    """
    old = path.with_name(f".{path.name}.old")
    if old.exists() and not path.exists():
        old.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def sync(folder: Path) -> None:
    """Wait until a folder and all in it are on the disk.

    folder (Path): The folder.
    """
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb+") as file:
                os.fsync(file.fileno())
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk.

    folder (Path): The folder; where the system opens no folders, nothing is done.
    """
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
