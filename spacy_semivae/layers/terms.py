"""Named loss terms as the output of a Thinc model: their weights come back as the gradient."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy
import torch
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model, torch2xp, xp2torch
from torch import Tensor

from ..modules.classes import Balance
from ..modules.precision import no_autocast


@dataclass(frozen=True)
class ClassBalance:
    """What helps rare classes in training, one value a class, (C,)."""

    weights: NDArray[numpy.float32] | None = None  # in the supervised loss
    shift: NDArray[numpy.float32] | None = None  # added to every score

    def to(self, device: torch.device) -> Balance:
        """Bring it to a module's device.

        device (torch.device): The device.
        RETURNS (Balance): As tensors.
        """
        found = (self.weights, self.shift)
        return Balance(*[None if x is None else torch.from_numpy(x).to(device) for x in found])


UNBALANCED = ClassBalance()


class HasTerms(Protocol):
    """What a module measures."""

    @property
    def terms(self) -> dict[str, Tensor]:
        """Named scalars, ()."""


ObjectiveT = TypeVar("ObjectiveT", bound=HasTerms)
Backprop = Callable[[dict[str, float]], list[Doc]]


def run_objective(
    model: Model[Any, Any],
    docs: Sequence[Doc],
    is_train: bool,
    compute: Callable[[Tensor], ObjectiveT],
) -> tuple[ObjectiveT, dict[str, float], Backprop]:
    """Encode Docs and measure the loss terms; `backprop` takes the weight of each term.

    model (Model): Its first layer, if any, is the encoder, its first shim holds the module.
    docs (Sequence[Doc]): B Docs of T tokens in all.
    is_train (bool): Keep the graph; else no gradient.
    compute (Callable): Measures the terms from the encoded tokens; without an encoder they are of
        no width, (T, nI).
    RETURNS (tuple): What was measured, the terms' values in nats, and the callback.
    """
    shim: Any = model.shims[0]
    H = torch.zeros((sum(map(len, docs)), 0), device=shim.device)
    if model.layers:
        X, bp_tok2vec = model.layers[0](docs, is_train)
        H = xp2torch(model.ops.flatten(X), requires_grad=is_train, device=shim.device)
    with torch.set_grad_enabled(is_train):
        objective = compute(H)
    values = torch.stack(list(objective.terms.values())).tolist()  # the step's one host copy

    def backprop(weights: dict[str, float]) -> list[Doc]:
        # a term that is zero (no token has it) or has no weight gives no gradient; one of zeros
        # would still move its parameters by momentum
        found = zip(objective.terms.items(), values)
        parts = [weights[name] * term for (name, term), value in found if value and weights[name]]
        if parts:
            with no_autocast():
                torch.stack(parts).sum().backward()
        if not model.layers:
            return []
        dX = torch2xp(torch.zeros_like(H) if H.grad is None else H.grad)
        lengths = model.ops.asarray1i([len(doc) for doc in docs])
        return bp_tok2vec(model.ops.unflatten(dX, lengths))  # type: ignore[call-overload]

    return objective, dict(zip(objective.terms, values)), backprop


def check_finite(terms: dict[str, float]) -> None:
    """Refuse a loss that is not finite.

    terms (dict[str, float]): The loss terms.
    RAISES (FloatingPointError): Naming the first such term.
    """
    for term, value in terms.items():
        if not numpy.isfinite(value):
            advice = "Lower the learning rate or check the vectors for NaN"
            raise FloatingPointError(f"loss term '{term}' is {value}. {advice}")
