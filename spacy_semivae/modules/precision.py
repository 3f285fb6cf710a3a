"""Where autocast may round to half precision, and where it may not.

Under `torch.autocast` the networks and the products over words run in bfloat16. The recursions of a
CRF, sums of probabilities and every loss stay in single precision at least: what a network gives
passes `at_least_float32`, and functions made of products of probabilities run `without_autocast`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
T = TypeVar("T")
DEVICES = ("cpu", "cuda")


def at_least_float32(X: Tensor) -> Tensor:
    """Leave half precision.

    X (Tensor): Any values.
    RETURNS (Tensor): The same in float32 or, where they were, in float64.
    """
    return X.to(torch.promote_types(X.dtype, torch.float32))


@contextmanager
def no_autocast() -> Iterator[None]:
    """Compute in the types that there are, for the length of a with block."""
    found = [device for device in DEVICES if torch.is_autocast_enabled(device)]
    for device in found:
        torch.set_autocast_enabled(device, False)
    try:
        yield
    finally:
        for device in found:
            torch.set_autocast_enabled(device, True)


def without_autocast(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function so that it computes in the types that it is given.

    function (Callable): The function.
    RETURNS (Callable): The same, `torch.autocast` switched off.
    """

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        with no_autocast():
            return function(*args, **kwargs)

    return run
