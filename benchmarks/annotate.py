"""Speed and memory of `semivae annotate` on texts that bring new words all the time.

    python benchmarks/annotate.py --output benchmarks/results/annotate.json
    python benchmarks/annotate.py --quick

Trains a small pipeline, makes texts, and annotates them by the command line with each number of
processes, once with `--ray` too. Prints docs/s with the start of the processes, and the resident
memory of the starting process and of its workers at most, and `growth`: that of all of them in the
second half of the time over that in the first. Exits 1 if outputs differ. Reads /proc, so it runs
on Linux alone.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import spacy
import srsly
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import fix_random_seed, minibatch
from thinc.api import Adam

TEXTS, QUICK = 200_000, 3_000
STEPS = 60
COMMON = 5_000  # words that come back; one word in ten is new
NAMES = {"PER": ["Ann", "Bob", "Lee"], "LOC": ["Rome", "Oslo", "York"]}
ENCODER = {"width": 50, "char_width": 15, "char_hidden": 15, "hidden": 50}
INTERVAL = 0.2  # seconds between looks at the memory
MB = 1024  # kB


def make_texts(n: int, seed: int = 0) -> Iterator[list[str]]:
    """Make texts of 8 to 24 words, some of them names.

    n (int): Texts.
    seed (int): Seed.
    YIELDS (list[str]): Words.
    """
    rng = random.Random(seed)
    common = [f"{rng.choice('bdklmnrst')}{i:x}" for i in range(COMMON)]
    names = [name for group in NAMES.values() for name in group]
    for i in range(n):
        words = [common[int(COMMON * rng.random() ** 3)] for _ in range(rng.randint(8, 24))]
        for k in range(len(words) // 10 + 1):
            words[rng.randrange(len(words))] = f"new{i}x{k}"
        words[rng.randrange(len(words))] = rng.choice(names)
        yield words


def train_pipeline(path: Path) -> None:
    """Train a `crf_vae_ner` on a few texts and save it.

    path (Path): The folder.
    """
    fix_random_seed(0)
    nlp = spacy.blank("en")
    tok2vec = {"@architectures": "semivae.CharWordBiGRU.v1", **ENCODER}
    nlp.add_pipe("crf_vae_ner", config={"model": {"tok2vec": tok2vec, "generator": None}})
    label_of = {name: label for label, group in NAMES.items() for name in group}
    examples = []
    for words in make_texts(400, seed=1):
        reference = Doc(nlp.vocab, words)
        found = [(i, label_of[word]) for i, word in enumerate(words) if word in label_of]
        reference.ents = [Span(reference, i, i + 1, label) for i, label in found]
        examples.append(Example(Doc(nlp.vocab, words), reference))
    nlp.initialize(lambda: examples)
    optimizer = Adam(0.005)
    for _, batch in zip(range(STEPS), minibatch(examples * STEPS, size=20)):
        nlp.update(batch, sgd=optimizer)
    nlp.to_disk(path)


def watch(command: list[str]) -> dict[str, Any]:
    """Run a command and look at its memory.

    command (list[str]): The command.
    RETURNS (dict[str, Any]): Seconds and memory.
    """
    start, samples = time.perf_counter(), []
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while process.poll() is None:
        samples.append((resident(process.pid), *sorted(map(resident, children(process.pid)))))
        time.sleep(INTERVAL)
    seconds = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"{' '.join(command)}: {process.stderr.read() if process.stderr else ''}")
    first, second = (max(map(sum, half)) for half in halves(samples))
    return {
        "seconds": round(seconds, 1),
        "parent_mb": max(found[0] for found in samples) // MB,
        "worker_mb": max(max(found[1:], default=0) for found in samples) // MB,
        "sum_mb": max(map(sum, samples)) // MB,
        "growth": round(second / first, 3),
    }


def resident(pid: int) -> int:
    """RETURNS (int): Resident memory of a process in kB, 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def children(pid: int) -> list[int]:
    """RETURNS (list[int]): The processes that a process has started, and those that these have."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        found = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [*found, *(inner for child in found for inner in children(child))]


def halves(samples: list[tuple[int, ...]]) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """RETURNS (tuple): The samples of the first and of the second half of the time."""
    middle = max(1, len(samples) // 2)
    return samples[:middle], samples[middle:] or samples


def digest(folder: Path) -> str:
    """RETURNS (str): A hash of all shards."""
    shards = sorted(folder.glob("shard-*"))
    return blake2b(b"".join(shard.read_bytes() for shard in shards), digest_size=8).hexdigest()


def measure(folder: Path, n: int, shard_size: int, ray: bool) -> list[dict[str, Any]]:
    """Annotate the same texts in several ways.

    folder (Path): A folder for all files.
    n (int): Texts.
    shard_size (int): Texts of a shard.
    ray (bool): Whether Ray takes part.
    RETURNS (list[dict[str, Any]]): A row for each way.
    """
    train_pipeline(folder / "model")
    raw = folder / "raw.jsonl"
    srsly.write_jsonl(raw, ({"text": " ".join(words)} for words in make_texts(n)))
    rows = []
    for engine, n_process in [("local", 1), ("local", 2), *([("ray", 2)] if ray else [])]:
        out = folder / f"{engine}-{n_process}"
        command = [sys.executable, "-m", "spacy", "semivae", "annotate", str(folder / "model")]
        options = {"engine": engine, "n-process": n_process, "shard-size": shard_size}
        command += [str(raw), str(out), *(f"--{key}={value}" for key, value in options.items())]
        row = {"engine": engine, "n_process": n_process, **watch(command), "digest": digest(out)}
        rows.append({**row, "docs_per_second": round(n / row["seconds"])})
    return rows


def main() -> None:
    """Measure, print and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--texts", type=int, default=TEXTS)
    parser.add_argument("--shard-size", type=int, default=5000)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} texts in small shards")
    parser.add_argument("--ray", action="store_true", help="measure Ray as well")
    parser.add_argument("--output", type=Path, help="write the rows as JSON")
    args = parser.parse_args()
    n, shard_size = (QUICK, QUICK // 6) if args.quick else (args.texts, args.shard_size)
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), n, shard_size, args.ray)
    result = {"texts": n, "shard_size": shard_size, "rows": rows}
    print(srsly.json_dumps(result, indent=2))
    if args.output:
        srsly.write_json(args.output, result)
    sys.exit(len({row["digest"] for row in rows}) > 1)


if __name__ == "__main__":
    main()
