"""A language model's folder that is damaged, or holds a pickle, is refused by name."""

import os
import pickle

import numpy
import pytest
import spacy
import torch
from safetensors.torch import load, save

from spacy_semivae.architectures.models import build_ssvae
from spacy_semivae.layers.loading import CHECKSUMS
from spacy_semivae.layers.targets import set_vocabulary
from spacy_semivae.layers.text_lm import FILES, WEIGHTS, load_text_lm, save_text_lm, text_lm
from spacy_semivae.layers.words import count_words


@pytest.fixture
def folder(tmp_path):
    """A folder that `save_text_lm` wrote."""
    nlp = spacy.blank("en")
    docs = [nlp.make_doc(text) for text in ("we like Rome", "we like Rome .")]
    model = build_ssvae(nO=2, width=5, hidden=6, width_z=2, width_y=2, dropout=0.0)
    set_vocabulary(model, count_words(docs), nlp.vocab)
    save_text_lm(text_lm(model, dropout=0.0, autoencoder=False), tmp_path)
    return tmp_path


def content(model):
    shim = model.shims[0]
    return shim.to_bytes(), list(model.attrs["targets"]), model.attrs["normalize"]


def attempt(folder, *names):
    """Load; gives the content, or None after an error that names one of these."""
    message = None
    try:
        return content(load_text_lm(folder))
    except (ValueError, OSError) as error:
        message = str(error)
    assert any(str(name) in message for name in names), message
    return None


def damage(data, n):
    rng = numpy.random.default_rng(0)
    for i in range(n):
        where, other = int(rng.integers(len(data))), bytearray(data)
        if i % 3:
            other[where] ^= 1 << int(rng.integers(8))
        yield bytes(other if i % 3 else other[:where])


@pytest.mark.parametrize("name", [*FILES, CHECKSUMS])
def test_damage(name, folder):
    expected, data = attempt(folder), (folder / name).read_bytes()
    assert expected is not None
    for other in damage(data, 40):
        (folder / name).write_bytes(other)
        found = attempt(folder, folder)
        assert found in (None, expected)
        assert found is None or name == CHECKSUMS
    (folder / name).unlink()
    assert (attempt(folder, name) is not None) is (name == CHECKSUMS)


@pytest.mark.parametrize("name", FILES)
def test_damage_that_no_checksum_shows(name, folder):
    (folder / CHECKSUMS).unlink()
    for other in damage((folder / name).read_bytes(), 60):
        (folder / name).write_bytes(other)
        attempt(folder, folder)


def test_weights_of_another_shape(folder):
    (folder / CHECKSUMS).unlink()
    state = load((folder / WEIGHTS).read_bytes())
    for name, tensor in state.items():
        bigger = {**state, name: torch.zeros(2, *tensor.shape)}
        (folder / WEIGHTS).write_bytes(save(bigger))
        assert attempt(folder, name) is None


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("dump", [pickle.dumps, torch.save])
def test_pickles(name, dump, folder):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(folder / "marker"),))

    (folder / CHECKSUMS).unlink()
    if dump is torch.save:
        torch.save(Bomb(), folder / name)
    else:
        (folder / name).write_bytes(dump(Bomb()))
    assert attempt(folder, folder) is None
    assert not (folder / "marker").exists()
