"""The config of each point: which Docs it reads, its seed, and what makes the supervised twin."""

import copy
from pathlib import Path
from typing import Any

from spacy.language import Language
from thinc.api import Config

from ..doc_counts import METRICS
from .plan import Point

# What raw text trains and labels alone do not: it would only take time, or weaken the twin.
GENERATORS = {
    "crf_vae_tagger": "generator",
    "crf_vae_ner": "generator",
    "ssvae_textcat": "decoder",
}
# What the reader of the shuffled raw texts takes over from the config's.
KEPT = ("shuffle_buffer", "seed", "prefetch")


def make_point_config(
    config: Config, point: Point, labeled: Path, raw: Path, twin: dict[str, Any]
) -> Config:
    """Make the config of a point.

    config (Config): The config of the curve, not interpolated.
    point (Point): The point.
    labeled (Path): File with all labelled Docs in the order of the point's seed.
    raw (Path): File with all raw Docs in their order.
    twin (dict): Further settings of the supervised twin by dotted name.
    RETURNS (Config): A copy for `spacy semivae train`.
    """
    config = config.copy()
    corpora, settings = config["corpora"], config["semivae"]
    train_corpus = corpus_name(config, "training", "train_corpus")
    corpora[train_corpus] |= {"path": str(labeled), "limit": point.labeled}
    config.setdefault("system", {})["seed"] = config["training"]["seed"] = point.seed
    if point.raw == 0:
        return make_twin(config, twin)
    raw_corpus = corpus_name(config, "semivae", "unlabeled_corpus")
    kept = {key: value for key, value in corpora[raw_corpus].items() if key in KEPT}
    reader = {"@readers": "semivae.UnlabeledCorpus.v1", "path": str(raw), "limit": point.raw}
    corpora[raw_corpus] = kept | reader
    settings["unlabeled_corpus"] = f"corpora.{raw_corpus}"
    return config


def make_twin(config: Config, changes: dict[str, Any]) -> Config:
    """Make the supervised twin: the same without raw text, and without what writes texts.

    config (Config): The config, changed in place.
    changes (dict): Further settings by dotted name.
    RETURNS (Config): The same.
    RAISES (ValueError): When the config has no section of such a setting.
    """
    config["semivae"]["unlabeled_corpus"] = None
    for block in config["components"].values():
        part = GENERATORS.get(block.get("factory"))
        if part:
            block.setdefault("model", {})[part] = None
    for name, value in changes.items():
        *sections, key = name.split(".")
        block = config
        for section in sections:
            if not isinstance(block.get(section), dict):
                raise ValueError(f"a setting of the twin must be one of the config (got {name!r})")
            block = block[section]
        block[key] = copy.deepcopy(value)
    return config


def corpus_name(config: Config, section: str, key: str) -> str:
    """Find the block of a corpus.

    config (Config): The config.
    section (str): Where the corpus is named.
    key (str): By which setting.
    RETURNS (str): Its name in [corpora].
    RAISES (ValueError): When nothing is named, or the block has no path.
    """
    name = str(config.get(section, {}).get(key)).removeprefix("corpora.")
    block = config.get("corpora", {}).get(name)
    if block is None or "path" not in block:
        raise ValueError(
            f"a curve needs {section}.{key} to name a block of [corpora] with a path (got {name!r})"
        )
    return name


def choose_metric(nlp: Language, wanted: str | None) -> str:
    """Choose what the points are compared by.

    nlp (Language): The pipeline.
    wanted (str | None): A score; None for the one of the highest weight.
    RETURNS (str): Key of `METRICS`.
    RAISES (ValueError): When the pipeline has no such score, or there is no paired test for it.
    """
    found = {score for name in nlp.pipe_names for score in nlp.get_pipe_meta(name).scores}
    usable = sorted(found.intersection(METRICS))
    weights = {k: w for k, w in nlp.config["training"]["score_weights"].items() if w}
    name = wanted or max(weights, key=weights.__getitem__, default=None)
    if name not in usable:
        source = "--metric" if wanted else "the highest of [training.score_weights]"
        raise ValueError(f"{source} must be one of {usable} for this pipeline (got {name!r})")
    return name
