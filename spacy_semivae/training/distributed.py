"""Data-parallel training: every process has the whole pipeline and its part of each stream.

Processes are started by torchrun. All read the same streams in the same order and take batches in
turn; the mean of their gradients is what one process would have from the joined batch where each
of them counts alike. Weights are never sent: the same updates keep them the same.
"""

import os
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy
import torch
import torch.distributed as dist
from spacy.language import Language
from thinc.api import Model, torch2xp, xp2torch
from thinc.types import FloatsXd
from torch import Tensor, nn

ItemT = TypeVar("ItemT")
Evaluate = Callable[[], tuple[float, dict[str, Any]]]


@dataclass(frozen=True)
class Group:
    """The processes of a run.

    rank (int): The number of this one; 0 saves, evaluates and writes.
    size (int): How many there are.
    """

    rank: int = 0
    size: int = 1

    def share(self, items: Iterable[ItemT]) -> Iterator[ItemT]:
        """Take every item whose turn it is; what is left over at the end is dropped.

        items (Iterable): The same in each process.
        YIELDS (Any): The items of this process.
        """
        for turn in zip(*[iter(items)] * self.size):
            yield turn[self.rank]

    def agree(self, flag: bool) -> bool:
        """Tell whether a flag is set in any process.

        flag (bool): Whether it is set in this one.
        RETURNS (bool): The same in all.
        """
        if self.size == 1:
            return flag
        flags = torch.tensor(float(flag), device=device())
        dist.all_reduce(flags)
        return bool(flags > 0)

    def evaluate(self, evaluate: Evaluate) -> tuple[float, dict[str, Any]]:
        """Evaluate in the first process alone.

        evaluate (Callable): Gives main score and all scores.
        RETURNS (tuple[float, dict]): The main score, the same in all, and all scores in the first.
        """
        score, scores = evaluate() if self.rank == 0 else (0.0, {})
        if self.size == 1:
            return score, scores
        shared = torch.tensor(score, dtype=torch.float64, device=device())
        dist.broadcast(shared, 0)
        return float(shared), scores

    def average(self, nlp: Language) -> None:
        """Replace every gradient by the mean over processes.

        A parameter that had a part in the step in one of them gets one in all.

        nlp (Language): The pipeline.
        """
        if self.size == 1:
            return
        owners = list(gradient_owners(nlp))
        taken = torch.tensor([float(owner.get() is not None) for owner in owners], device=device())
        dist.all_reduce(taken)
        owners = [owner for owner, n in zip(owners, taken.tolist()) if n]
        if not owners:
            return
        grads = [owner.get() for owner in owners]
        parts = [o.zeros() if g is None else g.detach().float() for o, g in zip(owners, grads)]
        joined = torch.cat([part.flatten() for part in parts])
        dist.all_reduce(joined)
        joined /= self.size
        for owner, part in zip(owners, joined.split([part.numel() for part in parts])):
            owner.set(part)

    def align(self, nlp: Language, seed: int, step: int) -> None:
        """Start anew from what a checkpoint of the first process holds.

        Statistics become those of the first process. Noise is again its own in each, and the same
        in a run that is resumed here.

        nlp (Language): The pipeline.
        seed (int): The run's seed.
        step (int): The step.
        """
        if self.size == 1:
            return
        for module in modules(nlp):
            for buffer in module.buffers():
                dist.broadcast(buffer, 0)
        noise = random.Random(f"{seed}/{step}/{self.rank}").getrandbits(32)
        torch.manual_seed(noise)
        numpy.random.seed(noise)


ALONE = Group()


def join_group(*, gpu: bool = False) -> Group:
    """Join the processes that torchrun started.

    gpu (bool): Whether each has a GPU.
    RETURNS (Group): The group; this process alone where torchrun did not start it.
    """
    size = int(os.environ.get("WORLD_SIZE", 1))
    if size == 1:
        return ALONE
    if not dist.is_initialized():
        dist.init_process_group("nccl" if gpu else "gloo")
    return Group(dist.get_rank(), size)


def local_rank() -> int:
    """Give the number of this process on its machine, which is also that of its GPU.

    RETURNS (int): 0 where torchrun did not start it.
    """
    return int(os.environ.get("LOCAL_RANK", 0))


def device() -> torch.device:
    """RETURNS (device): Where tensors are that processes send each other."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")


class TorchOwner:
    """The gradient of a PyTorch parameter.

    param (Parameter): The parameter.
    """

    def __init__(self, param: nn.Parameter) -> None:
        self.param = param

    def get(self) -> Tensor | None:
        """RETURNS (Tensor | None): The gradient."""
        return self.param.grad

    def zeros(self) -> Tensor:
        """RETURNS (Tensor): A gradient of nothing."""
        return torch.zeros_like(self.param, dtype=torch.float32)

    def set(self, values: Tensor) -> None:
        """values (Tensor): The gradient, flat."""
        self.param.grad = values.view_as(self.param).to(self.param.dtype)


class ThincOwner:
    """The gradient of a Thinc parameter.

    node (Model): The layer.
    name (str): The parameter.
    """

    def __init__(self, node: Model, name: str) -> None:
        self.node = node
        self.name = name

    def get(self) -> Tensor | None:
        """RETURNS (Tensor | None): The gradient."""
        if not self.node.has_grad(self.name):
            return None
        return xp2torch(self.node.get_grad(self.name))

    def zeros(self) -> Tensor:
        """RETURNS (Tensor): A gradient of nothing."""
        return torch.zeros_like(xp2torch(self.node.get_param(self.name)))

    def set(self, values: Tensor) -> None:
        """values (Tensor): The gradient, flat."""
        shape = self.node.get_param(self.name).shape
        self.node.set_grad(self.name, cast(FloatsXd, torch2xp(values.reshape(shape))))


def gradient_owners(nlp: Language) -> Iterator[TorchOwner | ThincOwner]:
    """List what may have a gradient, in the same order in every process.

    nlp (Language): The pipeline.
    YIELDS (TorchOwner | ThincOwner): The owners.
    """
    for node in layers(nlp):
        yield from (ThincOwner(node, name) for name in node.param_names if node.has_param(name))
    for module in modules(nlp):
        yield from (TorchOwner(param) for param in module.parameters() if param.requires_grad)


def layers(nlp: Language) -> Iterator[Model]:
    """List the layers of all components.

    nlp (Language): The pipeline.
    YIELDS (Model): The layers.
    """
    for _, pipe in nlp.components:
        model = getattr(pipe, "model", None)
        yield from model.walk() if isinstance(model, Model) else ()


def modules(nlp: Language) -> Iterator[nn.Module]:
    """List the PyTorch modules of all components.

    nlp (Language): The pipeline.
    YIELDS (Module): The modules.
    """
    found = (getattr(shim, "_model", None) for node in layers(nlp) for shim in node.shims)
    yield from (module for module in found if isinstance(module, nn.Module))
