"""Stores of learned priors: the table, the frozen copy, and that both say the same."""

import warnings
from types import SimpleNamespace

import numpy
import pytest
import spacy
import torch
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import registry
from spacy.vocab import Vocab
from thinc.api import Adam

from spacy_semivae.layers.vsl import encode, infer
from spacy_semivae.modules.gaussian import Gaussian
from spacy_semivae.training import priors as module
from spacy_semivae.training.priors import (
    MemoryStore,
    SnapshotStore,
    StandardStore,
    create_memory_prior,
    create_snapshot_prior,
    create_standard_prior,
    doc_key,
)

CPU_MODEL = SimpleNamespace(shims=[SimpleNamespace(device=torch.device("cpu"))])
WIDTHS = {"y": 2, "z": 3}


def random_posteriors(docs, widths=WIDTHS):
    tokens = sum(len(doc) for doc in docs)
    return {name: Gaussian(*torch.randn(2, tokens, width)) for name, width in widths.items()}


def assert_same(one, two, **tolerance):
    torch.testing.assert_close(one.mean, two.mean, **tolerance)
    torch.testing.assert_close(one.log_var, two.log_var, **tolerance)


def rows(gaussian, start, end):
    return Gaussian(gaussian.mean[start:end], gaussian.log_var[start:end])


# The registered constructors


def test_registered_constructors():
    assert type(registry.misc.get("semivae.StandardPrior.v1")()) is StandardStore
    memory = registry.misc.get("semivae.MemoryPrior.v1")(update_frequency=3, max_tokens=7)
    assert (memory.update_frequency, memory.max_tokens) == (3, 7)
    assert registry.misc.get("semivae.SnapshotPrior.v1")(every=5).every == 5
    assert create_memory_prior().update_frequency == 1
    assert create_snapshot_prior().every is None


@pytest.mark.parametrize(
    ("create", "settings", "message"),
    [
        (create_memory_prior, {"update_frequency": 0}, "update_frequency >= 1 .* got 0"),
        (create_memory_prior, {"max_tokens": 0}, "max_tokens >= 1, but got 1 and 0"),
        (create_snapshot_prior, {"every": 0}, "every >= 1 or null, but got 0"),
    ],
)
def test_wrong_settings(create, settings, message):
    with pytest.raises(ValueError, match=message):
        create(**settings)


def test_doc_key_depends_on_the_words_alone(vocab, make_docs):
    other = Vocab(strings=["zzz"])
    texts = ["a b", "a b c", "b a", "ab", ""]
    keys = [doc_key(doc) for doc in make_docs(vocab, texts)]
    assert len(set(keys)) == len(texts)
    assert [doc_key(doc) for doc in make_docs(other, texts)] == keys
    tagged = Doc(vocab, ["a", "b"], tags=["X", "Y"], spaces=[False, False])
    assert doc_key(tagged) == keys[0]


def test_standard_store_knows_nothing(vocab, make_docs):
    store, docs = create_standard_prior(), make_docs(vocab)
    store.initialize(CPU_MODEL, 3)
    store.write(CPU_MODEL, docs, random_posteriors(docs), 2)
    store.warm_start(CPU_MODEL, docs)
    assert store.read(CPU_MODEL, docs) is None
    assert store.from_bytes(store.to_bytes()) is store


# The table


def test_memory_gives_back_what_was_written(vocab, make_docs):
    store, docs = create_memory_prior(), make_docs(vocab, ["a b c", "d", "", "e f"])
    assert store.read(CPU_MODEL, docs) is None
    posteriors = random_posteriors(docs)
    store.write(CPU_MODEL, docs, posteriors, 0)
    prior = store.read(CPU_MODEL, docs)
    assert_same(prior("y", None), posteriors["y"])
    assert_same(prior("z", torch.ones(6, 2)), posteriors["z"])
    # in another order and beside a Doc that is new
    mixed = [docs[3], *make_docs(vocab, ["new one"]), docs[0]]
    prior = store.read(CPU_MODEL, mixed)
    for name, q in posteriors.items():
        assert_same(rows(prior(name, None), 0, 2), rows(q, 4, 6))
        assert_same(rows(prior(name, None), 4, 7), rows(q, 0, 3))
        assert not prior(name, None).pack()[2:4].any()  # N(0, I)
    assert store.read(CPU_MODEL, make_docs(vocab, ["new", "two"])) is None


