"""Every quantity of the CRF against the enumeration of all paths, from the chain and log space."""

import math

import pytest
import torch

from spacy_semivae.modules import chain
from spacy_semivae.modules.crf import LinearChainCRF

NEVER = float("-inf")
CASES = [(1, 0.0), (2, 0.0), (2, 0.5), (3, 0.4), (4, 0.0), (4, 0.5)]


@pytest.fixture(params=["chain", "log space"])
def way(request, monkeypatch):
    """Runs a test by each way to compute, the second of which distrusts all messages."""
    if request.param == "log space":
        strict = (0.0, 0.0, 0.0, 0.0)
        monkeypatch.setattr(chain, "SAFE", dict.fromkeys(chain.SAFE, strict))
    return request.param


@pytest.fixture
def make_crf(make_batch, all_paths):
    """Gives a function to a CRF of six documents and all paths of each."""

    def make(tags, **settings):
        emissions, lengths, scores = make_batch(tags, **settings)
        crf = LinearChainCRF(emissions, lengths, **scores)
        return crf, all_paths(emissions, lengths, scores)

    return make


def stack(values):
    return torch.stack(list(values))


def pad(rows, steps):
    return torch.cat((rows, rows.new_zeros(steps - len(rows), *rows.shape[1:])))


@pytest.mark.parametrize("masked", [0.0, 0.4])
@pytest.mark.parametrize(("tags", "forbid"), CASES)
def test_distribution_equals_enumeration(tags, forbid, masked, way, make_crf):
    crf, found = make_crf(tags, forbid=forbid, masked=masked, seed=tags)
    assert crf.log_space_share() == (way == "log space")
    torch.testing.assert_close(crf.log_partition(), stack(x.log_Z for x in found))
    torch.testing.assert_close(crf.entropy(), stack(x.entropy for x in found))
    torch.testing.assert_close(crf.marginals(), stack(pad(x.marginals, 5) for x in found))
    best = stack(pad(x.tags[x.scores.argmax()], 5) for x in found)
    assert torch.equal(crf.viterbi(), best)


@pytest.mark.parametrize(("tags", "forbid"), CASES)
def test_log_prob_equals_enumeration(tags, forbid, way, make_crf):
    crf, found = make_crf(tags, forbid=forbid, masked=0.2, seed=tags)
    for draw in range(8):
        chosen = [draw * 7919 % len(x.tags) for x in found]
        # what stands beyond a document is of no matter
        tags_beyond = [
            torch.cat((x.tags[k], torch.full((5,), -9)))[:5] for x, k in zip(found, chosen)
        ]
        expected = stack(x.scores[k] - x.log_Z for x, k in zip(found, chosen))
        torch.testing.assert_close(crf.log_prob(stack(tags_beyond)), expected)


@pytest.mark.parametrize("masked", [0.0, 0.5])
@pytest.mark.parametrize(("tags", "forbid"), CASES)
def test_kl_equals_enumeration(tags, forbid, masked, way, make_crf):
    crf, found = make_crf(tags, forbid=forbid, masked=masked, seed=tags)
    log_prior = torch.randn(tags, dtype=torch.float64).log_softmax(0)
    expected = []
    for doc, paths in enumerate(found):
        allowed = crf.emissions[doc, : paths.tags.shape[1]] > NEVER
        free = allowed.sum(1) > 1
        log_p = (log_prior[paths.tags] * free).sum(1)
        expected.append(paths.mean(paths.scores - paths.log_Z - log_p))
    torch.testing.assert_close(crf.kl(log_prior), stack(expected))


def test_kl_of_the_prior_itself_is_zero():
    log_prior = torch.tensor([0.7, 0.2, 0.1]).log()
    zeros = {"start": torch.zeros(3), "pair": torch.zeros(3, 3), "end": torch.zeros(3)}
    crf = LinearChainCRF(log_prior.expand(2, 4, 3) + 5, torch.tensor([4, 2]), **zeros)
    torch.testing.assert_close(crf.kl(log_prior), torch.zeros(2), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("tags", "forbid"), CASES)
