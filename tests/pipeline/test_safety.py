"""What is damaged, or asks for too much, gives an error that names it, or loads as it was."""

import gc
import resource
import struct
import sys

import numpy
import pytest
import spacy
import srsly
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from spacy_semivae.layers.loading import CHECKSUMS

FACTORIES = ("vsl_tagger", "vsl_ner", "crf_vae_tagger", "crf_vae_ner", "ssvae_textcat")
SNAPSHOT = {"@misc": "semivae.SnapshotPrior.v1", "every": 1}
HUGE = 2**40


def content(pipe):
    """All that is stored of a component, but for its vocabulary."""
    return pipe.to_bytes(exclude=["vocab"])


def blank(nlp):
    """The only component of a pipeline as its config describes it, without weights."""
    other = spacy.blank("en").from_config(nlp.config)
    return other.get_pipe(other.pipe_names[0])


@pytest.fixture
def trained(make_nlp, gold, raw, fit):
    """Make a component that was trained, what is stored of it, and one to load that into."""

    def make(factory, **settings):
        nlp = make_nlp(factory, **settings)
        fit(nlp, [*gold(nlp), *raw(nlp)], 2)
        target = blank(nlp)
        data = content(target.from_bytes(content(nlp.get_pipe(factory)), exclude=["vocab"]))
        return nlp.get_pipe(factory), data, target

    return make


def attempt(call, *names):
    """Give what a call gives, or None after an error that names one of these."""
    message = None
    try:
        return call()
    except (ValueError, OSError) as error:
        message = str(error)
    assert any(str(name) in message for name in names), f"{message!r} names none of {names}"
    assert gc.isenabled()
    return None


def load(pipe, data, *names):
    """Load bytes or a folder; gives the component, or None after an error that names one."""
    method = pipe.from_bytes if isinstance(data, bytes) else pipe.from_disk
    return attempt(lambda: method(data, exclude=["vocab"]), *names)


def damage(data, n, seed=0):
    """Give n copies with a flipped bit, cut off, or with a piece overwritten."""
    rng = numpy.random.default_rng(seed)
    for i in range(n):
        where, other = int(rng.integers(len(data))), bytearray(data)
        if i % 4 == 0:
            other = other[:where]
        elif i % 4 == 1:
            other[where : where + 8] = rng.bytes(8)
        else:
            other[where] ^= 1 << int(rng.integers(8))
        yield bytes(other)


def change_model(data, change):
    """Change the model in a component's bytes, whose checksums are left out."""
    message = srsly.msgpack_loads(data)
    pipe = srsly.msgpack_loads(message["pipe"])
    model = srsly.msgpack_loads(pipe["model"])
    change(model)
    pipe["model"] = srsly.msgpack_dumps(model)
    return srsly.msgpack_dumps({"pipe": srsly.msgpack_dumps(pipe), "extra": message["extra"]})


def change_shims(change):
    """Give a function that changes the settings and weights of every shim of a model."""

    def change_all(model):
        for shims in model["shims"]:
            for i, shim in enumerate(shims):
                message = srsly.msgpack_loads(shim)
                state = load_safetensors(message["state"])
                shims[i] = srsly.msgpack_dumps(change(message["cfg"], state))

    return change_all


# Damage


@pytest.mark.parametrize("factory", FACTORIES)
def test_damaged_bytes(factory, trained):
    _, data, target = trained(factory)
    refused = 0
    for other in damage(data, 60):
        loaded = load(target, other, f"'{factory}'")
        refused += loaded is None
        assert loaded is None or content(loaded) == data
    assert refused > 50
    assert content(load(target, data)) == data


@pytest.mark.parametrize("factory", FACTORIES)
def test_damaged_and_missing_files(factory, trained, tmp_path):
    pipe, expected, target = trained(factory)
    pipe.to_disk(tmp_path, exclude=["vocab"])
    files = {file: file.read_bytes() for file in sorted(tmp_path.iterdir())}
    assert {file.name for file in files} >= {"cfg", "model", CHECKSUMS}
    for file, data in files.items():
        for other in [*damage(data, 12), None]:
            file.unlink() if other is None else file.write_bytes(other)
            loaded = load(target, tmp_path, tmp_path if file.name == CHECKSUMS else file)
            assert loaded is None or file.name == CHECKSUMS
            assert loaded is None or content(loaded) == expected
        file.write_bytes(data)
    assert content(load(target, tmp_path)) == expected


@pytest.mark.parametrize("factory", FACTORIES)
def test_damage_that_no_checksum_shows(factory, trained):
    _, data, target = trained(factory)
    message = srsly.msgpack_loads(data)
    del message["checksums"]
    for pipe in damage(message["pipe"], 60):
        load(target, srsly.msgpack_dumps({**message, "pipe": pipe}), f"'{factory}'")


