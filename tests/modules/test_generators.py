"""Every generator against full softmaxes, and a transformer written out one document at a time."""

import math

import catalogue
import pytest
import torch
from torch.func import functional_call

from spacy_semivae.modules.generators import GENERATORS, build_generator, extensions
from spacy_semivae.modules.transformer import sinusoids
from spacy_semivae.modules.units import Units

C, V, D, S, HEADS = 3, 7, 4, 5, 2
LENGTHS = [3, 0, 1, 4]
T = sum(LENGTHS)
CONTEXT = [name for name in GENERATORS if name.startswith("mt")]
WITH_LM = [name for name in GENERATORS if "_lm" in name]
CASES = [(name, True) for name in GENERATORS] + [("mf_lm", False), ("mt_lm", False)]


def make(name, *, training=False, **changes):
    settings = {"nO": C, "nV": V, "nS": S, "width": D, "heads": HEADS, "hidden": 6, "dropout": 0.0}
    model = build_generator(name, **{**settings, **changes}).double().train(training)
    for weight in model.parameters():  # far from uniform; no bias or residual stays zero
        weight.data.add_(0.5 * torch.randn_like(weight))
    return model


def make_inputs(lengths=LENGTHS, *, tags=C):
    """Relaxed tags, padded with NaN, and the rest of what a generator reads."""
    units, total = Units.of(lengths), sum(lengths)
    Y = units.pad(torch.randn(total, tags, dtype=torch.float64).softmax(1), math.nan)
    states = 2 * torch.randn(total, S, dtype=torch.float64)
    outputs = torch.randn(V, S, dtype=torch.float64)
    return Y, units, torch.randint(V, (total,)), states, outputs


def split_heads(X):
    return X.unflatten(1, (HEADS, -1)).transpose(0, 1)  # (heads, N, d / heads)


def attend(layer, X):
    parts = layer.project(X).split(D, 1)
    Q, K, values = (split_heads(part) for part in parts)
    A = torch.softmax(Q @ K.transpose(1, 2) / math.sqrt(D / HEADS), 2)
    mixed = (A @ values).transpose(0, 1).flatten(1)
    return layer.out(mixed)


def expected_context(model, U):
    """The transformer over one document without padding, (N, d)."""
    positions = [
        [
            (math.cos if j % 2 else math.sin)(i / 10000 ** ((j - j % 2) / U.shape[1]))
            for j in range(U.shape[1])
        ]
        for i in range(len(U))
    ]
    X = U + torch.tensor(positions, dtype=U.dtype).reshape(U.shape)
    for layer in model.context.layers:
        X = layer.norms[0](X + attend(layer, X))
        first, *_, last = layer.network
        X = layer.norms[1](X + last(first(X).clamp(min=0)))
    return X


def embed(model, Y, units):
    """u or v of every unit, document by document, (T, d)."""
    found = []
    for y, length in zip(Y, units.lengths):
        U = y[:length] @ model.tags.T
        found.append(U if model.context is None else expected_context(model, U))
    return torch.cat(found)


def full_logits(model, name, scale, Y, units, states, outputs):
    """The logits as the paper's section 2.4 writes them, (T, V)."""
    if name == "factored":
        return units.unpad(Y) @ model.theta.T
    X = embed(model, Y, units)
    if name == "mt_lm_residual":
        first, _, last = model.mlp
        moved = states + last(first(torch.cat((states, X), 1)).clamp(min=0))
        return moved @ outputs.T
    W, b = model.W[:, : X.shape[1]], model.W[:, X.shape[1] :]
    assert b.shape[1] == (name in ("mf", "mt"))
    own, other = X @ W.T + b.sum(1), states @ outputs.T
    if name == "mt_lm_poe":  # literally the product of the two experts
        return torch.log(own.softmax(1)) + torch.log(other.softmax(1))
    if name in ("mf_lm", "mt_lm"):
        return own / math.sqrt(D) + other / math.sqrt(S) if scale else own + other
    return own


@pytest.mark.parametrize(("name", "scale"), CASES)
@pytest.mark.parametrize("lengths", [LENGTHS, [2], [1, 1]])
def test_equals_the_full_softmax(name, scale, lengths):
    model = make(name, scale=scale)
    Y, units, words, states, outputs = make_inputs(lengths)
    got = model(Y, units, words, states, outputs)
    P = full_logits(model, name, scale, Y, units, states, outputs).softmax(1)
    torch.testing.assert_close(got, -P.gather(1, words[:, None])[:, 0].log())