def test_constrain_and_log_mass_equal_enumeration(tags, forbid, way, make_crf):
    crf, found = make_crf(tags, forbid=forbid, masked=0.2, scale=3, seed=tags)
    allowed = torch.rand(6, 5, tags) < 0.6
    allowed[..., 0] = True
    allowed[0] = False  # but for the first document's only tokens
    allowed[0, :3, 0] = True
    part = crf.constrain(allowed)
    masses, entropies, marginals = [], [], []
    for doc, paths in enumerate(found):
        steps = torch.arange(paths.tags.shape[1])
        kept = allowed[doc][steps, paths.tags].all(1)
        paths.scores, log_Z = paths.scores.masked_fill(~kept, NEVER), paths.log_Z
        masses.append(paths.log_Z - log_Z)
        entropies.append(paths.entropy)
        marginals.append(pad(paths.marginals, 5))
    torch.testing.assert_close(crf.log_mass(part), stack(masses))
    torch.testing.assert_close(part.entropy(), stack(entropies))
    torch.testing.assert_close(part.marginals(), stack(marginals))
    assert torch.equal(part.viterbi(), stack(pad(x.tags[x.scores.argmax()], 5) for x in found))


def test_mask_that_leaves_one_path(way, make_crf):
    crf, _ = make_crf(4, forbid=0.4, scale=5)
    path = crf.viterbi()
    one_hot = torch.nn.functional.one_hot(path, 4).bool()
    part = crf.constrain(one_hot)
    torch.testing.assert_close(crf.log_mass(part), crf.log_prob(path))
    zero = torch.zeros(6, dtype=torch.float64)
    torch.testing.assert_close(part.entropy(), zero)
    torch.testing.assert_close(part.kl(torch.full((4,), 0.25).double().log()), zero)
    torch.testing.assert_close(part.marginals(), one_hot.double() * crf.inside[..., None])
    assert torch.equal(part.sample(), path)


@pytest.mark.parametrize("forbid", [0.0, 0.4])
def test_span_probability_equals_enumeration(forbid, way, make_crf):
    crf, found = make_crf(3, forbid=forbid, masked=0.2)
    spans = [(2, 1, (0, 1, 2)), (0, 0, (0,)), (5, 3, (2,)), (2, 0, (0,) * 5), (3, 0, (1,))]
    spans += [(4, 0, (1, 1)), (2, 1, (0, 0, 0))]
    rows, expected = [], []
    for number, (doc, first, tags) in enumerate(spans):
        rows += [(doc, first + i, tag, number) for i, tag in enumerate(tags)]
        paths = found[doc]
        here = paths.tags[:, first : first + len(tags)] == torch.tensor(tags)
        expected.append(paths.q[here.all(1)].sum())
    got = crf.span_probability(*torch.tensor(rows).T)
    torch.testing.assert_close(got, stack(expected))
    none = torch.zeros(0).long()
    assert crf.span_probability(none, none, none, none).shape == (0,)


def test_select_equals_the_rows_of_the_batch(way, make_crf):
    crf, _ = make_crf(3, forbid=0.3, masked=0.2, scale=4)
    docs = torch.tensor([4, 0, 2, 2, 1])
    few = crf.select(docs)
    for name in ("log_partition", "entropy", "marginals", "viterbi"):
        torch.testing.assert_close(getattr(few, name)(), getattr(crf, name)()[docs])
    allowed = torch.rand(6, 5, 3) < 0.5
    allowed[..., 0] = True
    part = crf.constrain(allowed)
    expected = crf.log_mass(part)[docs]
    torch.testing.assert_close(few.log_mass(few.constrain(allowed[docs])), expected)
    torch.testing.assert_close(few.log_mass(part.select(docs)), expected)
    single = crf.select(docs, torch.float32)
    assert single.marginals().dtype == single.log_partition().dtype == torch.float32
    torch.testing.assert_close(
        single.log_partition().double(), few.log_partition(), rtol=1e-5, atol=1e-5
    )


def test_messages_meet_at_every_token(way, make_crf):
    crf, _ = make_crf(3, forbid=0.4, masked=0.2)
    joint = crf.log_forward() + crf.log_backward()
    log_Z = joint.logsumexp(2)
    expected = (crf.log_partition() - crf.offset)[:, None].expand(6, 5)
    torch.testing.assert_close(log_Z[crf.inside], expected[crf.inside])
    q = joint.sub(expected[..., None]).exp()
    torch.testing.assert_close(q[crf.inside], crf.marginals()[crf.inside])


