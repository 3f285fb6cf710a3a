"""The SSVAE's terms against loops over single texts and labels without any batching."""

import math
import re

import pytest
import torch
from torch.nn.functional import one_hot

from spacy_semivae.modules.conditional import VARIANTS
from spacy_semivae.modules.gaussian import Gaussian
from spacy_semivae.modules.ssvae import NO_GENERATOR, SSVAE
from spacy_semivae.modules.text_words import END, UNKNOWN, Texts

V, C, Z = 9, 3, 4
EXACT = {"marginal": "exact", "samples": 1, "replacement": True, "baseline": "none"}
LENGTHS = (3, 1, 0, 4, 2)
LABELS = (2, -1, 1, -1, 0)


def build(**changes):
    torch.manual_seed(changes.pop("seed", 0))
    sizes = {"nV": V, "nO": C, "nI": None, "width": 5, "hidden": 6, "width_z": Z, "width_y": 3}
    cfg = {**sizes, **EXACT, "decoder": "clstm2", "dropout": 0.0, "length_normalize": True}
    model = SSVAE(**{**cfg, **changes}).double().eval()
    for weight in model.parameters():
        weight.data.add_(0.3 * torch.randn_like(weight))
    for name, values in model.named_buffers():
        if name.endswith("running_mean"):
            values.normal_()
        if name.endswith("running_var"):
            values.uniform_(0.5, 2.0)
    if model.log_prior.numel() == C:
        model.set_prior(torch.tensor([0.5, 0.3, 0.2]))
    return model


def make_texts(lengths=LENGTHS, nI=None, seed=1):
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(V, (sum(lengths),), generator=generator)
    vectors = None
    if nI is not None:
        vectors = torch.randn(len(lengths), nI, generator=generator, dtype=torch.float64)
    return Texts(words, torch.tensor(lengths, dtype=torch.int64), vectors)


def split(texts):
    """Every text on its own."""
    parts = texts.words.split(texts.lengths.tolist())
    vectors = [None] * len(parts) if texts.vectors is None else texts.vectors.split(1)
    return [Texts(w, torch.tensor([len(w)]), v) for w, v in zip(parts, vectors)]


def cost(model, text, y):
    """-log p(x | y, z), KL per unit and -log p(y) of one pair, word by word."""
    vae = model.generator
    Y = vae.labels.weight[y : y + 1]
    X = model.embedded(model.embedding(text.words))
    last = vae.encoder.lstm(X[:, None])[1][0][0]
    q = Gaussian.unpack(vae.head(last, None, Y))
    h, c, before, nats = vae.decoder.first_state(q.mean, Y), torch.zeros(1, 6).double(), END, 0.0
    for word in text.words.tolist():
        inputs = model.embedding(torch.tensor([before]))
        scores, h, c = vae.decoder.advance(inputs, h, c, Y)
        nats, before = nats - scores[0, word], word
    unit_kl = 0.5 * (q.mean**2 + q.log_var.exp() - q.log_var - 1)[0]
    return nats, unit_kl, -model.log_prior[y]


def literal(model, texts, labels):
    """All terms by sums over texts and labels."""
    names = ("classification", "reconstruction", "kl", "label_prior", "entropy")
    sums = dict.fromkeys(names, torch.zeros(()).double())
    unit_kl, texts = torch.zeros(Z).double(), split(texts)
    kept = [(text, label) for text, label in zip(texts, labels) if len(text.words)]
    n, n_labeled = len(kept), sum(label >= 0 for _, label in kept)
    for text, label in kept:
        log_q = model.classify(text)[0].log_softmax(0)
        scale = 1 / len(text.words) if model.length_normalize else 1
        weights = log_q.exp() if label < 0 else one_hot(torch.tensor(label), C)
        for y in range(C):
            nats, kl, prior = cost(model, text, y)
            sums["reconstruction"] = sums["reconstruction"] + weights[y] * nats * scale / n
            sums["kl"] = sums["kl"] + weights[y] * kl.sum() * scale / n
            sums["label_prior"] = sums["label_prior"] + weights[y] * prior * scale / n
            unit_kl = unit_kl + weights[y] * kl / n
        if label < 0:
            sums["entropy"] = sums["entropy"] + (log_q.exp() * log_q).sum() / n
        else:
            sums["classification"] = sums["classification"] - log_q[label] / n_labeled
    return sums, unit_kl


