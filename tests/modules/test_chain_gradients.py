"""The derivatives by hand against numbers, autograd through all paths, and log space."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from spacy_semivae.modules import chain_gradients, log_space
from spacy_semivae.modules.chain import Messages, Potentials, pass_messages
from spacy_semivae.modules.chain_gradients import _scan_tangent, posterior

NEVER = float("-inf")
LENGTHS = (3, 5, 1, 2, 4)
NAMES = ("emissions", "start", "pair", "end")


def find_messages(potentials):
    with torch.no_grad():
        messages = pass_messages(potentials)
    assert messages.safe.all()
    return messages


def expectations(emissions, start, pair, end, lengths):
    potentials = Potentials(emissions, start, pair, end, lengths)
    return chain_gradients.expectations(potentials, find_messages(potentials))


def log_partition(emissions, start, pair, end, lengths):
    potentials = Potentials(emissions, start, pair, end, lengths)
    return chain_gradients.log_partition(potentials, find_messages(potentials))


@pytest.fixture
def make_leaves(make_batch):
    """Gives a function to emissions, start, pair and end that take gradients, and lengths."""

    def make(tags, **settings):
        emissions, lengths, scores = make_batch(tags, **{"lengths": LENGTHS, **settings})
        leaves = (emissions, scores["start"], scores["pair"], scores["end"])
        return [x.requires_grad_() for x in leaves], lengths

    return make


def weigh(log_Z, marginals, transitions, lengths):
    """A function of everything in which no two documents, positions or tags weigh the same."""
    generator = torch.Generator().manual_seed(11)
    a, b = torch.randn((2, len(lengths)), generator=generator, dtype=torch.float64)
    W = torch.randn(marginals.shape, generator=generator, dtype=torch.float64)
    return (a * log_Z).sum() + (b * transitions).sum() + (W * marginals).sum()


def enumerate_expectations(leaves, lengths, all_paths):
    scores = dict(zip(NAMES[1:], leaves[1:]))
    found = all_paths(leaves[0], lengths, scores)
    marginals = torch.zeros(leaves[0].shape, dtype=torch.float64)
    transitions = []
    for doc, (paths, length) in enumerate(zip(found, lengths.tolist())):
        marginals[doc, :length] = paths.marginals
        rows = leaves[0][doc, :length]
        transitions.append(paths.mean(paths.scores - rows[torch.arange(length), paths.tags].sum(1)))
    log_Z = torch.stack([paths.log_Z for paths in found])
    return log_Z, marginals, torch.stack(transitions)


@pytest.mark.parametrize("forbid", [0.0, 0.5])
@pytest.mark.parametrize("tags", [1, 2, 4])
def test_values_and_gradients_equal_enumeration(tags, forbid, make_leaves, all_paths):
    leaves, lengths = make_leaves(tags, forbid=forbid, masked=forbid / 2, scale=2, seed=tags)
    got = expectations(*leaves, lengths)
    expected = enumerate_expectations(leaves, lengths, all_paths)
    for value, wanted in zip(got, expected):
        torch.testing.assert_close(value, wanted)
    grads = torch.autograd.grad(weigh(*got, lengths), leaves)
    for grad, wanted in zip(grads, torch.autograd.grad(weigh(*expected, lengths), leaves)):
        torch.testing.assert_close(grad, wanted)


@pytest.mark.parametrize("forbid", [0.0, 0.5])
def test_gradient_of_log_Z_is_the_marginals(forbid, make_leaves, all_paths):
    leaves, lengths = make_leaves(3, forbid=forbid, masked=0.2)
    weights = torch.arange(1.0, 6.0, dtype=torch.float64)
    grads = torch.autograd.grad(log_partition(*leaves, lengths), leaves, weights)
    scores = dict(zip(NAMES[1:], leaves[1:]))
    found = all_paths(leaves[0], lengths, scores)
    for doc, (paths, length) in enumerate(zip(found, lengths.tolist())):
        torch.testing.assert_close(grads[0][doc, :length], weights[doc] * paths.marginals)
        assert not grads[0][doc, length:].any()
    sums = [
        sum(w * paths.marginals[0] for w, paths in zip(weights, found)),
        sum(w * paths.pairs for w, paths in zip(weights, found)),
        sum(w * paths.marginals[-1] for w, paths in zip(weights, found)),
    ]
    for grad, wanted in zip(grads[1:], sums):
        torch.testing.assert_close(grad, wanted)


@pytest.mark.parametrize("forbid", [0.0, 0.5])
def test_gradcheck(forbid, make_leaves):
    leaves, lengths = make_leaves(3, forbid=forbid, masked=forbid / 2, lengths=(2, 4, 1))
    assert torch.autograd.gradcheck(lambda *x: log_partition(*x, lengths), leaves)
    assert torch.autograd.gradcheck(lambda *x: tuple(expectations(*x, lengths)), leaves)


@pytest.mark.parametrize("name", NAMES)
def test_one_score_alone_takes_a_gradient(name, make_leaves):
    leaves, lengths = make_leaves(3)
    k = NAMES.index(name)
    (expected,) = torch.autograd.grad(weigh(*expectations(*leaves, lengths), lengths), leaves[k])
    alone = [x.detach() for x in leaves]
    alone[k].requires_grad_()
    (got,) = torch.autograd.grad(weigh(*expectations(*alone, lengths), lengths), alone[k])
    torch.testing.assert_close(got, expected)


def test_single_tokens_give_the_pairs_no_gradient(make_leaves):
    leaves, lengths = make_leaves(3, lengths=(1, 1))
    got = torch.autograd.grad(weigh(*expectations(*leaves, lengths), lengths), leaves)
    assert not got[2].any()
    assert got[1].any()


def test_padding_has_no_influence(make_leaves):
    leaves, lengths = make_leaves(3, lengths=(2, 5))
    values = expectations(*leaves, lengths)
    expected = torch.autograd.grad(weigh(*values, lengths), leaves, retain_graph=True)
    with torch.no_grad():
        leaves[0][0, 2:] = 300.0
    padded = expectations(*leaves, lengths)
    for got, wanted in zip(padded, values):
        torch.testing.assert_close(got, wanted)
    for got, wanted in zip(torch.autograd.grad(weigh(*padded, lengths), leaves), expected):
        torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("compute", [log_partition, expectations])
@pytest.mark.parametrize("weighted", [False, True])
def test_second_derivative_raises(compute, weighted, make_leaves):
    leaves, lengths = make_leaves(2)
    found = compute(*leaves, lengths)
    values = found[1] if isinstance(found, tuple) else found
    g = torch.ones_like(values, requires_grad=weighted)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(values, leaves[0], g, create_graph=True)


@pytest.mark.parametrize("seed", range(3))
def test_single_precision_equals_log_space(seed, make_leaves):
    leaves, lengths = make_leaves(
        6, forbid=0.3, masked=0.2, scale=4, seed=seed, lengths=(120, 1, 64)
    )
    exact = log_space.expectations(Potentials(*leaves, lengths))
    # beyond a document there is no gradient to compare
    inside = (torch.arange(120) < lengths[:, None])[..., None]
    expected = torch.autograd.grad(
        weigh(exact.log_Z, exact.marginals * inside, exact.transitions, lengths), leaves
    )
    single = [x.detach().float().requires_grad_() for x in leaves]
    found = expectations(*single, lengths)
    torch.testing.assert_close(found.log_Z.double(), exact.log_Z, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.marginals.double(), exact.marginals, rtol=0, atol=1e-5)
    got = torch.autograd.grad(weigh(*(x.double() for x in found), lengths), single)
    for grad, wanted in zip(got, expected):
        torch.testing.assert_close(grad.double(), wanted, rtol=1e-4, atol=1e-3)


class Largest(TorchDispatchMode):
    """Notes the size of the largest storage behind what any operation gives."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for x in result if isinstance(result, tuple | list) else [result]:
            if isinstance(x, torch.Tensor):
                storage = x.untyped_storage().nbytes() // x.element_size()
                self.elements = max(self.elements, storage)
        return result


