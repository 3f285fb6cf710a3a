"""The papers' encoder: what trains in each mode, its cache, storage and odd Docs."""

import pickle

import numpy
import pytest
import torch
from spacy.tokens import Doc
from thinc.api import Adam, set_dropout_rate

from spacy_semivae.layers.char_word import char_word_bigru, get_index

SETTINGS = {
    "width": 5,
    "char_width": 3,
    "char_hidden": 4,
    "hidden": 3,
    "embeddings": "learned",
    "min_count": 2,
    "normalize": ["digits"],
}


def build(docs=None, **changes):
    model = char_word_bigru(**{**SETTINGS, **changes})
    if docs is not None:
        model.initialize(X=docs)
    return model


def train(model, docs, *, steps=3, optimizer=None):
    optimizer = optimizer or Adam(0.1)
    for _ in range(steps):
        Y, backprop = model(docs, is_train=True)
        assert backprop(Y) == []  # the gradient of half the sum of squares
        model.finish_update(optimizer)


def table(model):
    return model.shims[0].module.embedding.weight.detach().clone()


def row_of(model, vocab, word):
    words = get_index(model).look_up([Doc(vocab, [word])])
    return int(words.table.rows[words.slots[0]])


def alone(model, doc):
    """The module run on the tokens of one Doc, each word spelled for itself, without any cache."""
    index, module = pickle.loads(pickle.dumps(get_index(model))), model.shims[0].module.eval()
    words = index.look_up([doc])
    slots, features = words.slots[words.positions], words.table
    chars, lengths = features.characters(slots)
    with torch.no_grad():
        return module(
            spelling=module.spell(torch.from_numpy(chars), torch.from_numpy(lengths)),
            rows=torch.from_numpy(features.rows[slots]),
            static=torch.from_numpy(features.vectors[slots]) if index.static else None,
            positions=torch.arange(len(doc)),
            lengths=torch.tensor([len(doc)]),
            dropout=0.0,
        ).numpy()


@pytest.mark.parametrize("embeddings", ["fixed", "tuned", "learned"])
def test_docs_are_encoded_alone(embeddings, vector_vocab, make_docs):
    docs = make_docs(vector_vocab)
    model = build(docs, embeddings=embeddings)
    for Y, doc in zip(model.predict(docs), docs, strict=True):
        assert Y.shape == (len(doc), 6)
        numpy.testing.assert_allclose(Y, alone(model, doc), rtol=1e-5, atol=1e-6)


def test_fixed_vectors_stay(vector_vocab, make_docs):
    docs, before = make_docs(vector_vocab), vector_vocab.vectors.data.copy()
    model = build(docs, embeddings="fixed")
    start = table(model)
    train(model, docs)
    assert vector_vocab.vectors.data.tobytes() == before.tobytes()
    assert start.shape == (2, 6)  # the vectors' width, not the setting's
    assert not table(model)[0].any()
    assert not torch.equal(table(model)[1], start[1])  # "in" has no vector
    words = get_index(model).look_up([Doc(vector_vocab, ["cat"])])
    slot = words.slots[0]
    assert words.table.rows[slot] == 0
    numpy.testing.assert_array_equal(words.table.vectors[slot], vector_vocab.get_vector("cat"))


def test_tuned_vectors_move_by_offsets(vector_vocab, make_docs):
    docs, before = make_docs(vector_vocab), vector_vocab.vectors.data.copy()
    model = build(docs, embeddings="tuned")
    assert set(model.attrs["words"]) == {"a", "cat", "dog", "in", "saw", "the"}
    assert not table(model)[2:].any()
    train(model, docs)
    assert vector_vocab.vectors.data.tobytes() == before.tobytes()
    moved = table(model)
    assert bool(moved[2:].any(1).all())
    assert not moved[0].any()
    # "Paris" was not in the training text: it is its static vector alone
    assert row_of(model, vector_vocab, "Paris") == 0
    words = get_index(model).look_up([Doc(vector_vocab, ["Paris"])])
    vector = words.table.vectors[words.slots[0]]
    numpy.testing.assert_array_equal(vector, vector_vocab.get_vector("Paris"))
    assert row_of(model, vector_vocab, "cat") > 1
    assert row_of(model, vector_vocab, "neverseen") == 1


