"""Posterior and costs of pairs of a text and a label."""

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from spacy_semivae.modules.text_vae import TextVAE
from spacy_semivae.modules.text_words import Texts, build_embedding, shift
from spacy_semivae.modules.vsl import LOG_VAR_BOUND

V, C, Z, WIDTH = 7, 3, 2, 4


@pytest.fixture
def vae():
    torch.manual_seed(0)
    sizes = {"nV": V, "nO": C, "width": WIDTH, "hidden": 5, "width_z": Z, "width_y": 3}
    return TextVAE(**sizes, decoder="clstm2", dropout=0.0).double().eval()


@pytest.fixture
def batch():
    table = build_embedding(V, WIDTH).double()
    texts = Texts(torch.tensor([3, 4, 1, 5, 6]), torch.tensor([3, 2]))
    inputs = table(shift(texts.words, texts.lengths, 0.0))
    return texts, table(texts.words), inputs


def test_kl_in_closed_form(vae, batch):
    texts, X, inputs = batch
    owners, labels = torch.tensor([1, 0, 0]), torch.tensor([2, 0, 1])
    costs = vae(texts, X, inputs, owners, labels)
    q = vae.posterior(X, texts.lengths, owners, vae.labels(labels))
    standard = Independent(Normal(torch.zeros(3, Z), torch.ones(3, Z)), 1)
    expected = kl_divergence(Independent(Normal(q.mean, (q.log_var / 2).exp()), 1), standard)
    assert costs.unit_kl.shape == (3, Z)
    torch.testing.assert_close(costs.unit_kl.sum(1), expected)
    assert (costs.unit_kl > 0).all()


def test_pairs_do_not_disturb_one_another(vae, batch):
    texts, X, inputs = batch
    owners, labels = torch.tensor([1, 0, 0, 1]), torch.tensor([2, 0, 1, 0])
    together = vae(texts, X, inputs, owners, labels)
    for pair in range(4):
        own = slice(pair, pair + 1)
        alone = vae(texts, X, inputs, owners[own], labels[own])
        torch.testing.assert_close(alone.reconstruction[0], together.reconstruction[pair])
        torch.testing.assert_close(alone.unit_kl[0], together.unit_kl[pair])
    assert together.reconstruction.unique().numel() == 4


def test_samples_follow_the_posterior(vae, batch, monkeypatch):
    texts, X, inputs = batch
    vae.training = True  # and none of the layers, whose batch norm would mix pairs
    owners, labels = torch.zeros(4000, dtype=torch.int64), torch.ones(4000, dtype=torch.int64)
    seen = []
    vae.decoder.register_forward_hook(lambda m, args, out: seen.append(args[4]))
    vae(texts, X, inputs, owners, labels)
    q = vae.posterior(X, texts.lengths, owners[:1], vae.labels(labels[:1]))
    torch.testing.assert_close(seen[0].mean(0), q.mean[0], atol=0.1, rtol=0)
    torch.testing.assert_close(seen[0].var(0), q.log_var[0].exp(), atol=0, rtol=0.1)


def test_variances_stay_in_bounds(vae, batch):
    texts, X, _ = batch
    vae.head.output.bias.data.fill_(100.0)
    q = vae.posterior(X, texts.lengths, torch.tensor([0]), vae.labels(torch.tensor([0])))
    assert q.log_var.unique().tolist() == [LOG_VAR_BOUND]


def test_resize(vae):
    before = vae.labels.weight.clone()
    vae.resize(5)
    assert torch.equal(vae.labels.weight[:C], before)
    assert not vae.labels.weight[C:].any()
    assert vae.labels(torch.tensor([4])).requires_grad
