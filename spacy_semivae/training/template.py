"""Complete, commented training configs, as `semivae init-config` writes them."""

from collections.abc import Sequence

import spacy
from spacy.language import Language
from thinc.api import Config

COMPONENTS = ["vsl_tagger", "vsl_ner"]
SETTINGS = """
[paths]
train = null
dev = null
unlabeled = null
vectors = null

[corpora]

[corpora.train]
@readers = "spacy.Corpus.v1"
path = ${paths.train}

[corpora.dev]
@readers = "spacy.Corpus.v1"
path = ${paths.dev}

[corpora.unlabeled]
@readers = "semivae.UnlabeledCorpus.v1"
path = ${paths.unlabeled}
limit = 10000
exclude = ${paths.dev}

[training]
dropout = 0.0
patience = 2000
max_steps = 10000
eval_frequency = 250

[training.batcher]
@batchers = "spacy.batch_by_sequence.v1"
size = 10

[training.optimizer]
@optimizers = "Adam.v1"
learn_rate = 0.001
L2 = 0.0
grad_clip = 0.0
use_averages = false

[training.logger]
@loggers = "semivae.ConsoleLogger.v1"

[semivae]
unlabeled_corpus = "corpora.unlabeled"
init_unlabeled = 10000

[semivae.batcher]
@batchers = "spacy.batch_by_sequence.v1"
size = 10

[semivae.warm_start]
path = null
prior = true
weights = false

[initialize]
vectors = ${paths.vectors}
"""
COMMENTS = {
    "[corpora.unlabeled]": "Raw text: .txt, .jsonl, .spacy, also .gz; a file, glob or folder",
    "[semivae]": "Joint training on raw text; read by `spacy semivae train`",
    "[semivae.warm_start]": "A trained pipeline whose posteriors are the first priors",
    "alpha": "Weight of the raw text's loss terms; 0 is the supervised twin",
    "attr": "Token attribute to predict: tag, pos or morph",
    "embeddings": "fixed or tuned static vectors ([initialize] vectors), or learned",
    "exclude": "Raw texts that stand here are left out",
    "grad_clip": "Per tensor; the components clip by the joint norm, see max_grad_norm",
    "init_unlabeled": "Raw Docs that vocabularies are taken from",
    "kl_weight": "Schedules are functions of the step",
    "labelled_weight": "Weight of the labelled text's variational terms",
    "limit": "Raw Docs used; 0 for all",
    "max_targets": "Words the decoder tells apart",
    "min_count": "Occurrences a word needs for an embedding of its own",
    "variant": "baseline, g, flat or hier",
}


def make_config(pipeline: Sequence[str], *, lang: str, vectors: str | None = None) -> str:
    """Write a config that trains as it is, given paths.

    pipeline (Sequence[str]): Factories of this package.
    lang (str): The language.
    vectors (str | None): Vectors package for [initialize]; None learns the embeddings.
    RETURNS (str): The config with comments.
    RAISES (ValueError): For a factory that is not of this package.
    """
    nlp = spacy.blank(lang)
    for name in pipeline:
        add_component(nlp, name, embeddings="learned" if vectors is None else "fixed")
    config = Config(nlp.config).merge(Config().from_str(SETTINGS, interpolate=False))
    config["training"]["score_weights"] = nlp.config["training"]["score_weights"]
    config.pop("pretraining", None)
    config["paths"].pop("init_tok2vec", None)
    config["initialize"]["init_tok2vec"] = None
    config["paths"]["vectors"] = vectors
    return comment(config.to_str(interpolate=False))


def add_component(nlp: Language, name: str, *, embeddings: str) -> None:
    """Add a component with defaults that fit the vectors.

    nlp (Language): The pipeline.
    name (str): The factory.
    embeddings (str): How the encoder's word vectors are trained.
    RAISES (ValueError): For a factory that is not of this package.
    """
    if name not in COMPONENTS:
        raise ValueError(f"pipeline takes {COMPONENTS}, but got {name!r}")
    nlp.add_pipe(name, config={"model": {"tok2vec": {"embeddings": embeddings}}})


def comment(config: str) -> str:
    """Put comments above the settings that need one.

    config (str): The config.
    RETURNS (str): The same with comment lines.
    """
    lines = []
    for line in config.splitlines():
        key = line if line.startswith("[") else line.split(" = ")[0]
        if key in COMMENTS:
            lines.append(f"# {COMMENTS[key]}")
        lines.append(line)
    return "\n".join(lines) + "\n"
