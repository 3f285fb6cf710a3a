"""A recognizer from a word list alone, against the list itself.

    python benchmarks/bootstrap.py                       # 1,000 names, 20,000 raw tweets, 3 seeds
    python benchmarks/bootstrap.py --quick               # tiny, nothing is kept
    python benchmarks/bootstrap.py --data my.txt --words 100
    python benchmarks/bootstrap.py --probe few --steps 200 --set components.crf_vae_ner.beta=0.3

The list has the most frequent entities of the Broad Twitter Corpus's training part that are so four
times of five, since a person leaves out words that are often something else. Each has its most
frequent label, and nothing else of that corpus is read in training. Raw tweets in which one stands
are partially annotated, the others raw, as `spacy semivae bootstrap --rest` makes them. A CRF on
frozen MiniLM and characters is trained for a fixed number of updates, since a person with a list
has no dev set. The test set is read once, by it and by spaCy's EntityRuler with the same list; a
probe reads the dev set instead. A run with a result file is skipped. The corpora are made by `spacy
project run` with `btc-corpus` and `twitter-vectors`.
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import spacy
import srsly
from accuracy import change, read_settings
from rows_crf import BTC10, COMPONENT
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import load_config

from spacy_semivae.analysis.bootstrap import (
    BootstrapSettings,
    bootstrap,
    make_ruler,
    read_patterns,
)
from spacy_semivae.analysis.split import read_docs
from spacy_semivae.training.initialize import initialize_nlp
from spacy_semivae.training.notebook import bare
from spacy_semivae.training.run import train_nlp

RESULTS = Path(__file__).parent / "results"
TRAIN, DEV, TEST = (Path(f"corpus/btc/{name}.spacy") for name in ("train", "dev", "test"))
TWEETS = "assets/twitter/tweets.txt.gz"
# chosen beforehand: a third of a batch's tweets surely has entities
SETTINGS = {
    f"{COMPONENT}.model.generator": None,
    f"{COMPONENT}.entity_ratio_target": 0.15,
    "training.batcher.size": 8,
    "semivae.batcher.size": 16,
    "training.patience": 0,
}
Span = tuple[int, int, str]


def make_list(path: Path, words: int, sure: float) -> set[str]:
    """Write the most frequent entities, each with its most frequent label.

    path (Path): Where the list is written.
    words (int): Its length.
    sure (float): Share of a text's occurrences that must be entities of its label.
    RETURNS (set[str]): The texts.
    """
    docs = list(read_docs(TRAIN))
    counts = Counter((ent.text, ent.label_) for doc in docs for ent in doc.ents)
    labels: dict[str, str] = {}
    for (text, label), _ in counts.most_common():
        labels.setdefault(text, label)
    write_list(path, labels)
    ruler = make_ruler(spacy.blank("en"), read_patterns(path, None), False)
    bare_docs = (Doc(doc.vocab, [token.text for token in doc]) for doc in docs)
    found = Counter(ent.text for doc in map(ruler, bare_docs) for ent in doc.ents)
    kept = [text for text in labels if counts[text, labels[text]] >= sure * found[text]]
    write_list(path, {text: labels[text] for text in kept[:words]})
    return set(kept[:words])


def write_list(path: Path, labels: dict[str, str]) -> None:
    """Write texts with their labels."""
    lines = (f"{text}\t{label}\n" for text, label in labels.items())
    path.write_text("".join(lines), encoding="utf8")


def load_tokenizer() -> Language:
    """Load the tokenizer of tweets."""
    config = load_config("configs/tokenizer_twitter.cfg").interpolate()
    return spacy.util.get_lang_class(config["nlp"]["lang"]).from_config(config)


def train(folder: Path, seed: int, args: argparse.Namespace) -> Language:
    """Train on what `bootstrap` wrote."""
    settings = BTC10.settings | {
        "paths.train": str(folder / "matched.spacy"),
        "paths.dev": str(folder / "matched.spacy"),  # the scores on it decide nothing
        "paths.unlabeled": str(folder / "rest.jsonl"),
        "system.seed": seed,
        "training.max_steps": args.steps,
        "training.eval_frequency": args.steps,
        "training.dropout": 0.5,
    }
    settings |= SETTINGS | read_settings(args.set)
    config = change(load_config(BTC10.config, interpolate=False), settings)
    nlp, semivae = initialize_nlp(config)
    with (folder / "log.txt").open("w", encoding="utf8") as log:
        train_nlp(nlp, semivae, stdout=log)
    return nlp


def score(pairs: list[tuple[set[Span], set[Span]]], known: set[str]) -> dict[str, Any]:
    """Score entities; those whose text is not on the list are counted apart, too.

    pairs (list): Predicted and gold spans of each Doc, their labels with their text.
    known (set[str]): The list.
    RETURNS (dict): Precision, recall, F-score, recall of what is not on the list, counts by Doc.
    """
    counts = [(len(p & g), len(p), len(g)) for p, g in pairs]
    right, predicted, gold = (sum(column) for column in zip(*counts))
    new = [(span in p) for p, g in pairs for span in g if span[2].split("\t")[1] not in known]
    return {
        "precision": right / max(1, predicted),
        "recall": right / max(1, gold),
        "ents_f": 2 * right / max(1, predicted + gold),
        "new_recall": sum(new) / max(1, len(new)),
        "new_share": len(new) / max(1, gold),
        "counts": counts,
    }


def spans_of(doc: Any) -> set[Span]:
    """Give the entities of a Doc: tokens, and label with text."""
    return {(ent.start, ent.end, f"{ent.label_}\t{ent.text}") for ent in doc.ents}


def test(annotate: Any, nlp: Language, known: set[str], args: Any) -> dict[str, Any]:
    """Score what annotates Docs on the test set, in a probe on the dev set."""
    gold = list(read_docs(DEV if args.probe else TEST, nlp.vocab))[: 100 if args.quick else None]
    examples = [Example(annotate(bare(nlp, doc)), doc) for doc in gold]
    return score([(spans_of(eg.predicted), spans_of(eg.reference)) for eg in examples], known)


def run(args: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Bootstrap, train and test with one seed; give what the result file holds."""
    start = time.time()
    with TemporaryDirectory() as name:
        folder = Path(name)
        blank = load_tokenizer()
        known = make_list(folder / "list.txt", args.words, args.sure)
        settings = BootstrapSettings(limit=args.limit, rest=folder / "rest.jsonl")
        matched = folder / "matched.spacy"
        done = bootstrap(folder / "list.txt", args.data, matched, settings, nlp=blank)
        ruler = make_ruler(blank, read_patterns(folder / "list.txt", None), False)
        by_list = test(ruler, blank, known, args)
        nlp = train(folder, seed, args)
    return {
        "corpus": "btc",
        "seed": seed,
        "settings": {"words": args.words, "sure": args.sure, "raw": done.texts, "steps": args.steps}
        | SETTINGS
        | read_settings(args.set),
        "matched": {"texts": done.docs, "tokens": done.tokens, "entities": dict(done.labels)},
        "ruler": by_list,
        "model": test(nlp, nlp, known, args),
        "seconds": round(time.time() - start),
    }


