"""Nothing that is loaded is run: pickles and code in every place where one could be tried."""

import io
import json
import os
import pickle
from contextlib import suppress
from pathlib import Path

import numpy
import pytest
import spacy
import srsly
import torch
from safetensors.torch import load, save

from spacy_semivae.layers.cache import make_cache
from spacy_semivae.layers.language_model import build_language_model
from spacy_semivae.layers.loading import CHECKSUMS, write_checksums

FACTORIES = ("vsl_tagger", "vsl_ner", "crf_vae_tagger", "crf_vae_ner", "ssvae_textcat")


class Bomb:
    """An object whose pickle makes a folder when it is loaded."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (os.mkdir, (str(self.marker),))


def by_torch(bomb):
    stream = io.BytesIO()
    torch.save(bomb, stream)
    return stream.getvalue()


def by_numpy(bomb):
    array, stream = numpy.empty(1, dtype=object), io.BytesIO()
    array[0] = bomb
    numpy.save(stream, array, allow_pickle=True)
    return stream.getvalue()


FORMS = {"pickle": pickle.dumps, "torch": by_torch, "numpy": by_numpy}


@pytest.fixture
def marker(tmp_path):
    """What a pickle would make; it must not be there in the end."""
    path = tmp_path / "marker"
    with pytest.raises(FileNotFoundError):  # the bomb is one: it fails only in a missing folder
        pickle.loads(pickle.dumps(Bomb(tmp_path / "missing" / "marker")))
    yield path
    assert not path.exists()


@pytest.fixture(params=FORMS)
def bomb(request, marker):
    """The bytes of a malicious pickle, in each form."""
    return FORMS[request.param](Bomb(marker))


def refuses(load, name):
    """Whether there is an error; it must be one of ours, with this name."""
    message = None
    try:
        load()
    except (ValueError, OSError) as error:
        message = str(error)
    assert message is None or str(name) in message
    return message is not None


@pytest.mark.parametrize("factory", FACTORIES)
def test_files_of_a_component(factory, make_nlp, bomb, tmp_path):
    nlp = make_nlp(factory)
    folder = tmp_path / "model" / factory
    nlp.to_disk(tmp_path / "model")
    files = {file: file.read_bytes() for file in folder.iterdir()}
    for file, data in files.items():
        file.write_bytes(bomb)
        if file.name != CHECKSUMS:  # whoever can write a pickle can write its checksum
            write_checksums(folder, [other.name for other in files if other.name != CHECKSUMS])
        assert refuses(lambda: spacy.load(tmp_path / "model"), file)
        file.write_bytes(data)


def replace_each(node, replacement, path=()):
    """Give copies of nested data, in each of which one bytes object is replaced."""
    if isinstance(node, bytes):
        yield path, replacement
        try:
            inner = srsly.msgpack_loads(node)
        except ValueError:
            return
        if isinstance(inner, dict):
            for place, other in replace_each(inner, replacement, (*path, "*")):
                yield place, srsly.msgpack_dumps(other)
    items = (
        node.items() if isinstance(node, dict) else enumerate(node if type(node) is list else ())
    )
    for key, value in items:
        for place, other in replace_each(value, replacement, (*path, key)):
            copied = dict(node) if isinstance(node, dict) else list(node)
            copied[key] = other
            yield place, copied


@pytest.mark.parametrize("factory", FACTORIES)
def test_parts_of_bytes(factory, make_nlp, marker):
    nlp = make_nlp(factory)
    data = nlp.get_pipe(factory).to_bytes(exclude=["vocab"])
    message, places = srsly.msgpack_loads(data), []
    del message["checksums"]
    target = spacy.blank("en").from_config(nlp.config).get_pipe(factory)
    for place, other in replace_each(message, pickle.dumps(Bomb(marker))):
        places.append(place[-1])
        data = srsly.msgpack_dumps(other)
        assert refuses(lambda data=data: target.from_bytes(data, exclude=["vocab"]), factory), place
    assert {*places} >= {"pipe", "model", "state", "targets"}


def test_files_of_spacy(make_nlp, bomb, tmp_path):
    nlp = make_nlp("vsl_tagger", vectors=True)
    nlp.to_disk(tmp_path / "model")
    ours = tmp_path / "model" / "vsl_tagger"
    for file in (tmp_path / "model").rglob("*"):
        if not file.is_file() or file.parent == ours:
            continue
        data = file.read_bytes()
        file.write_bytes(bomb)
        with suppress(Exception):  # which one is spaCy's affair
            spacy.load(tmp_path / "model")
        file.write_bytes(data)


# Encoders and language models of Hugging Face


@pytest.fixture
def frozen(make_nlp, tiny_bert):
    """The shim of a frozen transformer, and the files in its bytes."""
    encoder = {"@architectures": "semivae.FrozenTransformer.v1", "name": str(tiny_bert)}
    nlp = make_nlp(model={"tok2vec": encoder})
    shim = nlp.get_pipe("vsl_tagger").model.layers[0].layers[0].layers[0].shims[0]
    return shim, srsly.msgpack_loads(shim.to_bytes())


def load_encoder(shim, message, encoder=None, tokenizer=None):
    files = {
        "encoder": encoder or message["encoder"],
        "tokenizer": tokenizer or message["tokenizer"],
    }
    return type(shim)(shim.reading).from_bytes(srsly.msgpack_dumps(files))


def test_weights_as_a_pickle(frozen, bomb):
    shim, message = frozen
    (weights,) = [name for name in message["encoder"] if name.endswith(".safetensors")]
    others = {name: data for name, data in message["encoder"].items() if name != weights}
    for encoder in ({**others, weights: bomb}, {**others, "pytorch_model.bin": bomb}, others):
        assert refuses(
            lambda encoder=encoder: load_encoder(shim, message, encoder), "frozen transformer"
        )
    both = {**message["encoder"], "pytorch_model.bin": bomb}
    assert load_encoder(shim, message, both).fingerprint == shim.fingerprint


def test_files_of_a_tokenizer(frozen, bomb):
    shim, message = frozen
    for name in message["tokenizer"]:
        files = {**message["tokenizer"], name: bomb}  # not every one is needed
        refuses(lambda files=files: load_encoder(shim, message, None, files), "frozen transformer")


CODE = "import os\nos.mkdir({!r})\nclass Evil: pass\n"


@pytest.mark.parametrize("model_type", ["bert", "unheard-of"])
def test_code_beside_an_encoder(model_type, frozen, marker):
    shim, message = frozen
    names = ("AutoModel", "AutoConfig", "AutoTokenizer")
    config = json.loads(message["encoder"]["config.json"])
    config.update(auto_map=dict.fromkeys(names, "evil.Evil"), model_type=model_type)
    encoder = {
        **message["encoder"],
        "config.json": json.dumps(config).encode(),
        "evil.py": CODE.format(str(marker)).encode(),
    }
    assert refuses(lambda: load_encoder(shim, message, encoder), "frozen transformer") is (
        model_type != "bert"
    )


@pytest.mark.parametrize(
    "name", ["../evil.py", "/{}/evil.py", "..", "a\\b", "C:evil.py", "a/b", ""]
)
def test_no_file_is_written_elsewhere(name, frozen, tmp_path):
    shim, message = frozen
    name, before = name.format(tmp_path), sorted(tmp_path.rglob("*"))
    for part in ({"encoder": {**message["encoder"], name: b"x"}}, {"tokenizer": {name: b"x"}}):
        with pytest.raises(ValueError, match="a file of the name"):
            load_encoder(shim, message, **part)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_encoder_without_some_weights(frozen):
    shim, message = frozen
    (weights,) = [name for name in message["encoder"] if name.endswith(".safetensors")]
    state = load(message["encoder"][weights])
    del state[sorted(state)[0]]
    encoder = {**message["encoder"], weights: save(state, {"format": "pt"})}
    with pytest.raises(ValueError, match="weights are missing"):
        load_encoder(shim, message, encoder)


def test_code_for_attention_is_refused(frozen, tiny_gpt2):
    shim, message = frozen
    config = json.loads(message["encoder"]["config.json"])
    config["_attn_implementation"] = "somebody/kernels:attention"
    encoder = {**message["encoder"], "config.json": json.dumps(config).encode()}
    with pytest.raises(ValueError, match="asks for code"):
        load_encoder(shim, message, encoder)
    config = json.loads((Path(tiny_gpt2) / "config.json").read_text())
    assert build_language_model(config) is not None
    with pytest.raises(ValueError, match="asks for code"):
        build_language_model({**config, "attn_implementation": "somebody/kernels:attention"})


def test_files_of_a_cache(bomb, tmp_path):
    arrays = [numpy.ones((2, 3), dtype="float32")]
    make_cache(str(tmp_path / "cache"), 1).put("owner", ["key"], arrays)
    for file in sorted((tmp_path / "cache").iterdir()):
        data = file.read_bytes()
        file.write_bytes(bomb)
        with pytest.warns(UserWarning, match="damaged"):
            assert make_cache(str(tmp_path / "cache"), 1).get("owner", ["key"]) == [None]
        file.write_bytes(data)
