import numpy
import pytest
import spacy
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Adam

from spacy_semivae.layers.shim import collect_gradients
from spacy_semivae.training.loop import LoopSettings, finish_update, update

CHARACTERS = {
    "@architectures": "semivae.CharWordBiGRU.v1",
    "width": 6,
    "char_width": 4,
    "char_hidden": 4,
    "hidden": 6,
    "min_count": 1,
}
CONVOLUTION = {
    "@architectures": "spacy.HashEmbedCNN.v2",
    "width": 12,
    "depth": 1,
    "embed_size": 100,
    "window_size": 1,
    "maxout_pieces": 3,
    "subword_features": True,
    "pretrained_vectors": None,
}
LISTENER = {"@architectures": "spacy.Tok2VecListener.v1", "width": 12, "upstream": "*"}
TRANSFORMER_LISTENER = {
    "@architectures": "spacy-transformers.TransformerListener.v1",
    "grad_factor": 1.0,
    "pooling": {"@layers": "reduce_mean.v1"},
    "upstream": "*",
}


def concat(**encoders):
    return {"@architectures": "semivae.ConcatEncoders.v1", "encoders": encoders}


ENCODERS = {
    "characters": CHARACTERS,
    "convolution": CONVOLUTION,
    "concat": concat(a=CHARACTERS, b=CONVOLUTION),
    "listener": LISTENER,
    "concat_listener": concat(shared=LISTENER, own=CHARACTERS),
}


def add_ours(nlp, factory, encoder, **model):
    model = {"width_y": 4, "width_z": 6, "hidden": 8, "width": 8, **model, "tok2vec": encoder}
    return nlp.add_pipe(factory, config={"model": model})


def add_tok2vec(nlp):
    return nlp.add_pipe("tok2vec", config={"model": CONVOLUTION})


def add_transformer(nlp, folder):
    model = {
        "@architectures": "spacy-transformers.TransformerModel.v3",
        "name": str(folder),
        "tokenizer_config": {"use_fast": True},
        "get_spans": {  # unlike doc_spans it bears an empty Doc
            "@span_getters": "spacy-transformers.strided_spans.v1",
            "window": 16,
            "stride": 12,
        },
    }
    return nlp.add_pipe("transformer", config={"model": model})


def assert_learns(nlp, factory, examples, save_to):
    optimizer = Adam(0.02)
    losses = [nlp.update(examples, sgd=optimizer, losses={}) for _ in range(50)]
    for term in ("supervised", "reconstruction", "unlabeled_reconstruction"):
        key = f"{factory}_{term}"
        assert losses[-1][key] < 0.8 * losses[0][key]
    texts = ["Ann saw Rome", "", "zebras"]
    docs = list(nlp.pipe(texts))
    nlp.to_disk(save_to)
    for one, doc in zip(spacy.load(save_to).pipe(texts), docs):
        assert [t.tag_ for t in one] == [t.tag_ for t in doc]
        assert [str(e) for e in one.ents] == [str(e) for e in doc.ents]


@pytest.mark.parametrize(
    ("factory", "encoder"),
    [*(("vsl_tagger", name) for name in ENCODERS), ("vsl_ner", "concat_listener")],
)
def test_any_encoder_learns(factory, encoder, gold, raw, tmp_path):
    nlp = spacy.blank("en")
    if "listener" in encoder:
        add_tok2vec(nlp)
    add_ours(nlp, factory, ENCODERS[encoder])
    examples = [*gold(nlp), *raw(nlp)]
    nlp.initialize(lambda: examples)
    assert_learns(nlp, factory, examples, tmp_path / "model")


@pytest.mark.parametrize(
    "encoder", [TRANSFORMER_LISTENER, concat(a=TRANSFORMER_LISTENER, b=CHARACTERS)]
)
def test_a_transformer_learns(encoder, tiny_bert, gold, raw, tmp_path):
    nlp = spacy.blank("en")
    add_transformer(nlp, tiny_bert)
    ours = add_ours(nlp, "vsl_tagger", encoder)
    examples = [*gold(nlp), *raw(nlp)]
    nlp.initialize(lambda: examples)
    assert ours.model.shims[0].cfg["nI"] == (12 if encoder is TRANSFORMER_LISTENER else 24)
    shim = next(s for n in nlp.get_pipe("transformer").model.walk() for s in n.shims)
    before = {name: p.detach().numpy().copy() for name, p in shim._model.named_parameters()}
    assert_learns(nlp, "vsl_tagger", examples, tmp_path / "model")
    after = {name: p.detach().numpy() for name, p in shim._model.named_parameters()}
    same = [n for n in before if numpy.array_equal(before[n], after[n]) and "pooler" not in n]
    assert not same


