"""Labels needed to reach the score of random selection at twice the labels.

    python benchmarks/active.py                    # both corpora, 5 strategies, 3 seeds: the queue
    python benchmarks/active.py --only btc/entropy
    python benchmarks/active.py --report           # tables of the finished runs
    python benchmarks/active.py --quick            # tiny: 2 rounds on 60 texts, nothing is kept

People's labels are simulated: each round trains anew on what is labelled so far, scores the test
set, and adds the texts that a strategy chooses from the rest of the training corpus. The first
texts are random, the same for every strategy of a seed. Entities of the Broad Twitter Corpus are
found by a CRF on frozen MiniLM, classes of AG's News by a linear layer on it; the first run of a
corpus fills MiniLM's cache. A run with a result file is skipped. The corpora are made by
`spacy project run` with `btc-corpus` and `ag-news-corpus`.
"""

import argparse
import random
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy
import spacy
import srsly
from report_decide import make_active_tables
from rows_crf import MINILM
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.util import minibatch
from spacy.vocab import Vocab
from thinc.api import Adam

from spacy_semivae import train
from spacy_semivae.analysis.suggest_diversity import k_center, text_vectors
from spacy_semivae.analysis.suggest_measures import Scored, measure
from spacy_semivae.training.notebook import bare

RESULTS = Path(__file__).parent / "results"
STRATEGIES = ("random", "entropy", "entropy-diverse", "margin", "margin-diverse")
POOL = 10  # times the texts of a round, among which diversity chooses
BATCH = 64
SEEDS = 3


@dataclass(frozen=True)
class Corpus:
    """What is simulated on a corpus."""

    pool: str
    test: str
    factory: str
    config: dict[str, Any]
    metric: str
    first: int  # texts labelled at the start, and added each round
    steps: int = 300  # updates of each round, 16 texts each
    learn_rate: float = 0.001
    rounds: int = 5
    limit: int = 10000  # texts of the pool
    test_limit: int = 2000


CORPORA = {
    "btc": Corpus(
        "corpus/btc/train.spacy",
        "corpus/btc/test.spacy",
        "crf_vae_ner",
        {"alpha": 0.0, "beta": 0.0, "model": {"generator": None, "tok2vec": MINILM}},
        "ents_f",
        first=100,
    ),
    "ag_news": Corpus(
        "corpus/ag_news/pool.spacy",
        "corpus/ag_news/test.spacy",
        "ssvae_textcat",
        {"model": {"decoder": None, "tok2vec": MINILM}},
        "cats_micro_f",
        first=20,
        steps=150,
        learn_rate=0.004,
    ),
}
QUICK = {"limit": 60, "test_limit": 20, "first": 8, "rounds": 2, "steps": 3}