def test_memory_owns_its_rows(vocab, make_docs):
    store, docs = create_memory_prior(), make_docs(vocab, ["a b", "c"])
    posteriors = random_posteriors(docs)
    store.write(CPU_MODEL, docs, posteriors, 0)
    (first, second) = [entry.packed for entry in store.entries.values()]
    assert first.untyped_storage().nbytes() == 2 * 10 * 4  # not the whole batch
    assert second.untyped_storage().nbytes() == 10 * 4


def test_memory_is_read_on_the_device_of_the_model(vocab, make_docs):
    store, docs = create_memory_prior(), make_docs(vocab, ["a b", "c"])
    store.write(CPU_MODEL, docs[:1], random_posteriors(docs[:1]), 0)
    meta = SimpleNamespace(shims=[SimpleNamespace(device=torch.device("meta"))])
    assert store.read(meta, docs)("y", None).mean.device.type == "meta"


def test_update_frequency(vocab, make_docs):
    store, docs = create_memory_prior(update_frequency=3), make_docs(vocab, ["a b", "c"])
    written = []
    for visit in range(1, 10):
        posteriors = random_posteriors(docs[:1])
        written.append(posteriors["y"])
        store.write(CPU_MODEL, docs[:1], posteriors, 0)
        prior = store.read(CPU_MODEL, docs[:1])
        refreshed = visit // 3 * 3
        if refreshed:
            assert_same(prior("y", None), written[refreshed - 1])
        else:
            assert prior is None


def test_a_variant_without_latents_keeps_nothing(vocab, make_docs):
    store, docs = create_memory_prior(), make_docs(vocab)
    store.write(CPU_MODEL, docs, {}, 0)
    assert not store.entries
    assert store.to_bytes() == b""


@pytest.mark.parametrize("update_frequency", [1, 2, 5])
def test_eviction_keeps_the_latest_within_the_limit(update_frequency, vocab, make_docs):
    store = create_memory_prior(update_frequency=update_frequency, max_tokens=12)
    lengths = {text: len(text.split()) for text in ("a", "b b", "c c c", "d d d d d", "e " * 14)}
    recent = []  # the sentences not seen for longest stand first
    draw = numpy.random.default_rng(0)
    for _ in range(200):
        text = draw.choice(list(lengths), p=[0.3, 0.25, 0.25, 0.15, 0.05])
        (doc,) = make_docs(vocab, [text])
        store.write(CPU_MODEL, [doc], random_posteriors([doc]), 0)
        recent = [old for old in recent if old != text] + [text]
        while sum(lengths[old] for old in recent) > 12 and len(recent) > 1:
            recent.pop(0)
        assert list(store.entries) == [doc_key(make_docs(vocab, [old])[0]) for old in recent]
        assert store.tokens == sum(lengths[old] for old in recent)


def test_initialize_forgets(vocab, make_docs):
    store, docs = create_memory_prior(), make_docs(vocab)
    store.write(CPU_MODEL, docs, random_posteriors(docs), 0)
    store.initialize(CPU_MODEL, 3)
    assert store.read(CPU_MODEL, docs) is None
    assert store.tokens == 0


def test_a_stream_that_never_returns_is_warned_of(vocab, make_docs, monkeypatch):
    monkeypatch.setattr(module, "DOCS_BEFORE_WARNING", 300)
    store = create_memory_prior()

    def visit(i):
        docs = make_docs(vocab, [f"w{i}"])
        store.read(CPU_MODEL, docs)
        store.write(CPU_MODEL, docs, random_posteriors(docs), 0)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for i in range(299):
            visit(i)
        for _ in range(9):  # looking is no visit
            store.read(CPU_MODEL, make_docs(vocab, ["w299"]))
    with pytest.warns(UserWarning, match=r"Of 300 Docs only 0 .*SnapshotPrior"):
        visit(299)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # once is enough
        visit(300)


