"""Read the result files of the benchmarks."""

from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Any

import srsly

RESULTS = Path(__file__).parent / "results"
SHARED = ("max_steps", "eval_frequency", "patience", "use_averages", "seed", "entity_ratio_target")


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
        name = path.stem.removeprefix("probe-").split(f"-{probe['corpus']}-")[0]
        cells = [f"{probe['corpus']} {probe['row']}", name, describe(probe["settings"])]
        cells += [f"{100 * probe['dev']:.2f}", str(probe["best_step"])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def describe(settings: dict[str, Any]) -> str:
    """List the settings of a probe that are numbers, but for those that all have."""
    short = {
        key.split(".", 2)[2] if key.startswith("components.") else key: value
        for key, value in settings.items()
    }
    numbers = {k: v for k, v in short.items() if isinstance(v, int | float)}
    return ", ".join(f"{k} {v:g}" for k, v in numbers.items() if k.split(".")[-1] not in SHARED)