def weigh(terms):
    weights = {"classification": 1.3, "kl": 0.7}
    return torch.stack([weights.get(name, 1.0) * term for name, term in terms.items()]).sum()


def gradients(model, loss):
    found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    return [torch.zeros_like(w) if g is None else g for w, g in zip(model.parameters(), found)]


@pytest.mark.parametrize("labels", [LABELS, (2, 2, 2, 2, 2), (-1,) * 5])
@pytest.mark.parametrize("length_normalize", [True, False])
@pytest.mark.parametrize("decoder", VARIANTS)
@pytest.mark.parametrize("nI", [None, 3])
def test_terms_and_gradients_equal_a_literal_sum(decoder, length_normalize, labels, nI):
    model = build(decoder=decoder, length_normalize=length_normalize, nI=nI)
    texts = make_texts(nI=nI)
    found = model(texts, torch.tensor(labels))
    expected, unit_kl = literal(model, texts, labels)
    torch.testing.assert_close(found.terms, expected)
    torch.testing.assert_close(found.unit_kl, unit_kl)
    assert not found.unit_kl.requires_grad
    torch.testing.assert_close(
        gradients(model, weigh(found.terms)), gradients(model, weigh(expected))
    )


def test_gradcheck_of_the_whole_objective():
    model, texts = build(width_z=2, hidden=4), make_texts((2, 1, 3))
    labels = torch.tensor([1, -1, -1])
    chosen = [
        model.classifier.weight,
        model.generator.labels.weight,
        model.generator.decoder.lstm.push.weight,
        model.generator.head.output.bias,
    ]
    assert torch.autograd.gradcheck(lambda *_: weigh(model(texts, labels).terms), chosen)


def test_latents_are_samples_in_training_only():
    model, texts = build(), make_texts()
    labels = torch.tensor(LABELS)
    still = [model(texts, labels).terms["reconstruction"] for _ in range(2)]
    assert still[0] == still[1]
    model.train()
    moving = [model(texts, labels).terms["reconstruction"] for _ in range(2)]
    assert moving[0] != moving[1]


def test_no_synchronisation_is_needed_to_weigh():
    objective = build()(make_texts(), torch.tensor(LABELS))
    assert all(term.shape == () for term in objective.terms.values())
    weigh(objective.terms).backward()


# Sampled labels

COPIES = 8000  # of one raw text: as many independent draws in one batch


def tell_apart(model):
    """Make labels matter more to what a text costs, that draws show it."""
    model.generator.labels.weight.data.mul_(4)
    model.generator.decoder.output.data.mul_(6)
    return model


def slopes(model, copies, **changes):
    """Gradients of what is sampled by the logits, one row a copy; the latents are their means."""
    model.sampler.__dict__.update(changes)
    model.sampler.train()
    caught = []
    handle = model.classifier.register_forward_hook(lambda m, args, out: caught.append(out))
    texts = make_texts((3,))
    texts = Texts(texts.words.repeat(copies), texts.lengths.repeat(copies))
    terms = model(texts, torch.full((copies,), -1)).terms
    handle.remove()
    (found,) = torch.autograd.grad(terms["reconstruction"] + 0.7 * terms["kl"], caught)
    return found * copies


@pytest.mark.parametrize(
    ("baseline", "samples", "factor"),
    [("none", 1, 1), ("none", 2, 1), ("length", 1, 1), ("mean", 2, 0.5), ("leave_one_out", 3, 1)],
)
def test_mean_of_sampled_gradients_is_the_exact_gradient(baseline, samples, factor):
    model = tell_apart(build(length_normalize=False))
    (exact,) = slopes(model, 1)
    rows = slopes(model, COPIES, exact=False, baseline=baseline, samples=samples)
    error = 4.5 * rows.std(0) / math.sqrt(COPIES)
    assert ((rows.mean(0) - factor * exact).abs() < error).all()
    assert ((rows.mean(0) - (1.5 - factor) * exact).abs() > error).any()  # it is not the other


@pytest.mark.parametrize(
    ("baseline", "samples"), [("length", 1), ("mean", 2), ("leave_one_out", 2)]
)
def test_a_baseline_lowers_the_variance(baseline, samples):
    model = tell_apart(build(length_normalize=False))
    changes = {"exact": False, "samples": samples}
    without = slopes(model, COPIES, baseline="none", **changes).var(0).sum()
    assert slopes(model, COPIES, baseline=baseline, **changes).var(0).sum() < 0.7 * without


