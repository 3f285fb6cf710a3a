"""Weights and shifts of classes in the losses of all three modules, by hand."""

import numpy
import pytest
import torch

from spacy_semivae.modules.classes import UNBALANCED, Balance
from spacy_semivae.modules.crf_vae import CRFVAE, FULL, PARTIAL, RAW, weigh_docs
from spacy_semivae.modules.crf_vae import Targets as CRFTargets
from spacy_semivae.modules.ssvae import SSVAE
from spacy_semivae.modules.text_words import Texts
from spacy_semivae.modules.units import Units
from spacy_semivae.modules.vsl import VSL, Targets

WEIGHTS = torch.tensor([1.0, 4.0, 0.5], dtype=torch.float64)
SHIFT = torch.tensor([0.0, -2.0, 1.0], dtype=torch.float64)
BALANCES = [
    UNBALANCED,
    Balance(weights=WEIGHTS),
    Balance(shift=SHIFT),
    Balance(weights=WEIGHTS, shift=SHIFT),
]


def weight_of(balance, label):
    return 1.0 if balance.weights is None else float(balance.weights[label])


def shift_of(balance):
    return torch.zeros(3, dtype=torch.float64) if balance.shift is None else balance.shift


@pytest.mark.parametrize("balance", BALANCES)
def test_the_losses_of_a_vsl(balance):
    module = VSL(
        variant="baseline",
        classifier_on="h",
        nI=4,
        nO=3,
        width_y=2,
        width_z=2,
        hidden=3,
        width=3,
        nV=0,
        variational=False,
        decoder_noise=0.0,
        reconstruct_unk=True,
    ).double()
    H = torch.randn(5, 4, dtype=torch.float64)
    labels = torch.tensor([0, 1, -1, 2, 1])
    rejected = torch.tensor([[1, 2], [2, 0], [0, 0]])
    targets = Targets(labels, labels >= 0, labels.clamp(min=0), rejected, balance)
    terms = module(H, targets, None, None).terms
    p = (module.classify(H) + shift_of(balance)).detach().softmax(1)
    losses = [-weight_of(balance, y) * float(p[i, y].log()) for i, y in enumerate(labels) if y >= 0]
    assert terms["supervised"].item() == pytest.approx(sum(losses) / 4)
    assert float(terms["negative"]) == pytest.approx(-float(torch.log(1 - p[1, 2] * p[2, 0])))


@pytest.mark.parametrize("balance", BALANCES)
def test_the_losses_of_an_ssvae(balance):
    module = SSVAE(
        nV=6,
        nO=3,
        nI=None,
        width=4,
        hidden=4,
        width_z=2,
        width_y=2,
        decoder="clstm2",
        dropout=0.0,
        marginal="exact",
        samples=1,
        replacement=True,
        baseline="mean",
        length_normalize=False,
    ).double()
    module.eval()
    texts = Texts(torch.tensor([2, 3, 4, 2, 5, 3]), torch.tensor([2, 1, 3]), None)
    labels = torch.tensor([1, -1, 2])
    terms = module(texts, labels, 0.0, balance).terms
    p = (module.classify(texts) + shift_of(balance)).detach().softmax(1)
    losses = [-weight_of(balance, y) * float(p[i, y].log()) for i, y in enumerate(labels) if y >= 0]
    assert float(terms["classification"]) == pytest.approx(sum(losses) / 2)
    entropy = -float((p[1] * p[1].log()).sum())
    assert float(terms["entropy"]) == pytest.approx(-entropy / 3)


def make_crf(nO=3):
    module = CRFVAE(
        nI=4,
        nO=nO,
        width=4,
        pieces=False,
        spans=False,
        tagger_layers=0,
        tagger_heads=1,
        tagger_hidden=1,
        dropout=0.0,
        generator=None,
        objective="relaxed",
        nV=2,
        nS=None,
    ).double()
    for weight in module.parameters():
        weight.data.add_(torch.randn_like(weight))
    free = torch.ones(nO, dtype=torch.bool)
    module.allow(free, free.expand(nO, nO), free)
    module.set_prior(torch.tensor([0.2, 0.3, 0.5]))
    return module


TAGS = [[0, 1, 1], [0, -1], [-1, -1, -1], [2], []]
ANNOTATION = [FULL, PARTIAL, RAW, FULL, FULL]


def crf_targets(balance):
    flat = torch.tensor([tag for doc in TAGS for tag in doc])
    return CRFTargets(
        units=Units.of([len(doc) for doc in TAGS]),
        annotation=torch.tensor(ANNOTATION),
        allowed=(flat[:, None] == torch.arange(3)) | (flat[:, None] < 0),
        rejected=torch.zeros((3, 0), dtype=torch.int64),
        words=torch.zeros_like(flat),
        balance=balance,
    )


@pytest.mark.parametrize("balance", BALANCES)
def test_the_losses_of_a_crf(balance, enumerate_paths):
    """A Doc counts by its largest weight; the shift is in the potentials of all terms."""
    module, targets = make_crf(), crf_targets(balance)
    H = torch.randn(sum(map(len, TAGS)), 4, dtype=torch.float64)
    terms = module(H, targets).terms
    emissions = module.emissions(H, targets.units) + shift_of(balance)
    supervised, kl, end = 0.0, 0.0, 0
    log_prior = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64).log()
    for doc, kind in zip(TAGS, ANNOTATION):
        start, end = end, end + len(doc)
        if not doc:
            continue
        paths = enumerate_paths(emissions[start:end], **module.transitions())
        fits = torch.tensor(
            [all(g in (-1, t) for g, t in zip(doc, p)) for p in paths.tags.tolist()]
        )
        if kind != RAW:
            weight = max(weight_of(balance, tag) for tag in doc if tag >= 0)
            supervised -= weight * float(paths.q[fits].sum().log())
        if kind != FULL:
            q, open_ = paths.q[fits] / paths.q[fits].sum(), torch.tensor(doc) < 0
            prior = (log_prior[paths.tags[fits]] * open_).sum(1)
            kl += float((q * (q.log() - prior)).sum())
    assert float(terms["supervised"]) == pytest.approx(supervised / 6)
    assert float(terms["kl"]) == pytest.approx(kl / 5)


def test_the_weights_of_docs():
    found = weigh_docs(WEIGHTS, crf_targets(UNBALANCED))
    numpy.testing.assert_allclose(found, [4.0, 1.0, 1.0, 0.5, 1.0])