def show(name: str, result: dict[str, Any]) -> None:
    """Print the scores of a run."""
    for who in ("ruler", "model"):
        found = {key: 100 * result[who][key] for key in ("precision", "recall", "ents_f")}
        found["new_recall"] = 100 * result[who]["new_recall"]
        cells = ", ".join(f"{key} {value:.1f}" for key, value in found.items())
        print(f"{name} {who}: {cells} ({result['seconds']} s)", flush=True)


def main() -> None:
    """Run the seeds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", default=TWEETS, help="raw text")
    parser.add_argument("--limit", type=int, default=20000, help="raw texts read; 0 for all")
    parser.add_argument("--words", type=int, default=1000, help="length of the list")
    parser.add_argument(
        "--sure", type=float, default=0.8, help="share of a name's occurrences that are one"
    )
    parser.add_argument("--steps", type=int, default=400, help="updates")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--probe", help="one seed, saved under this name, on the dev set")
    parser.add_argument("--set", nargs="*", default=[], help="with --probe: setting=value")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    if args.quick:
        args.limit, args.steps = 300, 3
        show("quick", run(args, 0))
        sys.exit()
    for seed in range(1 if args.probe else args.seeds):
        name = f"probe-bootstrap-{args.probe}" if args.probe else "bootstrap"
        sure = f"-sure{args.sure:g}" if args.sure else ""
        path = RESULTS / f"{name}-{args.words}{sure}-{args.limit}-{seed}.json"
        if not path.exists():
            srsly.write_json(path, run(args, seed), indent=0)
        show(path.stem, srsly.read_json(path))


if __name__ == "__main__":
    main()