QUANTITIES = {
    "log_partition": lambda crf: crf.log_partition(),
    "entropy": lambda crf: crf.entropy(),
    "kl": lambda crf: crf.kl(torch.tensor([0.5, 0.3, 0.2]).double().log()),
    "marginals": lambda crf: crf.marginals(),
    "log_prob": lambda crf: crf.log_prob(torch.zeros(4, 3).long()),
    "log_mass": lambda crf: crf.log_mass(crf.constrain(torch.arange(3).expand(4, 3, 3) < 2)),
    "relaxed_sample": lambda crf: crf.relaxed_sample(
        0.7, noise=torch.linspace(-1, 2, 36).double().view(4, 3, 3)
    ),
}


@pytest.mark.parametrize("forbid", [0.0, 0.5])
@pytest.mark.parametrize("name", QUANTITIES)
def test_gradcheck(name, forbid, way, make_batch):
    emissions, lengths, scores = make_batch(
        3, forbid=forbid, masked=forbid / 2, lengths=(2, 0, 3, 1)
    )
    leaves = [x.requires_grad_() for x in (emissions, *scores.values())]

    def compute(emissions, start, pair, end):
        return QUANTITIES[name](LinearChainCRF(emissions, lengths, start=start, pair=pair, end=end))

    assert torch.autograd.gradcheck(compute, leaves)


@pytest.mark.parametrize("name", ["log_partition", "entropy", "kl", "marginals"])
def test_second_derivatives_raise_but_in_log_space(name, way, make_batch):
    emissions, _, scores = make_batch(3, lengths=(3, 3))
    crf = LinearChainCRF(emissions.requires_grad_(), torch.tensor([3, 2]), **scores)
    value = QUANTITIES[name](crf)[..., 0].sum()
    if way == "chain":
        with pytest.raises(RuntimeError, match="no second derivative"):
            torch.autograd.grad(value, emissions, create_graph=True)
    else:
        (grad,) = torch.autograd.grad(value, emissions, create_graph=True)
        assert grad.requires_grad


@pytest.mark.parametrize("shape", [(3, 0, 3), (0, 4, 3), (0, 0, 3), (3, 4, 3)])
def test_batches_without_tokens(shape, way, random_scores):
    scores = random_scores(3, forbid=0.3, generator=torch.Generator().manual_seed(1))
    leaves = [x.requires_grad_() for x in scores.values()]
    emissions = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    lengths = torch.zeros(shape[0]).long()
    crf = LinearChainCRF(emissions, lengths, **scores)
    zero, tags = torch.zeros(shape[0], dtype=torch.float64), torch.zeros(shape[:2]).long()
    values = [
        crf.log_partition(),
        crf.entropy(),
        crf.kl(torch.full((3,), 1 / 3).double().log()),
        crf.log_prob(tags),
        crf.log_mass(crf.constrain(torch.zeros(shape).bool())),
    ]
    for value in values:
        assert torch.equal(value.abs(), zero)
    for value in (crf.marginals(), crf.relaxed_sample(0.5)):
        assert torch.equal(value, torch.zeros_like(emissions))
    assert torch.equal(crf.viterbi(), tags)
    assert torch.equal(crf.sample(), tags)
    assert crf.log_forward().shape == crf.log_backward().shape == shape
    total = sum(value.sum() for value in values) + crf.marginals().sum()
    for grad in torch.autograd.grad(total, [emissions, *leaves], allow_unused=True):
        assert grad is None or not grad.any()


def test_scores_that_are_impossible_without_tokens_do_no_harm():
    # No document of one token could start and end, and an empty one need not.
    scores = {"start": torch.tensor([0.0, NEVER]), "pair": torch.zeros(2, 2)}
    scores["end"] = scores["start"].flip(0)
    leaves = [x.requires_grad_() for x in scores.values()]
    crf = LinearChainCRF(torch.zeros(2, 2, 2), torch.tensor([0, 2]), **scores)
    torch.testing.assert_close(crf.log_partition(), torch.zeros(2))
    assert crf.marginals().tolist() == [[[0, 0], [0, 0]], [[1, 0], [0, 1]]]
    total = crf.log_partition().sum() + crf.entropy().sum()
    for grad in torch.autograd.grad(total, leaves):
        assert grad.isfinite().all()