@pytest.mark.parametrize("name", GENERATORS)
def test_starts_with_the_frequencies_of_words(name):
    sizes = {"nO": 3, "nV": 4, "nS": S, "width": D, "layers": 1, "heads": 1, "hidden": 8}
    model = build_generator(name, **sizes).eval()
    counts = torch.tensor([9, 0, 3, 1])
    model.start(counts)
    words = torch.arange(4)
    Y, units = torch.eye(3)[torch.tensor([[0, 1, 2, 1]])], Units.of([4])
    states, outputs = torch.randn(4, S), torch.randn(4, S)
    P = (-model(Y, units, words, states, outputs)).exp()
    if name in ("factored", "mf", "mt"):
        expected = (counts + 1) / (counts + 1).sum()
    else:
        scale = S**-0.5 if name in ("mf_lm", "mt_lm") else 1.0
        expected = (states @ outputs.T * scale).softmax(1).diagonal()
    assert not torch.equal(P, expected)  # the tags tell words apart, else nothing would be learned
    torch.testing.assert_close(P, expected, rtol=0.2, atol=0.0)


@pytest.mark.parametrize(("name", "scale"), CASES)
def test_gradients(name, scale):
    model = make(name, scale=scale, training=True)
    Y, units, words, states, outputs = make_inputs()
    names, weights = zip(*model.named_parameters())

    def losses(rows, *values):
        inputs = (units.pad(rows, math.nan), units, words, states, outputs)
        return functional_call(model, dict(zip(names, values)), inputs)

    rows = units.unpad(Y).requires_grad_()
    inputs = (rows, *(weight.detach().requires_grad_() for weight in weights))
    assert torch.autograd.gradcheck(losses, inputs, fast_mode=True)


@pytest.mark.parametrize("name", GENERATORS)
def test_every_weight_and_no_input_of_the_language_model_gets_a_gradient(name):
    model = make(name, training=True)
    Y, units, words, states, outputs = make_inputs()
    Y, states, outputs = (X.requires_grad_() for X in (Y, states, outputs))
    model(Y, units, words, states, outputs).sum().backward()
    for key, weight in model.named_parameters():
        assert weight.grad.any(), key
        assert weight.grad.isfinite().all(), key
    assert units.unpad(Y.grad).all()
    assert not Y.grad[~units.inside].any()
    assert states.grad is None
    assert outputs.grad is None


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("grad", [True, False])
def test_padding_and_other_documents_do_not_matter(name, grad):
    model = make(name)
    Y, units, words, states, outputs = make_inputs()
    with torch.set_grad_enabled(grad):  # PyTorch has another path without gradients
        together = model(Y, units, words, states, outputs).split(LENGTHS)
        for i, (x, h) in enumerate(zip(words.split(LENGTHS), states.split(LENGTHS))):
            N = LENGTHS[i]
            alone = model(Y[i : i + 1, :N], Units.of([N]), x, h, outputs)
            torch.testing.assert_close(together[i], alone)


@pytest.mark.parametrize("name", GENERATORS)
def test_one_hot_tags_pick_weights_of_the_tag(name):
    model = make(name)
    _, _, words, states, outputs = make_inputs([1])
    for tag in range(C):
        Y = torch.eye(C, dtype=torch.float64)[tag].reshape(1, 1, C)
        before = model(Y, Units.of([1]), words, states, outputs)
        kept = model.tags.data.clone()
        model.tags.data.fill_(9.0)[:, tag] = kept[:, tag]
        after = model(Y, Units.of([1]), words, states, outputs)
        model.tags.data.copy_(kept)
        torch.testing.assert_close(before, after)


@pytest.mark.parametrize("name", GENERATORS)
def test_only_a_transformer_reads_other_tags(name):
    model = make(name)
    Y, units, words, states, outputs = make_inputs([3])
    before = model(Y, units, words, states, outputs)
    Y[0, 2] = torch.tensor([0.0, 1.0, 0.0])
    changed = model(Y, units, words, states, outputs) != before
    assert changed.tolist() == ([True, True, True] if name in CONTEXT else [False, False, True])


def test_factored_log_likelihoods():
    model = make("factored")
    every = model.log_likelihoods(torch.arange(V))
    assert every.shape == (V, C)
    torch.testing.assert_close(every.exp().sum(0), torch.ones(C, dtype=torch.float64))
    words = torch.tensor([4, 0, 4])
    torch.testing.assert_close(model.log_likelihoods(words), every[words])
    Y = torch.eye(C, dtype=torch.float64)[None]
    losses = model(Y, Units.of([C]), words)
    torch.testing.assert_close(losses, -every[words].diagonal())


@pytest.mark.parametrize("name", CONTEXT)
def test_dropout_acts_in_training_only(name):
    model = make(name, dropout=0.5)
    inputs = make_inputs()
    assert torch.equal(model(*inputs), model(*inputs))
    model.train()
    assert not torch.equal(model(*inputs), model(*inputs))


def test_layers_of_the_transformer_start_different():
    first, second = build_generator("mt", nO=C, nV=V, width=D, heads=1).context.layers
    for key, weight in first.named_parameters():
        if weight.ndim > 1:
            assert not torch.equal(weight, second.get_parameter(key)), key


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
def test_no_unit(name, lengths):
    model = make(name, training=True)
    losses = model(*make_inputs(lengths))
    assert losses.shape == (0,)
    losses.sum().backward()
    assert not any(w.grad is not None and w.grad.ne(0).any() for w in model.parameters())