def test_a_corpus_that_returns_is_not(vocab, make_docs, monkeypatch):
    monkeypatch.setattr(module, "DOCS_BEFORE_WARNING", 20)
    store, docs = create_memory_prior(update_frequency=50), make_docs(vocab)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(10):
            store.read(CPU_MODEL, docs)
            store.write(CPU_MODEL, docs, random_posteriors(docs), 0)


@pytest.mark.parametrize("update_frequency", [1, 2, 4])
def test_memory_goes_on_after_a_round_trip(update_frequency, vocab, make_docs):
    store = create_memory_prior(update_frequency=update_frequency, max_tokens=9)
    docs = make_docs(vocab, ["a b c", "d", "", "e f"])
    for chosen in (docs, docs[:2], docs[3:]):
        store.write(CPU_MODEL, chosen, random_posteriors(chosen), 0)
    other = create_memory_prior(update_frequency=update_frequency, max_tokens=9)
    other.write(CPU_MODEL, docs, random_posteriors(docs), 0)
    assert other.from_bytes(store.to_bytes()) is other
    for chosen in (docs, docs[1:], make_docs(vocab, ["g h i j"]), docs):
        assert list(store.entries) == list(other.entries)
        assert store.tokens == other.tokens
        one, two = store.read(CPU_MODEL, chosen), other.read(CPU_MODEL, chosen)
        assert (one is None) == (two is None)
        for name in WIDTHS if one else ():
            assert_same(one(name, None), two(name, None), rtol=0, atol=0)
        posteriors = random_posteriors(chosen)
        for which in (store, other):
            which.write(CPU_MODEL, chosen, posteriors, 0)
    assert other.to_bytes() == store.to_bytes()


def test_an_empty_table_round_trips(vocab, make_docs):
    store, docs = create_memory_prior(), make_docs(vocab)
    store.write(CPU_MODEL, docs, random_posteriors(docs), 0)
    store.from_bytes(create_memory_prior().to_bytes())
    assert not store.entries
    assert store.tokens == 0


# Real pipelines

TINY = {"width_y": 2, "width_z": 3, "hidden": 4, "width": 5, "variant": "hier"}
CORPUS = [("the cat saw", "D N V"), ("a dog saw the cat", None)]


def make_pipe(prior, *, variant="hier", examples=CORPUS, **model):
    torch.manual_seed(4)
    numpy.random.seed(4)
    nlp = spacy.blank("en")
    encoder = {"char_width": 3, "char_hidden": 3, "hidden": 3, "width": 4, "min_count": 1}
    tok2vec = {"@architectures": "semivae.CharWordBiGRU.v1", **encoder}
    settings = {**TINY, "variant": variant, "tok2vec": tok2vec, **model}
    config = {"prior": prior, "model": settings, "kl_weight": 1.0, "alpha": 1.0}
    pipe = nlp.add_pipe("vsl_tagger", config=config)
    data = []
    for text, tags in examples:
        words = text.split()
        reference = Doc(nlp.vocab, words, tags=tags.split() if tags else None)
        data.append(Example(Doc(nlp.vocab, words), reference))
    nlp.initialize(lambda: data)
    return pipe, data, Adam(0.02)


def step(pipe, data, sgd, number):
    torch.manual_seed(number)  # equal noise for pipelines that are compared
    return pipe.update(data, sgd=sgd)


MEMORY = {"@misc": "semivae.MemoryPrior.v1", "update_frequency": 1}
SNAPSHOT = {"@misc": "semivae.SnapshotPrior.v1", "every": 1}


