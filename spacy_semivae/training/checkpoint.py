"""What a run needs to go on: the optimizer's state, and folders that are replaced as a whole."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import srsly
from safetensors.numpy import load_file, save
from thinc.api import Optimizer, get_current_ops

MOMENTS, UPDATES = "optimizer.safetensors", "optimizer.json"


def replace_folder(path: Path, write: Callable[[Path], None]) -> None:
    """Write a folder beside its old state and let it take the old one's place.

    path (Path): The folder; its parent exists.
    write (Callable): Fills a new, empty folder.
    """
    new, old = (path.with_name(f".{path.name}.{state}") for state in ("new", "old"))
    restore_folder(path)
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    write(new)
    if path.exists():
        path.rename(old)
    new.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def restore_folder(path: Path) -> None:
    """Take back the old state of a folder whose replacement was cut off between two renames.

    path (Path): The folder.
    """
    old = path.with_name(f".{path.name}.old")
    if old.exists() and not path.exists():
        old.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def save_optimizer(optimizer: Optimizer, owner: int, folder: Path) -> None:
    """Write the moments and counts of one model's parameters.

    optimizer (Optimizer): The optimizer, without averages.
    owner (int): The id of the model or shim.
    folder (Path): An existing folder.
    """
    moments = {}
    for kind in ("mom1", "mom2"):
        for (found, name), array in getattr(optimizer, kind).items():
            if found == owner:
                moments[f"{kind}.{name}"] = get_current_ops().to_numpy(array)
    (folder / MOMENTS).write_bytes(save(moments))
    counts = {name: n for (found, name), n in optimizer.nr_update.items() if found == owner}
    srsly.write_json(folder / UPDATES, counts)


def load_optimizer(optimizer: Optimizer, owner: int, folder: Path, *, steps: int) -> None:
    """Bring a new optimizer to the state that `save_optimizer` wrote.

    optimizer (Optimizer): The optimizer, changed in place.
    owner (int): The id of the model or shim.
    folder (Path): The folder.
    steps (int): How often its schedules went on.
    """
    ops = get_current_ops()
    for key, array in load_file(folder / MOMENTS).items():
        kind, name = key.split(".", 1)
        getattr(optimizer, kind)[owner, name] = ops.asarray(array.copy())  # type: ignore[call-overload]
    counts: Any = srsly.read_json(folder / UPDATES)
    optimizer.nr_update.update({(owner, name): n for name, n in counts.items()})
    for _ in range(steps):
        optimizer.step_schedules()
