"""The frozen encoder against Hugging Face's own forward pass; what it keeps, stores and refuses."""

import shutil

import numpy
import pytest
import spacy
import torch
import transformers
from spacy.ml.models import MultiHashEmbed
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Adam, set_dropout_rate

from spacy_semivae.architectures.models import build_concat_encoders, build_frozen_transformer
from spacy_semivae.layers.frozen_encoder import FrozenShim, Reading
from spacy_semivae.layers.transformer import get_shim

WORDS = "ann saw zebras in rome ! we like new york city . zebraszebras bob lee".split()
SENTENCES = ["ann saw zebras in rome !", "we like zebrasras", "no"]


def build(folder, **settings):
    model = build_frozen_transformer(str(folder), **{"cache": "none", **settings})
    model.initialize()
    return model


def make(*texts, vocab=None):
    vocab = vocab or Vocab()
    return [Doc(vocab, words=text.split()) for text in texts]


def long_doc(n):
    return make(" ".join(WORDS[i % len(WORDS)] for i in range(n)))[0]


REDUCE = {
    "mean": lambda pieces: pieces.mean(0),
    "first": lambda pieces: pieces[0],
    "last": lambda pieces: pieces[-1],
    "max": lambda pieces: pieces.max(0),
}


def expected_vectors(folder, doc, windows=None, layer=-1, pooling="mean"):
    """Run Hugging Face on each window; pool the pieces inside each token."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    module = transformers.AutoModel.from_pretrained(folder).eval()
    pieces = [[] for _ in doc]
    for start, end in windows or [(0, len(doc))]:
        span = doc[start:end]
        inputs = tokenizer(span.text, return_tensors="pt", return_offsets_mapping=True)
        offsets = inputs.pop("offset_mapping")[0].tolist()
        with torch.no_grad():
            hidden = module(**inputs, output_hidden_states=True).hidden_states[layer][0].numpy()
        for token in span:
            first = token.idx - span.start_char
            for (a, b), row in zip(offsets, hidden):
                if first <= a < b <= first + len(token):
                    pieces[token.i].append(row)
    return numpy.stack([REDUCE[pooling](numpy.stack(rows)) for rows in pieces])


def assert_close(Y, expected):
    assert len(Y) == len(expected)
    for one, two in zip(Y, expected):
        assert one.dtype == "float32"
        numpy.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


@pytest.fixture
def calls(monkeypatch):
    """Notes the number of windows in each call of the encoder."""
    seen, predict = [], FrozenShim.predict

    def counting(self, inputs):
        seen.append(len(inputs.kwargs["input_ids"]))
        return predict(self, inputs)

    monkeypatch.setattr(FrozenShim, "predict", counting)
    return seen


# Vectors


@pytest.mark.parametrize("pooling", REDUCE)
@pytest.mark.parametrize("layer", [-1, 0, 1, -2])
def test_vectors_are_those_of_hugging_face(layer, pooling, tiny_bert):
    docs = make(*SENTENCES)
    model = build(tiny_bert, layer=layer, pooling=pooling)
    assert model.get_dim("nO") == 12
    expected = [expected_vectors(tiny_bert, doc, None, layer, pooling) for doc in docs]
    assert_close(model.predict(docs), expected)


def test_a_causal_encoder_pads_with_its_end_token(tiny_gpt2):
    docs = make("Ann saw Bob Lee in Rome !", "We")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_gpt2)
    assert tokenizer.pad_token is None
    model = build(tiny_gpt2)
    module, expected = transformers.AutoModel.from_pretrained(tiny_gpt2).eval(), []
    for doc in docs:
        inputs = tokenizer(doc.text, return_tensors="pt", return_offsets_mapping=True)
        ends = inputs.pop("offset_mapping")[0, :, 1]  # a piece may begin with the space before
        with torch.no_grad():
            hidden = module(**inputs).last_hidden_state[0]
        inside = [(t.idx < ends) & (ends <= t.idx + len(t)) for t in doc]
        expected.append(torch.stack([hidden[rows].mean(0) for rows in inside]).numpy())
    assert_close(model.predict(docs), expected)
    loaded = build_frozen_transformer(tiny_gpt2).from_bytes(model.to_bytes())
    assert_close(loaded.predict(docs), expected)


def test_poolings_and_layers_differ(tiny_bert):
    docs = make(*SENTENCES)
    found = [build(tiny_bert, pooling=pooling).predict(docs)[0][2] for pooling in REDUCE]
    found.append(build(tiny_bert, layer=0).predict(docs)[0][2])
    for i, one in enumerate(found):
        assert all(numpy.abs(one - two).max() > 1e-3 for two in found[:i])


def test_odd_docs(tiny_bert):
    vocab = Vocab()
    spaces = Doc(vocab, words=["ann", " ", "saw", "\n"], spaces=[True, False, True, False])
    only_spaces = Doc(vocab, words=["  ", "\n"], spaces=[False, False])
    docs = [Doc(vocab), spaces, only_spaces, Doc(vocab), *make("no", vocab=vocab)]
    model = build(tiny_bert)
    Y = model.predict(docs)
    assert [y.shape for y in Y] == [(0, 12), (4, 12), (2, 12), (0, 12), (1, 12)]
    assert [bool(row.any()) for row in Y[1]] == [True, False, True, False]
    assert not Y[2].any()
    assert_close(Y[4:], [expected_vectors(tiny_bert, docs[4])])
    assert [y.shape for y in model.predict([docs[0]])] == [(0, 12)]
    assert model.predict([]) == []


@pytest.mark.parametrize(
    ("stride", "windows"),
    [(8, [(0, 8), (8, 16), (16, 21)]), (6, [(0, 8), (6, 14), (12, 20), (18, 21)])],
)
def test_long_docs_are_read_in_windows(stride, windows, tiny_bert):
    docs = [long_doc(21), *make("we like rome")]
    model = build(tiny_bert, window=8, stride=stride)
    expected = expected_vectors(tiny_bert, docs[0], windows)
    assert_close(model.predict(docs), [expected, expected_vectors(tiny_bert, docs[1])])


def test_a_window_of_too_many_pieces_is_halved(tiny_bert):
    doc = long_doc(77)  # the encoder takes 32 pieces
    expected = expected_vectors(tiny_bert, doc, [(0, 19), (19, 38), (38, 57), (57, 77)])
    assert_close(build(tiny_bert).predict([doc]), [expected])


def test_a_token_of_too_many_pieces_is_cut(tiny_bert):
    docs = make("we like " + "zeb" + 31 * "ras")
    Y = build(tiny_bert).predict(docs)[0]
    assert Y.shape == (3, 12)
    assert Y.any(1).all()


def test_batches_are_bounded(calls, tiny_bert):
    docs = [long_doc(n) for n in (3, 9, 2, 30, 8, 4, 1)]
    whole = build(tiny_bert, window=10, stride=10).predict(docs)
    assert calls == [6 + 3]  # three windows of the long one
    calls.clear()
    Y = build(tiny_bert, window=10, stride=10, max_batch_items=12).predict(docs)
    assert sorted(calls) == [1, 1, 1, 3, 3]  # the Docs of 9, 8, 4 tokens, the long one, the rest
    assert_close(Y, whole)


# The cache


@pytest.fixture(params=["memory", "folder"])
def cache(request, tmp_path):
    return "memory" if request.param == "memory" else str(tmp_path / "cache")


def test_the_second_pass_does_not_run_the_encoder(calls, cache, tiny_bert):
    docs, model = [*make(*SENTENCES), Doc(Vocab())], build(tiny_bert, cache=cache)
    first = model.predict(docs)
    assert calls == [3]
    for again in (model.predict(docs), model.predict([doc.copy() for doc in docs])):
        for one, two in zip(first, again):
            numpy.testing.assert_array_equal(one, two)
    reverse = model(docs[::-1], is_train=True)[0]
    numpy.testing.assert_array_equal(reverse[-1], first[0])
    copied = model.copy().predict(docs)
    numpy.testing.assert_array_equal(copied[0], first[0])
    assert calls == [3]
    model.predict([*docs, *make("new york", "no names", "new york")])
    assert calls == [3, 2]  # those unknown, each once


def test_without_a_cache_each_pass_runs_the_encoder(calls, tiny_bert):
    docs, model = make("ann saw", "ann saw", "bob"), build(tiny_bert)
    model.predict(docs)
    model.predict(docs)
    assert calls == [2, 2]


def test_a_folder_serves_the_next_run(calls, tmp_path, tiny_bert):
    docs, place = make(*SENTENCES), str(tmp_path / "cache")
    first = build(tiny_bert, cache=place).predict(docs)
    second = build(tiny_bert, cache=place).predict(docs)
    assert calls == [3]
    for one, two in zip(first, second):
        numpy.testing.assert_array_equal(one, two)
    build(tiny_bert, cache=place, pooling="max").predict(docs)
    assert calls == [3, 3]


def test_vectors_of_other_weights_are_not_used(calls, cache, tiny_bert, tmp_path):
    docs, model = make(*SENTENCES), build(tiny_bert, cache=cache)
    before = model.predict(docs)
    config = transformers.AutoConfig.from_pretrained(tiny_bert)
    other_bert = tmp_path / "other"
    shutil.copytree(tiny_bert, other_bert)
    transformers.BertModel(config).save_pretrained(other_bert)
    model.from_bytes(build(other_bert).to_bytes())
    after = model.predict(docs)
    assert calls == [3, 3]
    assert numpy.abs(before[0] - after[0]).max() > 0.1
    expected = [expected_vectors(other_bert, doc) for doc in docs]
    for one, two in zip(after, expected):
        numpy.testing.assert_allclose(one, two, atol=5e-3)  # half precision on disk


# Frozen


def test_training_leaves_the_encoder_as_it_is(tiny_bert):
    docs, model = make(*SENTENCES), build(tiny_bert)
    expected = model.predict(docs)
    module = get_shim(model).encoder
    weights = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    set_dropout_rate(model, 0.5)
    optimizer = Adam(0.1, L2=0.1)
    for _ in range(2):
        Y, backprop = model(docs, is_train=True)
        for one, two in zip(Y, expected):
            numpy.testing.assert_array_equal(one, two)
        assert backprop([numpy.ones_like(y) for y in Y]) == []
        model.finish_update(optimizer)
        assert not module.training
        assert not any(param.requires_grad for param in module.parameters())
    assert all(torch.equal(tensor, weights[n]) for n, tensor in module.state_dict().items())


def test_beside_a_trained_encoder(tiny_bert, vocab, make_docs):
    docs = make_docs(vocab)
    other = MultiHashEmbed(4, attrs=["ORTH"], rows=[50], include_static_vectors=False)
    model = build_concat_encoders({"a": build(tiny_bert), "b": other})
    model.initialize(X=docs)
    before = model.predict(docs)[0]
    Y, backprop = model(docs, is_train=True)
    backprop([numpy.ones_like(y) for y in Y])
    model.finish_update(Adam(0.1))
    after = model.predict(docs)[0]
    numpy.testing.assert_array_equal(after[:, :12], before[:, :12])
    assert numpy.abs(after[:, 12:] - before[:, 12:]).max() > 1e-3


def test_in_a_pipeline(tiny_bert, tmp_path):
    encoder = {
        "@architectures": "semivae.FrozenTransformer.v1",
        "name": str(tiny_bert),
        "cache": str(tmp_path / "cache"),
    }
    model = {"variant": "flat", "width_y": 3, "width_z": 3, "hidden": 4, "tok2vec": encoder}
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("vsl_tagger", config={"model": model})
    examples = []
    for doc in make("ann saw rome", "we like bob", vocab=nlp.vocab):
        reference = doc.copy()
        for token, tag in zip(reference, "NVN"):
            token.tag_ = tag
        examples.append(Example(doc, reference))
    examples += [Example(doc, doc.copy()) for doc in make("lee likes us", vocab=nlp.vocab)]
    nlp.initialize(lambda: examples)
    optimizer = Adam(0.05)
    losses = [nlp.update(examples, sgd=optimizer, losses={}) for _ in range(30)]
    assert losses[-1]["vsl_tagger_supervised"] < 0.5 * losses[0]["vsl_tagger_supervised"]
    assert pipe.model.layers[0].get_dim("nO") == 12
    expected = [[t.tag_ for t in doc] for doc in nlp.pipe(["ann saw rome", "", "us"])]
    nlp.to_disk(tmp_path / "model")
    shutil.rmtree(tiny_bert)
    shutil.rmtree(tmp_path / "cache")
    loaded = spacy.load(tmp_path / "model")
    assert [[t.tag_ for t in doc] for doc in loaded.pipe(["ann saw rome", "", "us"])] == expected


# Wrong settings


@pytest.mark.parametrize("layer", [2, -3])
def test_a_layer_that_is_not_there(layer, tiny_bert):
    model = build_frozen_transformer(str(tiny_bert), layer=layer)
    with pytest.raises(ValueError, match=rf"between -2 and 1 for .*bert, but got {layer}"):
        model.initialize()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pooling": "sum"}, r"pooling must be one of \['mean'.*got 'sum'"),
        ({"window": 8, "stride": 9}, "stride must be from 1 to window = 8, but got 9"),
        ({"stride": 0}, "stride must be from 1 to window = 128, but got 0"),
        ({"max_batch_items": 0}, "max_batch_items must be 1 or more, but got 0"),
        ({"cache_mb": -1}, "cache_mb must be 0 or more"),
        ({"cache": ""}, "cache must be 'memory', 'none' or a folder"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        build_frozen_transformer("no-such-model", **settings)


def test_settings_reach_the_layer(tmp_path):
    model = build_frozen_transformer(
        "some/name", 3, "max", 9, 5, str(tmp_path), 2, 77, mixed_precision=True
    )
    assert get_shim(model).reading == Reading(3, "max", 9, 5, True)
    assert get_shim(model)._mixed_precision
    assert model.attrs["cache"].folder == str(tmp_path)
    assert model.attrs["cache"].limit == 2 * 2**20
    assert model.attrs["batch"].keywords == {"max_words": 77}
    assert model.layers[0].attrs["name"] == "some/name"