@pytest.mark.parametrize("variant", ["g", "flat"])
def test_memory_and_snapshot_agree(variant):
    """With every sentence in every batch and no dropout both are the last step's posterior."""
    (one, data1, sgd1), (two, data2, sgd2) = [
        make_pipe(prior, variant=variant) for prior in (MEMORY, SNAPSHOT)
    ]
    for number in range(6):
        docs1, docs2 = [[eg.predicted for eg in data] for data in (data1, data2)]
        prior1, prior2 = one.prior.read(one.model, docs1), two.prior.read(two.model, docs2)
        before = infer(one.model, docs1)
        if number:
            for name in before:
                assert_same(prior1(name, None), prior2(name, None), rtol=1e-4, atol=1e-5)
                distance = (prior1(name, None).mean - before[name].mean).abs().max()
                assert distance > 1e-3  # it is not the present posterior
        else:
            assert prior1 is prior2 is None
        losses1, losses2 = step(one, data1, sgd1, number), step(two, data2, sgd2, number)
        assert losses1 == pytest.approx(losses2, rel=1e-3)
        assert losses1["vsl_tagger_kl"] > 0


@pytest.mark.parametrize("variant", ["g", "flat", "hier"])
def test_snapshot_is_the_model_before_the_last_update(variant):
    pipe, data, sgd = make_pipe(SNAPSHOT, variant=variant)
    docs = [eg.predicted for eg in data]
    for number in range(3):
        earlier = pipe.model.copy()
        step(pipe, data, sgd, number)
        prior, expected = pipe.prior.read(pipe.model, docs), infer(earlier, docs)
        for name, q in expected.items():
            y = expected["y"].mean if variant == "hier" else None
            assert_same(prior(name, y), q)


def test_snapshot_of_hier_takes_z_at_the_current_y():
    pipe, data, sgd = make_pipe(SNAPSHOT)
    docs = [eg.predicted for eg in data]
    earlier = pipe.model.copy()
    step(pipe, data, sgd, 0)
    prior, H = pipe.prior.read(pipe.model, docs), encode(earlier, docs)
    heads, y = earlier.shims[0].module.heads, torch.randn(len(H), 2)
    expected = Gaussian.unpack(heads["z"](torch.cat((H, y), 1)))
    assert_same(prior("z", y), expected)
    assert (prior("z", y).mean - prior("z", y + 1).mean).abs().max() > 0.01


def test_memory_of_hier_holds_z_at_the_old_sample():
    pipe, data, sgd = make_pipe(MEMORY)
    docs = [eg.predicted for eg in data]
    H, heads = encode(pipe.model, docs), pipe.model.copy().shims[0].module.heads
    step(pipe, data, sgd, 0)
    prior = pipe.prior.read(pipe.model, docs)
    q = Gaussian.unpack(heads["y"](H))
    torch.manual_seed(0)
    y = q.mean + (0.5 * q.log_var).exp() * torch.randn_like(q.mean)
    assert_same(prior("y", None), q, rtol=1e-4, atol=1e-5)
    expected = Gaussian.unpack(heads["z"](torch.cat((H, y), 1)))
    assert_same(prior("z", None), expected, rtol=1e-4, atol=1e-5)


def test_snapshot_ignores_dropout():
    pipe, data, sgd = make_pipe(SNAPSHOT)
    docs = [eg.predicted for eg in data]
    earlier = pipe.model.copy()
    pipe.update(data, sgd=sgd, drop=0.7)
    prior = pipe.prior.read(pipe.model, docs)
    assert_same(prior("y", None), infer(earlier, docs)["y"])


def refreshes(pipe, batches, sgd):
    """Whether the store took a new copy, update by update."""
    result, last = [], pipe.prior.model
    for number, batch in enumerate(batches):
        step(pipe, batch, sgd, number)
        result.append(pipe.prior.model is not last)
        last = pipe.prior.model
    return result


def test_snapshot_every_n_steps():
    pipe, data, sgd = make_pipe({**SNAPSHOT, "every": 3})
    assert refreshes(pipe, [data] * 7, sgd) == [False, False, True, False, False, True, False]


