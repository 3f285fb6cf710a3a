"""The causal language model: against the model itself, causality, windows, storage."""

import copy
import pickle
import shutil
from itertools import chain

import numpy
import pytest
import torch
from spacy.tokens import Doc
from thinc.api import Adam
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from spacy_semivae.layers import language_model as language_model_file
from spacy_semivae.layers.language_model import (
    causal_lm,
    cut_windows,
    get_outputs,
    get_vocabulary,
    make_batches,
    read_states,
)
from spacy_semivae.layers.pieces import Pieces

transformers = pytest.importorskip("transformers")

END = "<|endoftext|>"
POSITIONS, WIDTH = 16, 8
WORDS = ["the cat", "a", "", "the dog's hat and the cat", "\n", "über ☃"]


def save_tokenizer(folder, **special):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=270, initial_alphabet=alphabet, special_tokens=[END], show_progress=False
    )
    tokenizer.train_from_iterator(["the cat and the hat"] * 3, trainer)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
    fast.save_pretrained(folder)
    return len(fast)


def save_language_model(folder, special=None, dtype=torch.float32, **settings):
    size = save_tokenizer(folder, **({"eos_token": END} if special is None else special))
    sizes = {"n_layer": 2, "n_embd": WIDTH, "n_head": 2, "n_positions": POSITIONS}
    config = transformers.GPT2Config(
        **{"vocab_size": size, **sizes, "initializer_range": 0.5, **settings}
    )
    torch.manual_seed(1)
    transformers.GPT2LMHeadModel(config).to(dtype).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_language_model(tmp_path_factory.mktemp("gpt2"))


@pytest.fixture
def model(folder):
    return causal_lm(folder).initialize()


@pytest.fixture
def direct(folder):
    """The model by transformers alone: states after each of the pieces it is given, (N, nO)."""
    module = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()

    def run(ids):
        with torch.no_grad():
            states = module(torch.tensor([ids]), output_hidden_states=True).hidden_states
        return states[-1][0]

    run.module = module
    return run


def make_pieces(*docs):
    ids = numpy.array(list(chain(*docs)), dtype="int64")
    units = numpy.array([len(doc) for doc in docs], dtype="int64")
    return Pieces(ids, numpy.ones_like(ids), units)


def random_docs(*lengths):
    return [(1 + numpy.random.randint(0, 250, size=n)).tolist() for n in lengths]


def texts_to_docs(vocab):
    return [Doc(vocab, words=text.split(" ") if text else []) for text in WORDS]


def test_states_before_each_piece_equal_the_model_itself(model, direct, vocab):
    docs = texts_to_docs(vocab)
    pieces = get_vocabulary(model).encode(docs)
    expected = [
        direct([0, *ids[:-1].tolist()])
        for ids in numpy.split(pieces.ids, numpy.cumsum(pieces.units)[:-1])
        if len(ids)
    ]
    found = model.predict(docs)
    assert isinstance(found, numpy.ndarray)
    assert found.dtype == "float32"
    assert found.shape == (pieces.units.sum(), model.get_dim("nO")) == (len(pieces.ids), WIDTH)
    numpy.testing.assert_allclose(found, torch.cat(expected).numpy(), rtol=1e-4, atol=1e-5)


def test_states_times_outputs_are_the_logits(model, direct):
    (ids,) = random_docs(9)
    logits = read_states(model, make_pieces(ids)) @ get_outputs(model).T
    with torch.no_grad():
        expected = direct.module(torch.tensor([[0, *ids[:-1]]])).logits[0]
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    assert logits.shape == (9, direct.module.config.vocab_size)


