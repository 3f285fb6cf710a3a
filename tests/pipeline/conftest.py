"""Tiny pipelines and corpora for the tests of the components."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import fix_random_seed
from thinc.api import Adam
from tiny import ENCODER

SENTENCES = [
    (
        "Ann saw Bob Lee in Rome !",
        "NNP VBD NNP NNP IN NNP .",
        [(0, 1, "PER"), (2, 4, "PER"), (5, 6, "LOC")],
        "city trip \U0001f600",
    ),
    (
        "We like New York City .",
        "PRP VBP NNP NNP NNP .",
        [(2, 5, "LOC")],
        "city trip \U0001f600",
    ),
    ("no names here", "DT NNS RB", [], "talk"),
    ("Bob likes us", "NNP VBZ PRP", [(0, 1, "PER")], "talk"),
]
CATS = ("city trip \U0001f600", "talk")
RAW = ["Lee likes New Rome", "Ann saw no names", "We saw 12 zebras here !"]
TEXTS = ["Ann saw Bob Lee", "", "We like New York City .", " ", "Rome", "zebras"]
UNIVERSAL = {
    "NNP": "PROPN",
    "NNS": "NOUN",
    "PRP": "PRON",
    "IN": "ADP",
    ".": "PUNCT",
    "DT": "DET",
    "RB": "ADV",
    "VBD": "VERB",
    "VBP": "VERB",
    "VBZ": "VERB",
}
TEXT_MODEL = {"width": 8, "hidden": 12, "width_z": 4, "width_y": 4, "dropout": 0.0}
MODEL = {"width_y": 4, "width_z": 6, "hidden": 8, "width": 8}
GENERATORS = {
    "factored": {"@architectures": "semivae.FactoredGenerator.v1"},
    "mf": {"@architectures": "semivae.MFGenerator.v1", "width": 6},
    "mt": {"@architectures": "semivae.MTGenerator.v1"},
    "mf_lm": {"@architectures": "semivae.MFLMGenerator.v1", "width": 6},
    "mt_lm": {"@architectures": "semivae.MTLMGenerator.v1"},
    "mt_lm_poe": {"@architectures": "semivae.MTPoEGenerator.v1"},
    "mt_lm_residual": {"@architectures": "semivae.MTResidualGenerator.v1"},
}
TRANSFORMER = {"width": 8, "layers": 1, "heads": 2, "hidden": 8, "dropout": 0.0}


def annotate(
    nlp: Language, words: str, tags: str | None, ents: Any, cat: str | None = None
) -> Example:
    """One Example; None leaves tags, entities or cats unset."""
    reference = Doc(nlp.vocab, words=words.split(" "))
    if tags is not None:
        for token, tag in zip(reference, tags.split(" ")):
            token.tag_, token.pos_ = tag, UNIVERSAL.get(tag, "X")
    if ents is not None:
        reference.ents = [Span(reference, i, j, label=label) for i, j, label in ents]
    if cat is not None:
        reference.cats = {label: float(label == cat) for label in CATS}
    return Example(Doc(nlp.vocab, words=words.split(" ")), reference)


@pytest.fixture(autouse=True)
def _seed() -> None:
    fix_random_seed(0)


@pytest.fixture
def gold() -> Callable[[Language], list[Example]]:
    """Make fully annotated Examples: tags, parts of speech, entities and cats."""
    return lambda nlp: [annotate(nlp, *sentence) for sentence in SENTENCES]


@pytest.fixture
def raw() -> Callable[[Language], list[Example]]:
    """Make Examples without annotation."""
    return lambda nlp: [annotate(nlp, words, None, None) for words in RAW]


@pytest.fixture
def make_nlp(
    gold: Callable[[Language], list[Example]], raw: Callable[[Language], list[Example]]
) -> Callable[..., Language]:
    """Make an initialized pipeline with one tiny component."""

    def make(
        factory: str = "vsl_tagger",
        *,
        variant: str = "hier",
        model: dict[str, Any] | None = None,
        encoder: dict[str, Any] | None = None,
        vectors: bool = False,
        examples: Callable[[Language], list[Example]] | None = None,
        initialize: bool = True,
        **settings: Any,
    ) -> Language:
        fix_random_seed(0)
        nlp = spacy.blank("en")
        small: dict[str, Any] = {"variant": variant, **MODEL, "tok2vec": ENCODER}
        if factory.startswith("crf_vae"):
            small = {"width": 8, "generator": GENERATORS["mf"], "tok2vec": ENCODER}
        elif factory == "ssvae_textcat":
            small = {**TEXT_MODEL, "tok2vec": None}
        whole = {**small, **(model or {})}
        if encoder:
            whole["tok2vec"] = {**ENCODER, **encoder}
        nlp.add_pipe(factory, config={"model": whole, **settings})
        if vectors:
            add_vectors(nlp)
        if initialize:
            found = (examples or (lambda nlp: [*gold(nlp), *raw(nlp)]))(nlp)
            nlp.initialize(lambda: found)
        return nlp

    return make


def add_vectors(nlp: Language) -> None:
    """Give most words of the corpus a random static vector."""
    rng = numpy.random.default_rng(0)
    words = sorted({word for words, *_ in SENTENCES for word in words.split(" ")})
    for word in words:
        nlp.vocab.set_vector(word, rng.normal(size=5).astype("f"))


@pytest.fixture
def crf_model(tiny_gpt2: str) -> Callable[..., dict[str, Any]]:
    """Give the `model` settings of a CRF-VAE with a generator, or with pieces and none."""

    def make(generator: str | None = "mf", unit: str = "token", **settings: Any) -> dict[str, Any]:
        found: dict[str, Any] = {"unit": unit, "generator": None}
        if generator is not None:
            found["generator"] = dict(GENERATORS[generator])
            if generator.startswith("mt"):
                found["generator"].update(TRANSFORMER)
            if "lm" in generator:
                found["generator"]["name"] = tiny_gpt2
                found["unit"] = "piece"
        if found["unit"] == "piece" and "lm" not in (generator or ""):
            found["tokenizer"] = tiny_gpt2
        return {**found, **settings}

    return make


@pytest.fixture
def fit() -> Callable[..., list[dict[str, float]]]:
    """Train for some steps; gives the losses of each."""

    def train(
        nlp: Language,
        examples: Sequence[Example],
        steps: int,
        *,
        lr: float = 0.02,
        drop: float = 0.0,
    ) -> list[dict[str, float]]:
        optimizer = Adam(lr)
        return [nlp.update(examples, sgd=optimizer, losses={}, drop=drop) for _ in range(steps)]

    return train


@pytest.fixture
def tensors() -> Callable[[Any], dict[str, Any]]:
    """Copy every trainable tensor below a model, by name."""

    def collect(model: Any) -> dict[str, Any]:
        found = {}
        for i, node in enumerate(model.walk()):
            for name in node.param_names:
                if node.has_param(name):
                    found[f"{i}:{node.name}.{name}"] = numpy.array(node.get_param(name))
            for shim in node.shims:
                for name, param in shim.module.named_parameters():
                    found[f"{i}:{node.name}.{name}"] = param.detach().numpy().copy()
        return found

    return collect


@pytest.fixture
def annotation() -> Callable[[str, Doc], list[Any]]:
    """Give what a component of this name wrote on a Doc: tags, the best cat, or entities."""

    def read(factory: str, doc: Doc) -> list[Any]:
        if factory.endswith("tagger"):
            return [token.tag_ for token in doc]
        if factory == "ssvae_textcat":
            return [max(doc.cats, key=lambda label: doc.cats[label])]
        return [(ent.start, ent.end, ent.label_) for ent in doc.ents]

    return read


@pytest.fixture
def measured() -> Callable[..., list[Any]]:
    """Give logits (VSL) or probabilities of each Doc, to be compared to the bit."""

    def predict(nlp: Language, factory: str, texts: Sequence[str] = TEXTS) -> list[Any]:
        pipe, docs = nlp.get_pipe(factory), [nlp.make_doc(text) for text in texts]
        if not factory.startswith("vsl"):
            return pipe.predict_probabilities(docs)
        return [pipe.predict(docs).dataXd.copy()]

    return predict


@pytest.fixture
def same() -> Callable[[Any, Any], bool]:
    """Whether two lists, or two dictionaries, of arrays are equal to the bit."""

    def compare(one: Any, other: Any) -> bool:
        if isinstance(one, dict):
            assert list(one) == list(other)
            one, other = one.values(), other.values()
        return all(numpy.array_equal(a, b) for a, b in zip(one, other, strict=True))

    return compare


@pytest.fixture
def keep() -> Callable[..., Example]:
    """Make an Example in which only some spans are known."""

    def make(nlp: Language, words: list[str], *spans: tuple[int, int, str]) -> Example:
        reference = Doc(nlp.vocab, words)
        reference.set_ents([Span(reference, *span) for span in spans], default="missing")
        return Example(Doc(nlp.vocab, words), reference)

    return make


@pytest.fixture
def reject() -> Callable[..., Example]:
    """Make an Example in which some spans are known to be wrong."""

    def make(nlp: Language, words: list[str], *spans: tuple[int, int, str]) -> Example:
        reference = Doc(nlp.vocab, words)
        reference.spans["incorrect_spans"] = [Span(reference, *span) for span in spans]
        return Example(Doc(nlp.vocab, words), reference)

    return make


@pytest.fixture
def train_on() -> Callable[..., list[dict[str, float]]]:
    """Train with fixed noise, dropout and a new optimizer; gives the losses of each step."""

    def train(nlp: Language, examples: Sequence[Example], steps: int) -> list[dict[str, float]]:
        fix_random_seed(3)
        optimizer = Adam(0.01)
        return [nlp.update(examples, sgd=optimizer, losses={}, drop=0.1) for _ in range(steps)]

    return train


@pytest.fixture
def through_bytes() -> Callable[[Language], Language]:
    """Give a pipeline loaded from the bytes of another."""
    return lambda nlp: spacy.blank("en").from_config(nlp.config).from_bytes(nlp.to_bytes())


@pytest.fixture(params=["disk", "bytes"])
def save(
    request: pytest.FixtureRequest, tmp_path: Path, through_bytes: Callable[[Language], Language]
) -> Callable[[Language], Language]:
    """Give a pipeline as it comes back from a folder, and from bytes."""

    def through_disk(nlp: Language) -> Language:
        nlp.to_disk(tmp_path)
        return spacy.load(tmp_path)

    return through_disk if request.param == "disk" else through_bytes
