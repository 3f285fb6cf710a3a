"""How much memory a call holds at most, on the CPU and on a GPU."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the tensors that are made and still held; not what a kernel borrows."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation and count what it made."""
        found = func(*args, **(kwargs or {}))
        inputs = {x.untyped_storage().data_ptr() for x in args if isinstance(x, Tensor)}
        for x in found if isinstance(found, tuple | list) else (found,):
            if isinstance(x, Tensor) and x.untyped_storage().data_ptr() not in inputs:
                self.add(x.untyped_storage())
        return found

    def add(self, storage: Any) -> None:
        """Count a block of memory until it is freed."""
        pointer, size = storage.data_ptr(), storage.nbytes()
        if size and pointer not in self.known:
            self.known.add(pointer)
            self.live += size
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self.remove, pointer, size).atexit = False

    def remove(self, pointer: int, size: int) -> None:
        """Forget a block."""
        self.known.discard(pointer)
        self.live -= size


def peak_bytes(function: Callable[[], Any], device: str) -> int:
    """Measure how much memory a call holds at most, beyond its inputs."""
    if device == "cpu":
        with LiveBytes() as counter:
            function()
        return counter.peak
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    function()
    return torch.cuda.max_memory_allocated() - before