@pytest.mark.parametrize("length", [12, 45])  # one window, several
def test_a_row_sees_only_the_pieces_before_it(model, length):
    (ids,) = random_docs(length)
    before = read_states(model, make_pieces(ids))
    for i in range(0, length, 5):
        (other,) = random_docs(length)
        changed = [*ids[:i], *(251 - numpy.array(ids[i : i + 1])).tolist(), *other[i + 1 :]]
        after = read_states(model, make_pieces(changed))
        torch.testing.assert_close(after[: i + 1], before[: i + 1], rtol=1e-4, atol=1e-5)
        assert not torch.allclose(after[i + 1 : i + 2], before[i + 1 : i + 2]) or i + 1 == length
        # and neither does its value depend on how much follows
        prefix = read_states(model, make_pieces(ids[: i + 1]))
        torch.testing.assert_close(prefix, before[: i + 1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("window", [None, 2, 5, 8])
@pytest.mark.parametrize("length", [1, 8, 9, 16, 17, 40])
def test_windows_against_one_forward_a_row(folder, direct, window, length):
    model = causal_lm(folder, window=window).initialize()
    size, (ids,) = window or POSITIONS, random_docs(length)
    inputs, found = [0, *ids[:-1]], read_states(model, make_pieces(ids))
    for i in range(length):
        # the first window reaches to `size`; each later one keeps half a window of rows
        begin = 0 if i < size else (i - size) // (size // 2) * (size // 2) + size // 2
        assert begin == 0 or size / 2 <= i - begin < size
        expected = direct(inputs[begin : i + 1])[-1]
        torch.testing.assert_close(found[i], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("limit", [1, 20, 4096])
def test_batches_are_bounded_and_change_nothing(folder, model, monkeypatch, limit):
    docs = random_docs(3, 0, 40, 7, 1, 16, 2)
    expected = torch.cat([read_states(model, make_pieces(doc)) for doc in docs])
    sizes, compute = [], language_model_file.compute_states

    def count(module, ids):
        sizes.append(ids.shape)
        return compute(module, ids)

    monkeypatch.setattr(language_model_file, "compute_states", count)
    bounded = causal_lm(folder, batch_pieces=limit, cache="none").initialize()
    sizes.clear()  # loading looks at the model once
    found = read_states(bounded, make_pieces(*docs))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert all(b == 1 or b * n <= limit for b, n in sizes)
    assert len(sizes) == {1: 9, 20: 7, 4096: 1}[limit]


# The cache


@pytest.fixture(params=["memory", "folder"])
def cache(request, tmp_path):
    return "memory" if request.param == "memory" else str(tmp_path / "cache")


@pytest.fixture
def calls(monkeypatch):
    """Notes the number of windows in each call of the model."""
    seen, compute = [], language_model_file.compute_states

    def count(module, ids):
        seen.append(len(ids))
        return compute(module, ids)

    monkeypatch.setattr(language_model_file, "compute_states", count)
    return seen


def load(folder, calls, **settings):
    model = causal_lm(folder, **settings).initialize()
    calls.clear()  # loading looks at the model once
    return model


def test_the_second_pass_does_not_run_the_model(folder, calls, cache, vocab):
    docs = texts_to_docs(vocab)  # one of them is empty
    model = load(folder, calls, cache=cache)
    expected = load(folder, calls, cache="none").predict(docs)
    calls.clear()
    first = model.predict(docs)
    numpy.testing.assert_allclose(first, expected, atol=1e-5 if cache == "memory" else 5e-3)
    assert sum(calls) == 5
    calls.clear()
    for again in (model, model.copy(), copy.deepcopy(model)):
        numpy.testing.assert_array_equal(again.predict(docs), first)
    sizes = get_vocabulary(model).encode(docs).units
    parts = numpy.split(first, numpy.cumsum(sizes)[:-1])
    reverse = model(docs[::-1], is_train=True)[0]
    numpy.testing.assert_array_equal(reverse, numpy.concatenate(parts[::-1]))
    assert model.predict([docs[2]]).shape == (0, WIDTH)
    assert calls == []
    other = [Doc(vocab, words=[word]) for word in ("hat", "dog", "hat")]
    found = model.predict([*other, *docs])
    assert calls == [2]  # those unknown, each once
    numpy.testing.assert_array_equal(found[-len(first) :], first)
    assert get_vocabulary(model).encode(other).units.tolist() == [1, 3, 1]
    numpy.testing.assert_array_equal(found[0], found[4])


def test_what_the_cache_gives_may_be_written_to(folder, calls, vocab):
    docs, model = texts_to_docs(vocab), load(folder, calls)
    first = model.predict(docs)
    expected = first.copy()
    first += 1
    numpy.testing.assert_array_equal(model.predict(docs), expected)


def test_the_cache_knows_pieces_not_tokens(folder, calls, vocab):
    model = load(folder, calls)
    model.predict([Doc(vocab, words=["the", "cat"])])
    words = Doc(vocab, words=["the", " cat"], spaces=[False, False])
    model.predict([words])
    assert calls == [1]


@pytest.mark.parametrize("settings", [{"cache": "none"}, {"cache_mb": 0}])
def test_without_a_cache_each_pass_runs_the_model(folder, calls, settings, vocab):
    docs = texts_to_docs(vocab)
    model = load(folder, calls, **settings)
    model.predict(docs)
    model.predict(docs)
    assert sum(calls) == 10


def test_cache_mb_bounds_what_is_kept(folder, calls):
    model = load(folder, calls, cache_mb=300 / 2**20)  # nine rows
    docs = [make_pieces(ids) for ids in random_docs(8, 8)]
    for pieces in (*docs, docs[1], docs[0]):
        read_states(model, pieces)
    assert len(calls) == 3


def test_a_folder_serves_the_next_run(folder, calls, tmp_path, vocab):
    docs, place = texts_to_docs(vocab), str(tmp_path / "cache")
    model = load(folder, calls, cache=place)
    first = model.predict(docs)
    assert sum(calls) == 5
    moved = shutil.copytree(folder, tmp_path / "moved")
    restored = causal_lm(folder, cache=place).from_bytes(model.to_bytes())
    for again in (load(str(moved), calls, cache=place), restored):
        numpy.testing.assert_array_equal(again.predict(docs), first)
    assert calls == []
    load(folder, calls, cache=place, window=15).predict(docs)
    assert sum(calls) > 0


def test_states_of_other_weights_are_not_used(folder, calls, cache, tmp_path, vocab):
    docs, model = texts_to_docs(vocab), load(folder, calls, cache=cache)
    before = model.predict(docs)
    other = load(
        save_language_model(tmp_path / "other", initializer_range=0.3), calls, cache="none"
    )
    expected = other.predict(docs)
    model.from_bytes(other.to_bytes())
    calls.clear()
    found = model.predict(docs)
    assert sum(calls) == 5
    numpy.testing.assert_allclose(found, expected, atol=5e-3)  # half precision on disk
    assert numpy.abs(found - before).max() > 0.1


CHANGES = {
    "activation_function": {"activation_function": "relu"},
    "start": {"special": {"eos_token": END, "bos_token": "a"}},
    "window": {"window": 9},
}


@pytest.mark.parametrize("change", CHANGES)
def test_fingerprint(folder, calls, tmp_path, change):
    settings = dict(CHANGES[change])
    window = settings.pop("window", None)
    name = save_language_model(tmp_path, **settings)
    first = language_model_file.fingerprint(load(folder, calls))
    other = load(name, calls, window=window)
    assert language_model_file.fingerprint(other) != first
    same = language_model_file.fingerprint(load(folder, calls, batch_pieces=7, cache="none"))
    assert same == first
    weights, expected = (
        module.shims[0].module.state_dict() for module in (other, load(folder, calls))
    )
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights.items())


def test_the_cache_is_not_saved(folder, calls, vocab):
    model = load(folder, calls)
    data = model.to_bytes()
    model.predict(texts_to_docs(vocab))
    model.attrs["vocabulary"] = None
    assert model.to_bytes() == data
    loaded = pickle.loads(pickle.dumps(model))
    assert loaded.attrs["cache"].entries == {} != model.attrs["cache"].entries


def test_batches_hold_each_sequence_once():
    lengths = numpy.array([3, 9, 1, 4, 4, 2, 30])
    batches = [batch.tolist() for batch in make_batches(lengths, 9)]
    assert sorted(chain(*batches)) == list(range(7))
    assert batches == [[6], [1], [3, 4], [0, 5, 2]]
    assert list(make_batches(lengths[:0], 9)) == []


def test_windows_keep_each_piece_once():
    windows = cut_windows(numpy.array([3, 0, 11, 4]), 4)
    kept = [range(keep, end) for _, keep, end in windows.tolist()]
    assert sorted(chain(*kept)) == list(range(18))
    assert windows.tolist()[1:4] == [[3, 3, 7], [5, 7, 9], [7, 9, 11]]
    assert cut_windows(numpy.array([0, 0]), 4).shape == (0, 3)


def test_without_pieces(model, vocab):
    for docs in ([], [Doc(vocab), Doc(vocab)]):
        assert model.predict(docs).shape == (0, WIDTH)


def test_the_first_row_is_the_start_piece_alone(tmp_path, vocab):
    special = {"eos_token": END, "bos_token": "a", "unk_token": END}
    model = causal_lm(save_language_model(tmp_path, special)).initialize()
    start = get_vocabulary(model).start
    assert start == get_vocabulary(model).encoder.token_to_id("a") != 0
    module = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    expected = module.transformer(torch.tensor([[start]])).last_hidden_state[0].detach().numpy()
    found = model.predict([Doc(vocab, words=["b"]), Doc(vocab, words=["c"])])
    numpy.testing.assert_allclose(found, expected.repeat(2, 0), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("_no_pickle")
def test_bytes_round_trip_without_the_folder(tmp_path, vocab):
    # stored in half precision: both before and after the round trip it computes in single
    name = save_language_model(tmp_path / "lm", dtype=torch.float16)
    model, docs = causal_lm(name).initialize(), texts_to_docs(vocab)
    expected = model.predict(docs)
    data = model.to_bytes()
    shutil.rmtree(name)
    loaded = causal_lm(name).from_bytes(data)
    numpy.testing.assert_array_equal(loaded.predict(docs), expected)
    assert torch.equal(get_outputs(loaded), get_outputs(model))
    assert get_outputs(loaded).dtype == torch.float32
    assert loaded.get_dim("nO") == WIDTH
    assert get_vocabulary(loaded).to_dict() == get_vocabulary(model).to_dict()
    assert loaded.initialize().predict(docs).shape == expected.shape  # nothing is loaded by name
    assert loaded.to_bytes() == data


def test_loading_another_tokenizer_replaces_the_pieces(model, tmp_path, vocab):
    special = {"eos_token": END, "bos_token": "a"}
    other = causal_lm(save_language_model(tmp_path, special)).initialize()
    assert get_vocabulary(model) is get_vocabulary(model)
    assert get_vocabulary(model).start != get_vocabulary(other).start
    model.from_bytes(other.to_bytes())
    assert get_vocabulary(model).start == get_vocabulary(other).start


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(model, vocab, clone):
    docs = texts_to_docs(vocab)
    expected, other = model.predict(docs), clone(model)
    numpy.testing.assert_array_equal(other.predict(docs), expected)
    assert not any(p.requires_grad for p in other.shims[0].module.parameters())


def test_it_is_never_trained(model, vocab):
    docs = texts_to_docs(vocab)
    model.shims[0].module.train()  # dropout would show
    first, backprop = model(docs, is_train=True)
    assert backprop(numpy.ones_like(first)) == []
    model.finish_update(Adam(0.1, L2=0.1, L2_is_weight_decay=True))
    numpy.testing.assert_array_equal(model.predict(docs), first)
    H = read_states(model, get_vocabulary(model).encode(docs))
    assert not H.requires_grad
    assert not get_outputs(model).requires_grad
    # a generator may keep both for its own backward pass
    weight = torch.ones(WIDTH, requires_grad=True)
    ((H * weight) @ get_outputs(model).T).sum().backward()
    assert weight.grad is not None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 1}, "window is at least 2"),
        ({"batch_pieces": 0}, "batch_pieces is at least 1"),
        ({"cache_mb": -1}, "cache_mb must be 0 or more"),
        ({"cache": ""}, "cache must be 'memory', 'none' or a folder"),
    ],
)
def test_settings_too_small(folder, settings, message):
    with pytest.raises(ValueError, match=message):
        causal_lm(folder, **settings)


