"""What training has left in its output folder, read for the report."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.scorer import Scorer
from spacy.training import Corpus, Example
from spacy.util import resolve_dot_names
from thinc.api import Config

from ...pipeline.base import SemiSupervisedPipe
from ...training.log_file import Row, read_log
from ...training.loggers import FILE
from ..trust import find_pipes

BEST, LAST = "model-best", "model-last"


@dataclass(frozen=True)
class Source:
    """A trained pipeline, its log, and annotated Docs it has not learned from.

    folder (Path): The pipeline.
    nlp (Language): The same, loaded.
    config (Config): Its config with all values filled in.
    pipes (list[SemiSupervisedPipe]): Its components of this package.
    rows (list[dict]): The rows of the log.
    log (Path): Where the log is looked for.
    examples (list[Example]): The dev Docs, annotated by the pipeline, and as they should be.
    scores (dict): What spaCy's scorers say of these.
    dev (str): Where the dev Docs are from.
    """

    folder: Path
    nlp: Language
    config: Config
    pipes: list[SemiSupervisedPipe]
    rows: list[Row]
    log: Path
    examples: list[Example]
    scores: dict[str, Any]
    dev: str


def read_source(output: Path, dev: Path | None) -> Source:
    """Read the output of a training run, and annotate the dev Docs.

    output (Path): What `semivae train` has written, or a pipeline in it.
    dev (Path | None): Annotated Docs; None for the dev corpus of the config.
    RETURNS (Source): What was read.
    RAISES (ValueError): Without a pipeline, a component of this package, or a dev Doc.
    """
    folder = find_pipeline(output)
    nlp = spacy.load(folder)
    pipes, config = find_pipes(nlp), nlp.config.interpolate()
    log = find_log(folder, config)
    examples = read_examples(nlp, config, dev)
    for eg, doc in zip(examples, nlp.pipe([eg.predicted for eg in examples])):
        eg.predicted = doc
    scores = Scorer(nlp).score(examples)
    where = str(dev or config["paths"].get("dev") or config["training"]["dev_corpus"])
    return Source(folder, nlp, config, pipes, read_log(log), log, examples, scores, where)


def find_pipeline(output: Path) -> Path:
    """Find the pipeline.

    output (Path): What `semivae train` has written, or a pipeline in it.
    RETURNS (Path): The best pipeline, else the last, else the folder itself.
    RAISES (ValueError): Without one.
    """
    for folder in (output / BEST, output / LAST, output):
        if (folder / "config.cfg").exists() and (folder / "meta.json").exists():
            return folder
    raise ValueError(f"{output} holds no trained pipeline: neither {BEST} nor {LAST}")


def find_log(folder: Path, config: Config) -> Path:
    """Find the log of a pipeline's training.

    folder (Path): The pipeline.
    config (Config): Its config.
    RETURNS (Path): The file that its logger names, else the one beside the pipeline.
    """
    named = config["training"]["logger"].get("path")
    return Path(named) if named and Path(named).exists() else folder.parent / FILE


def read_examples(nlp: Language, config: Config, dev: Path | None) -> list[Example]:
    """Read annotated Docs.

    nlp (Language): The pipeline, which tokenizes them.
    config (Config): Names the dev corpus.
    dev (Path | None): Annotated Docs; None for the dev corpus of the config.
    RETURNS (list[Example]): The Docs.
    RAISES (ValueError): When they cannot be read, or there are none.
    """
    if dev is not None and not dev.exists():
        raise ValueError(f"there is no file {dev}")
    try:
        corpus: Callable[[Language], Any]
        names = [config["training"]["dev_corpus"]]
        corpus = Corpus(dev) if dev else resolve_dot_names(config, names)[0]
        examples = [eg for eg in corpus(nlp) if len(eg.predicted)]
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(
            f"the dev corpus of the config cannot be read, name it with --dev: {error}"
        ) from error
    if not examples:
        raise ValueError(f"no Doc with a token in {dev or config['training']['dev_corpus']}")
    return examples
