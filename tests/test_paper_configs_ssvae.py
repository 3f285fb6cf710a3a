"""The configs of configs/paper/ssvae: what their script writes, the paper's settings, an update."""

import importlib.util
import warnings
from pathlib import Path

import numpy
import pytest
import spacy
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import fix_random_seed, load_config
from thinc.api import Adam

FOLDER = Path(__file__).parents[1] / "configs" / "paper" / "ssvae"
TEXTCAT = "ssvae_textcat"
# Decoder, samples (0 for the exact sum), baseline, whether a language model starts it.
TABLES = {
    "lstm": (None, 0, None, False),
    "vanilla": ("vanilla", 0, None, False),
    "i": ("clstm1", 0, None, False),
    "ii": ("clstm2", 0, None, False),
    "ii_s1": ("clstm2", 1, "length", False),
    "ii_s2": ("clstm2", 2, "mean", False),
    "lm_lstm": (None, 0, None, True),
    "ii_lm": ("clstm2", 0, None, True),
    "ii_s1_lm": ("clstm2", 1, "length", True),
    "ii_s2_lm": ("clstm2", 2, "mean", True),
}
EPOCHS = {"imdb": 1055, "ag_news": 1375}  # steps of 64 for 67,500 and 88,000 texts
NAMES = [f"{corpus}_{row}" for corpus in EPOCHS for row in TABLES]


def load_script():
    spec = importlib.util.spec_from_file_location("make_ssvae_configs", FOLDER / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = load_script()


def split(name):
    return next((c, name.removeprefix(f"{c}_")) for c in EPOCHS if name.startswith(f"{c}_"))


def test_every_row_has_its_config():
    assert {path.stem for path in FOLDER.glob("*.cfg")} == set(NAMES) == set(make.ROWS)
    text = (FOLDER / "README.md").read_text(encoding="utf8")
    assert all(f"`{name}`" in text for name in TABLES)


@pytest.mark.parametrize("name", NAMES)
def test_a_config_is_what_the_script_writes(name):
    text = (FOLDER / f"{name}.cfg").read_text(encoding="utf8")
    assert text == make.make_row(name), "write it anew: python configs/paper/ssvae/make.py"


@pytest.mark.parametrize("name", NAMES)
def test_the_settings_are_those_of_the_paper(name):
    corpus, row = split(name)
    decoder, samples, baseline, has_lm = TABLES[row]
    config = load_config(FOLDER / f"{name}.cfg").interpolate()
    pipe, training, epoch = config["components"][TEXTCAT], config["training"], EPOCHS[corpus]
    model = pipe["model"]
    assert (model["hidden"], model["width"], model["width_z"]) == (512, 300, 50)
    assert (model["decoder"], model["tok2vec"]) == (decoder, None)
    assert model["marginal"] == ("sample" if samples else "exact")
    if samples:
        assert (model["samples"], model["baseline"]) == (samples, baseline)
        assert model["replacement"]
    assert model["length_normalize"] == (baseline == "length")
    for setting, ends in {
        "kl_weight": (0, 1),
        "alpha": (1, 2),
        "word_dropout": (0.25, 0.5),
    }.items():
        assert (pipe[setting]["start"], pipe[setting]["end"]) == ends
        assert pipe[setting]["steps"] == 5 * epoch
    assert pipe["prior"] == "uniform"
    assert training["optimizer"]["@optimizers"] == "Adam.v1"
    assert training["optimizer"]["learn_rate"] == 0.004
    assert (training["patience"], training["eval_frequency"]) == (10 * epoch, epoch)
    assert training["batcher"]["size"] == config["semivae"]["batcher"]["size"] == 64
    start = config["initialize"]["components"][TEXTCAT]
    assert start["language_model"] == (f"training/{corpus}/lm" if has_lm else None)
    assert not start["language_model_encoder"]
    assert config["semivae"]["unlabeled_corpus"] == "corpora.unlabeled"


@pytest.mark.parametrize("name", NAMES)
def test_a_row_learns(name):
    fix_random_seed(0)
    config = load_config(FOLDER / f"{name}.cfg")
    config["components"][TEXTCAT]["model"].update(width=4, hidden=6, width_z=3, width_y=3)
    nlp = spacy.util.load_model_from_config(config)
    nlp.config["initialize"]["components"][TEXTCAT]["language_model"] = None
    examples = []
    for i in range(12):
        reference = Doc(nlp.vocab, words=[("good", "bad")[i % 2], "film", f"number{i % 3}"])
        if i < 6:
            reference.cats = {"neg": float(i % 2), "pos": float(not i % 2)}
        examples.append(Example(Doc(nlp.vocab, words=[t.text for t in reference]), reference))
    nlp.initialize(lambda: examples)
    pipe = nlp.get_pipe(TEXTCAT)
    before = pipe.model.to_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        losses = nlp.update(examples, sgd=Adam(0.004, use_averages=False))
    assert pipe.model.to_bytes() != before
    terms = {key.removeprefix(f"{TEXTCAT}_") for key in losses}
    has_generator = TABLES[split(name)[1]][0] is not None
    assert ("reconstruction" in terms) == has_generator == pipe.uses_unlabeled()
    assert all(numpy.isfinite(value) for value in losses.values())