def test_a_window_beyond_the_positions(folder):
    with pytest.raises(ValueError, match=r"window is 17, but .* has 16 positions"):
        causal_lm(folder, window=17).initialize()


def test_not_loaded_yet(folder, vocab):
    model = causal_lm(folder)
    with pytest.raises(ValueError, match="not loaded yet"):
        model.predict([Doc(vocab, words=["a"])])
    with pytest.raises(ValueError, match="no weights yet"):
        get_outputs(model)


def test_a_start_piece_is_needed(tmp_path):
    with pytest.raises(ValueError, match="start or end token"):
        causal_lm(save_language_model(tmp_path, {"unk_token": END})).initialize()


def test_pieces_beyond_the_embeddings(tmp_path):
    name = save_language_model(tmp_path, {"eos_token": END, "bos_token": "[START]"}, vocab_size=260)
    with pytest.raises(ValueError, match="has 260 pieces, but its tokenizer uses piece 2"):
        causal_lm(name).initialize()


def test_other_output_layers_are_refused(tmp_path):
    size = save_tokenizer(tmp_path, eos_token=END)
    sizes = {"num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 2}
    config = transformers.BertConfig(vocab_size=size, intermediate_size=8, **sizes)
    transformers.BertLMHeadModel(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"BertLMHeadModel.*GPT-2 family"):
        causal_lm(str(tmp_path)).initialize()


def test_weights_in_a_pickle_are_refused(tmp_path):
    name = save_language_model(tmp_path)
    weights = torch.nn.Linear(2, 2).state_dict()
    (tmp_path / "model.safetensors").unlink()
    torch.save(weights, tmp_path / "pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        causal_lm(name).initialize()