@pytest.mark.parametrize("samples", [C, C + 2])
def test_all_labels_without_replacement_are_the_exact_objective(samples):
    model, texts = build(), make_texts()
    expected = model(texts, torch.tensor(LABELS)).terms
    sampler = {"exact": False, "samples": samples, "replacement": False}
    model.sampler.__dict__.update(sampler)
    model.sampler.train()
    found = model(texts, torch.tensor(LABELS)).terms
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients(model, weigh(found)), gradients(model, weigh(expected)))


def test_sampling_reads_a_text_once_and_decodes_it_for_k_labels():
    model = build(marginal="sample", samples=2, baseline="mean", nO=7).train()
    read, decoded = [], []
    vae = model.generator
    vae.encoder.register_forward_hook(lambda m, args, out: read.append(len(args[0])))
    vae.decoder.lstm.register_forward_hook(lambda m, args, out: decoded.append(len(out)))
    model(make_texts(), torch.tensor(LABELS))
    assert read == [sum(LENGTHS)]
    of_raw = sum(n for n, label in zip(LENGTHS, LABELS) if label < 0)
    assert decoded == [sum(LENGTHS) + of_raw]


def test_usual_cost_follows_the_texts():
    model = build(marginal="sample", samples=1, baseline="length").train()
    texts, labels = make_texts(), torch.tensor((-1,) * 5)
    for _ in range(200):
        model(texts, labels)
    model.eval()
    nats = model(texts, labels).terms["reconstruction"]  # per word, as it is normalised
    assert model.sampler.usual.item() == pytest.approx(-nats.item(), rel=0.3)


# Batches


@pytest.mark.parametrize("nI", [None, 3])
def test_order_and_mates_do_not_matter_in_evaluation(nI):
    model, texts = build(nI=nI), make_texts(nI=nI)
    logits, costs = model.classify(texts), model.label_costs(texts)
    weights = torch.rand(len(LENGTHS), C).double()
    z = model.encode(texts, weights)
    for i, text in enumerate(split(texts)):
        torch.testing.assert_close(model.classify(text)[0], logits[i])
        torch.testing.assert_close(model.label_costs(text)[0], costs[i])
        torch.testing.assert_close(model.encode(text, weights[i : i + 1])[0], z[i])
    order, parts = [3, 2, 0, 4, 1], split(texts)
    vectors = None if nI is None else texts.vectors[order]
    words = torch.cat([parts[i].words for i in order])
    shuffled = Texts(words, texts.lengths[order], vectors)
    torch.testing.assert_close(model.classify(shuffled), logits[order])
    torch.testing.assert_close(model.label_costs(shuffled), costs[order])
    labels = torch.tensor(LABELS)
    torch.testing.assert_close(model(shuffled, labels[order]).terms, model(texts, labels).terms)


def test_encode_is_the_expected_mean():
    model, texts = build(), make_texts((3,))
    weights = torch.tensor([[0.2, 0.5, 0.3]]).double()
    X = model.embedded(model.embedding(texts.words))
    last = model.generator.encoder.lstm(X[:, None])[1][0][0]
    means = [
        model.generator.head(last, None, Y[None])[0, :Z] for Y in model.generator.labels.weight
    ]
    expected = sum(w * mean for w, mean in zip(weights[0], means))
    torch.testing.assert_close(model.encode(texts, weights)[0], expected)


def test_label_costs():
    model, texts = build(), make_texts()
    costs = model.label_costs(texts)
    torch.testing.assert_close(costs[2], -model.log_prior)  # it has no words
    for i in (0, 1, 3, 4):
        for y in range(C):
            nats, kl, prior = cost(model, split(texts)[i], y)
            torch.testing.assert_close(costs[i, y], nats + kl.sum() + prior)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("lengths", [(), (0,), (0, 0)])
def test_nothing_to_learn_from(lengths, training):
    model, texts = build().train(training), make_texts(lengths)
    objective = model(texts, torch.zeros(len(lengths), dtype=torch.int64))
    assert all(term == 0 for term in objective.terms.values())
    assert not objective.unit_kl.any()
    assert model.classify(texts).shape == (len(lengths), C)
    assert model.label_costs(texts).shape == (len(lengths), C)


