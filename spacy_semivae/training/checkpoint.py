"""Folders that are written whole or not at all, and the state of an optimizer."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import srsly
from safetensors.numpy import load_file, save
from spacy.language import Language
from thinc.api import Model, Optimizer, get_current_ops
from torch import nn

from ..layers.loading import reading

MOMENTS, UPDATES = "optimizer.safetensors", "optimizer.json"
ARRAYS = ("mom1", "mom2", "averages")
Key = tuple[int, str]  # how an optimizer knows a parameter: id of the model or shim, name


# Folders


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


# The optimizer


def pipeline_keys(nlp: Language) -> dict[Key, str]:
    """Name the parameters of a pipeline in a way that another process knows them by.

    nlp (Language): The pipeline.
    RETURNS (dict): Names by the optimizer's keys.
    """
    models = {name: getattr(pipe, "model", None) for name, pipe in nlp.components}
    found = [model_keys(m, name) for name, m in models.items() if isinstance(m, Model)]
    return {key: name for keys in found for key, name in keys.items()}


def model_keys(model: Model, name: str) -> dict[Key, str]:
    """Name the parameters of a model by their places in it.

    model (Model): The model.
    name (str): What comes first.
    RETURNS (dict): Names by the optimizer's keys.
    """
    keys = {}
    for i, node in enumerate(model.walk()):
        keys.update({(node.id, param): f"{name}/{i}/{param}" for param in node.param_names})
        for j, shim in enumerate(node.shims):
            module = getattr(shim, "_model", None)
            for param, _ in module.named_parameters() if isinstance(module, nn.Module) else ():
                keys[shim.id, param] = f"{name}/{i}/{j}/{param}"
    return keys


def save_optimizer(optimizer: Optimizer, keys: dict[Key, str], folder: Path) -> None:
    """Write moments, averages and counts of parameters.

    optimizer (Optimizer): The optimizer.
    keys (dict): The parameters' names by the optimizer's keys.
    folder (Path): An existing folder.
    """
    ops = get_current_ops()
    arrays = {
        f"{kind}/{keys[key]}": ops.to_numpy(array)
        for kind in ARRAYS
        for key, array in (getattr(optimizer, kind) or {}).items()
        if key in keys
    }
    (folder / MOMENTS).write_bytes(save(arrays))
    counts = {keys[key]: n for key, n in optimizer.nr_update.items() if key in keys}
    srsly.write_json(folder / UPDATES, counts)


def load_optimizer(optimizer: Optimizer, keys: dict[Key, str], folder: Path, *, steps: int) -> None:
    """Bring a new optimizer to the state that `save_optimizer` wrote.

    optimizer (Optimizer): The optimizer, changed in place.
    keys (dict): The parameters' names by the optimizer's keys.
    folder (Path): The folder.
    steps (int): How often its schedules went on.
    RAISES (ValueError): When it holds a parameter that the pipeline does not have, or averages that
        the optimizer does not keep.
    """
    ops, known = get_current_ops(), {name: key for key, name in keys.items()}
    with reading(folder / UPDATES):
        counts: Any = srsly.read_json(folder / UPDATES)
        optimizer.nr_update.update({known[name]: n for name, n in counts.items()})
    with reading(folder / MOMENTS):
        for name, array in load_file(folder / MOMENTS).items():
            kind, parameter = name.split("/", 1)
            table = getattr(optimizer, kind) if kind in ARRAYS else None
            if table is None or parameter not in known:
                raise ValueError(f"this optimizer does not keep '{name}'")
            table[known[parameter]] = ops.asarray(array.copy())  # type: ignore[call-overload]
    for _ in range(steps):
        optimizer.step_schedules()
