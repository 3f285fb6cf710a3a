"""Write the configs of this folder: the rows of tables 2 and 3 of the SSVAE paper.

    python configs/paper/ssvae/make.py

Each is the config of `spacy semivae init-config` with the paper's settings (section "Experimental
Results and Analysis"), once for IMDB and once for AG's News.
"""

from dataclasses import dataclass
from pathlib import Path

import spacy
from thinc.api import Config

from spacy_semivae.training.template import comment, make_config

FOLDER = Path(__file__).parent
TEXTCAT = "ssvae_textcat"
BATCH = 64
EPOCHS_OF_ANNEALING = 5
PATIENCE = 10  # epochs


@dataclass(frozen=True)
class Corpus:
    """A corpus at its full size."""

    title: str
    raw: int  # texts whose label is not used, with the fewest labels of the tables
    max_length: int  # tokens read of a text
    max_words: int


@dataclass(frozen=True)
class Row:
    """A row of the tables."""

    title: str
    decoder: str | None = None
    baseline: str | None = None  # of sampled labels; None sums over all of them
    samples: int = 1
    language_model: bool = False


CORPORA = {
    # 50,000 raw reviews, and 17,500 of the 20,000 left after a fifth became the dev corpus
    "imdb": Corpus("IMDB", raw=67500, max_length=400, max_words=20000),
    # 88,000 of 96,000 articles
    "ag_news": Corpus("AG's News", raw=88000, max_length=100, max_words=20000),
}
SSVAE_ROWS = {
    "lstm": Row("LSTM"),
    "vanilla": Row("SSVAE-vanilla", "vanilla"),
    "i": Row("SSVAE-I", "clstm1"),
    "ii": Row("SSVAE-II", "clstm2"),
    "ii_s1": Row("SSVAE-II,S1", "clstm2", "length"),
    "ii_s2": Row("SSVAE-II,S2", "clstm2", "mean", 2),
    "lm_lstm": Row("LM-LSTM", language_model=True),
    "ii_lm": Row("SSVAE-II,LM", "clstm2", language_model=True),
    "ii_s1_lm": Row("SSVAE-II,S1,LM", "clstm2", "length", language_model=True),
    "ii_s2_lm": Row("SSVAE-II,S2,LM", "clstm2", "mean", 2, language_model=True),
}
ROWS = {f"{name}_{row}": (name, row) for name in CORPORA for row in SSVAE_ROWS}


def make_row(name: str) -> str:
    """Write the config of a row.

    name (str): The row.
    RETURNS (str): The config with comments.
    """
    corpus_name, row_name = ROWS[name]
    corpus, row = CORPORA[corpus_name], SSVAE_ROWS[row_name]
    config = Config().from_str(make_config([TEXTCAT], lang="en"), interpolate=False)
    if row.language_model:
        config["paths"]["language_model"] = f"training/{corpus_name}/lm"
    set_component(config, corpus, row)
    set_training(config, corpus)
    # what the blocks above leave out gets its default
    filled = spacy.util.load_model_from_config(config, auto_fill=True).config
    filled.pop("pretraining", None)
    filled["paths"].pop("init_tok2vec", None)
    text = comment(filled.to_str(interpolate=False))
    return f"# {corpus.title}, {row.title}. Written by make.py.\n{text}"


def set_component(config: Config, corpus: Corpus, row: Row) -> None:
    """Set sizes, decoder, sampling and schedules.

    config (Config): Gains the settings.
    corpus (Corpus): The corpus.
    row (Row): The row.
    """
    component = config["components"][TEXTCAT]
    component["model"].update(
        decoder=row.decoder,
        width=300,
        hidden=512,
        width_z=50,
        marginal="exact" if row.baseline is None else "sample",
        samples=row.samples,
        baseline=row.baseline or "none",
        length_normalize=row.baseline == "length",
        max_length=corpus.max_length,
        max_words=corpus.max_words,
    )
    for name in ("alpha", "kl_weight", "word_dropout"):
        component[name]["steps"] = EPOCHS_OF_ANNEALING * epoch_of(corpus)


def set_training(config: Config, corpus: Corpus) -> None:
    """Set batches, learning rate and patience.

    config (Config): Gains the settings.
    corpus (Corpus): The corpus.
    """
    epoch = epoch_of(corpus)
    config["training"].update(patience=PATIENCE * epoch, max_steps=0, eval_frequency=epoch)
    config["training"]["optimizer"]["learn_rate"] = 0.004
    for section in ("training", "semivae"):
        config[section]["batcher"]["size"] = BATCH
    config["semivae"]["init_unlabeled"] = corpus.raw
    config["semivae"]["pretraining"]["batcher"]["size"] = BATCH
    config["corpora"]["unlabeled"]["limit"] = 0


def epoch_of(corpus: Corpus) -> int:
    """Count the steps in which the raw text is read once.

    corpus (Corpus): The corpus.
    RETURNS (int): Steps.
    """
    return -(-corpus.raw // BATCH)


def main() -> None:
    """Write all configs."""
    for name in ROWS:
        (FOLDER / f"{name}.cfg").write_text(make_row(name), encoding="utf8")


if __name__ == "__main__":
    main()
