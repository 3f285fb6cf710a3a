"""Adam for all parameters of a module at once, with the numbers of Thinc's optimizer.

Thinc updates one parameter after the other. On a GPU that is a dozen launches for each, and where
`grad_clip` is set, as in spaCy's default config, the host waits for the norm of each.
"""

from collections.abc import Mapping
from typing import Any

import torch
from thinc.api import Optimizer, torch2xp, xp2torch
from torch import Tensor, nn

Key = tuple[int, str]  # how an optimizer knows a parameter: id of the shim, name


def is_adam(optimizer: object) -> bool:
    """Tell whether updates of an optimizer may be made together.

    optimizer (Any): Thinc's optimizer, or a function that takes its place.
    RETURNS (bool): False for RAdam and plain gradient descent as well.
    """
    if not isinstance(optimizer, Optimizer) or optimizer.use_radam:
        return False
    return optimizer.b1 > 0 and optimizer.b2 > 0


@torch.no_grad()
def update_together(optimizer: Optimizer, params: Mapping[Key, nn.Parameter]) -> None:
    """Update parameters in place; their state stays in the optimizer, as Thinc keeps it.

    optimizer (Optimizer): One for which `is_adam` holds.
    params (Mapping[Key, Parameter]): Parameters with gradients, which are overwritten.
    """
    groups: dict[int, dict[Key, nn.Parameter]] = {}  # by the updates that each has had
    for key, param in params.items():
        if param.numel():
            optimizer.nr_update[key] += 1
            groups.setdefault(optimizer.nr_update[key], {})[key] = param
    for count, group in groups.items():
        _update(optimizer, group, count)


def update_each(optimizer: Optimizer, params: Mapping[Key, nn.Parameter]) -> None:
    """Update parameters in place, one after the other.

    optimizer (Optimizer): Any.
    params (Mapping[Key, Parameter]): Parameters with gradients.
    """
    for key, param in params.items():
        found, _ = optimizer(key, torch2xp(param.data), torch2xp(param.grad))  # type: ignore[arg-type]
        updated = xp2torch(found, device=param.device)
        if updated.data_ptr() != param.data_ptr():
            param.data.copy_(updated.reshape(param.shape))


def _update(optimizer: Optimizer, group: Mapping[Key, nn.Parameter], count: int) -> None:
    rate, L2, b1, b2 = optimizer.learn_rate, optimizer.L2, optimizer.b1, optimizer.b2
    weights = [param.data for param in group.values()]
    grads = [param.grad for param in group.values() if param.grad is not None]
    if L2 and not optimizer.L2_is_weight_decay:
        torch._foreach_add_(grads, weights, alpha=L2)
    if optimizer.grad_clip:
        norms = torch.stack(torch._foreach_norm(grads))
        torch._foreach_mul_(grads, (optimizer.grad_clip / norms).clamp(max=1.0).unbind())
    means, squares = (_read(state, group) for state in (optimizer.mom1, optimizer.mom2))
    torch._foreach_mul_(means, b1)
    torch._foreach_add_(means, grads, alpha=1 - b1)
    torch._foreach_mul_(squares, b2)
    torch._foreach_addcmul_(squares, grads, grads, value=1 - b2)
    roots = torch._foreach_sqrt(squares)
    torch._foreach_add_(roots, optimizer.eps)
    fixed = rate * (1 - b2**count) ** 0.5 / (1 - b1**count)
    torch._foreach_addcdiv_(weights, means, roots, value=-fixed)
    if L2 and optimizer.L2_is_weight_decay:
        torch._foreach_mul_(weights, 1 - rate * L2)
    if optimizer.averages is not None:
        decay = min((1 + count) / (10 + count), 0.9999)
        torch._foreach_lerp_(_read(optimizer.averages, group), weights, 1 - decay)


def _read(state: dict[Key, Any], group: Mapping[Key, nn.Parameter]) -> list[Tensor]:
    """RETURNS (list[Tensor]): What an optimizer keeps of parameters, sharing its memory."""
    found = []
    for key, param in group.items():
        if key not in state:
            state[key] = torch2xp(torch.zeros_like(param.data).flatten())
        found.append(xp2torch(state[key], device=param.device).view(param.shape))
    return found