METHODS = {
    **QUANTITIES,
    "log_prob": lambda crf: crf.log_prob(torch.zeros(3, 4).long()),
    "log_mass": lambda crf: crf.log_mass(crf.constrain(torch.ones(3, 4, 3).bool())),
    "relaxed_sample": lambda crf: crf.relaxed_sample(0.7),
    "viterbi": lambda crf: crf.viterbi(),
    "sample": lambda crf: crf.sample(),
    "log_forward": lambda crf: crf.log_forward(),
    "log_backward": lambda crf: crf.log_backward(),
    "log_space_share": lambda crf: crf.log_space_share(),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", METHODS)
def test_no_path_and_wrong_scores_are_errors(name, dtype):
    def make(change, value, *, length=4):
        scores = {"start": torch.zeros(3), "pair": torch.zeros(3, 3), "end": torch.zeros(3)}
        emissions = torch.zeros(3, 4, 3, dtype=dtype)
        {"emissions": emissions[1, 2], **scores}[change].copy_(torch.tensor(value))
        return LinearChainCRF(emissions, torch.tensor([2, length, 0]), **scores)

    with pytest.raises(ValueError, match="Doc 1 of the batch is allowed: token 2 has no allowed"):
        METHODS[name](make("emissions", [NEVER] * 3))
    with pytest.raises(ValueError, match=r"Doc 0 of .* is allowed: no tag of its last token, 1,"):
        METHODS[name](make("end", [NEVER] * 3))
    METHODS[name](make("emissions", [NEVER] * 3, length=2))  # beyond the document
    for value in (math.nan, math.inf):
        METHODS[name](make("emissions", [0.0, value, 0.0], length=2))
        with pytest.raises(ValueError, match="Doc 1 of the batch has NaN or infinity"):
            METHODS[name](make("emissions", [0.0, value, 0.0]))
        for change in ("start", "pair", "end"):
            with pytest.raises(ValueError, match="Doc 0 of the batch has NaN or infinity"):
                METHODS[name](make(change, [0.0, value, 0.0]))


@pytest.mark.parametrize("change", ["start", "pair", "end"])
def test_wrong_scores_are_errors_for_single_tokens(change):
    scores = {"start": torch.zeros(2), "pair": torch.zeros(2, 2), "end": torch.zeros(2)}
    scores[change].view(-1)[0] = math.nan
    crf = LinearChainCRF(torch.zeros(2, 1, 2), torch.tensor([0, 1]), **scores)
    with pytest.raises(ValueError, match="Doc 1 of the batch has NaN or infinity"):
        crf.log_partition()


def test_paths_that_never_meet_are_an_error():
    # Each direction by itself runs through.
    scores = {"start": torch.tensor([0.0, NEVER]), "pair": torch.zeros(2, 2)}
    scores["pair"].fill_(NEVER).fill_diagonal_(0)
    scores["end"] = scores["start"].flip(0)
    crf = LinearChainCRF(torch.zeros(1, 3, 2), torch.tensor([3]), **scores)
    with pytest.raises(ValueError, match="no tag of its last token, 2, may end it"):
        crf.log_partition()


@pytest.mark.parametrize("prior", [[1.0, 0.0], [math.nan, 0.5]])
def test_prior_with_a_zero_is_an_error(prior):
    scores = {"start": torch.zeros(2), "pair": torch.zeros(2, 2), "end": torch.zeros(2)}
    crf = LinearChainCRF(torch.zeros(1, 1, 2), torch.tensor([1]), **scores)
    with pytest.raises(ValueError, match="every entry of the prior must be positive"):
        crf.kl(torch.tensor(prior).log())


def test_wrong_shapes_are_quoted():
    scores = {"start": torch.zeros(3), "pair": torch.zeros(2, 2), "end": torch.zeros(2)}
    with pytest.raises(ValueError, match=r"start must have shape \(2,\), got \(3,\)"):
        LinearChainCRF(torch.zeros(1, 4, 2), torch.tensor([4]), **scores)