def test_memory_grows_with_the_tags_and_not_their_square():
    B, N, C = 2, 40, 24
    lengths = torch.tensor([40, 25])
    leaves = [torch.randn(s, requires_grad=True) for s in [(B, N, C), (C,), (C, C), (C,)]]
    with Largest() as largest:
        found = expectations(*leaves, lengths)
        weigh(*found, lengths).backward()
        log_partition(*leaves, lengths).sum().backward()
    assert largest.elements == 2 * B * N * C  # both directions side by side
    with Largest() as largest:
        leaves[0][:, :-1, :, None] + leaves[2]
    assert largest.elements == B * (N - 1) * C * C  # what is measured would find all pairs


def test_tangent_never_leaves_its_device():
    # On the meta device a read by the host raises, as does a tensor made on the CPU by mistake.
    def make(*shape, dtype=torch.float32):
        return torch.zeros(shape, device="meta", dtype=dtype)

    N, B, C = 4, 3, 5
    three, both = make(N, B, C), make(N, 2, B, C)
    messages = Messages(
        before=both,
        after=both,
        scale=make(N, 2, B, 1),
        S=both,
        E=make(2, C, C),
        leave=three,
        norm=make(N, B, 1),
        back=make(N, B, 1, dtype=torch.int64),
        inside=make(N, B, 1, dtype=torch.bool),
        log_scale=make(N, B),
        log_Z=make(B),
        safe=make(B, dtype=torch.bool),
    )
    before, after = _scan_tangent(messages, three, make(B), make(2, C), make(2, C, C))
    assert before.shape == after.shape == (N, 2, B, C)
    assert after.device == torch.device("meta")
    lengths = make(B, dtype=torch.int64)
    d_mu, d_pair = chain_gradients.tangent(
        messages, posterior(messages), three, make(B), make(2, C), make(C, C), lengths
    )
    assert (d_mu.shape, d_pair.shape) == ((N, B, C), (C, C))


