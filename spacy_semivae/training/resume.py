"""What a checkpoint of training holds, and how a run goes on from it to the same result.

A checkpoint is a folder: the pipeline with the weights of the step, not their averages, the
optimizer's state, and `state.msgpack` with progress, positions in both streams, random states and
the config.
"""

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy
import spacy
import srsly
import torch
from pydantic import TypeAdapter
from spacy.language import Language
from spacy.util import walk_dict
from thinc.api import Config, Optimizer

from ..layers.loading import reading
from .batches import LabeledBatches, RawBatches
from .checkpoint import load_optimizer, pipeline_keys, save_optimizer
from .distributed import ALONE, Group
from .loop import Progress
from .schema import SemiVAESchema, resolve_semivae
from .snapshots import find_snapshot, list_snapshots, save_snapshot

FOLDER = "checkpoints"
PIPELINE, STATE = "pipeline", "state.msgpack"
TRAINED = ("components", "nlp", "initialize")  # blocks that the checkpoint's pipeline was made by


@dataclass
class Session:
    """All that changes while a run trains."""

    nlp: Language
    optimizer: Optimizer
    labeled: LabeledBatches
    unlabeled: RawBatches | None
    progress: Progress
    group: Group = ALONE


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read."""

    path: Path
    state: dict[str, Any]

    @property
    def config(self) -> Config:
        """The config that the run was started with."""
        with reading(self.path / STATE):
            return Config().from_str(self.state["config"], interpolate=False)


def save_checkpoint(session: Session, output: Path, config: Config, *, keep: int) -> Path:
    """Write a checkpoint between two steps.

    session (Session): The run.
    output (Path): The run's folder.
    config (Config): The config that the run was started with.
    keep (int): Checkpoints that stay.
    RETURNS (Path): The checkpoint.
    RAISES (OSError): When the disk does not take it; names the last one that is whole.
    """
    nlp, folder = session.nlp, output / FOLDER

    def write(path: Path) -> None:
        nlp.to_disk(path / PIPELINE)
        save_optimizer(session.optimizer, pipeline_keys(nlp), path)
        state = {
            "config": config.to_str(interpolate=False),
            "progress": asdict(session.progress),
            "labeled": session.labeled.position,
            "unlabeled": session.unlabeled.position if session.unlabeled else None,
            "random": read_random(),
        }
        srsly.write_msgpack(path / STATE, state)

    try:
        return save_snapshot(folder, session.progress.step, write, keep=keep)
    except OSError as error:
        last = next(iter(list_snapshots(folder)), "none")
        raise OSError(f"Could not write a checkpoint ({error}). Last one: {last}") from error


def restore(session: Session, checkpoint: Checkpoint) -> None:
    """Bring a new run to the state of a checkpoint; to be done last before the first step.

    session (Session): The run, whose pipeline `load_checkpoint` gave; changed in place.
    checkpoint (Checkpoint): The checkpoint.
    RAISES (ValueError): When the corpora are other ones, or the optimizer does not fit.
    """
    state = checkpoint.state
    with reading(checkpoint.path):
        progress = TypeAdapter(Progress).validate_python(state["progress"])
        for name, value in vars(progress).items():
            setattr(session.progress, name, value)
        session.labeled.seek(state["labeled"])
        if session.unlabeled is not None and state["unlabeled"] is not None:
            session.unlabeled.seek(state["unlabeled"])
        keys = pipeline_keys(session.nlp)
        load_optimizer(session.optimizer, keys, checkpoint.path, steps=session.progress.step)
        write_random(state["random"])


def open_run(
    config: Config, output: Path, *, allow_config_change: bool = False
) -> tuple[Language, SemiVAESchema, Checkpoint, list[str]]:
    """Read what a run goes on with: its last whole checkpoint.

    config (Config): The config to go on with, not interpolated.
    output (Path): The run's folder.
    allow_config_change (bool): Go on although the config is another one.
    RETURNS (tuple): The pipeline, its [semivae] settings, the checkpoint, and what a person should
        know: later checkpoints that are damaged, settings that have changed.
    RAISES (ValueError): When there is no whole checkpoint, or the config has changed.
    """
    checkpoint, damages = read_checkpoint(output)
    changes = compare_configs(checkpoint.config, config)
    if changes and not allow_config_change:
        raise ValueError(
            "The config has changed since the checkpoint; --allow-config-change goes on with it:\n"
            + "\n".join(changes)
        )
    notes = [f"A later checkpoint is damaged: {damage}" for damage in damages]
    for change in changes:
        kept = "kept as it was" if is_of_pipeline(change) else "changed"
        notes.append(f"Setting {kept}: {change}")
    nlp = load_pipeline(checkpoint, config)
    return nlp, resolve_semivae(nlp.config.interpolate()), checkpoint, notes


def read_checkpoint(output: Path) -> tuple[Checkpoint, list[str]]:
    """Find the last whole checkpoint of a run.

    output (Path): The run's folder.
    RETURNS (tuple[Checkpoint, list[str]]): The checkpoint, and what is wrong with later ones.
    RAISES (ValueError): When there is none, or it holds something else.
    """
    path, damages = find_snapshot(output / FOLDER)
    if path is None:
        found = f": {'; '.join(damages)}" if damages else ""
        raise ValueError(f"{output} holds no checkpoint to resume from{found}")
    with reading(path / STATE):
        return Checkpoint(path, dict(srsly.read_msgpack(path / STATE))), damages  # type: ignore[call-overload]


def load_pipeline(checkpoint: Checkpoint, config: Config) -> Language:
    """Load the pipeline of a checkpoint.

    checkpoint (Checkpoint): The checkpoint.
    config (Config): The config to go on with: all blocks but those of the pipeline.
    RETURNS (Language): The pipeline.
    """
    nlp = spacy.load(checkpoint.path / PIPELINE)
    if compare_configs(checkpoint.config, config):
        others = {name: block for name, block in config.items() if not is_of_pipeline(name)}
        nlp.config = nlp.config.merge(others)
    return nlp


def is_of_pipeline(name: str) -> bool:
    """Tell whether a setting is one that a trained pipeline was made by.

    name (str): A dotted name.
    RETURNS (bool): Whether it stays as it was when a run is resumed.
    """
    return name.split(".")[0] in TRAINED


def compare_configs(old: Config, new: Config) -> list[str]:
    """List the settings that differ.

    old (Config): The config that a run was started with.
    new (Config): The config that it is to go on with.
    RETURNS (list[str]): A line for each.
    """
    return list_changes(flatten(old), flatten(new))


def list_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """List what differs between two states of something.

    before (Mapping[str, Any]): The entries of old by name.
    now (Mapping[str, Any]): The present ones.
    RETURNS (list[str]): A line for each that differs, in the order of the names.
    """
    return [
        f"{name}: {before.get(name, 'nothing')!r} then, {now.get(name, 'nothing')!r} now"
        for name in sorted({*before, *now})
        if before.get(name, ...) != now.get(name, ...)
    ]


def flatten(nested: dict[str, Any]) -> dict[str, Any]:
    """List entries by dotted name.

    nested (dict): A config, or another dictionary of dictionaries.
    RETURNS (dict[str, Any]): The entries.
    """
    return {".".join(keys): value for keys, value in walk_dict(nested)}


# Random states


def read_random() -> dict[str, Any]:
    """Read the states of all sources of noise.

    RETURNS (dict[str, Any]): Plain data.
    """
    version, words, gauss = random.getstate()
    kind, keys, *rest = numpy.random.get_state(legacy=True)  # a tuple
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "random": [version, list(words), gauss],
        "numpy": [kind, numpy.asarray(keys).tolist(), *rest],
        "torch": torch.get_rng_state().numpy().tobytes(),
        "cuda": [state.numpy().tobytes() for state in cuda],
    }


def write_random(states: dict[str, Any]) -> None:
    """Set all sources of noise.

    states (dict): What `read_random` gave.
    """
    version, words, gauss = states["random"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, *rest = states["numpy"]
    numpy.random.set_state((kind, numpy.array(keys, dtype="uint32"), *rest))
    torch.set_rng_state(to_tensor(states["torch"]))
    if torch.cuda.is_available() and states["cuda"]:
        torch.cuda.set_rng_state_all([to_tensor(state) for state in states["cuda"]])


def to_tensor(data: bytes) -> torch.Tensor:
    """Give bytes as PyTorch takes them for a random state.

    data (bytes): The bytes.
    RETURNS (Tensor): uint8, (bytes,).
    """
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)
