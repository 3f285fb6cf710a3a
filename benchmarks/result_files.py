"""Read the result files of the benchmarks."""

from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Any

import srsly

RESULTS = Path(__file__).parent / "results"
# settings that all probes have or that the row's name tells
SHARED = {"max_steps", "eval_frequency", "patience", "size", "use_averages", "seed"}
SHARED |= {"entity_ratio_target", "decoder", "marginal", "language_model"}


def read_results(corpus: str) -> dict[str, list[dict[str, Any]]]:
    """Read the finished runs of a corpus by row."""
    found = defaultdict(list)
    for path in sorted(RESULTS.glob(f"{corpus}-*.json")):
        result = srsly.read_json(path)
        found[result["row"]].append(result)
    return found


def make_probe_table(corpora: Collection[str]) -> str:
    """Make the table of probes on dev: what differs from the row, and the score.

    corpora (Collection[str]): Names of corpora.
    RETURNS (str): The table.
    """
    lines = ["| row | probe | settings | dev | update |", "|---|---|---|--:|--:|"]
    for path in sorted(RESULTS.glob("probe-*.json")):
        probe = srsly.read_json(path)
        if probe["corpus"] not in corpora:
            continue
        name = path.stem.removeprefix("probe-").rsplit(f"-{probe['corpus']}-{probe['row']}-", 1)[0]
        cells = [f"{probe['corpus']} {probe['row']}", name, describe(probe["settings"])]
        cells += [f"{100 * probe['dev']:.2f}", str(probe["best_step"])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def describe(settings: dict[str, Any]) -> str:
    """List the settings of a probe that are numbers or names, but for `SHARED` ones."""
    found = []
    for key, value in settings.items():
        short = key.split(".", 2)[2] if key.startswith("components.") else key
        if short.split(".")[-1] not in SHARED and isinstance(value, int | float | str):
            found.append(f"{short} {value if isinstance(value, str) else format(value, 'g')}")
    return ", ".join(found)
