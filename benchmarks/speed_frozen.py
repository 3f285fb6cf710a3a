"""How much faster training is once a frozen transformer has computed every Doc.

    python benchmarks/speed_frozen.py corpus/btc/labeled.spacy assets/minilm

Trains `crf_vae_ner` on a frozen transformer and prints the seconds of each epoch as JSON, with the
ratio of the first to the median of the others. Exits 1 below `BAR`.
"""

import argparse
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import spacy
import srsly
import torch
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.util import minibatch

BAR = 5.0
BATCH = 32


def epoch_seconds(nlp: Any, examples: list[Example], optimizer: Any) -> float:
    """Train on every example once.

    nlp (Language): The pipeline.
    examples (list[Example]): The labelled Docs.
    optimizer (Optimizer): The optimizer.
    RETURNS (float): Seconds.
    """
    start = time.perf_counter()
    for batch in minibatch(examples, size=BATCH):
        nlp.update(batch, sgd=optimizer)
    return time.perf_counter() - start


def main() -> None:
    """Train, print and judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("transformer", help="folder or name on the hub")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, help="write the row as JSON")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    nlp = spacy.blank("en")
    encoder = {"@architectures": "semivae.FrozenTransformer.v1", "name": args.transformer}
    model = {"@architectures": "semivae.CRFVAE.v1", "tok2vec": encoder, "generator": None}
    nlp.add_pipe("crf_vae_ner", config={"model": model})
    docs = list(DocBin().from_disk(args.corpus).get_docs(nlp.vocab))
    examples = [Example(Doc(nlp.vocab, [t.text for t in doc]), doc) for doc in docs]
    optimizer = nlp.initialize(lambda: examples[:BATCH])
    seconds = [epoch_seconds(nlp, examples, optimizer) for _ in range(args.epochs)]
    row = {
        "docs": len(docs),
        "tokens": sum(map(len, docs)),
        "threads": args.threads,
        "seconds": [round(x, 2) for x in seconds],
        "ratio": round(seconds[0] / median(seconds[1:]), 1),
        "bar": BAR,
    }
    print(srsly.json_dumps(row))
    if args.output:
        srsly.write_json(args.output, row)
    sys.exit(row["ratio"] < BAR)


if __name__ == "__main__":
    main()
