"""Complete, commented training configs, as `semivae init-config` writes them."""

import re
from collections.abc import Sequence

import spacy
from spacy.language import Language
from thinc.api import Config

from .schema import DEFAULT_PRETRAINING

COMPONENTS = ["vsl_tagger", "vsl_ner", "crf_vae_tagger", "crf_vae_ner", "ssvae_textcat"]
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
checkpoint_every = 1000
keep_checkpoints = 2

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
# What differs where a component of this family is in the pipeline.
FAMILIES = {
    "crf_vae": """
[training]
patience = 1000
max_steps = 4000
eval_frequency = 200

[training.batcher]
size = 32

[semivae]

[semivae.batcher]
size = 32
""",
    "ssvae": """
[paths]
language_model = null

[training]
patience = 2000
max_steps = 6000
eval_frequency = 200

[training.batcher]
size = 32

[training.optimizer]
learn_rate = 0.002

[semivae]

[semivae.batcher]
size = 32

[initialize]

[initialize.components]

[initialize.components.ssvae_textcat]
language_model = ${paths.language_model}
language_model_encoder = false
""",
}
ENCODER = "components.*.model.tok2vec"
# Section (a star is any component) and setting; "" is the section itself.
COMMENTS = {
    ("corpora.unlabeled", ""): "Raw text: .txt, .jsonl, .spacy, also .gz; a file, glob or folder",
    ("corpora.unlabeled", "exclude"): "Raw texts that stand here are left out",
    ("corpora.unlabeled", "limit"): "Raw Docs used; 0 for all",
    ("training.optimizer", "grad_clip"): "Per tensor; components clip by max_grad_norm jointly",
    ("semivae", ""): "Joint training on raw text; read by `spacy semivae train`",
    ("semivae", "init_unlabeled"): "Raw Docs that vocabularies are taken from",
    ("semivae", "checkpoint_every"): "Steps from one checkpoint to the next; 0 for none",
    ("semivae", "keep_checkpoints"): "The last ones; --resume goes on from the latest",
    ("semivae.warm_start", ""): "A trained pipeline whose posteriors are the first priors",
    ("semivae.pretraining", ""): "A language model for paths.language_model; read by `pretrain`",
    ("semivae.pretraining", "autoencoder"): "Read the text before writing it again",
    ("semivae.pretraining", "heldout"): "Every n-th text that init_unlabeled reads",
    ("initialize.components.*", "language_model"): "Where `spacy semivae pretrain` wrote it",
    ("initialize.components.*", "language_model_encoder"): "Start the autoencoder's LSTM too",
    ("components.*", "attr"): "Token attribute to predict: tag, pos or morph",
    ("components.*", "alpha"): "Weight of the raw text's loss terms; 0 is the supervised twin",
    ("components.*.alpha", ""): "Weight of the classification, a function of the step",
    ("components.*.word_dropout", ""): "Share of the decoder's inputs that are hidden",
    ("components.*", "discrimination_docs"): "Dev Docs on which evaluation measures D; 0 for none",
    ("components.*.model", "tok2vec"): "What the classifier reads; null for an LSTM of its own",
    ("components.*.model", "decoder"): "vanilla, clstm1 or clstm2; null for the classifier alone",
    ("components.*.model", "marginal"): "exact, or sample for a cost that classes do not raise",
    ("components.*.model", "truncation"): "Tokens kept: first, first_last or random_crop",
    ("components.*", "temperature"): "Of relaxed samples of the tags",
    ("components.*", "generator_weight"): "Weight of the generator's loss on annotated tags",
    ("components.*", "entity_ratio"): "Weight of the expected entity ratio; for partial annotation",
    ("components.*", "entity_ratio_target"): "Share of tokens that stand in entities",
    (
        "components.crf_vae_ner",
        "threshold",
    ): "Put every span above this probability in doc.spans too",
    ("components.*.beta", ""): "Weight of the KL; a number, a schedule, or found by itself",
    ("components.*.model", "unit"): "token, or piece for the word pieces of a language model",
    ("components.*.model", "tagger_layers"): "Transformer layers between encoder and CRF",
    ("components.*.model.generator", ""): "What reconstructs the text; null for the CRF alone",
    ("components.*", "labelled_weight"): "Weight of the labelled text's variational terms",
    ("components.*.kl_weight", ""): "Weight of the KL terms, a function of the step",
    ("components.*.prior", ""): "Where the latents' priors come from",
    ("components.*.model", "variant"): "baseline, g, flat or hier",
    ("components.*.model", "max_targets"): "Words the decoder tells apart",
    (ENCODER, "embeddings"): "fixed or tuned static vectors ([initialize] vectors), or learned",
    (ENCODER, "min_count"): "Occurrences a word needs for an embedding of its own",
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
    for family, changes in FAMILIES.items():
        if any(name.startswith(family) for name in pipeline):
            config = config.merge(Config().from_str(changes, interpolate=False))
    if "ssvae_textcat" in pipeline:
        config["semivae"]["pretraining"] = DEFAULT_PRETRAINING
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
    if name == "ssvae_textcat":  # it learns its embeddings
        nlp.add_pipe(name)
    else:
        nlp.add_pipe(name, config={"model": {"tok2vec": {"embeddings": embeddings}}})


def comment(config: str) -> str:
    """Put comments above the settings that need one.

    config (str): The config.
    RETURNS (str): The same with comment lines.
    """
    lines, section = [], ""
    for line in config.splitlines():
        setting = line.split(" = ")[0]
        if line.startswith("["):
            section, setting = line.strip("[]"), ""
        any_component = re.sub(r"(?<=\bcomponents\.)[^.]+", "*", section)
        found = COMMENTS.get((section, setting)) or COMMENTS.get((any_component, setting))
        if line and found:
            lines.append(f"# {found}")
        lines.append(line)
    return "\n".join(lines) + "\n"
