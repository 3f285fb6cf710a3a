"""Train the peer spacy-partial-tagger on the partially annotated tweets, for a given CPU time.

    pip install spacy-partial-tagger==0.15.6 sequence-label==0.1.6  # Python below 3.12
    OMP_NUM_THREADS=1 python benchmarks/rival.py --seed 0 --minutes 12

It needs an environment of its own, without this package. Corpora and encoder are those of the
rows "psl/..." of accuracy.py (see project.yml and rows_crf.py), and the result file has the same
form. All settings are those that the peer's own config recommends, but for its encoder and for
the unit of its learning rate's schedule: a share of the time, not of 20,000 updates. With
--annotated it reads only the texts that hold an annotation, one in eight: the others add nothing
to its loss but the entity ratio, and it learns faster without them. That row has a name of its own.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import spacy
import srsly
import torch
from counts import predict, test
from rows_crf import MINILM, PSL
from spacy.language import Language
from spacy.schemas import ConfigSchemaTraining
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.training.loop import create_evaluation_callback, create_train_batches
from spacy.util import load_config_from_str, registry, resolve_dot_names
from thinc.api import fix_random_seed

Reader = Callable[[Language], Iterable[Example]]

RESULTS = Path(__file__).parent / "results"
PROBE_SECONDS = 60  # of training between two probes of the dev set
RISE = 0.1  # share of the time in which the learning rate rises
RATIO = 16  # of the highest learning rate to the lowest
HEADER = "  E      #  SECONDS     LOSS  ENTS_F  ENTS_P  ENTS_R"
CONFIG = """
[paths]
train = null
dev = null

[system]
seed = 0

[corpora]

[corpora.train]
@readers = "spacy.Corpus.v1"
path = ${paths.train}
gold_preproc = true

[corpora.dev]
@readers = "spacy.Corpus.v1"
path = ${paths.dev}
gold_preproc = true

[nlp]
lang = "en"
pipeline = ["partial_ner"]
batch_size = 15

[components]

[components.partial_ner]
factory = "partial_ner"

[components.partial_ner.model]
@architectures = "spacy-partial-tagger.PartialTagger.v1"
transformer_model_name = "roberta-base"
padding_index = -1

[training]
seed = ${system.seed}
gpu_allocator = null

[training.batcher]
@batchers = "spacy.batch_by_sequence.v1"
size = 15

[training.optimizer]
@optimizers = "Adam.v1"
learn_rate = 0.00002
grad_clip = 5.0
L2_is_weight_decay = false
use_averages = false