@pytest.mark.parametrize("name", GENERATORS)
def test_resize_keeps_old_tags(name):
    model = make(name)
    Y, units, words, states, outputs = make_inputs()
    before = model(Y, units, words, states, outputs)
    wider = torch.cat((Y, torch.zeros_like(Y[:, :, :2])), 2)
    model.resize(C + 2)
    assert model.tags.shape[1] == C + 2
    assert not model.tags[:, C:].any()
    after = model(wider, units, words, states, outputs)
    torch.testing.assert_close(after, before)
    new = make_inputs(tags=C + 2)[0]
    model(new, units, words, states, outputs).sum().backward()
    assert model.tags.grad[:, C:].any()


def test_resize_refuses_fewer_tags():
    with pytest.raises(ValueError, match="of 3 tags cannot be resized to 2"):
        make("mf").resize(2)


@pytest.mark.parametrize("width", [1, 3, 6])
def test_sinusoids(width):
    got = sinusoids(torch.zeros(2, width, dtype=torch.float64), 700)
    assert got.shape == (700, width)
    for i, j in [(0, 0), (1, width - 1), (699, 0), (650, width - 1)]:
        angle = i / 10000 ** (2 * (j // 2) / width)
        assert got[i, j].item() == pytest.approx(math.cos(angle) if j % 2 else math.sin(angle))


def test_half_precision_keeps_positions_apart():
    got = sinusoids(torch.zeros(1, 4, dtype=torch.bfloat16), 3000)
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), sinusoids(torch.zeros(1, 4), 3000), rtol=0, atol=0.01)


@pytest.mark.parametrize("name", WITH_LM)
@pytest.mark.parametrize(
    ("states", "outputs"),
    [
        (None, None),
        ((T, S), None),
        (None, (V, S)),
        ((T - 1, S), (V, S)),
        ((T, S), (V - 1, S)),
        ((T, S), (V, S + 1)),
        ((T,), (V, S)),
    ],
)
def test_language_model_must_fit(name, states, outputs):
    Y, units, words, *_ = make_inputs()
    H, Z = (
        None if shape is None else torch.zeros(shape, dtype=torch.float64)
        for shape in (states, outputs)
    )
    with pytest.raises(ValueError, match=r"needs states \(8, nS\) and outputs \(7, nS\)") as error:
        make(name)(Y, units, words, H, Z)
    assert f"{states} and {outputs}" in str(error.value)


def test_residual_needs_its_width():
    Y, units, words, *_ = make_inputs()
    H, Z = torch.zeros(T, S + 1).double(), torch.zeros(V, S + 1).double()
    with pytest.raises(ValueError, match="width 5, but got 6"):
        make("mt_lm_residual")(Y, units, words, H, Z)
    with pytest.raises(ValueError, match="mt_lm_residual needs nS"):
        make("mt_lm_residual", nS=None)


@pytest.mark.parametrize("name", ["factored", "mf", "mt"])
@pytest.mark.parametrize(
    ("Y", "words", "message"),
    [
        ((4, 4, C + 1), T, r"Y \(4, 4, 3\) .* got \(4, 4, 4\) and \(8,\)"),
        ((4, C), T, r"got \(4, 3\)"),
        ((4, 5, C), T, r"got \(4, 5, 3\)"),
        ((4, 4, C), T + 1, r"words \(8,\), but got \(4, 4, 3\) and \(9,\)"),
    ],
)
def test_wrong_shapes_are_quoted(name, Y, words, message):
    with pytest.raises(ValueError, match=message):
        make(name)(
            torch.zeros(Y, dtype=torch.float64),
            Units.of(LENGTHS),
            torch.zeros(words, dtype=torch.int64),
        )


def test_wrong_settings():
    with pytest.raises(ValueError, match=r"one of factored, mf, .*got 'mx'"):
        make("mx")
    with pytest.raises(ValueError, match="divide the width 4, but got 3"):
        make("mt", heads=3)


def test_a_registered_generator_is_built_with_its_own_settings(monkeypatch):
    with pytest.raises(ValueError, match=r"A generator is one of .*, but got 'own'"):
        build_generator("own", nO=C, nV=V)
    monkeypatch.setitem(catalogue.REGISTRY, (*extensions.namespace, "own"), lambda **given: given)
    given = build_generator("own", nO=C, nV=V, taste="sour")
    assert given == {"nO": C, "nV": V, "nS": None, "taste": "sour"}


def test_a_registered_generator_does_not_replace_ours(monkeypatch):
    monkeypatch.setitem(catalogue.REGISTRY, (*extensions.namespace, "mf"), lambda **given: None)
    assert build_generator("mf", nO=C, nV=V, width=D).nV == V