@pytest.mark.parametrize("labels", [(1,), (-1,)])
def test_a_batch_of_one_word(labels):
    model = build(dropout=0.2).train()
    kept = {name: values.clone() for name, values in model.named_buffers() if "running" in name}
    objective = model(make_texts((1,)), torch.tensor(labels), 0.5)
    weigh(objective.terms).backward()
    assert all(w.grad is None or w.grad.isfinite().all() for w in model.parameters())
    # one row has no variance and leaves the statistics of rows of texts alone
    torch.testing.assert_close(model.embedded[0].running_var, kept["embedded.0.running_var"])


def test_word_dropout_is_for_training_and_for_the_decoder():
    model, texts, labels = build(), make_texts(), torch.tensor(LABELS)
    usual = model(texts, labels).terms
    torch.testing.assert_close(model(texts, labels, 1.0).terms, usual)
    model.generator.train()
    seen = []
    model.generator.decoder.register_forward_hook(lambda m, args, out: seen.append(args[0]))
    model.training = True
    found = model(texts, labels, 1.0).terms
    ends = torch.tensor([0, 3, 4, 8])
    expected = torch.full((sum(LENGTHS),), UNKNOWN).index_fill(0, ends, END)
    torch.testing.assert_close(seen[0], model.embedding(expected))
    for name in ("classification", "entropy", "label_prior"):
        torch.testing.assert_close(found[name], usual[name])


# Changes


@pytest.mark.parametrize("nI", [None, 3])
def test_prune_keeps_predictions(nI):
    model, texts = build(nI=nI), make_texts(nI=nI)
    before = model.classify(texts)
    model.prune()
    assert torch.equal(model.classify(texts), before)
    fresh = build(nI=nI, generator=False)
    assert set(fresh.state_dict()) == set(model.state_dict())
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh.classify(texts), before)
    assert (model.embedding is None) == (nI is not None)
    assert set(model(texts, torch.tensor(LABELS)).terms) == {"classification"}
    with pytest.raises(ValueError, match=re.escape(NO_GENERATOR)):
        model.label_costs(texts)
    with pytest.raises(ValueError, match=re.escape(NO_GENERATOR)):
        model.encode(texts, torch.ones(len(LENGTHS), C))
    with pytest.raises(ValueError, match=re.escape(NO_GENERATOR)):
        model.write(torch.tensor([0]), torch.zeros(1, Z), strategy="greedy", max_length=3)


def test_resize_keeps_old_weights():
    model, texts = build(), make_texts()
    logits, costs = model.classify(texts), model.label_costs(texts) + model.log_prior
    model.resize(5)
    torch.testing.assert_close(model.classify(texts)[:, :C], logits)
    assert not model.classify(texts)[:, C:].any()
    assert model.log_prior.exp().tolist() == pytest.approx([0.2] * 5)
    found = model.label_costs(texts) + model.log_prior
    torch.testing.assert_close(found[:, :C], costs)
    weigh(model(texts, torch.tensor((4, 3, -1, -1, 0))).terms).backward()
    assert model.generator.labels.weight.grad[C:].abs().sum(1).min() > 0


def test_prior_must_be_positive():
    with pytest.raises(ValueError, match=r"positive.*0\.0"):
        build().set_prior(torch.tensor([1.0, 0.0, 0.0]))


@pytest.mark.parametrize("width", [None, 2])
def test_vectors_of_another_width(width):
    with pytest.raises(ValueError, match=r"\(B, 3\)"):
        build(nI=3).classify(make_texts(nI=width))


# Writing


@pytest.mark.parametrize("strategy", ["greedy", "beam"])
def test_writing_follows_the_decoder(strategy):
    model = build(seed=2)
    labels, z = torch.tensor([0, 1, 2]), torch.randn(3, Z).double()
    found = model.write(labels, z, strategy=strategy, max_length=4, width=1)
    for i, label in enumerate(labels):
        alone = model.write(label[None], z[i : i + 1], strategy="greedy", max_length=4)[0]
        assert [w for w in found[i].tolist() if w != END] == [w for w in alone.tolist() if w != END]
    assert UNKNOWN not in found
    assert not found.requires_grad


def test_random_writing_is_repeatable():
    model = build()
    labels, z = torch.tensor([0, 1] * 4), torch.zeros(8, Z).double()

    def write(seed):
        generator = torch.Generator().manual_seed(seed)
        return model.write(labels, z, strategy="sample", max_length=6, generator=generator).tolist()

    assert write(1) == write(1)
    assert write(1) != write(2)
