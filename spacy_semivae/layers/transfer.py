"""The way of a batch to the module's device."""

from dataclasses import replace
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ..modules.units import Units


def send(values: NDArray[Any] | Tensor, device: torch.device) -> Tensor:
    """Bring values to a device; a GPU fetches them while it computes something else.

    values (ndarray | Tensor): On the CPU.
    device (torch.device): Where they are wanted.
    RETURNS (Tensor): The values there; on the CPU they share their memory.
    """
    found = torch.as_tensor(values)
    if device.type != "cuda":
        return found.to(device)
    return found.pin_memory().to(device, non_blocking=True)


def send_units(units: Units, device: torch.device) -> Units:
    """Bring a layout to a device.

    units (Units): The layout, on the CPU.
    device (torch.device): Where it is wanted.
    RETURNS (Units): The layout there.
    """
    return replace(
        units,
        lengths=send(units.lengths, device),
        docs=send(units.docs, device),
        positions=send(units.positions, device),
        kinds=None if units.kinds is None else send(units.kinds, device),
    )
