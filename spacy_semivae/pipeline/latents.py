"""What the latent of a text carries: active units, and when its posterior has collapsed."""

import warnings
from collections.abc import Sequence

ACTIVE = 0.01  # nats a text from which on a unit counts as active
COLLAPSED = 0.1  # nats a text, of all units together, below which nothing is carried
MATURE = 0.5  # weight of the KL from which on this is a collapse, not the start of a schedule
PATIENCE = 100  # updates that a collapse lasts before it is reported


def summarize_units(unit_kl: Sequence[float]) -> dict[str, float]:
    """Describe the KL of each unit.

    unit_kl (Sequence[float]): Nats a text of each unit.
    RETURNS (dict[str, float]): `active_units`, those above `ACTIVE`, and `largest_unit_kl`.
    """
    active = sum(kl > ACTIVE for kl in unit_kl)
    return {"active_units": float(active), "largest_unit_kl": max(unit_kl)}


class LatentWatch:
    """Counts updates in which the posterior of the latent is all but its prior.

    name (str): The component's name, for messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.collapsed = 0  # updates in a row

    def note(self, step: int, unit_kl: Sequence[float], kl_weight: float) -> None:
        """Take note of an update; the warning is given once in a row.

        step (int): The update's number.
        unit_kl (Sequence[float]): Nats a text of each unit.
        kl_weight (float): The weight of the KL.
        """
        whole = sum(unit_kl)
        self.collapsed = self.collapsed + 1 if whole < COLLAPSED and kl_weight >= MATURE else 0
        if self.collapsed == PATIENCE:
            warnings.warn(
                f"Component '{self.name}', step {step}: for {PATIENCE} updates the KL of the "
                f"latent has been below {COLLAPSED} nats a text (now {whole:.3g}, KL weight "
                f"{kl_weight:.4g}): the decoder makes no use of it; lengthen the schedule of "
                "kl_weight, raise word_dropout, or make the decoder smaller",
                stacklevel=2,
            )
