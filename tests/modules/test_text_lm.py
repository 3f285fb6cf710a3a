"""The language model: its likelihood, and what it gives to an SSVAE."""

import itertools

import pytest
import torch

from spacy_semivae.modules.ssvae import SSVAE
from spacy_semivae.modules.text_lm import TextLM
from spacy_semivae.modules.text_words import END, Texts

V = 5


def make(autoencoder=False, **changes):
    torch.manual_seed(0)
    cfg = {"nV": V, "width": 4, "hidden": 6, "dropout": 0.0, **changes}
    return TextLM(autoencoder=autoencoder, **cfg).double().eval()


def make_texts(*texts):
    words = torch.tensor([word for text in texts for word in text], dtype=torch.int64)
    return Texts(words, torch.tensor([len(text) for text in texts], dtype=torch.int64))


def make_ssvae(**changes):
    cfg = {"nV": V, "nO": 2, "nI": None, "width": 4, "hidden": 6, "width_z": 2, "width_y": 2}
    cfg |= {"decoder": "vanilla", "dropout": 0.0, "length_normalize": True, "marginal": "exact"}
    cfg |= {"samples": 1, "replacement": True, "baseline": "none", **changes}
    return SSVAE(**cfg).double().eval()


def test_all_texts_together_are_certain():
    others = [word for word in range(V) if word != END]
    ended = [(*text, END) for n in range(2) for text in itertools.product(others, repeat=n)]
    texts = ended + list(itertools.product(others, repeat=2))
    losses = make()(make_texts(*texts)).split([len(text) for text in texts])
    total = sum((-of_text.sum()).exp() for of_text in losses)
    torch.testing.assert_close(total, torch.ones(()).double())


@pytest.mark.parametrize("autoencoder", [True, False])
def test_mates_do_not_matter_in_evaluation(autoencoder):
    model, texts = make(autoencoder), [(3, 2, END), (), (4,), (2, 2)]
    expected = torch.cat([model(make_texts(text)) for text in texts])
    torch.testing.assert_close(model(make_texts(*texts)), expected)


def test_a_language_model_has_not_seen_what_comes():
    model = make()
    first, second = model(make_texts((3, 2, 4))), model(make_texts((3, 2, 0)))
    torch.testing.assert_close(first[:2], second[:2])
    assert first[2] != second[2]


def test_an_autoencoder_has():
    model = make(autoencoder=True)
    first, second = model(make_texts((3, 2, 4))), model(make_texts((3, 2, 0)))
    assert (first[:2] != second[:2]).all()


def test_an_autoencoder_starts_from_what_it_read():
    model, words = make(autoencoder=True), [3, 2, END]

    def embed(ids):
        return model.embedded(model.embedding(torch.tensor(ids)))

    h = model.reader.lstm(embed(words)[:, None])[1][0]
    states = model.reader.lstm(embed([END, 3, 2])[:, None], (h, torch.zeros_like(h)))[0][:, 0]
    log_p = (states @ model.output.T).log_softmax(1)
    torch.testing.assert_close(
        model(make_texts(words)), -log_p[torch.arange(3), torch.tensor(words)]
    )


@pytest.mark.parametrize("autoencoder", [True, False])
def test_it_learns(autoencoder):
    model = make(autoencoder).train()
    texts = make_texts((3, 2, 4, END), (2, 3, 0, END))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    before = model(texts).mean().exp()
    for _ in range(40):
        optimizer.zero_grad()
        model(texts).mean().backward()
        optimizer.step()
    after = model(texts).mean().exp()
    assert after < 0.5 * before
    assert after > 1


@pytest.mark.parametrize("training", [True, False])
def test_nothing_to_read(training):
    for autoencoder in (True, False):
        model = make(autoencoder).train(training)
        assert model(make_texts()).shape == (0,)
        assert model(make_texts((), ())).shape == (0,)


@pytest.mark.parametrize("encoder", [True, False])
def test_start_of_an_ssvae(encoder):
    lm, model = make(), make_ssvae()
    lm.embedded[0].running_mean.normal_()
    old = model.generator.encoder.lstm.weight_ih_l0.clone()
    lm.start(model, encoder=encoder)
    texts = make_texts((3, 2), (4,))
    expected = lm.reader(lm.embedded(lm.embedding(texts.words)), texts.lengths)
    torch.testing.assert_close(model.classify(texts), model.classifier(expected))
    new = model.generator.encoder.lstm.weight_ih_l0
    assert torch.equal(new, lm.reader.lstm.weight_ih_l0 if encoder else old)
    model.embedding.weight.data.zero_()
    assert lm.embedding.weight.any()  # they are copies


def test_start_of_a_classifier_of_vectors_or_alone():
    lm, model = make(), make_ssvae(nI=3)
    lm.start(model, encoder=True)
    assert torch.equal(model.generator.encoder.lstm.weight_hh_l0, lm.reader.lstm.weight_hh_l0)
    alone = make_ssvae(generator=False)
    lm.start(alone, encoder=True)
    assert torch.equal(alone.reader.lstm.weight_hh_l0, lm.reader.lstm.weight_hh_l0)


@pytest.mark.parametrize("changes", [{"nV": 6}, {"width": 3}, {"hidden": 8}])
def test_start_of_another_size(changes):
    with pytest.raises(ValueError, match="same words, width and units"):
        make().start(make_ssvae(**changes), encoder=False)
