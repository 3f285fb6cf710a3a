"""Write the configs of this folder: the rows of tables 1 and 2 of the CRF-VAE paper.

    python configs/paper/make.py [train.spacy]

Each is the config of `spacy semivae init-config` with the paper's settings (section 3 and
appendix D). With a fully annotated corpus the prior of the rows named *_emp is counted in it, as
in the paper, which takes that of the whole training data.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import spacy
from spacy.tokens import DocBin
from thinc.api import Config

from spacy_semivae.pipeline.tag_prior import count_tags
from spacy_semivae.training.template import comment, make_config

ENCODER = "semivae.FrozenTransformer.v1"
FOLDER = Path(__file__).parent
NER = "crf_vae_ner"
# Sentences of OntoNotes 5: all of them, 10 % and 1 %; and those from Wikipedia.
ALL, TENTH, HUNDREDTH, WIKIPEDIA = 82120, 8212, 821, 100000
TYPES = (
    "CARDINAL DATE EVENT FAC GPE LANGUAGE LAW LOC MONEY NORP ORDINAL ORG PERCENT PERSON PRODUCT "
    "QUANTITY TIME WORK_OF_ART"
).split()
OUTSIDE = 0.85  # of the tags are O (footnote 7)
ROBERTA = "roberta-large"
PIECES = {"gpt2": 50257, ROBERTA: 50265}  # all that a tokenizer has
# Neither the encoder nor the language model computes a Doc twice, as far as this holds.
CACHE = {"cache": "${paths.cache}", "cache_mb": 8192}
NOAM = {"@schedules": "semivae.noam.v1", "width": 300, "warmup": 16000, "factor": 1.0}


@dataclass(frozen=True)
class Row:
    """A row of the tables."""

    title: str
    generator: str | None = None
    alpha: float = 0.0
    beta: float = 0.0
    prior: str = "simple"
    encoder: str = "gpt2"  # a name on the Hugging Face hub
    labeled: int = TENTH  # sentences with annotation
    raw: int = 0  # sentences without
    tagger_layers: int = 0
    settings: dict[str, Any] = field(default_factory=dict)  # further settings of the generator


def ssl(title: str, generator: str | None, **changes: Any) -> Row:
    """Describe a row with 10 % of the sentences annotated and the others raw.

    title (str): Its name in table 1.
    generator (str | None): Name of the generator.
    changes (Any): What differs.
    RETURNS (Row): The row.
    """
    return Row(title, generator, **{"alpha": 0.1, "raw": ALL - TENTH, **changes})


def psl(title: str, generator: str | None, **changes: Any) -> Row:
    """Describe a row with 10 % of the annotations, scattered over all sentences.

    title (str): Its name in table 1.
    generator (str | None): Name of the generator.
    changes (Any): What differs.
    RETURNS (Row): The row.
    """
    return Row(title, generator, **{"alpha": 0.1, "labeled": ALL, **changes})


ROWS = {
    "s": Row("Table 1, S; on all sentences S*"),
    "ae_exact": ssl("Table 1, AE-Exact", "Factored", alpha=1.0, settings={"objective": "exact"}),
    "ae_approx": ssl("Table 1, AE-Approx", "Factored", settings={"objective": "relaxed"}),
    "mf": ssl("Table 1, MF", "MF"),
    "mt": ssl("Table 1, MT", "MT"),
    "mf_gpt2": ssl("Table 1, MF-GPT2", "MFLM"),
    "mt_gpt2": ssl("Table 1, MT-GPT2", "MTLM"),
    "mt_gpt2_no_scale": ssl("Table 1, MT-GPT2 (no-scale)", "MTLM", settings={"scale": False}),
    "mt_gpt2_poe": ssl("Table 1, MT-GPT2-PoE", "MTPoE"),
    "mt_gpt2_residual": ssl("Table 1, MT-GPT2-Residual", "MTResidual"),
    "s_emp": ssl("Table 1, S (Emp)", None, beta=0.01, prior="empirical"),
    "s_sim": ssl("Table 1, S (Sim)", None, beta=0.01),
    "mt_emp": ssl("Table 1, MT (Emp)", "MT", beta=0.01, prior="empirical"),
    "mt_sim": ssl("Table 1, MT (Sim)", "MT", beta=0.01),
    "psl_s_emp": psl("Table 1, S (Emp) - PSL", None, beta=0.01, prior="empirical"),
    "psl_s_sim": psl("Table 1, S (Sim) - PSL", None, beta=0.01),
    "psl_mt_emp": psl("Table 1, MT (Emp) - PSL", "MT", beta=0.1, prior="empirical"),
    "psl_mt_sim": psl("Table 1, MT (Sim) - PSL", "MT", beta=0.1),
    "roberta_s": Row("Table 2, S", encoder=ROBERTA, labeled=HUNDREDTH),
    "roberta_mt": Row(
        "Table 2, MT (Sim)", "MT", 0.01, 0.1, encoder=ROBERTA, labeled=HUNDREDTH, raw=ALL
    ),
    "roberta_s_lg": Row("Table 2, S-LG", encoder=ROBERTA, labeled=ALL, tagger_layers=4),
    "roberta_mt_lg": Row(
        "Table 2, MT-LG (Sim) + Wiki",
        "MT",
        0.1,
        0.01,
        encoder=ROBERTA,
        labeled=ALL,
        raw=WIKIPEDIA,
        tagger_layers=4,
    ),
}


def make_row(name: str, counts: Counter[str] | None = None) -> str:
    """Write the config of a row.

    name (str): The row.
    counts (Counter[str] | None): Occurrences of the tags in the whole training data.
    RETURNS (str): The config with comments.
    """
    row = ROWS[name]
    config = Config().from_str(make_config([NER], lang="en"), interpolate=False)
    config["paths"]["cache"] = "memory"
    config["components"][NER].update(
        alpha=row.alpha, beta=row.beta, generator_weight=1.0, prior=make_prior(row, counts)
    )
    config["components"][NER]["model"] = make_model(row)
    set_training(config, row)
    if not row.raw:
        config["semivae"]["unlabeled_corpus"] = None
    config["semivae"]["init_unlabeled"] = row.raw
    config["corpora"]["unlabeled"]["limit"] = 0
    # what the blocks above leave out gets its default; nothing is loaded by name
    filled = spacy.util.load_model_from_config(config, auto_fill=True).config
    filled.pop("pretraining", None)
    filled["paths"].pop("init_tok2vec", None)
    return f"# {row.title}. Written by make.py.\n{comment(filled.to_str(interpolate=False))}"


def make_model(row: Row) -> dict[str, Any]:
    """Describe the model of a row.

    row (Row): The row.
    RETURNS (dict): Its block.
    """
    model: dict[str, Any] = {
        "@architectures": "semivae.CRFVAE.v1",
        "tok2vec": {"@architectures": ENCODER, "name": row.encoder, **CACHE},
        "generator": None,
        "unit": "piece",
        "tokenizer": row.encoder,
        "tagger_layers": row.tagger_layers,
        "normalize": [],  # pieces stay as they are
        "max_targets": PIECES[row.encoder],
    }
    if row.generator is not None:
        generator = {"@architectures": f"semivae.{row.generator}Generator.v1", **row.settings}
        model["generator"] = generator
        if row.generator in ("MFLM", "MTLM", "MTPoE", "MTResidual"):
            model["generator"] = {**generator, "name": row.encoder, **CACHE}
            model["tokenizer"] = None  # the pieces are the language model's
    return model


def set_training(config: Config, row: Row) -> None:
    """Set batches, learning rate and patience of 10 epochs.

    config (Config): Gains the settings.
    row (Row): The row.
    """
    has_transformer = row.tagger_layers or str(row.generator).startswith("MT")
    size = 32 if has_transformer else 128
    epoch = -(-max(row.labeled, row.raw) // size)  # steps, as for the longer of the two streams
    config["training"].update(patience=10 * epoch, max_steps=0, eval_frequency=epoch)
    for section in ("training", "semivae"):
        config[section]["batcher"]["size"] = size
    if has_transformer:
        config["training"]["optimizer"]["learn_rate"] = NOAM


def make_prior(row: Row, counts: Counter[str] | None) -> str | dict[str, float]:
    """Give the prior of a row.

    row (Row): The row.
    counts (Counter[str] | None): Occurrences of the tags in the whole training data.
    RETURNS (str | dict[str, float]): A setting of `crf_vae_ner`.
    """
    if row.prior != "empirical" or (counts is None and row.raw):
        return row.prior
    # partly annotated Docs have nothing to count: what the paper tells, the rest evenly
    share = (1 - OUTSIDE) / (4 * len(TYPES))
    tags = {"O": OUTSIDE} | {f"{letter}-{type_}": share for type_ in TYPES for letter in "BILU"}
    if counts is not None:
        types = sorted({tag[2:] for tag in counts if tag != "O"})
        names = ["O", *(f"{letter}-{type_}" for type_ in types for letter in "BILU")]
        tags = {name: counts[name] + 1.0 for name in names}
    total = sum(tags.values())
    return {name: round(value / total, 8) for name, value in tags.items()}


def count_corpus(path: Path) -> Counter[str]:
    """Count the tags of a corpus.

    path (Path): A `.spacy` file.
    RETURNS (Counter[str]): Occurrences in its fully annotated Docs.
    RAISES (ValueError): When it has none.
    """
    vocab, counts = spacy.blank("en").vocab, Counter[str]()
    for doc in DocBin().from_disk(path).get_docs(vocab):
        counts.update(count_tags(doc, "ents"))
    if not counts:
        raise ValueError(f"{path} has no Doc whose tokens are all annotated")
    return counts


def main(arguments: Sequence[str]) -> None:
    """Write all configs.

    arguments (Sequence[str]): Perhaps the path of a fully annotated corpus.
    """
    counts = count_corpus(Path(arguments[0])) if arguments else None
    for name in ROWS:
        (FOLDER / f"{name}.cfg").write_text(make_row(name, counts), encoding="utf8")


if __name__ == "__main__":
    main(sys.argv[1:])
