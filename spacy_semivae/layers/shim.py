"""The bridge between a Thinc model and a PyTorch module.

Thinc's own shim cannot build a module late, applies no parameter averages, lets a module that
had no part in a step drift by momentum and stores weights with torch.save. This one builds the
module once the widths are known, updates parameters together and in place, stores safetensors.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy
import srsly
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from thinc.api import Model, Optimizer, Shim, get_torch_default_device, xp2torch
from torch import Tensor, nn

from .joint_update import is_adam, update_each, update_together
from .loading import check_depth, reading

Build = Callable[..., nn.Module]


class TorchShim(Shim):
    """Own one PyTorch module of a Thinc model.

    build (Callable): A module class or top-level function; called with `cfg` as keywords.
    cfg (dict | None): The settings known before `initialize`.
    """

    def __init__(self, build: Build, cfg: dict[str, Any] | None = None) -> None:
        super().__init__(None, config=cfg)
        self.build = build
        self.version = 0  # counts changes of the weights, for caches of what they computed

    @property
    def module(self) -> nn.Module:
        """The PyTorch module.

        RAISES (ValueError): Before `initialize` or `from_bytes`.
        """
        if self._model is None:
            raise ValueError(
                f"{getattr(self.build, '__name__', self.build)} has no weights yet: "
                "call nlp.initialize() or load a trained pipeline"
            )
        return self._model

    @property
    def device(self) -> torch.device:
        """Where the module's parameters live."""
        return next(self.module.parameters()).device

    def initialize(self, **dims: Any) -> nn.Module:
        """Build the module with new weights.

        dims (Any): The settings known only now, such as widths.
        RETURNS (nn.Module): The module.
        """
        self.cfg.update(dims)
        self._model = self.build(**self.cfg).to(get_torch_default_device())
        self.version += 1
        return self._model

    def renew_id(self) -> None:
        """Take a new id: an optimizer's moments do not fit parameters of new shapes."""
        self.id = Shim(None).id

    def gradients(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Iterate over the parameters that the last backward pass reached.

        YIELDS (tuple[str, nn.Parameter]): Name and parameter.
        """
        if self._model is not None:
            for name, param in self._model.named_parameters():
                if param.grad is not None:
                    yield name, param

    def finish_update(self, optimizer: Optimizer) -> None:
        """Update in place the parameters that had a part in the step, and only those.

        optimizer (Optimizer): Thinc's optimizer; its state is kept by (shim id, name).
        """
        params = {(self.id, name): param for name, param in self.gradients()}
        if is_adam(optimizer):
            update_together(optimizer, params)
        else:
            update_each(optimizer, params)
        for param in params.values():
            # None, not zeros: a zero gradient would still move the weights by momentum
            param.grad = None
        self.version += bool(params)

    @contextmanager
    def use_params(self, params: dict[tuple[int, str], Any]) -> Iterator[None]:
        """Swap in parameter averages for the length of a with block.

        params (dict): Arrays by (shim id, parameter name), as an optimizer's `averages`.
        """
        owned = dict(self._model.named_parameters()) if self._model is not None else {}
        found = {name: params[(self.id, name)] for name in owned if (self.id, name) in params}
        backup = {name: owned[name].data.clone() for name in found}
        try:
            for name, array in found.items():
                owned[name].data.copy_(xp2torch(array).reshape(owned[name].shape))
            self.version += bool(found)
            yield
        finally:
            for name, weights in backup.items():
                owned[name].data.copy_(weights)
            self.version += bool(found)

    def to_device(self, device_type: str, device_id: int) -> None:
        """Move the module.

        device_type (str): "cpu" or "gpu".
        device_id (int): The GPU's number.
        """
        device = "cpu" if device_type == "cpu" else f"cuda:{device_id}"
        if self._model is not None:
            self._model.to(device)
        self.version += 1

    def to_bytes(self) -> bytes:
        """Serialize settings and weights.

        RETURNS (bytes): Msgpack holding safetensors; no pickle.
        """
        state = b""
        if self._model is not None:
            tensors = distinct_tensors(self._model).items()
            state = save_safetensors({name: t.detach().cpu().contiguous() for name, t in tensors})
        return srsly.msgpack_dumps({"cfg": self.cfg, "state": state})

    def from_bytes(self, data: bytes) -> "TorchShim":
        """Build the module that was saved and load its weights.

        data (bytes): What `to_bytes` gave.
        RETURNS (TorchShim): This shim.
        RAISES (ValueError): When the weights do not fit the settings.
        """
        with reading(f"The module {getattr(self.build, '__name__', self.build)}"):
            message = srsly.msgpack_loads(data)
            self.cfg, self._model = dict(message["cfg"]), None
            if message["state"]:
                self.load_state(load_safetensors(bytes(message["state"])))
        return self

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Build the module of the settings and give it weights; no random number is drawn.

        state (dict[str, Tensor]): The weights by name, those that are tied under one name.
        RAISES (ValueError): When they do not fit the settings.
        """
        check_depth(self.cfg, len(state))
        # drawn only to be replaced: a run that loads goes on as one that did not
        with torch.random.fork_rng(devices=[]):
            with torch.device("meta"):  # takes no memory, whatever size the settings ask for
                expected = list_shapes(self.build(**self.cfg))
            found = {name: tuple(tensor.shape) for name, tensor in state.items()}
            if found != expected:
                wrong = sorted(k for k, _ in found.items() ^ expected.items())
                raise ValueError(f"The saved weights do not fit the model: {sorted(set(wrong))}")
            self.initialize().load_state_dict(state, strict=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> "TorchShim":
        # a copy has an id of its own, or both would share the optimizer's moments
        other = TorchShim(self.build, copy.deepcopy(self.cfg))
        other._model = copy.deepcopy(self._model, memo)
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        return (restore_shim, (self.build, self.to_bytes()))


def restore_shim(build: Build, data: bytes) -> TorchShim:
    """Rebuild a shim in another process.

    build (Callable): Builds the module.
    data (bytes): What `TorchShim.to_bytes` gave.
    RETURNS (TorchShim): A shim with an id of its own.
    """
    return TorchShim(build).from_bytes(data)


def resize(model: Model, nO: int) -> None:
    """Add classes to an initialized model whose first shim holds its module.

    model (Model): The model.
    nO (int): Classes wanted.
    """
    shim: Any = model.shims[0]
    model.set_dim("nO", nO, force=True)
    shim.module.resize(nO)
    shim.cfg["nO"] = nO
    shim.version += 1
    shim.renew_id()


def distinct_tensors(module: nn.Module) -> dict[str, Tensor]:
    """List a module's tensors, those that share memory (tied weights) under one name.

    module (nn.Module): The module.
    RETURNS (dict[str, Tensor]): Parameters and buffers by name.
    """
    found: dict[Any, tuple[str, Tensor]] = {}
    for name, tensor in module.state_dict().items():
        found.setdefault(tensor.data_ptr() if tensor.numel() else name, (name, tensor))
    return dict(found.values())


def list_shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """List the shapes of a module's tensors, those that are tied under one name.

    module (nn.Module): The module, which may be one without memory.
    RETURNS (dict[str, tuple]): Shapes by name.
    """
    found: dict[int, tuple[str, tuple[int, ...]]] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        found.setdefault(id(tensor), (name, tuple(tensor.shape)))
    return dict(found.values())


def clip_gradients(model: Model, max_norm: float) -> float:
    """Scale all gradients of a model, Thinc's and PyTorch's, by their joint norm.

    model (Model): The model, with gradients of one update.
    max_norm (float): The norm wanted at most; 0 only measures.
    RETURNS (float): The norm before clipping.
    RAISES (FloatingPointError): When a gradient is not finite, naming the parameter.
    """
    arrays, tensors = collect_gradients(model)
    squares = [float(model.ops.xp.square(g).sum()) for g in arrays.values()]
    if tensors:
        norms = torch._foreach_norm(list(tensors.values()))
        squares.append(float(torch.stack(norms).square().sum()))
    norm = sum(squares) ** 0.5
    if not numpy.isfinite(norm):
        raise FloatingPointError(f"The gradient of {find_bad(arrays, tensors)!r} is not finite")
    if max_norm and norm > max_norm:
        for gradient in arrays.values():
            gradient *= max_norm / norm
        if tensors:
            torch._foreach_mul_(list(tensors.values()), max_norm / norm)
    return norm


def collect_gradients(model: Model) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Find every gradient below a model.

    model (Model): The model.
    RETURNS (tuple): Thinc's arrays and PyTorch's tensors by name; both are live, not copies.
    """
    arrays, tensors = {}, {}
    for node in model.walk():
        for name in node.grad_names:
            if node.has_grad(name):
                arrays[f"{node.name}.{name}"] = node.get_grad(name)
        for shim in node.shims:
            module = getattr(shim, "_model", None)
            for name, param in module.named_parameters() if isinstance(module, nn.Module) else ():
                if param.grad is not None:
                    tensors[f"{node.name}.{name}"] = param.grad
    return arrays, tensors


def find_bad(arrays: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """Name the first gradient that holds a NaN or an infinity.

    arrays (dict): Thinc's gradients.
    tensors (dict): PyTorch's gradients.
    RETURNS (str): Its name.
    """
    bad = [name for name, g in arrays.items() if not bool(numpy.isfinite(g).all())]
    bad += [name for name, g in tensors.items() if not bool(torch.isfinite(g).all())]
    return bad[0] if bad else "the sum of squares"
