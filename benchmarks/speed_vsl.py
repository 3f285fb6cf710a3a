"""Words a second of `vsl_tagger` and the stock spaCy tagger, in turn in one run.

    OMP_NUM_THREADS=1 python benchmarks/speed_vsl.py     # one thread
    OMP_NUM_THREADS=2 python benchmarks/speed_vsl.py     # two

Needs only the bundled demo corpus; with --data FILE.spacy and --raw FILE it reads others. Prints
JSON lines: medians over rounds and the ratio ours / stock, pair by pair. Exits 1 where prediction
with empty caches is slower than the stock tagger (`HashEmbedCNN`, width 96).
"""

import argparse
import os
import sys
from collections.abc import Callable
from itertools import islice, repeat
from pathlib import Path
from statistics import median
from typing import Any

import spacy
import srsly
import torch
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from thinc.api import Adam, fix_random_seed, set_dropout_rate
from timing import milliseconds, predict

from spacy_semivae.training.unlabeled import create_unlabeled_corpus

ROUNDS = 7
BATCH = 10


def build(factory: str, config: dict[str, Any], examples: list[Example]) -> Language:
    """Make a pipeline of one tagger and train it a little, so that predictions are real."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe(factory, config=config)
    sgd = nlp.initialize(lambda: examples, sgd=Adam(0.001, grad_clip=0.0))
    for start in range(0, len(examples), BATCH):
        nlp.update(examples[start : start + BATCH], sgd=sgd)
    return nlp


def train(nlp: Language, sgd: Adam, batches: list[list[Example]]) -> None:
    """Update on each batch once."""
    for _, pipe in nlp.pipeline:
        set_dropout_rate(pipe.model, 0.1)
    for batch in batches:
        nlp.update(batch, sgd=sgd, drop=0.1)


def forget_words(nlp: Language) -> None:
    """Empty the caches of distinct words, as if no text had been seen."""
    for node in nlp.get_pipe("vsl_tagger").model.walk():  # type: ignore[attr-defined]
        if node.name == "char_word_bigru":
            node.attrs.pop("index", None)
            node.shims[0].version += 1


def compare(
    name: str,
    words: int,
    ours: Callable[[], Any],
    stock: Callable[[], Any],
    before: Callable[[], Any] = lambda: None,
) -> float:
    """Run two things in turn and print their speeds; give the median ratio.

    `before` is called ahead of each of our runs and not timed.
    """
    ours(), stock()
    pairs = []
    for _ in repeat(None, ROUNDS):
        before()
        pairs.append((milliseconds(ours), milliseconds(stock)))
    ratio = median(b / a for a, b in pairs)
    row = {
        "measure": name,
        "threads": torch.get_num_threads(),
        "ours_words_per_s": round(1000 * words / median(a for a, _ in pairs)),
        "stock_words_per_s": round(1000 * words / median(b for _, b in pairs)),
        "ratio": round(ratio, 2),
        "ratio_min": round(min(b / a for a, b in pairs), 2),
        "ratio_max": round(max(b / a for a, b in pairs), 2),
    }
    print(srsly.json_dumps(row), flush=True)
    return ratio


def main() -> None:
    """Measure training and prediction."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    root = Path(__file__).parent.parent / "assets" / "demo"
    parser.add_argument("--data", type=Path, default=root / "dev.spacy")
    parser.add_argument("--raw", type=Path, default=root / "unlabeled.txt")
    parser.add_argument("--docs", type=int, default=2000)
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    blank = spacy.blank("en")
    gold = list(DocBin().from_disk(args.data).get_docs(blank.vocab))
    examples = [Example(Doc(blank.vocab, [t.text for t in doc]), doc) for doc in gold]
    reader = create_unlabeled_corpus(args.raw, shuffle_buffer=0, limit=args.docs)
    raw = [eg.predicted for eg in reader(blank)]
    words = sum(len(doc) for doc in raw)
    prefix = f"{args.raw.name}, {len(raw)} Docs"
    stock = build("tagger", {"neg_prefix": "\u0000"}, examples)
    hier = build("vsl_tagger", {}, examples)
    twin = build("vsl_tagger", {"model": {"variant": "baseline"}}, examples)
    cold = compare(
        f"predict hier, empty caches, {prefix}",
        words,
        lambda: predict(hier, raw),
        lambda: predict(stock, raw),
        before=lambda: forget_words(hier),
    )
    compare(
        f"predict hier, {prefix}", words, lambda: predict(hier, raw), lambda: predict(stock, raw)
    )
    compare(
        f"predict baseline, {prefix}",
        words,
        lambda: predict(twin, raw),
        lambda: predict(stock, raw),
    )
    batches = [examples[i : i + BATCH] for i in range(0, min(len(examples), 200), BATCH)]
    seen = sum(len(eg) for batch in islice(batches, None) for eg in batch)
    sgd = Adam(0.001, grad_clip=0.0)
    for name, nlp in (("hier", hier), ("baseline", twin)):
        compare(
            f"train {name}, batches of {BATCH}",
            seen,
            lambda nlp=nlp: train(nlp, sgd, batches),
            lambda: train(stock, sgd, batches),
        )
    sys.exit(cold < 1)


if __name__ == "__main__":
    main()
