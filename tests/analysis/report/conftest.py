"""Output folders of short trainings, and a browser."""

import shutil

import pytest
import spacy
from spacy.tokens import DocBin
from thinc.api import Config
from tiny import annotate

from spacy_semivae.analysis.report import make_report
from spacy_semivae.analysis.report.source import read_source
from spacy_semivae.training.initialize import initialize_nlp
from spacy_semivae.training.run import train_nlp
from spacy_semivae.training.template import make_config

EVIL = "<script>window.hacked=1</script>"
EVIL_LABEL = "<img/src=x/onerror=hacked=1>"
TEXTS = [
    ("Ann saw Bob Lee in Rome !", "N V N N P N .", [(0, 1, "PER"), (2, 4, "PER")], "trip"),
    (f"We like New {EVIL} Rome", "P V N X N", [(2, 5, EVIL_LABEL)], "trip"),
    ("no names here", "D N R", [], "talk"),
    ("Bob likes us", "N V P", [(0, 1, "PER")], "talk"),
]
PIPES = ("vsl_tagger", "crf_vae_ner", "ssvae_textcat")
SIZES = {"hidden": 8, "width": 8}
ENCODER = {"width": 8, "char_width": 4, "char_hidden": 4, "hidden": 8, "min_count": 1}
MODELS = {
    "vsl_tagger": {**SIZES, "width_y": 4, "width_z": 6, "tok2vec": ENCODER},
    "crf_vae_ner": {"width": 8, "tok2vec": ENCODER},
    "ssvae_textcat": {**SIZES, "width_z": 4, "width_y": 4},
}


def write_corpus(path, n):
    nlp = spacy.blank("en")
    docs = [annotate(nlp, *text) for text in TEXTS * n]
    DocBin(docs=docs, store_user_data=True).to_disk(path)
    return str(path)


def train_pipeline(folder, pipes):
    """Train for some steps; the log is Logger.v1's."""
    config = Config().from_str(make_config(pipes, lang="en"), interpolate=False)
    raw = folder / "raw.txt"
    raw.write_text("Lee likes New Rome\nAnn saw no names\nWe saw 12 zebras here !\n")
    paths = {"train": write_corpus(folder / "train.spacy", 1), "unlabeled": str(raw)}
    paths["dev"] = write_corpus(folder / "dev.spacy", 2)
    changes = {
        "paths": paths,
        "nlp": {"tokenizer": {"@tokenizers": "semivae.TweetTokenizer.v1"}},
        "training": {
            "max_steps": 6,
            "eval_frequency": 2,
            "logger": {"@loggers": "semivae.Logger.v1", "console": False},
        },
        "semivae": {"checkpoint_every": 0},
        "components": {name: {"model": MODELS[name]} for name in pipes},
    }
    config = config.merge(Config(changes))
    config["corpora"]["unlabeled"]["exclude"] = None
    nlp, settings = initialize_nlp(config)
    train_nlp(nlp, settings, folder / "out")
    return folder / "out"


@pytest.fixture(scope="session")
def all_trained(tmp_path_factory):
    """The output of one training of three components; not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        return train_pipeline(tmp_path_factory.mktemp("report"), PIPES)


@pytest.fixture
def output(all_trained, tmp_path):
    """A copy of that output."""
    return shutil.copytree(all_trained, tmp_path / "run")


@pytest.fixture(scope="session")
def source(all_trained):
    """What the report reads of it."""
    return read_source(all_trained, None)


@pytest.fixture
def get_pipe(source):
    """Give a component, and the Docs that are annotated for it."""

    def get(name):
        pipe = source.nlp.get_pipe(name)
        return pipe, [eg for eg in source.examples if pipe.is_labeled(eg)]

    return get


@pytest.fixture(scope="session")
def page_path(all_trained, tmp_path_factory):
    """A report on all components."""
    page = tmp_path_factory.mktemp("page") / "report.html"
    return make_report(all_trained, page=page, projection="pca")
