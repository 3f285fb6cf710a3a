"""Says when an entity recognizer that learns without full annotation goes wrong."""

import warnings
from collections.abc import Mapping

PATIENCE = 100  # updates that a collapse lasts before it is reported
COLLAPSED = (0.02, 0.999)  # decoded shares of O beyond which nothing is told apart
UNTAUGHT = 50  # updates in which nothing teaches O before this is reported


class CollapseWatch:
    """Counts updates in which O has won or lost everything, or in which nothing teaches it.

    name (str): The component's name, for messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.collapsed = 0  # updates in a row
        self.untaught = 0  # updates
        self.taught = False  # whether a token was ever annotated as O

    def note(
        self,
        step: int,
        *,
        entities: bool,
        outside: bool,
        shares: Mapping[str, float],
        weights: Mapping[str, float],
    ) -> None:
        """Take note of an update; each of the two warnings is given once in a row.

        step (int): The update's number.
        entities (bool): Whether a token is annotated as an entity's.
        outside (bool): Whether a token is annotated as O.
        shares (Mapping[str, float]): Shares of O in Docs without full annotation, `expected` and
            `decoded`; empty where there is no such Doc.
        weights (Mapping[str, float]): Weights of the loss terms.
        """
        self.taught |= outside
        if not shares:
            return
        low, high = COLLAPSED
        self.collapsed = self.collapsed + 1 if not low < shares["decoded"] < high else 0
        if self.collapsed == PATIENCE:
            self._warn(step, collapse(shares["decoded"]), shares, weights)
        if self.taught or not entities or weights["kl"] > 0 or weights["entity_ratio"] > 0:
            return
        self.untaught += 1
        if self.untaught == UNTAUGHT:
            what = (
                f"in {UNTAUGHT} updates no token was annotated as O, and neither the KL nor "
                "entity_ratio has a weight, so that O cannot be learned: raise beta and alpha, or "
                "set entity_ratio"
            )
            self._warn(step, what, shares, weights)

    def _warn(
        self, step: int, what: str, shares: Mapping[str, float], weights: Mapping[str, float]
    ) -> None:
        warnings.warn(
            f"Component '{self.name}', step {step}: {what} (in Docs without full annotation: "
            f"expected share of O {shares['expected']:.3f}, decoded {shares['decoded']:.3f}, KL "
            f"weight {weights['kl']:.4g}, entity_ratio {weights['entity_ratio']:.4g})",
            stacklevel=2,
        )


def collapse(decoded: float) -> str:
    """Describe a collapse.

    decoded (float): The share of O of the best paths.
    RETURNS (str): What happened and what to do.
    """
    what, advice = "O everywhere", "lower beta or entity_ratio_target"
    if decoded < 0.5:
        what = "entities nearly everywhere"
        advice = "raise beta, or set entity_ratio, so that O is learned without annotation"
    return f"for {PATIENCE} updates the best paths have been {what}: {advice}"