class Simulation:
    """Labels the texts of a corpus round by round.

    corpus (Corpus): The corpus.
    strategy (str): One of `STRATEGIES`.
    seed (int): Of the first texts, of random choices, and of training.
    """

    def __init__(self, corpus: Corpus, strategy: str, seed: int) -> None:
        self.corpus, self.strategy, self.seed = corpus, strategy, seed
        self.vocab = spacy.blank("en").vocab
        self.docs = list(islice(read(corpus.pool, self.vocab), corpus.limit))
        self.test = list(islice(read(corpus.test, self.vocab), corpus.test_limit))
        self.rng = random.Random(seed)
        self.labeled = self.rng.sample(range(len(self.docs)), corpus.first)
        found = {label for doc in self.docs for label in labels_of(doc)}
        self.labels = sorted(found)

    def run(self) -> list[dict[str, float]]:
        """Label the rounds; give for each how much was labelled, the score, and the time."""
        curve = []
        for number in range(self.corpus.rounds + 1):
            start = time.process_time()
            nlp = self._train(number)
            score = nlp.evaluate([Example(bare(nlp, doc), doc) for doc in self.test])
            if number < self.corpus.rounds:
                self.labeled += self._choose(nlp)
            done = self.labeled[: self.corpus.first * (number + 1)]
            curve.append(
                {
                    "labels": len(done),
                    "tokens": sum(len(self.docs[i]) for i in done),
                    "score": score[self.corpus.metric],
                    "cpu_seconds": round(time.process_time() - start),
                }
            )
        return curve

    def _train(self, number: int) -> Language:
        corpus, docs = self.corpus, [self.docs[i] for i in self.labeled]
        nlp = spacy.blank("en", vocab=self.vocab)
        nlp.add_pipe(corpus.factory, config=corpus.config)
        settings = {corpus.factory: {"labels": self.labels}}
        nlp.config["initialize"]["components"] = settings
        examples = [Example(bare(nlp, doc), doc) for doc in docs]
        spacy.util.fix_random_seed(100 * self.seed + number)
        nlp.initialize(lambda: examples)
        optimizer = Adam(corpus.learn_rate, L2=0.0, grad_clip=0.0)
        train(
            nlp,
            docs,
            max_steps=corpus.steps,
            eval_frequency=corpus.steps,
            dropout=0.3,
            seed=100 * self.seed + number,
            optimizer=optimizer,
        )
        return nlp

    def _choose(self, nlp: Language) -> list[int]:
        """Choose texts of the pool that are not labelled."""
        n, known = self.corpus.first, set(self.labeled)
        rest = [i for i in range(len(self.docs)) if i not in known]
        if self.strategy == "random":
            return self.rng.sample(rest, n)
        pipe: Any = nlp.get_pipe(self.corpus.factory)
        values: list[float] = []
        for some in minibatch([bare(nlp, self.docs[i]) for i in rest], BATCH):
            values += measure(
                self.strategy.split("-")[0], Scored(pipe, some, pipe.predict(some))
            ).tolist()
        order = [rest[k] for k in numpy.argsort(-numpy.array(values), kind="stable")]
        if not self.strategy.endswith("-diverse"):
            return order[:n]
        best = order[: POOL * n]
        vectors = [
            text_vectors(pipe, [self.docs[i] for i in some]) for some in (best, self.labeled)
        ]
        return [best[k] for k in k_center(vectors[0], n, known=vectors[1])]


def read(path: str, vocab: Vocab) -> Iterator[Doc]:
    """Read the Docs of a file that have a token."""
    return (doc for doc in DocBin().from_disk(path).get_docs(vocab) if len(doc))


def labels_of(doc: Doc) -> Sequence[str]:
    """Give the labels of a Doc's entities and its classes."""
    return [*(ent.label_ for ent in doc.ents), *doc.cats]


def run(name: str, corpus: Corpus, strategy: str, seed: int) -> dict[str, Any]:
    """Simulate, and give what the result file holds."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*no dev Docs")
        curve = Simulation(corpus, strategy, seed).run()
    settings = {"steps": corpus.steps, "learn_rate": corpus.learn_rate, "pool": corpus.limit}
    return {
        "corpus": name,
        "strategy": strategy,
        "seed": seed,
        "metric": corpus.metric,
        "settings": settings,
        "curve": curve,
    }


def run_queue(prefix: str, folder: Path, corpora: dict[str, Corpus], seeds: int) -> None:
    """Run what has no result yet, one seed of everything first."""
    for seed in range(seeds):
        for name, corpus in corpora.items():
            for strategy in STRATEGIES:
                path = folder / f"active-{name}-{strategy}-{seed}.json"
                if not f"{name}/{strategy}/{seed}".startswith(prefix) or path.exists():
                    continue
                start = time.time()
                result = run(name, corpus, strategy, seed)
                srsly.write_json(path, result, indent=0)
                scores = " ".join(f"{point['score']:.3f}" for point in result["curve"])
                print(f"{path.stem}: {scores} ({time.time() - start:.0f} s)", flush=True)


def main() -> None:
    """Run the queue, or report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", default="", help="runs whose corpus/strategy/seed starts so")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    if args.report:
        sys.stdout.write(make_active_tables(RESULTS))
        return
    if not args.quick:
        run_queue(args.only, RESULTS, CORPORA, args.seeds)
        return
    with TemporaryDirectory() as folder:
        tiny = {name: replace(corpus, **QUICK) for name, corpus in CORPORA.items()}
        run_queue(args.only, Path(folder), tiny, 1)
        sys.stdout.write(make_active_tables(Path(folder)))


if __name__ == "__main__":
    main()
