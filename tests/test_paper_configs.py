"""The configs of configs/paper: what their script writes, the paper's settings, and learning."""

import importlib.util
import io
import warnings
from collections import Counter
from pathlib import Path

import numpy
import pytest
import spacy
import torch
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.util import fix_random_seed, load_config
from thinc.api import Adam

from spacy_semivae.layers.crf_targets import encode_words
from spacy_semivae.layers.language_model import get_vocabulary
from spacy_semivae.modules.units import spread_tags
from spacy_semivae.training.initialize import initialize_nlp
from spacy_semivae.training.run import train_nlp

FOLDER = Path(__file__).parents[1] / "configs" / "paper"
NER = "crf_vae_ner"


def load_script():
    spec = importlib.util.spec_from_file_location("make_paper_configs", FOLDER / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = load_script()
# Generator, alpha, beta, prior ("" where it has no weight), encoder, whether a transformer learns.
TABLES = {
    "s": (None, 0.0, 0.0, "", "gpt2", False),
    "ae_exact": ("Factored", 1.0, 0.0, "", "gpt2", False),
    "ae_approx": ("Factored", 0.1, 0.0, "", "gpt2", False),
    "mf": ("MF", 0.1, 0.0, "", "gpt2", False),
    "mt": ("MT", 0.1, 0.0, "", "gpt2", True),
    "mf_gpt2": ("MFLM", 0.1, 0.0, "", "gpt2", False),
    "mt_gpt2": ("MTLM", 0.1, 0.0, "", "gpt2", True),
    "mt_gpt2_no_scale": ("MTLM", 0.1, 0.0, "", "gpt2", True),
    "mt_gpt2_poe": ("MTPoE", 0.1, 0.0, "", "gpt2", True),
    "mt_gpt2_residual": ("MTResidual", 0.1, 0.0, "", "gpt2", True),
    "s_emp": (None, 0.1, 0.01, "empirical", "gpt2", False),
    "s_sim": (None, 0.1, 0.01, "simple", "gpt2", False),
    "mt_emp": ("MT", 0.1, 0.01, "empirical", "gpt2", True),
    "mt_sim": ("MT", 0.1, 0.01, "simple", "gpt2", True),
    "psl_s_emp": (None, 0.1, 0.01, "table", "gpt2", False),
    "psl_s_sim": (None, 0.1, 0.01, "simple", "gpt2", False),
    "psl_mt_emp": ("MT", 0.1, 0.1, "table", "gpt2", True),
    "psl_mt_sim": ("MT", 0.1, 0.1, "simple", "gpt2", True),
    "roberta_s": (None, 0.0, 0.0, "", "roberta-large", False),
    "roberta_mt": ("MT", 0.01, 0.1, "simple", "roberta-large", True),
    "roberta_s_lg": (None, 0.0, 0.0, "", "roberta-large", True),
    "roberta_mt_lg": ("MT", 0.1, 0.01, "simple", "roberta-large", True),
}
# Steps of an epoch: the longer stream's sentences by 128, or by 32 where a transformer learns.
EPOCHS = {
    **dict.fromkeys(TABLES, 578),
    **{name: 2310 for name, row in TABLES.items() if row[-1]},
    "s": 65,
    **dict.fromkeys(("psl_s_emp", "psl_s_sim"), 642),
    **dict.fromkeys(("psl_mt_emp", "psl_mt_sim", "roberta_mt", "roberta_s_lg"), 2567),
    "roberta_s": 7,
    "roberta_mt_lg": 3125,
}
WITHOUT_RAW = {"s", "roberta_s", "roberta_s_lg", *(name for name in TABLES if "psl" in name)}


def test_every_row_has_its_config():
    assert {path.stem for path in FOLDER.glob("*.cfg")} == set(TABLES) == set(make.ROWS)
    text = (FOLDER / "README.md").read_text(encoding="utf8")
    assert all(f"`{name}`" in text for name in TABLES)


@pytest.mark.parametrize("name", TABLES)
def test_a_config_is_what_the_script_writes(name):
    text = (FOLDER / f"{name}.cfg").read_text(encoding="utf8")
    assert text == make.make_row(name), "write it anew: python configs/paper/make.py"


@pytest.mark.parametrize("name", TABLES)
def test_the_settings_are_those_of_the_paper(name):
    generator, alpha, beta, prior, encoder, has_transformer = TABLES[name]
    config = load_config(FOLDER / f"{name}.cfg").interpolate()
    pipe, training = config["components"][NER], config["training"]
    model, optimizer = pipe["model"], training["optimizer"]
    assert (pipe["alpha"], pipe["beta"]) == (alpha, beta)
    assert (pipe["temperature"], pipe["max_grad_norm"], pipe["generator_weight"]) == (0.66, 5, 1)
    if prior:
        assert ("table" if isinstance(pipe["prior"], dict) else pipe["prior"]) == prior
    assert model["tok2vec"]["@architectures"] == "semivae.FrozenTransformer.v1"
    assert model["tok2vec"]["name"] == encoder
    assert model["unit"] == "piece"
    has_lm = "gpt2" in name
    assert model["tokenizer"] == (None if has_lm else encoder)
    assert (model["tagger_layers"], model["tagger_heads"]) == (4 if "lg" in name else 0, 8)
    if generator is None:
        assert model["generator"] is None
    else:
        found = model["generator"]
        assert found["@architectures"] == f"semivae.{generator}Generator.v1"
        assert found.get("width", 300) == 300
        assert (found.get("layers", 2), found.get("heads", 4)) == (2, 4)
        assert found.get("objective") == {"ae_exact": "exact", "ae_approx": "relaxed"}.get(name)
        assert found.get("scale", True) == ("no_scale" not in name)
        assert found.get("name") == ("gpt2" if has_lm else None)
    size, epoch = 32 if has_transformer else 128, EPOCHS[name]
    assert training["batcher"]["size"] == config["semivae"]["batcher"]["size"] == size
    noam = {"@schedules": "semivae.noam.v1", "width": 300, "warmup": 16000, "factor": 1.0}
    assert optimizer["@optimizers"] == "Adam.v1"
    assert optimizer["learn_rate"] == (noam if has_transformer else 0.001)
    assert (training["patience"], training["eval_frequency"]) == (10 * epoch, epoch)
    assert training["max_steps"] == 0
    assert (config["semivae"]["unlabeled_corpus"] is None) == (name in WITHOUT_RAW)


# Tiny models and corpora

NAMES = ["Ann", "Bob", "Lee", "Zeb", "Mia"]
PLACES = ["Rome", "York", "New York", "Oslo", "Bern"]
SHAPES = ["{0} saw {1} in {2} .", "we like {2} !", "{0} and {1} like us", "in {2} {0} saw no names"]


def make_texts(n):
    for i in range(n):
        a, b, place = NAMES[i % 5], NAMES[(i // 4 + 2) % 5], PLACES[(i // 4 + i) % 5]
        yield SHAPES[i % 4].format(a, b, place)


def annotate(doc, kept=None):
    """Set all entities, or some and nothing on the other tokens."""
    spans = [spacy.tokens.Span(doc, t.i, t.i + 1, "PER") for t in doc if t.text in NAMES]
    for token in doc:
        if token.text in {"Rome", "York", "Oslo", "Bern"}:
            start = token.i - (token.i > 0 and doc[token.i - 1].text == "New")
            spans.append(spacy.tokens.Span(doc, start, token.i + 1, "LOC"))
    if kept is None:
        doc.ents = spans
    else:
        doc.set_ents(spans[:kept], default="missing")
    return doc


def make_corpora(vocab, name):
    """20 Docs: labelled and raw ones of the row."""
    docs = [Doc(vocab, words=text.split(" ")) for text in make_texts(20)]
    if "psl" in name:
        return [annotate(doc, kept=(1, 2, 0, 9)[i // 4 % 4]) for i, doc in enumerate(docs)], []
    n = 20 if name in WITHOUT_RAW else 10
    return [annotate(doc) for doc in docs[:n]], docs[n:]


def shrink(name, gpt2, bert):
    """The row's config on tiny random models."""
    config = load_config(FOLDER / f"{name}.cfg")
    model = config["components"][NER]["model"]
    folder = str(bert if "roberta" in name else gpt2)
    model["tok2vec"]["name"] = folder
    model.update(width=16, tagger_heads=2, tagger_hidden=8)
    if model["tokenizer"]:
        model["tokenizer"] = folder
    if model["generator"]:
        small = {"width": 16, "hidden": 16, "dropout": 0.0, "name": folder}
        known = model["generator"]
        known.update({key: value for key, value in small.items() if key in known})
    prior = config["components"][NER]["prior"]
    if isinstance(prior, dict):
        config["components"][NER]["prior"] = make.make_prior(
            make.ROWS[name], Counter({"O": 60, "U-PER": 25, "U-LOC": 12})
        )
    return config


@pytest.fixture
def start(tiny_gpt2, tiny_bert):
    """Gives a function that starts a row; returns the pipeline and Examples."""

    def run(name):
        fix_random_seed(0)
        nlp = spacy.util.load_model_from_config(shrink(name, tiny_gpt2, tiny_bert))
        labeled, raw = make_corpora(nlp.vocab, name)
        examples = [
            Example(Doc(nlp.vocab, words=[t.text for t in doc]), doc) for doc in (*labeled, *raw)
        ]
        nlp.initialize(lambda: examples)
        return nlp, examples

    return run


def collect(model, *, trainable):
    """Copies of all tensors below a model that are to be trained, or of all others."""
    found = {}
    for i, node in enumerate(model.walk()):
        assert not node.param_names
        for shim in node.shims:
            learns = {name for name, p in shim._model.named_parameters() if p.requires_grad}
            for name, tensor in shim._model.state_dict().items():
                if (name in learns) == trainable:
                    found[f"{i}:{name}"] = tensor.clone().numpy()
    return found


OWNED = {
    None: {"project", "score", "start", "pair", "end", "kinds"},
    "Factored": {"generator.tags"},
    "MF": {"generator.tags", "generator.W"},
    "MT": {"generator.tags", "generator.W", "generator.context"},
    "MFLM": {"generator.tags", "generator.W"},
    "MTLM": {"generator.tags", "generator.W", "generator.context"},
    "MTPoE": {"generator.tags", "generator.W", "generator.context"},
    "MTResidual": {"generator.tags", "generator.context", "generator.mlp"},
}


@pytest.mark.parametrize("name", TABLES)
def test_an_update_trains_what_the_row_owns(name, start):
    nlp, examples = start(name)
    model = nlp.get_pipe(NER).model
    owned, other = (collect(model, trainable=flag) for flag in (True, False))
    generator = TABLES[name][0]
    wanted = OWNED[None] | OWNED[generator] | ({"tagger"} if "lg" in name else set())
    assert {key for key in wanted if any(key in tensor for tensor in owned)} == wanted
    assert all(any(key in tensor for key in wanted) for tensor in owned)
    assert len([key for key in other if "wte" in key or "word_embeddings" in key]) >= 1
    # a rate of its own: the first step of the Noam schedule is below what a float resolves
    optimizer = Adam(0.01)
    nlp.update(examples, sgd=optimizer, losses={})
    after = collect(model, trainable=True)
    still = [key for key in owned if numpy.array_equal(owned[key], after[key])]
    assert still == []
    for key, tensor in collect(model, trainable=False).items():
        numpy.testing.assert_array_equal(tensor, other[key], err_msg=key)


@pytest.mark.parametrize("name", ["s", "mt_gpt2_residual", "psl_mt_emp", "roberta_mt_lg"])
def test_a_config_trains_from_files(name, tiny_gpt2, tiny_bert, tmp_path):
    config = shrink(name, tiny_gpt2, tiny_bert)
    for part, docs in zip(("train", "unlabeled"), make_corpora(spacy.blank("en").vocab, name)):
        path = tmp_path / f"{part}.spacy"
        DocBin(docs=docs).to_disk(path)
        config["paths"][part] = str(path)
    config["paths"].update(dev=config["paths"]["train"], cache=str(tmp_path / "cache"))
    config["training"].update(max_steps=2, eval_frequency=2)
    nlp, settings = initialize_nlp(config)
    result = train_nlp(nlp, settings, stdout=io.StringIO(), stderr=io.StringIO())
    assert result["steps"] == 2
    caches = list((tmp_path / "cache").glob("*.f16"))
    assert len(caches) == (2 if "gpt2" in name else 1)  # encoder and language model


def test_the_prior_is_counted_in_a_corpus(tmp_path):
    vocab = spacy.blank("en").vocab
    docs = [annotate(Doc(vocab, words=text.split(" "))) for text in make_texts(8)]
    DocBin(docs=docs).to_disk(tmp_path / "all.spacy")
    counts = make.count_corpus(tmp_path / "all.spacy")
    n_per = sum(t.text in NAMES for doc in docs for t in doc)
    assert counts["U-PER"] == n_per > 0
    prior = make.make_prior(make.ROWS["mt_emp"], counts)
    smoothed = sum(counts.values()) + 9
    assert prior["U-PER"] == pytest.approx((n_per + 1) / smoothed)
    assert prior["I-LOC"] == pytest.approx(1 / smoothed)
    assert len(prior) == 9
    assert make.make_prior(make.ROWS["mt_sim"], counts) == "simple"
    assert make.make_prior(make.ROWS["psl_s_emp"], counts) == prior
    DocBin(docs=[Doc(vocab, words=["a"])]).to_disk(tmp_path / "raw.spacy")
    with pytest.raises(ValueError, match=r"raw.spacy has no Doc whose tokens are all annotated"):
        make.count_corpus(tmp_path / "raw.spacy")


def test_the_prior_of_ontonotes():
    prior = load_config(FOLDER / "psl_mt_emp.cfg")["components"][NER]["prior"]
    assert prior.pop("O") == 0.85
    assert len(prior) == 72
    assert sum(prior.values()) == pytest.approx(0.15, abs=1e-5)
    assert len(set(prior.values())) == 1


# Learning


def train(nlp, examples, steps=200):
    """Give the terms of each update."""
    optimizer, found = Adam(0.01), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a collapse, where nothing but the KL is learned
        for _ in range(steps):
            losses = nlp.update(examples, sgd=optimizer, losses={})
            found.append({key.removeprefix(f"{NER}_"): value for key, value in losses.items()})
    return found


def entropy_given_tags(pipe, examples):
    """H(x | y) of the word pieces, nats per unit, by the counts of the true tags."""
    docs = [eg.predicted for eg in examples]
    gold = [Example(doc, annotate(Doc(doc.vocab, words=[t.text for t in doc]))) for doc in docs]
    pieces = get_vocabulary(pipe.model).encode(docs)
    tags = torch.from_numpy(numpy.concatenate([pipe.scheme.encode(eg) for eg in gold]))
    tags = spread_tags(tags, torch.from_numpy(pieces.lengths), spans=True).tolist()
    words = encode_words(pipe.model, docs, pieces).tolist()
    totals, pairs = Counter(tags), Counter(zip(tags, words))
    return -sum(n * numpy.log(n / totals[tag]) for (tag, _), n in pairs.items()) / len(tags)


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_every_weighed_term_is_halved(name, start):
    nlp, examples = start(name)
    pipe, n_labeled = nlp.get_pipe(NER), 20 if name in WITHOUT_RAW else 10
    floors = {}
    if TABLES[name][0] in ("Factored", "MF", "MFLM"):
        # A piece depends on its own tag alone: however good the tags, what the tag does not tell
        # remains. The distance from there is what can be halved.
        parts = {"generation": examples[:n_labeled], "reconstruction": examples[n_labeled:]}
        floors = {term: entropy_given_tags(pipe, part) for term, part in parts.items()}
        assert min(floors.values()) > 1
    losses = train(nlp, examples)
    weighed = {term for term, weight in pipe.weights().items() if weight and term in losses[0]}
    assert {"supervised"} <= weighed
    assert ("kl" in weighed) == (TABLES[name][2] > 0)
    # The KL (0.001 to 0.01 of the sum) gives way to the others: of a tagger that is sure of its
    # tags it is the tags' surprise under the prior, 2.8 nats for one of an entity where the prior
    # is simple. Alone it is halved, see below.
    for term in sorted(weighed - {"kl"}):
        first, floor = losses[0][term], floors.get(term, 0.0)
        if first == 0:  # no Doc has it
            assert (term == "negative") or ("psl" in name and term == "generation"), term
            continue
        last = numpy.mean([found[term] for found in losses[-10:]])
        assert last - floor < (first - floor) / 2, (term, first, last, floor)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, row in TABLES.items() if row[2]])
def test_the_kl_alone_is_halved(name, start, monkeypatch):
    nlp, examples = start(name)
    pipe = nlp.get_pipe(NER)
    assert pipe.weights()["kl"] == pytest.approx(TABLES[name][1] * TABLES[name][2])
    alone = {**dict.fromkeys(pipe.weights(), 0.0), "kl": 1.0}
    monkeypatch.setattr(pipe, "weights", lambda: alone)
    losses = [found["kl"] for found in train(nlp, examples)]
    assert numpy.mean(losses[-10:]) < losses[0] / 2