@pytest.mark.parametrize("prior", ["memory", "snapshot"])
def test_damaged_priors(prior, trained, gold):
    settings = {"prior": SNAPSHOT} if prior == "snapshot" else {}
    _, data, target = trained("vsl_tagger", **settings)
    message = srsly.msgpack_loads(data)
    del message["checksums"]
    assert len(message["extra"]["prior"]) > 500
    docs = [eg.predicted for eg in gold(spacy.blank("en"))]
    for part in damage(message["extra"]["prior"], 40):
        loaded = load(target, srsly.msgpack_dumps({**message, "extra": {"prior": part}}), "tagger")
        if loaded is not None:
            attempt(lambda pipe=loaded: pipe.prior.read(pipe.model, docs), "prior")


# What does not fit


@pytest.mark.parametrize("factory", FACTORIES)
def test_weights_of_other_shapes(factory, trained):
    _, data, target = trained(factory)
    changes = {
        "more": lambda t: t.new_zeros((t.shape[0] + 1, *t.shape[1:])),
        "flat": lambda t: t.reshape(-1, 1),
        "other": lambda t: t.T.contiguous() if t.ndim == 2 and t.shape[0] != t.shape[1] else None,
    }
    for kind, change in changes.items():

        def apply(cfg, state, change=change):
            name = max(state, key=lambda name: state[name].ndim * state[name].numel())
            found = change(state[name])
            state = {**state, name: found} if found is not None else {**state, "odd": state[name]}
            return {"cfg": cfg, "state": save_safetensors(state)}

        assert load(target, change_model(data, change_shims(apply)), factory) is None, kind


def peak():
    """Most memory that this process has held, in MB."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (2**20 if sys.platform == "darwin" else 2**10)


def whole_numbers(settings, before=()):
    """The places of all whole numbers in settings."""
    for name, value in settings.items():
        if type(value) is int:
            yield (*before, name)
        elif isinstance(value, dict):
            yield from whole_numbers(value, (*before, name))


@pytest.mark.parametrize("factory", FACTORIES)
def test_settings_that_ask_for_memory(factory, trained, crf_model):
    _, data, target = trained(factory, model=crf_model("mt") if factory == "crf_vae_tagger" else {})
    places, before = set(), peak()

    def rewrite(place):
        def change(cfg, state):
            places.update(whole_numbers(cfg))
            block = cfg
            for name in place[:-1]:
                block = block.get(name, {})
            if place and place[-1] in block:
                block[place[-1]] = HUGE
            return {"cfg": cfg, "state": save_safetensors(state)}

        return change_model(data, change_shims(change))

    assert load(target, rewrite(())) is target
    refused = [place for place in sorted(places) if load(target, rewrite(place), factory) is None]
    assert {place[-1] for place in refused} >= {"nO", "nV"}
    assert peak() - before < 300


HEADERS = {
    "longer than the file": struct.pack("<Q", 10**6) + b"{}",
    "longer than any": struct.pack("<Q", 2**63) + b"{}",
    "no JSON": struct.pack("<Q", 4) + b"\x80\x04K\x01",
    "beyond the end": struct.pack("<Q", 62)
    + b'{"a":{"dtype":"F32","shape":[9999999],"data_offsets":[0,1000]}}',
}


@pytest.mark.parametrize("header", HEADERS)
def test_headers_of_safetensors(header, trained):
    _, data, target = trained("vsl_tagger")
    bad = change_model(data, change_shims(lambda c, s: {"cfg": c, "state": HEADERS[header]}))
    assert load(target, bad, "vsl_tagger") is None


LENGTHS = [
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\x91" * 10**5,
]


@pytest.mark.parametrize("bad", [*LENGTHS, b"", b"\xc1", b"\xc7\xff\x01"])
def test_lengths_of_msgpack(bad, trained):
    _, data, target = trained("ssvae_textcat")
    before, message = peak(), srsly.msgpack_loads(data)
    pipe = srsly.msgpack_loads(message["pipe"])

    def put_attrs(model):
        model["attrs"][0]["targets"] = bad

    def put_shim(model):
        model["shims"][0][0] = bad

    inner = srsly.msgpack_dumps({**pipe, "model": bad})
    for other in (
        bad,
        srsly.msgpack_dumps({**message, "pipe": bad, "checksums": {}}),
        srsly.msgpack_dumps({**message, "pipe": inner, "checksums": {}}),
        change_model(data, put_attrs),
        change_model(data, put_shim),
    ):
        assert load(target, other, "ssvae_textcat") is None
    assert peak() - before < 300
    assert content(load(target, data)) == data


def test_labels_and_classes_must_agree(trained, tmp_path):
    for factory in FACTORIES:
        pipe, _, target = trained(factory)
        folder = tmp_path / factory
        pipe.to_disk(folder, exclude=["vocab"])
        (folder / CHECKSUMS).unlink()  # as older versions wrote it
        assert load(target, folder) is target
        srsly.write_json(folder / "cfg", {**pipe.cfg, "labels": [*pipe.labels, "NEW"]})
        assert load(target, folder, folder) is None