def test_the_loop_serves_a_transformer(tiny_bert, gold, raw):
    nlp = spacy.blank("en")
    add_transformer(nlp, tiny_bert)
    add_ours(nlp, "vsl_tagger", TRANSFORMER_LISTENER)
    add_tagger(nlp, TRANSFORMER_LISTENER)
    nlp.initialize(lambda: gold(nlp))
    seen = spy(nlp.get_pipe("tagger"))
    optimizer, losses = Adam(0.01), []
    for _ in range(30):
        losses.append({})
        update(nlp, gold(nlp), raw(nlp), drop=0.0, losses=losses[-1], settings=LoopSettings())
        finish_update(nlp, optimizer, [])
    for key in ("vsl_tagger_supervised", "vsl_tagger_unlabeled_reconstruction", "tagger"):
        assert losses[-1][key] < 0.8 * losses[0][key]
    assert seen == [[eg.text for eg in gold(nlp)]] * 30


# A shared encoder in our own loop


def add_tagger(nlp, listener=LISTENER):
    return nlp.add_pipe(
        "tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": listener}}
    )


def add_textcat(nlp):
    linear = {
        "@architectures": "spacy.TextCatReduce.v1",
        "tok2vec": LISTENER,
        "exclusive_classes": True,
        "use_reduce_first": False,
        "use_reduce_last": False,
        "use_reduce_max": False,
        "use_reduce_mean": True,
    }
    return nlp.add_pipe("textcat", config={"model": linear})


def with_cats(examples):
    for i, eg in enumerate(examples):
        eg.reference.cats = {"A": float(i % 2), "B": float(1 - i % 2)}
    return examples


def shared(gold, raw, add_stock, order):
    nlp = spacy.blank("en")
    add_tok2vec(nlp)
    for which in order:
        if which == "ours":
            add_ours(nlp, "vsl_tagger", LISTENER, variational=False)
        else:
            add_stock(nlp)
    nlp.initialize(lambda: with_cats(gold(nlp)))
    return nlp


def spy(pipe):
    """Note the texts of each update of a component."""
    seen, original = [], pipe.update

    def noting(examples, **settings):
        seen.append([eg.text for eg in examples])
        return original(examples, **settings)

    pipe.update = noting
    return seen


def upstream_gradient(nlp, gold, raw, frozen=()):
    losses = {}
    settings = LoopSettings(frozen=frozen)
    update(nlp, with_cats(gold(nlp)), raw(nlp), drop=0.0, losses=losses, settings=settings)
    arrays, _ = collect_gradients(nlp.get_pipe("tok2vec").model)
    found = {name: array.copy() for name, array in arrays.items()}
    for array in arrays.values():
        array[:] = 0.0
    for _, pipe in nlp.pipeline:
        for array in collect_gradients(pipe.model)[0].values():
            array[:] = 0.0
    return found, losses


@pytest.mark.parametrize("order", [("ours", "stock"), ("stock", "ours")])
@pytest.mark.parametrize("add_stock", [add_tagger, add_textcat])
def test_a_shared_encoder_learns_from_all_listeners(add_stock, order, gold, raw):
    nlp = shared(gold, raw, add_stock, order)
    stock = add_stock.__name__.removeprefix("add_")
    seen, ours = spy(nlp.get_pipe(stock)), spy(nlp.get_pipe("vsl_tagger"))
    labelled, unlabeled = [eg.text for eg in gold(nlp)], [eg.text for eg in raw(nlp)]
    update(nlp, with_cats(gold(nlp)), [], drop=0.0, losses={}, settings=LoopSettings())
    finish_update(nlp, Adam(0.01), [])  # stock heads start at zero and give no gradient before
    seen.clear()
    ours.clear()
    both, losses = upstream_gradient(nlp, gold, raw)
    assert seen == [labelled]  # raw text never reaches the stock component
    assert ours == [[*labelled, *unlabeled]]
    assert losses[stock] > 0 < losses["vsl_tagger_unlabeled_reconstruction"]
    only_stock, _ = upstream_gradient(nlp, gold, raw, frozen=["vsl_tagger"])
    only_ours, _ = upstream_gradient(nlp, gold, raw, frozen=[stock])
    assert set(both) == set(only_stock) == set(only_ours)
    for name in both:
        assert numpy.allclose(both[name], only_stock[name] + only_ours[name], atol=1e-5)
    assert any(array.any() for array in only_stock.values())
    assert any(array.any() for array in only_ours.values())