def test_learned_embeddings_need_no_vectors(vocab, make_docs):
    docs = make_docs(vocab)
    model = build(docs)
    start = table(model)
    assert start.shape[1] == 5
    assert bool(start[1:].any(1).all())
    train(model, docs)
    moved = table(model)
    assert bool((moved[2:] != start[2:]).any(1).all())
    assert not moved[0].any()
    assert row_of(model, vocab, "CAT") == row_of(model, vocab, "cat") > 1
    assert row_of(model, vocab, "neverseen") == 1


def test_learned_embeddings_do_not_read_vectors(vector_vocab, make_docs):
    model = build(make_docs(vector_vocab))
    assert not get_index(model).static
    assert table(model).shape[1] == 5


@pytest.mark.parametrize("embeddings", ["fixed", "tuned"])
def test_missing_vectors(embeddings, vocab, make_docs):
    with pytest.raises(ValueError, match=f"embeddings = '{embeddings}' needs word vectors"):
        build(make_docs(vocab), embeddings=embeddings)


def test_no_docs_to_initialize():
    with pytest.raises(ValueError, match="needs Docs to initialize"):
        build([])


@pytest.mark.parametrize(
    ("min_count", "words"),
    [
        (1, {"the", "cat", "dog", "saw", "a", "in", "0000"}),
        (2, {"the", "cat", "dog", "saw", "a", "in"}),
        (4, {"the"}),
        (9, set()),
    ],
)
def test_min_count(min_count, words, vocab, make_docs):
    # counts: the 4, cat 3 (once as Cat), dog 3, saw 2, a 2, in 2, 1999 once
    model = build(make_docs(vocab), min_count=min_count)
    assert set(model.attrs["words"]) == words


def test_characters_seen_once_are_unknown(vocab, make_docs):
    model = build(make_docs(vocab, ["ab abc", "a d"]))
    assert model.attrs["chars"] == "ab"
    only_once = build(make_docs(vocab, ["x"]))
    assert only_once.predict(make_docs(vocab, ["x y"]))[0].shape == (2, 6)


def count_spelled(model, monkeypatch):
    module, spelled = model.shims[0].module, []
    original = module.spell

    def spell(chars, lengths):
        spelled.append(len(lengths))
        return original(chars, lengths)

    monkeypatch.setattr(module, "spell", spell)
    return spelled


def test_predictions_spell_a_word_once(vocab, make_docs, monkeypatch):
    docs = make_docs(vocab)
    model = build(docs)
    spelled = count_spelled(model, monkeypatch)
    first = model.predict(docs)
    again = model.predict(docs)
    assert spelled == [8]
    for one, two in zip(first, again):
        numpy.testing.assert_array_equal(one, two)
    mixed = make_docs(vocab, ["new cat words", "the the"])
    got = model.predict(mixed)
    assert spelled == [8, 2]
    for Y, doc in zip(got, mixed):
        numpy.testing.assert_allclose(Y, alone(model, doc), rtol=1e-5, atol=1e-6)


def assert_fresh(model, docs):
    for Y, doc in zip(model.predict(docs), docs):
        numpy.testing.assert_allclose(Y, alone(model, doc), rtol=1e-5, atol=1e-6)


def test_cache_ends_with_an_update(vocab, make_docs):
    docs = make_docs(vocab)
    model = build(docs)
    before = model.predict(docs)[0]
    train(model, docs, steps=1)
    assert_fresh(model, docs)
    assert numpy.abs(model.predict(docs)[0] - before).max() > 0.01


def test_cache_ends_with_averages(vocab, make_docs):
    docs = make_docs(vocab)
    model, optimizer = build(docs), Adam(0.1, use_averages=True)
    train(model, docs, optimizer=optimizer)
    last = model.predict(docs)
    with model.use_params(optimizer.averages):
        assert_fresh(model, docs)
        assert numpy.abs(model.predict(docs)[0] - last[0]).max() > 1e-3
    numpy.testing.assert_array_equal(model.predict(docs)[0], last[0])


def test_cache_ends_with_loaded_weights(vocab, make_docs):
    docs = make_docs(vocab)
    model, other = build(docs), build(docs)
    model.predict(docs)
    model.from_bytes(other.to_bytes())
    numpy.testing.assert_array_equal(model.predict(docs)[0], other.predict(docs)[0])


def test_cache_ends_with_the_index(vocab, make_docs, monkeypatch):
    monkeypatch.setattr("spacy_semivae.layers.words.MAX_WORDS", 3)
    docs = make_docs(vocab)
    model = build(docs)
    for _ in range(2):
        for doc in docs:
            assert_fresh(model, [doc])