def test_a_gradient_close_to_the_limits_is_finite():
    # exp(-24) at a step and where the directions meet: 1 / norm is large, and nothing overflows.
    pair = torch.full((3, 3), NEVER).fill_diagonal_(0)
    emissions = torch.zeros(1, 9, 3)
    emissions[0, 0] = torch.tensor([0.0, -11.0, 0.0])
    emissions[0, 4] = torch.tensor([NEVER, -24.0, 0.0])
    leaves = [emissions, torch.tensor([0.0, 0.0, -11.0]), pair, torch.tensor([0.0, 0.0, NEVER])]
    leaves, lengths = [x.requires_grad_() for x in leaves], torch.tensor([9])
    found = expectations(*leaves, lengths)
    assert found.log_Z.item() == pytest.approx(-35, abs=1e-4)
    value = (found.marginals * torch.arange(27.0).view(1, 9, 3)).sum() + found.log_Z.sum()
    for grad in torch.autograd.grad(value, leaves):
        assert grad.isfinite().all()
    assert found.marginals[0, 4, 1].item() == pytest.approx(1)


def test_what_all_tags_have_in_common_costs_the_tangent_no_digits(make_leaves):
    leaves, lengths = make_leaves(3, lengths=(60, 60))
    single = [x.detach().float().requires_grad_() for x in leaves]
    marginals = expectations(*single, lengths).marginals
    weights = torch.arange(360.0).view(2, 60, 3) % 5
    expected = torch.autograd.grad(marginals, single, weights, retain_graph=True)
    for got, wanted in zip(torch.autograd.grad(marginals, single, weights + 4096), expected):
        torch.testing.assert_close(got, wanted, rtol=0, atol=2e-3)
