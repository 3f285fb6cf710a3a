"""Raw text in bounded memory, and without waiting: one JSON line a measurement.

    python benchmarks/streams.py                         # 1,000,000 texts, 50,000 in training steps
    python benchmarks/streams.py --quick                 # tiny, nothing is judged
    python benchmarks/streams.py --only train --texts 50000

Texts are made of words by Zipf's law, so that new words never end. Resident memory is the largest
value of a window of Docs: vocabularies of raw text grow and are renewed within it. Reading must end
within 5 % of what it held after 50,000 texts, and training within 5 % of what it held after a
fifth of its Docs, waiting for less than 5 % of the time.
"""

import argparse
import json
import resource
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from timeit import default_timer as timer
from typing import Any

import numpy
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import fix_random_seed, minibatch
from thinc.api import Adam

from spacy_semivae.training.raw_stream import RawStream
from spacy_semivae.training.unlabeled import UnlabeledCorpus

EXPONENT = 1.3  # of the words' law: about one word in ten of a text was never seen before
MIN_WORDS, MAX_WORDS = 5, 35
BAR = 0.05
TAGS = ("A", "B", "C")
PRIOR = {"@misc": "semivae.StandardPrior.v1"}  # the default one keeps a table, up to a size
MODEL = {
    "width_y": 8,
    "width_z": 16,
    "hidden": 32,
    "tok2vec": {"width": 32, "char_width": 16, "char_hidden": 16, "hidden": 32},
}


@dataclass(frozen=True)
class Sizes:
    """How much is read.

    texts (int): Texts of the corpus, all read once.
    reference (int): Texts after which memory is held to be level.
    train (int): Raw Docs in training steps.
    batch (int): Raw Docs a step.
    prefetch (int): Docs read ahead.
    """

    texts: int = 1_000_000
    reference: int = 50_000
    train: int = 50_000
    batch: int = 32
    prefetch: int = 512


QUICK = Sizes(texts=3000, reference=1500, train=640)


@dataclass
class Memory:
    """Resident memory along a stream.

    window (int): Docs over which the largest value counts.
    """

    window: int
    values: dict[int, int] = field(default_factory=dict)

    def watch(self, examples: Iterable[Any], every: int = 100) -> Iterator[Any]:
        """Pass items on, and look at the memory now and then."""
        for number, example in enumerate(examples, start=1):
            yield example
            if number % every == 0:
                self.values[number] = resident_bytes()

    def at(self, number: int) -> int:
        """Give the largest value among the last Docs until one."""
        span = range(number - self.window, number + 1)
        return max(value for docs, value in self.values.items() if docs in span)


