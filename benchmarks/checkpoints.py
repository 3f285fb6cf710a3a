"""What checkpoints cost, as a share of training at the default interval.

    OMP_NUM_THREADS=1 python benchmarks/checkpoints.py              # the demo corpus
    python benchmarks/checkpoints.py --paths.vectors corpus/twitter/vectors

Each component is trained for a few steps as `init-config` sets it up; then checkpoints are written.
Prints JSON lines: medians of a step and of a checkpoint, its size, and the share of time that a
checkpoint every `checkpoint_every` steps takes. Exits 1 above 5 %.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median
from timeit import default_timer as timer
from typing import Any

import srsly
from spacy.cli._util import parse_config_overrides
from spacy.schemas import ConfigSchemaTraining
from spacy.util import load_config_from_str, registry

from spacy_semivae.training.initialize import initialize_nlp
from spacy_semivae.training.resume import save_checkpoint
from spacy_semivae.training.run import create_session
from spacy_semivae.training.template import COMPONENTS, make_config

DEMO = Path(__file__).parent.parent / "assets" / "demo"
BAR = 0.05


def measure(component: str, steps: int, rounds: int, overrides: dict[str, Any]) -> dict[str, Any]:
    """Time steps and checkpoints of one component.

    component (str): The factory.
    steps (int): Steps of training.
    rounds (int): Checkpoints.
    overrides (dict): Settings of the config by dotted name.
    RETURNS (dict[str, Any]): A row.
    """
    paths = {
        "paths.train": str(DEMO / "train.spacy"),
        "paths.dev": str(DEMO / "dev.spacy"),
        "paths.unlabeled": str(DEMO / "unlabeled.txt"),
        "training.eval_frequency": steps + 1,
        "training.max_steps": steps + 1,
    }
    text = make_config([component], lang="en", vectors=overrides.get("paths.vectors"))
    config = load_config_from_str(text, overrides={**paths, **overrides}, interpolate=False)
    nlp, settings = initialize_nlp(config)
    whole = nlp.config.interpolate()
    T = registry.resolve(whole["training"], schema=ConfigSchemaTraining)
    session, updates = create_session(nlp, T, settings, whole)
    taken, written = [], []
    for _ in range(steps):
        start = timer()
        next(updates)
        taken.append(timer() - start)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            start = timer()
            path = save_checkpoint(session, Path(folder), config, keep=1)
            written.append(timer() - start)
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    share = median(written) / (settings.checkpoint_every * median(taken))
    return {
        "component": component,
        "step_ms": round(1000 * median(taken), 1),
        "checkpoint_ms": round(1000 * median(written), 1),
        "checkpoint_mb": round(size / 1e6, 1),
        "every": settings.checkpoint_every,
        "share": round(share, 4),
        "bar": BAR,
        "ok": share <= BAR,
    }


def main() -> None:
    """Measure every component."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="write the rows as JSON lines")
    args, rest = parser.parse_known_args()
    overrides = parse_config_overrides(rest, env_var=None)
    rows = []
    for component in COMPONENTS:
        rows.append(measure(component, args.steps, args.rounds, overrides))
        print(srsly.json_dumps(rows[-1]), flush=True)
    if args.output:
        srsly.write_jsonl(args.output, rows)
    sys.exit(not all(row["ok"] for row in rows))


if __name__ == "__main__":
    main()