[training.score_weights]
ents_f = 1.0
"""


@dataclass
class Progress:
    """What has been reached so far."""

    epoch: int = 0
    steps: int = 0
    seconds: float = 0.0
    score: float = -1.0
    best_step: int = 0
    losses: list[float] = field(default_factory=list)  # of the updates since the last probe
    log: list[str] = field(default_factory=lambda: [HEADER])


def run(
    name: str, seed: int, minutes: float, settings: dict[str, Any], *, annotated: bool
) -> dict[str, Any]:
    """Train with one seed, then read the test set once.

    name (str): The row's name.
    seed (int): The seed.
    minutes (float): CPU time of training, dev probes included.
    settings (dict): Settings of the config by dotted name.
    annotated (bool): Leave out texts without an annotation.
    RETURNS (dict): What the result file holds.
    """
    paths = {name: PSL.settings[name] for name in ("paths.train", "paths.dev")}
    overrides = {**paths, **settings, "system.seed": seed}
    nlp = init_nlp(load_config_from_str(CONFIG, overrides=overrides))
    with tempfile.TemporaryDirectory() as folder:
        progress = train(nlp, 60 * minutes, Path(folder), annotated=annotated)
        nlp = spacy.load(folder)
    threads = f"{torch.get_num_threads()} thread"
    return {
        "corpus": PSL.name,
        "row": name,
        "seed": seed,
        "settings": {"minutes": minutes, "annotated": annotated, **settings},
        "metric": PSL.metric,
        "dev": progress.score,
        **test(predict(nlp, PSL.test), PSL.metric),
        "score": progress.score,
        "best_step": progress.best_step,
        "steps": progress.steps,
        "cpu_seconds": round(progress.seconds),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {threads}",
        "spacy": spacy.__version__,
        "log": progress.log[-60:],
    }


def train(nlp: Language, limit: float, output: Path, *, annotated: bool) -> Progress:
    """Train until the time is up.

    nlp (Language): The initialized pipeline with its full config.
    limit (float): Seconds, with reading the corpora, dev probes and saving.
    output (Path): Where the pipeline that is best on dev is left.
    annotated (bool): Leave out texts without an annotation.
    RETURNS (Progress): What was reached.
    """
    config = nlp.config.interpolate()
    T = registry.resolve(config["training"], schema=ConfigSchemaTraining)
    fix_random_seed(T["seed"])
    texts, dev = resolve_dot_names(config, [T["train_corpus"], T["dev_corpus"]])
    corpus = only_annotated(texts) if annotated else texts
    evaluate = create_evaluation_callback(nlp, dev, T["score_weights"])
    optimizer, peak = T["optimizer"], T["optimizer"].learn_rate
    progress = Progress()
    start, probed, probe_took = time.process_time(), 0.0, 0.0
    for epoch, batch in create_train_batches(nlp, corpus, T["batcher"], max_epochs=0):
        optimizer.learn_rate = peak * slanted((time.process_time() - start) / limit)
        losses = nlp.update(batch, drop=T["dropout"], sgd=optimizer, losses={})
        optimizer.step_schedules()
        progress.losses.append(losses["partial_ner"])
        progress.steps, progress.epoch = progress.steps + 1, epoch
        before = progress.seconds = time.process_time() - start
        is_last = before + probe_took >= limit
        if is_last or before - probed >= PROBE_SECONDS:
            probe(nlp, evaluate, progress, output)
            progress.seconds = probed = time.process_time() - start
            probe_took = probed - before
        if is_last:
            break
    return progress


def only_annotated(corpus: Reader) -> Reader:
    """Leave out texts without an annotated entity.

    corpus (Reader): The corpus.
    RETURNS (Reader): The corpus of the others.
    """
    return lambda nlp: (eg for eg in corpus(nlp) if eg.reference.ents)


def slanted(share: float) -> float:
    """Give the factor of a slanted triangular learning rate (Howard and Ruder, 2018).

    share (float): Of the training time, 0 to 1.
    RETURNS (float): From 1 / `RATIO` up to 1 within `RISE`, then down again.
    """
    height = min(share / RISE, (1 - share) / (1 - RISE))
    return (1 + height * (RATIO - 1)) / RATIO


def probe(
    nlp: Language,
    evaluate: Callable[[], tuple[float, dict[str, Any]]],
    progress: Progress,
    output: Path,
) -> None:
    """Score the dev set, note it, and save the pipeline where it is the best so far.

    nlp (Language): The pipeline.
    evaluate (Callable): Gives the score and all scores.
    progress (Progress): Changed in place.
    output (Path): Where to save.
    """
    score, scores = evaluate()
    loss = mean(progress.losses)
    columns = "".join(f"{100 * scores[name]:8.2f}" for name in ("ents_f", "ents_p", "ents_r"))
    line = f"{progress.epoch:3d} {progress.steps:6d} {progress.seconds:8.0f} {loss:8.3f}{columns}"
    progress.log.append(line)
    progress.losses.clear()
    print(line, flush=True)
    if score > progress.score:
        progress.score, progress.best_step = score, progress.steps
        nlp.to_disk(output)


def main() -> None:
    """Train, test and write the result file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--annotated", action="store_true", help="only texts with an annotation")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the result file")
    parser.add_argument("--set", nargs="*", default=[], help="setting=value, by dotted name")
    args = parser.parse_args()
    changed = {key: srsly.json_loads(value) for key, value in (s.split("=", 1) for s in args.set)}
    encoder = {"components.partial_ner.model.transformer_model_name": MINILM["name"]}
    name = "rival-annotated" if args.annotated else "rival"
    settings = {**encoder, **changed}
    result = run(name, args.seed, args.minutes, settings, annotated=args.annotated)
    args.output.mkdir(parents=True, exist_ok=True)
    srsly.write_json(args.output / f"{PSL.name}-{name}-{args.seed}.json", result, indent=0)


if __name__ == "__main__":
    main()
