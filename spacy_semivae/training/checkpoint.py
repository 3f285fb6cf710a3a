"""The state of an optimizer, under names that another process knows its parameters by."""

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
