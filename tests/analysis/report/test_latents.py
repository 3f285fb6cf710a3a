"""Latents in the plane."""

import copy
from collections import Counter

import numpy as np
import pytest

from spacy_semivae.analysis.report import latents
from spacy_semivae.analysis.report.blocks import Note, Plot
from spacy_semivae.layers.vsl import infer


def test_latents_of_tokens_have_their_words_and_labels(get_pipe):
    pipe, examples = get_pipe("vsl_tagger")
    found = latents.read_latents(pipe, examples, seed=0)
    assert {name: v.shape[1] for name, v in found.values.items()} == {"y": 4, "z": 6}
    tokens = {}
    for eg in examples:
        for name, q in infer(pipe.model, [eg.predicted]).items():
            for token, gold, mean in zip(eg.predicted, eg.reference, q.mean.numpy()):
                key = (latents.show_token(token), gold.tag_)
                tokens.setdefault((name, *key), mean)
    assert len(found.labels) == sum(len(eg.predicted) for eg in examples)
    for name, values in found.values.items():
        for value, label, word in zip(values, found.labels, found.words):
            assert value == pytest.approx(tokens[name, word, label], abs=1e-5)


def test_latents_of_texts(get_pipe):
    pipe, examples = get_pipe("ssvae_textcat")
    found = latents.read_latents(pipe, examples, seed=1)
    texts = {eg.predicted.text.strip(): eg for eg in examples}
    for value, label, word in zip(found.values["z"], found.labels, found.words):
        eg = texts[word]
        assert eg.reference.cats[label] == 1.0
        assert value == pytest.approx(pipe.encode([eg.predicted])[0], abs=1e-5)


def test_no_label_has_more_than_its_share(get_pipe, monkeypatch):
    monkeypatch.setattr(latents, "MAX_POINTS", 16)
    pipe, examples = get_pipe("vsl_tagger")
    found = latents.read_latents(pipe, examples, seed=0)
    assert max(Counter(found.labels).values()) == 4
    assert all(len(values) == len(found.labels) for values in found.values.values())


def test_a_plot_of_each_latent(get_pipe):
    pipe, examples = get_pipe("vsl_tagger")
    once, again = (
        [
            block
            for block in latents.show_latents(pipe, examples, method="pca", seed=0).blocks
            if isinstance(block, Plot)
        ]
        for _ in range(2)
    )
    assert [block.title for block in once] == ["Latent y", "Latent z"]
    assert "units vary" in once[0].caption
    assert [block.figure for block in once] == [block.figure for block in again]


def test_components_without_latents_say_so(get_pipe):
    (note,) = latents.show_latents(*get_pipe("crf_vae_ner"), method="pca", seed=0).blocks
    assert isinstance(note, Note)
    assert "tag sequence" in note.text


@pytest.mark.parametrize("name", ["vsl_tagger", "ssvae_textcat"])
def test_pruned_components_say_so(get_pipe, name):
    pipe, examples = get_pipe(name)
    pruned = copy.deepcopy(pipe)
    pruned.prune()
    (note,) = latents.show_latents(pruned, examples, method="pca", seed=0).blocks
    assert "pruned" in note.text


@pytest.mark.parametrize("method", latents.METHODS)
@pytest.mark.parametrize("shape", [(3, 1), (3, 4), (40, 1), (40, 5)])
def test_any_latents_have_a_place(method, shape):
    values = np.random.default_rng(0).normal(size=shape).astype("f")
    assert latents.project(values, method=method, seed=0).shape == (shape[0], 2)
    flat = np.ones(shape, dtype="f")
    assert np.isfinite(latents.project(flat, method=method, seed=0)).all()


def test_pca_keeps_what_varies_most():
    values = np.zeros((50, 4), dtype="f")
    values[:, 2] = np.linspace(-3, 3, 50)
    points = latents.project(values, method="pca", seed=0)
    assert np.abs(points[:, 0]) == pytest.approx(np.abs(values[:, 2]), abs=1e-5)


def test_other_methods_are_refused():
    with pytest.raises(ValueError, match="tsne, pca"):
        latents.project(np.zeros((4, 2), dtype="f"), method="umap", seed=0)


def test_a_collapsed_latent_is_a_warning():
    values = {"y": np.zeros((5, 3), dtype="f"), "z": np.eye(5, dtype="f")}
    found = latents.Latents(values, ["a"] * 5, ["b"] * 5, "tokens")
    blocks = [[*latents.show_latent(name, np.zeros((5, 2)), found)] for name in values]
    assert [block.kind for block in blocks[0]] == ["note", "plot"]
    assert [block.kind for block in blocks[1]] == ["plot"]
    assert "5 of 5" in blocks[1][0].caption
