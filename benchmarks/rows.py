"""What is measured: corpora, models and seeds, the most important rows first."""

from dataclasses import dataclass, field, replace
from typing import Any

TWITTER = {
    "paths.train": "corpus/twitter/train",
    "paths.dev": "corpus/twitter/dev.spacy",
    "paths.unlabeled": "assets/twitter/tweets.txt.gz",
    "paths.vectors": "corpus/twitter/vectors",
    "nlp.tokenizer.@tokenizers": "semivae.TweetTokenizer.v1",
    "components.vsl_tagger.model.tok2vec.embeddings": "fixed",
}
UD = {
    "nlp.lang": "id",
    "paths.train": "corpus/ud/labeled.spacy",
    "paths.dev": "corpus/ud/dev.spacy",
    "paths.unlabeled": "corpus/ud/unlabeled.jsonl",
    "paths.vectors": "corpus/ud/vectors",
    "components.vsl_tagger.attr": "pos",
    "components.vsl_tagger.scorer.attr": "pos",
    "training.score_weights.tag_acc": 0.0,
    "training.score_weights.pos_acc": 1.0,
    "components.vsl_tagger.model.tok2vec.embeddings": "tuned",
}
BTC = {
    "paths.train": "corpus/btc/labeled.spacy",
    "paths.dev": "corpus/btc/dev.spacy",
    "paths.unlabeled": "assets/twitter/tweets.txt.gz",
    "paths.vectors": "corpus/twitter/vectors",
    "nlp.tokenizer.@tokenizers": "semivae.TweetTokenizer.v1",
    "components.vsl_ner.model.tok2vec.embeddings": "fixed",
}
NO_RAW = {"semivae.unlabeled_corpus": None}
# The same schedule for every model and its twin: same updates at most, same dev probes.
BUDGET = {
    "training.max_steps": 4000,
    "training.eval_frequency": 250,
    "training.patience": 1500,
}


@dataclass(frozen=True)
class Corpus:
    """A labelled corpus and how its pipelines are configured."""

    name: str
    config: str
    component: str
    metric: str
    test: str
    settings: dict[str, Any]
    heldout: tuple[str, int]  # raw text that training does not see: file, Docs to skip
    budget: dict[str, Any] = field(default_factory=lambda: BUDGET)


@dataclass(frozen=True)
class Row:
    """One model on one corpus, trained once a seed."""

    corpus: Corpus
    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0, 1, 2)
    stock: str | None = None  # spaCy's own: its settings for "efficiency", "accuracy" or "gpu"
    warm: str | None = None  # the row that is trained first and starts the priors


CORPORA = {
    "twitter": Corpus(
        "twitter",
        "configs/vsl_tagger.cfg",
        "vsl_tagger",
        "tag_acc",
        "corpus/twitter/test.spacy",
        TWITTER,
        ("assets/twitter/tweets.txt.gz", 10000),
    ),
    "ud": Corpus(
        "ud",
        "configs/vsl_tagger.cfg",
        "vsl_tagger",
        "pos_acc",
        "corpus/ud/test.spacy",
        UD,
        ("corpus/ud/rest.spacy", 0),
    ),
    "btc": Corpus(
        "btc",
        "configs/vsl_ner.cfg",
        "vsl_ner",
        "ents_f",
        "corpus/btc/test.spacy",
        BTC,
        ("assets/twitter/tweets.txt.gz", 10000),
    ),
}


def vsl(corpus: str, name: str, *, raw: bool = False, seeds: int = 3, **settings: Any) -> Row:
    """Describe a VSL row.

    corpus (str): Key of `CORPORA`.
    name (str): The row's name in tables and files.
    raw (bool): Train on raw text too.
    seeds (int): Number of seeds.
    settings (Any): Settings of the component, `__` for a dot; alpha, variant and so on.
    RETURNS (Row): The row.
    """
    found = CORPORA[corpus]
    prefix = f"components.{found.component}."
    overrides = {prefix + key.replace("__", "."): value for key, value in settings.items()}
    return Row(found, name, {**({} if raw else NO_RAW), **overrides}, tuple(range(seeds)))


def warm_start(corpus: str, *, start: str, alpha: float) -> Row:
    """Describe a row whose priors start at another row's posteriors (VSL section 6.4).

    corpus (str): Key of `CORPORA`.
    start (str): The other row's name.
    alpha (float): Weight of the raw text's terms, larger than the other row's.
    RETURNS (Row): The row.
    """
    return replace(vsl(corpus, "hier-raw-warm", raw=True, alpha=alpha), warm=start)


def baseline(corpus: str) -> Row:
    """Describe the papers' BiGRU: word vectors tuned, no latents.

    corpus (str): Key of `CORPORA`.
    RETURNS (Row): The row.
    """
    tuned = {"model__variant": "baseline", "model__tok2vec__embeddings": "tuned"}
    row = vsl(corpus, "baseline", **tuned)
    return replace(row, settings={**row.settings, "training.dropout": 0.25})


ROWS = [
    vsl("twitter", "hier-raw", raw=True),
    baseline("twitter"),
    vsl("twitter", "hier-raw-alpha0", raw=True, alpha=0.0),
    Row(CORPORA["twitter"], "stock", stock="efficiency"),
    vsl("twitter", "hier"),
    vsl("ud", "hier"),
    baseline("ud"),
    vsl("ud", "hier-raw", raw=True),
    Row(CORPORA["ud"], "stock", stock="efficiency"),
    baseline("btc"),
    vsl("btc", "hier-raw", raw=True),
    Row(CORPORA["btc"], "stock", stock="efficiency"),
    vsl("btc", "hier"),
    vsl("ud", "hier-raw-alpha0", raw=True, alpha=0.0),
    vsl("ud", "hier-fixed", seeds=2, model__tok2vec__embeddings="fixed"),
    vsl("btc", "hier-raw-alpha0", raw=True, alpha=0.0),
    warm_start("twitter", start="hier-raw", alpha=1.0),
    vsl("twitter", "hier-novr", model__variational=False),
    vsl("twitter", "flat", model__variant="flat"),
    vsl("twitter", "g", model__variant="g"),
    vsl("twitter", "hier-on-z", model__classifier_on="z"),
    vsl("twitter", "flat-raw", raw=True, seeds=1, model__variant="flat"),
    vsl("twitter", "g-raw", raw=True, seeds=1, model__variant="g"),
]