@pytest.mark.parametrize("frozen", [["tok2vec"], ["tok2vec", "tagger"], ["vsl_tagger"]])
def test_frozen_components_stay_as_they_are(frozen, gold, raw, tensors):
    nlp = shared(gold, raw, add_tagger, ("ours", "stock"))
    before = {name: tensors(pipe.model) for name, pipe in nlp.pipeline}
    settings = LoopSettings(frozen=frozen, annotating=["tok2vec"])
    optimizer = Adam(0.01, L2=0.01)
    for _ in range(2):
        update(nlp, gold(nlp), raw(nlp), drop=0.0, losses={}, settings=settings)
        finish_update(nlp, optimizer, frozen)
    for name, pipe in nlp.pipeline:
        after = tensors(pipe.model)
        changed = [key for key in after if not numpy.array_equal(after[key], before[name][key])]
        assert bool(changed) == (name not in frozen), name
    assert nlp.get_pipe("vsl_tagger").cfg["step"] == (0 if "vsl_tagger" in frozen else 2)


def test_listeners_are_back_after_an_update(gold, raw):
    nlp = shared(gold, raw, add_tagger, ("ours", "stock"))
    expected = {name: list(found) for name, found in nlp.get_pipe("tok2vec").listener_map.items()}
    upstream_gradient(nlp, gold, raw)
    bad = gold(nlp)
    bad[0].reference[0].tag_ = "NEW"
    with pytest.raises(ValueError, match="NEW"):
        upstream_gradient(nlp, lambda nlp: bad, raw)
    found = {name: list(found) for name, found in nlp.get_pipe("tok2vec").listener_map.items()}
    assert found == expected == {name: found[name] for name in ("vsl_tagger", "tagger")}


def test_only_empty_docs_do_not_stop_a_shared_encoder(gold, raw):
    nlp = shared(gold, raw, add_tagger, ("ours", "stock"))
    empty = [Example(Doc(nlp.vocab), Doc(nlp.vocab))]
    update(nlp, empty, empty, drop=0.0, losses={}, settings=LoopSettings())
    finish_update(nlp, Adam(0.01), [])
    both, _ = upstream_gradient(nlp, gold, raw)
    assert all(numpy.isfinite(array).all() for array in both.values())


def test_a_snapshot_of_a_listener_is_an_error(gold):
    nlp = spacy.blank("en")
    add_tok2vec(nlp)
    model = {"tok2vec": LISTENER}
    nlp.add_pipe(
        "vsl_tagger", config={"model": model, "prior": {"@misc": "semivae.SnapshotPrior.v1"}}
    )
    with pytest.raises(ValueError, match=r"SnapshotPrior copies the encoder.*listener"):
        nlp.initialize(lambda: gold(nlp))


def test_every_encoder_of_a_concat_gets_its_gradient(make_nlp, gold, raw, tensors):
    nlp = spacy.blank("en")
    pipe = add_ours(nlp, "vsl_tagger", concat(a=CHARACTERS, b=CONVOLUTION, c=CHARACTERS))
    nlp.initialize(lambda: [*gold(nlp), *raw(nlp)])
    before = tensors(pipe.model)
    nlp.update([*gold(nlp), *raw(nlp)], sgd=Adam(0.01))
    after = tensors(pipe.model)
    assert not [name for name in before if numpy.array_equal(before[name], after[name])]


def test_concat_needs_an_encoder():
    with pytest.raises(ValueError, match="at least one encoder"):
        add_ours(spacy.blank("en"), "vsl_tagger", concat())