FOUR = [("the cat", "D N"), ("a dog saw", "D N V"), ("cat", "N"), ("cat saw", None)]


def test_snapshot_every_pass_over_the_labeled_docs():
    pipe, data, sgd = make_pipe({**SNAPSHOT, "every": None}, examples=FOUR)
    batches = [data[:2], data[3:], data[2:], data[3:], data[:1], data[:2]]
    assert refreshes(pipe, batches, sgd) == [False, False, True, False, False, True]


@pytest.mark.parametrize("every", [None, 2])
def test_snapshot_goes_on_after_a_round_trip(every):
    pipe, data, sgd = make_pipe({**SNAPSHOT, "every": every}, examples=FOUR)
    other, _, _ = make_pipe({**SNAPSHOT, "every": every}, examples=FOUR)
    docs = [eg.predicted for eg in data]
    for number in range(3):
        step(pipe, data[:2], sgd, number)
    unread = create_snapshot_prior(every).from_bytes(pipe.prior.to_bytes())
    assert unread.to_bytes() == pipe.prior.to_bytes()  # before a model has read the bytes
    other.prior.from_bytes(unread.to_bytes())
    one, two = pipe.prior.read(pipe.model, docs), other.prior.read(other.model, docs)
    y = torch.zeros(sum(len(doc) for doc in docs), 2)
    assert_same(one("y", None), two("y", None))
    assert_same(one("z", y), two("z", y))
    batches = [data[:1], data[:1], data[:3], data[1:2], data[3:]]
    assert refreshes(pipe, batches, sgd) == refreshes(other, batches, Adam(0.02))


def test_snapshot_before_its_first_copy_round_trips():
    store = SnapshotStore(every=2).from_bytes(SnapshotStore(every=2).to_bytes())
    assert store.read(CPU_MODEL, []) is None
    assert store.from_bytes(b"").read(CPU_MODEL, []) is None


def test_snapshot_refuses_a_listener():
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec")
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": 96}
    pipe = nlp.add_pipe(
        "vsl_tagger", config={"prior": SNAPSHOT, "model": {**TINY, "tok2vec": listener}}
    )
    with pytest.raises(ValueError, match="this model has a tok2vec-listener"):
        pipe.prior.initialize(pipe.model, 1)
    MemoryStore(update_frequency=1, max_tokens=9).initialize(pipe.model, 1)


@pytest.mark.parametrize("prior", [MEMORY, SNAPSHOT])
@pytest.mark.parametrize("variant", ["g", "flat", "hier"])
def test_warm_start(variant, prior):
    old, _, _ = make_pipe(MEMORY, variant=variant)
    pipe, data, _ = make_pipe(prior, variant=variant)
    docs = [eg.predicted for eg in data]
    with torch.no_grad():
        for param in old.model.shims[0].module.parameters():
            param.mul_(1.5)
    for doc in docs:  # one batch after the other
        pipe.prior.warm_start(old.model, [doc])
    read, expected = pipe.prior.read(pipe.model, docs), infer(old.model, docs)
    assert (expected["z"].mean - infer(pipe.model, docs)["z"].mean).abs().max() > 0.01
    for name, q in expected.items():
        y = expected["y"].mean if variant == "hier" else None
        assert_same(read(name, y), q, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("prior", [MEMORY, SNAPSHOT])
def test_the_store_is_saved_with_the_pipe_and_pruned(prior):
    pipe, data, sgd = make_pipe(prior)
    step(pipe, data, sgd, 0)
    docs = [eg.predicted for eg in data]
    other, _, _ = make_pipe(prior)
    other.from_bytes(pipe.to_bytes())
    y = torch.zeros(sum(len(doc) for doc in docs), 2)
    one, two = pipe.prior.read(pipe.model, docs), other.prior.read(other.model, docs)
    assert_same(one("z", y), two("z", y))
    pipe.prune()
    assert pipe.prior.read(pipe.model, docs) is None