def resident_bytes() -> int:
    """Give the memory that the process holds."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit  # the largest until now


def write_corpus(folder: Path, texts: int, *, shard: int = 50_000, seed: int = 0) -> None:
    """Write texts of Zipf words, a file for each so many."""
    rng = numpy.random.default_rng(seed)
    for first in range(0, texts, shard):
        with (folder / f"{first:010}.txt").open("w", encoding="utf8") as stream:
            for _ in range(min(shard, texts - first)):
                ranks = rng.zipf(EXPONENT, rng.integers(MIN_WORDS, MAX_WORDS + 1)).tolist()
                stream.write(" ".join(map(spell, ranks)) + "\n")


def spell(rank: int) -> str:
    """Give the word of a rank."""
    letters = []
    while rank:
        rank, letter = divmod(rank - 1, 26)
        letters.append(chr(ord("a") + letter))
    return "".join(letters)


def measure_reading(folder: Path, sizes: Sizes) -> dict[str, Any]:
    """Read the corpus once."""
    nlp = spacy.blank("en")
    stream = UnlabeledCorpus(folder, prefetch=sizes.prefetch).stream(nlp)
    memory = Memory(min(10_000, sizes.reference))
    begin = timer()
    tokens = sum(len(eg) for eg in memory.watch(stream))
    seconds = timer() - begin
    reference, end = memory.at(sizes.reference), memory.at(sizes.texts)
    return {
        "measure": "reading",
        "docs": sizes.texts,
        "reference_docs": sizes.reference,
        "reference_mb": round(reference / 1e6, 1),
        "end_mb": round(end / 1e6, 1),
        "growth": round(end / reference - 1, 4),
        "docs_per_second": round(sizes.texts / seconds),
        "tokens_per_second": round(tokens / seconds),
        "pipeline_words": len(nlp.vocab),
        "passed": end <= (1 + BAR) * reference,
    }


def measure_training(folder: Path, sizes: Sizes) -> dict[str, Any]:
    """Train a tiny model on the corpus."""
    fix_random_seed(0)
    corpus = UnlabeledCorpus(folder, prefetch=sizes.prefetch)
    nlp = make_pipeline(corpus)
    labeled, optimizer = [make_labeled(nlp, i) for i in range(8)], Adam(0.001)
    stream = corpus.stream(nlp)
    next(stream)  # the buffer is filled
    memory, waited, begin = Memory(sizes.train // 10), stream.waited, timer()
    for batch in minibatch(islice(memory.watch(stream), sizes.train), sizes.batch):
        nlp.update([*labeled, *batch], sgd=optimizer, losses={})
    return report_training(memory, sizes, stream, stream.waited - waited, timer() - begin)


def report_training(
    memory: Memory, sizes: Sizes, stream: RawStream, waited: float, seconds: float
) -> dict[str, Any]:
    """Say what training held and how long it waited."""
    stream.close()
    reference, end = memory.at(sizes.train // 5), memory.at(sizes.train)
    return {
        "measure": "training",
        "docs": sizes.train,
        "reference_docs": sizes.train // 5,
        "reference_mb": round(reference / 1e6, 1),
        "end_mb": round(end / 1e6, 1),
        "growth": round(end / reference - 1, 4),
        "docs_per_second": round(sizes.train / seconds),
        "prefetch": sizes.prefetch,
        "waiting": round(waited / seconds, 4),
        "passed": end <= (1 + BAR) * reference and waited <= BAR * seconds,
    }


def make_pipeline(corpus: UnlabeledCorpus) -> Language:
    """Make a tagger that knows the frequent words."""
    nlp = spacy.blank("en")
    nlp.add_pipe("vsl_tagger", config={"model": MODEL, "prior": PRIOR})
    examples = [make_labeled(nlp, i) for i in range(8)]
    examples += islice(corpus(nlp), 1000)
    nlp.initialize(lambda: examples)
    return nlp


def make_labeled(nlp: Language, seed: int) -> Example:
    """Make a tagged Doc of frequent words."""
    ranks = numpy.random.default_rng(seed).integers(1, 200, 20).tolist()
    words = [spell(rank) for rank in ranks]
    tags = [TAGS[rank % len(TAGS)] for rank in ranks]
    return Example(Doc(nlp.vocab, words=words), Doc(nlp.vocab, words=words, tags=tags))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, no bars")
    parser.add_argument("--only", choices=("read", "train"), help="one of the measurements")
    parser.add_argument("--texts", type=int, help="texts of the corpus")
    parser.add_argument("--train", type=int, help="Docs in training steps")
    parser.add_argument("--prefetch", type=int, help="Docs read ahead, 0 for none")
    args = parser.parse_args()
    given = {name: getattr(args, name) for name in ("texts", "train", "prefetch")}
    sizes = replace(
        QUICK if args.quick else Sizes(),
        **{name: value for name, value in given.items() if value is not None},
    )
    measures = {"read": measure_reading, "train": measure_training}
    failed = False
    with TemporaryDirectory() as folder:
        write_corpus(Path(folder), sizes.texts)
        for name, measure in measures.items():
            if args.only in (None, name):
                found = measure(Path(folder), sizes)
                if args.quick:
                    del found["passed"]
                failed = failed or not found.get("passed", True)
                print(json.dumps(found), flush=True)
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
