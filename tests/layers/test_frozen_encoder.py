"""What the frozen encoder's fingerprint covers, its storage and copies, and its positions."""

import copy
import pickle
import shutil
import sys

import numpy
import pytest
import torch
import transformers
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model

from spacy_semivae.architectures.models import build_frozen_transformer
from spacy_semivae.layers.frozen_encoder import count_positions
from spacy_semivae.layers.transformer import get_shim

SENTENCES = ["ann saw zebras in rome !", "we like zebrasras", "no"]


def build(folder, **settings):
    model = build_frozen_transformer(str(folder), **{"cache": "none", **settings})
    model.initialize()
    return model


def make(*texts, vocab=None):
    vocab = vocab or Vocab()
    return [Doc(vocab, words=text.split()) for text in texts]


CHANGES = {
    "layer": 0,
    "pooling": "last",
    "window": 127,
    "stride": 95,
    "mixed_precision": True,
}


def test_fingerprint(tiny_bert):
    def fingerprint(**settings):
        return get_shim(build(tiny_bert, **settings)).fingerprint

    def rewrite(name, old, new):
        text = (tiny_bert / name).read_text(encoding="utf8")
        assert old in text
        (tiny_bert / name).write_text(text.replace(old, new), encoding="utf8")

    first = fingerprint()
    assert fingerprint(max_batch_items=7, cache="memory") == first
    found = {first, *(fingerprint(**{name: value}) for name, value in CHANGES.items())}
    rewrite("config.json", '"gelu"', '"relu"')
    found.add(fingerprint())
    rewrite("tokenizer_config.json", '"do_lower_case": true', '"do_lower_case": false')
    found.add(fingerprint())
    assert len(found) == len(CHANGES) + 3


def test_a_part_drawn_at_random_is_the_same_each_time(tiny_bert, tmp_path):
    config = transformers.AutoConfig.from_pretrained(tiny_bert)
    transformers.BertForMaskedLM(config).save_pretrained(tiny_bert)  # has no pooler
    found = set()
    for seed in (1, 2):
        torch.manual_seed(seed)
        expected = torch.rand(3)
        torch.manual_seed(seed)
        found.add(get_shim(build(tiny_bert)).fingerprint)
        assert torch.equal(torch.rand(3), expected)  # no number of the caller's was drawn
    assert len(found) == 1


# Storage


@pytest.mark.usefixtures("_no_pickle")
def test_bytes_need_neither_folder_nor_pickle(tiny_bert):
    docs, model = make(*SENTENCES), build(tiny_bert)
    expected, saved = model.predict(docs), model.to_bytes()
    fingerprint = get_shim(model).fingerprint
    shutil.rmtree(tiny_bert)
    loaded = build_frozen_transformer(str(tiny_bert), cache="none").from_bytes(saved)
    assert loaded.get_dim("nO") == 12
    loaded.initialize()  # keeps what was loaded
    for one, two in zip(loaded.predict(docs), expected):
        numpy.testing.assert_array_equal(one, two)
    assert get_shim(loaded).fingerprint == fingerprint
    assert loaded.to_bytes() == saved
    shim = get_shim(loaded)
    assert not shim.encoder.training
    assert not any(param.requires_grad for param in shim.encoder.parameters())


def test_an_empty_model_is_saved_and_loaded(tiny_bert):
    saved = build_frozen_transformer(str(tiny_bert)).to_bytes()
    loaded = build(tiny_bert).from_bytes(saved)
    with pytest.raises(ValueError, match=r"no weights yet: call nlp\.initialize"):
        loaded.predict(make("ann"))


def test_vectors_are_not_saved(tiny_bert):
    model = build(tiny_bert, cache="memory")
    before = model.to_bytes()
    model.predict(make(*SENTENCES))
    assert model.to_bytes() == before


@pytest.mark.parametrize(
    ("clone", "shared"),
    [
        (Model.copy, True),
        (lambda model: model.copy().copy(), True),
        (copy.deepcopy, True),
        (lambda model: pickle.loads(pickle.dumps(model)), False),
    ],
)
def test_copies(clone, shared, tiny_bert):
    docs, model = make(*SENTENCES, "ann saw zebras in rome ! " * 4), build(tiny_bert, layer=0)
    expected, other = model.predict(docs), clone(model)
    for one, two in zip(other.predict(docs), expected):
        numpy.testing.assert_array_equal(one, two)
    assert (get_shim(other).encoder is get_shim(model).encoder) == shared
    assert get_shim(other).fingerprint == get_shim(model).fingerprint
    assert other.get_dim("nO") == 12
    assert other.layers[0].attrs["get_spans"].shim is get_shim(other)
    other.initialize()
    other.to_bytes()


# Positions


@pytest.mark.parametrize(("kind", "positions"), [("Bert", 20), ("Roberta", 18), ("DistilBert", 20)])
def test_positions(kind, positions):
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=9,
        hidden_size=4,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=4,
        max_position_embeddings=20,
    )
    module = getattr(transformers, f"{kind}Model")(config).eval()
    assert count_positions(module, 10**30) == positions
    assert count_positions(module, 7) == 7
    module(input_ids=torch.full((1, positions), 3))
    with pytest.raises((IndexError, RuntimeError)):
        module(input_ids=torch.full((1, positions + 1), 3))


def test_no_limit_is_known():
    module = torch.nn.Linear(1, 1)
    module.config = transformers.PretrainedConfig()
    assert count_positions(module, 10**30) == sys.maxsize


def test_a_tokenizer_that_cannot_pad(tiny_bert):
    path = str(tiny_bert.parent / "vocab.txt")
    transformers.BertTokenizerFast(path, pad_token=None).save_pretrained(tiny_bert)
    with pytest.raises(ValueError, match="bert has neither padding nor end token"):
        build(tiny_bert)