def test_training_never_reads_the_cache(vocab, make_docs, monkeypatch):
    docs = make_docs(vocab)
    model = build(docs)
    model.predict(docs)
    spelled = count_spelled(model, monkeypatch)
    train(model, docs, steps=2)
    assert spelled == [8, 8]
    assert model.shims[0].module.char_embedding.weight.grad is None


def test_every_parameter_is_trained(vector_vocab, make_docs):
    docs = make_docs(vector_vocab)
    model = build(docs, embeddings="tuned")
    before = {n: p.detach().clone() for n, p in model.shims[0].module.named_parameters()}
    train(model, docs)
    for name, param in model.shims[0].module.named_parameters():
        assert not torch.equal(param, before[name]), name


def test_gradients_equal_finite_differences(vocab, make_docs):
    docs = make_docs(vocab)
    model = build(docs)
    weight = model.shims[0].module.embedding.weight
    Y, backprop = model(docs, is_train=True)
    backprop(Y)
    gradient = weight.grad[row_of(model, vocab, "cat"), 2].item()

    def half_square(change):
        with torch.no_grad():
            weight[row_of(model, vocab, "cat"), 2] += change
        model.shims[0].version += 1
        return sum(float((Y.astype("d") ** 2).sum()) / 2 for Y in model.predict(docs))

    slope = (half_square(0.01) - half_square(-0.02)) / 0.02
    assert gradient == pytest.approx(slope, rel=0.02)


def test_dropout_in_training_only(vocab, make_docs):
    docs = make_docs(vocab)
    model = build(docs)
    plain = model.predict(docs)[0]
    set_dropout_rate(model, 0.8)
    numpy.testing.assert_array_equal(model.predict(docs)[0], plain)
    dropped = numpy.concatenate(model(docs, is_train=True)[0])
    assert (dropped == 0).mean() > 0.5


@pytest.mark.parametrize("embeddings", ["fixed", "tuned", "learned"])
@pytest.mark.parametrize("how", ["bytes", "disk", "copy", "pickle"])
def test_round_trip(how, embeddings, vector_vocab, make_docs, tmp_path):
    docs = make_docs(vector_vocab)
    model = build(docs, embeddings=embeddings)
    train(model, docs, steps=1)
    expected = model.predict(docs)
    if how == "bytes":
        loaded = build(embeddings=embeddings).from_bytes(model.to_bytes())
    elif how == "disk":
        model.to_disk(tmp_path / "model")
        loaded = build(embeddings=embeddings).from_disk(tmp_path / "model")
    elif how == "copy":
        loaded = model.copy()
    else:
        loaded = pickle.loads(pickle.dumps(model))
    for _ in range(2):
        for one, two in zip(loaded.predict(docs), expected):
            numpy.testing.assert_array_equal(one, two)


def test_a_copy_has_a_cache_of_its_own(vocab, make_docs):
    docs = make_docs(vocab)
    model = build(docs)
    expected = model.predict(docs)[0]
    other = model.copy()
    train(other, docs, steps=1)
    assert_fresh(other, docs)
    numpy.testing.assert_array_equal(model.predict(docs)[0], expected)


def test_empty_and_one_token_docs(vocab, make_docs):
    docs = [Doc(vocab), *make_docs(vocab, ["cat"]), Doc(vocab), *make_docs(vocab, ["the dog"])]
    model = build(make_docs(vocab))
    assert [Y.shape for Y in model.predict(docs)] == [(0, 6), (1, 6), (0, 6), (2, 6)]
    train(model, docs)
    assert_fresh(model, [docs[1], docs[3]])
    assert model.predict([]) == []
    empty = [Doc(vocab), Doc(vocab)]
    assert [Y.shape for Y in model.predict(empty)] == [(0, 6), (0, 6)]
    before = {n: p.detach().clone() for n, p in model.shims[0].module.named_parameters()}
    train(model, empty)
    for name, param in model.shims[0].module.named_parameters():
        assert torch.equal(param, before[name]), name


def test_a_long_doc(vocab, make_docs):
    model = build(make_docs(vocab))
    words = [f"w{i % 700}" if i % 3 else "cat" for i in range(5000)]
    (Y,) = model.predict([Doc(vocab, words)])
    assert Y.shape == (5000, 6)
    assert numpy.isfinite(Y).all()
    train(model, [Doc(vocab, words)], steps=1)
