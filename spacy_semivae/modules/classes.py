"""What every module does with its classes: room for more, their prior, help for rare ones."""

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Balance:
    """What helps rare classes in training; prediction knows nothing of it."""

    weights: Tensor | None = None  # of each class in the supervised loss, (C,)
    shift: Tensor | None = None  # what is added to every score of a class, (C,)

    def adjust(self, scores: Tensor) -> Tensor:
        """Give the scores that training uses.

        scores (Tensor): Scores of the classes, (..., C).
        RETURNS (Tensor): The shifted scores, (..., C).
        """
        return scores if self.shift is None else scores + self.shift


UNBALANCED = Balance()


def enlarge(values: Tensor, size: int, *, square: bool = False) -> Tensor:
    """Add rows of zeros, and columns too.

    values (Tensor): The values, (rows, ...).
    size (int): Rows wanted.
    square (bool): Whether there are to be as many columns.
    RETURNS (Tensor): The larger values, without gradient.
    """
    shape = (size, size) if square else (size, *values.shape[1:])
    larger = values.detach().new_zeros(shape)
    larger[tuple(slice(n) for n in values.shape)] = values.detach()
    return larger


def enlarge_linear(old: nn.Linear, size: int) -> nn.Linear:
    """Add outputs; the old ones keep their weights, new ones start at zero.

    old (nn.Linear): The layer, not changed.
    size (int): Outputs wanted, at least as many as now.
    RETURNS (nn.Linear): The larger layer.
    """
    new = nn.Linear(old.in_features, size).to(old.weight)
    new.weight = nn.Parameter(enlarge(old.weight, size))
    new.bias = nn.Parameter(enlarge(old.bias, size))
    return new


def log_prior(prior: Tensor) -> Tensor:
    """Give the logarithms of a prior.

    prior (Tensor): Probabilities, (C,).
    RETURNS (Tensor): Their logarithms, (C,).
    RAISES (ValueError): For an entry that is not positive.
    """
    if not bool((prior > 0).all()):
        raise ValueError(f"every entry of the prior must be positive, but got {prior.tolist()}")
    return prior.log()
