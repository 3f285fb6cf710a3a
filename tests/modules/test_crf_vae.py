"""Every loss term against the enumeration of all tag paths, one document at a time."""

from dataclasses import replace

import pytest
import torch
from torch.func import functional_call

from spacy_semivae.labels import SpanLabels
from spacy_semivae.modules import crf
from spacy_semivae.modules.crf_vae import CRFVAE, FULL, PARTIAL, RAW, Targets
from spacy_semivae.modules.units import Units, kinds_of, spread_spans, spread_tags

NI, NV, NS, TAU = 6, 7, 3, 0.7
NEVER = float("-inf")
ANY = -1
# annotation, tags of the tokens (O, then B, I, L and U), and units of each token, at most 4 in all;
# a document without units is annotated in full
DOCS = [
    (FULL, [1, 3, 0], [1, 2, 1]),
    (PARTIAL, [ANY, 4, ANY], [1, 2, 1]),
    (RAW, [ANY, ANY], [3, 1]),
    (FULL, [], []),
    (FULL, [4], [2]),
    (PARTIAL, [ANY, ANY, 3], [2, 1, 1]),
    (FULL, [], []),
    (RAW, [ANY, ANY, ANY], [1, 1, 1]),
    (PARTIAL, [1, ANY], [1, 1]),
]
ALL = range(len(DOCS))
# document, first and last token of rejected spans; those of documents 0 and 1 cannot be any more
REJECTED = [(0, 0, 0), (1, 0, 1), (2, 0, 1), (5, 1, 2), (7, 0, 0), (7, 0, 1), (7, 0, 2)]
SPANS = {"one type": (5, False), "two types": (9, False), "pieces": (5, True)}
KINDS = {**SPANS, "tags": (3, False), "tags of pieces": (3, True)}
GENERATORS = {
    "none": (None, "relaxed"),
    "exact": ({"name": "factored"}, "exact"),
    "factored": ({"name": "factored"}, "relaxed"),
    "mf": ({"name": "mf", "width": 4}, "relaxed"),
    "mt": ({"name": "mt", "width": 4, "heads": 2, "hidden": 5, "dropout": 0.0}, "relaxed"),
    "mf_lm": ({"name": "mf_lm", "width": 4}, "relaxed"),
    "mt_lm_residual": (
        {"name": "mt_lm_residual", "width": 4, "heads": 2, "hidden": 5, "dropout": 0.0},
        "relaxed",
    ),
}
NOISE = torch.randn((4, 9), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
WEIGHTS = {"supervised": 1.0, "generation": 0.8, "reconstruction": 0.6, "kl": 0.5}


@pytest.fixture(autouse=True)
def _same_noise(monkeypatch):
    """The same Gumbel noise for every document, so that it can be put into the enumeration."""

    def draw(like, generator=None):
        return NOISE[: like.shape[1], : like.shape[2]].to(like).expand_as(like)

    monkeypatch.setattr(crf, "gumbel", draw)


def make(kind="one type", generator="none", **changes):
    nO, pieces = KINDS[kind]
    name, objective = GENERATORS[generator]
    settings = {
        "nI": NI,
        "nO": nO,
        "width": 5,
        "pieces": pieces,
        "spans": kind in SPANS,
        "tagger_layers": 0,
        "tagger_heads": 2,
        "tagger_hidden": 7,
        "dropout": 0.0,
        "generator": name,
        "objective": objective,
        "nV": NV,
        "nS": NS,
    }
    model = CRFVAE(**{**settings, **changes}).double()
    for weight in model.parameters():  # no start, end or transition score stays zero
        weight.data.add_(0.5 * torch.randn_like(weight))
    free = torch.ones(nO, dtype=torch.bool)
    allowed = (free, free.expand(nO, nO), free)
    if kind in SPANS:
        mask = SpanLabels([f"T{i}" for i in range(nO // 4)]).transitions()
        allowed = [torch.from_numpy(x) for x in (mask.start, mask.pair, mask.end)]
    model.allow(*allowed)
    model.set_prior(torch.rand(nO) + 0.1)
    return model.eval()


def make_inputs(model, docs=ALL):
    """Encoded units and targets; what a document has does not depend on those beside it."""
    nO, spans = model.score.out_features, model.spans
    draw = torch.Generator().manual_seed(3)
    sizes = [sum(lengths) if model.kinds else len(lengths) for _, _, lengths in DOCS]
    chosen = torch.tensor([4 * doc + i for doc in docs for i in range(sizes[doc])]).long()
    H = torch.randn((4 * len(DOCS), NI), generator=draw, dtype=torch.float64)[chosen]
    states = torch.randn((4 * len(DOCS), NS), generator=draw, dtype=torch.float64)[chosen]
    outputs = torch.randn((NV, NS), generator=draw, dtype=torch.float64)
    words = torch.randint(NV, (4 * len(DOCS),), generator=draw)[chosen]
    tags = torch.tensor([tag for doc in docs for tag in DOCS[doc][1]], dtype=torch.int64)
    pieces = torch.tensor([n for doc in docs for n in DOCS[doc][2]], dtype=torch.int64)
    lengths = pieces if model.kinds else torch.ones_like(pieces)
    tags = spread_tags(tags if spans else tags.clamp(max=nO - 1), lengths, spans=spans)
    units = Units.of([sizes[doc] for doc in docs], kinds=kinds_of(lengths))
    return H, Targets(
        units=units,
        annotation=torch.tensor([DOCS[doc][0] for doc in docs]),
        allowed=(tags[:, None] == torch.arange(nO)) | (tags[:, None] == ANY),
        rejected=spread_spans(
            rejected_rows(docs) if spans else torch.zeros((3, 0)).long(), lengths
        ),
        words=words,
        temperature=TAU,
        ratio=0.9,
        states=states,
        outputs=outputs,
    )


def rejected_rows(docs):
    """Token, tag and number of each token of the rejected spans of some documents."""
    rows, token, number = [], 0, 0
    for doc in docs:
        for owner, first, last in REJECTED:
            if owner == doc:
                tags = [4] if first == last else [1, *[2] * (last - first - 1), 3]
                rows += [(token + first + i, tag, number) for i, tag in enumerate(tags)]
                number += 1
        token += len(DOCS[doc][1])
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, 3).T


def score_units(model, H, kinds):
    """Scores of the tags of one document, (N, C)."""
    rows = []
    for h, kind in zip(H, kinds.tolist()):
        h1 = model.project.weight @ h + model.project.bias
        if model.kinds is not None:
            h1 = h1 + model.kinds.weight[kind]
        scores = model.score.weight @ h1 + model.score.bias
        if model.kinds is not None and model.spans:
            wrong = [] if kind & 1 else [1, 4]  # B and U begin, L and U end a token
            wrong += [] if kind & 2 else [3, 4]
            hidden = [tag for tag in range(1, len(scores)) if (tag - 1) % 4 + 1 in wrong]
            scores = scores.index_fill(0, torch.tensor(hidden, dtype=torch.int64), NEVER)
        rows.append(scores)
    return torch.stack(rows) if rows else H.new_zeros((0, model.score.out_features))


class Oracle:
    """What one document adds to each term."""

    def __init__(self, model, H, targets, doc, enumerate_paths):
        here = targets.units.docs == doc
        self.rows = here.nonzero()[:, 0]
        self.annotation, self.size = int(targets.annotation[doc]), len(self.rows)
        ends = model.transitions()
        s = score_units(model, H[here], targets.units.kinds[here])
        s_O = s.masked_fill(~targets.allowed[here], NEVER)
        self.all, self.masked = (enumerate_paths(x, **ends) for x in (s, s_O))
        noise = NOISE[: self.size, : s.shape[1]]
        ends = {name: x / TAU for name, x in ends.items()}
        self.sample = enumerate_paths((s_O + noise) / TAU, **ends).marginals
        self.model, self.targets = model, targets

    def supervised(self):
        return self.all.log_Z - self.masked.log_Z

    def generate(self, Y):
        t, units = self.targets, Units.of([self.size])
        found = (t.words[self.rows], t.states[self.rows], t.outputs)
        return self.model.generator(Y[None], units, *found).sum()

    def generation(self):
        return self.generate(self.targets.allowed[self.rows].double())

    def reconstruction(self):
        if not self.model.exact:
            return self.generate(self.sample)
        theta, words = self.model.generator.theta, self.targets.words[self.rows]
        log_p = theta.log_softmax(0)[words]  # (N, C)
        joint = log_p[torch.arange(self.size), self.masked.tags].sum(1)
        return -(self.masked.q.log() + joint).logsumexp(0)

    def kl(self):
        several = self.allowed_tags() > 1
        log_p = (self.model.log_prior[self.masked.tags] * several).sum(1)
        return self.masked.mean(self.masked.scores - self.masked.log_Z - log_p)

    def allowed_tags(self):
        """How many tags each unit may have; those within a token may have two or more."""
        return self.targets.allowed[self.rows].sum(1)

    def outside(self):
        return self.all.marginals[:, 0].sum(), (self.all.tags[self.all.scores.argmax()] == 0).sum()

    def negative(self, positions, tags):
        hit = (self.masked.tags[:, positions] == tags).all(1)
        return -torch.log1p(-self.masked.q[hit].sum())


def mean(values, sizes):
    return torch.stack(values).sum() / max(sum(sizes), 1) if values else torch.zeros(()).double()


def expected_terms(model, H, targets, enumerate_paths):
    docs = [
        Oracle(model, H, targets, doc, enumerate_paths) for doc in range(len(targets.annotation))
    ]
    known, latent, full = (
        [doc for doc in docs if doc.annotation in kinds]
        for kinds in ((FULL, PARTIAL), (PARTIAL, RAW), (FULL,))
    )

    def over(chosen, name):
        return mean([getattr(doc, name)() for doc in chosen], [doc.size for doc in chosen])

    terms = {"supervised": over(known, "supervised"), "kl": over(latent, "kl")}
    if model.generator is not None:
        terms["generation"] = over([doc for doc in full if doc.size], "generation")
        terms["reconstruction"] = over([doc for doc in latent if doc.size], "reconstruction")
    terms["entity_ratio"], shares = torch.zeros(()).double(), {}
    if model.spans and any(doc.size for doc in latent):
        columns = zip(*[doc.outside() for doc in latent])
        expected, decoded = (mean(x, [doc.size for doc in latent]) for x in columns)
        terms["entity_ratio"] = (abs(1 - expected - targets.ratio) - targets.margin).clamp(min=0)
        shares = {"expected": expected, "decoded": decoded}
    unit, tag, span = targets.rejected
    found = []
    for number in span.unique():
        own = unit[span == number]
        positions = targets.units.positions[own]
        found.append(docs[targets.units.docs[own[0]]].negative(positions, tag[span == number]))
    if found:
        terms["negative"] = torch.stack(found).mean()
    return terms, shares


def assert_terms(got, expected):
    assert set(got) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(
            got[name].double(), value.double(), msg=lambda m, name=name: f"{name}: {m}"
        )


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("docs", [ALL, [8, 5, 7, 0, 2], [], *[[i] for i in ALL]])
def test_terms_equal_enumeration(kind, generator, docs, enumerate_paths):
    model = make(kind, generator)
    H, targets = make_inputs(model, docs)
    found = model(H, targets)
    terms, shares = expected_terms(model, H, targets, enumerate_paths)
    assert_terms(found.terms, terms)
    assert_terms(found.shares, shares)


def test_entity_ratio_within_the_margin_is_zero():
    model = make()
    H, targets = make_inputs(model)
    share = 1 - float(model(H, targets).shares["expected"].detach())
    for off, expected in ((0.03, 0.0), (-0.03, 0.0), (0.2, 0.15), (-0.2, 0.15)):
        moved = replace(targets, ratio=share + off, margin=0.05)
        assert model(H, moved).terms["entity_ratio"].item() == pytest.approx(expected)


def weigh(terms):
    return sum(WEIGHTS.get(name, 0.3) * value for name, value in terms.items())


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("kind", ["one type", "pieces", "tags"])
def test_gradients_equal_finite_differences(kind, generator):
    model = make(kind, generator)
    H, targets = make_inputs(model)
    names, params = zip(*model.named_parameters())

    def loss(H, *params):
        return weigh(functional_call(model, dict(zip(names, params)), (H, targets)).terms)

    assert torch.autograd.gradcheck(loss, (H.requires_grad_(), *params), fast_mode=True)


@pytest.mark.parametrize("generator", [name for name in GENERATORS if name != "none"])
def test_which_terms_move_the_posterior_and_which_the_generator(generator):
    model = make("pieces", generator)
    H, targets = make_inputs(model)
    H.requires_grad_()
    targets = replace(targets, ratio=0.9, margin=0.0)  # a share that is surely off
    moves = {"generation": {"generator"}, "reconstruction": {"posterior", "generator"}}
    terms = model(H, targets).terms
    assert len(terms) == 6
    for name, term in terms.items():
        H.grad = None
        model.zero_grad()
        term.backward(retain_graph=True)
        moved = {"posterior"} if H.grad is not None and H.grad.any() else set()
        for owner, weight in model.named_parameters():
            if weight.grad is not None and weight.grad.any():
                moved.add("generator" if owner.startswith("generator.") else "posterior")
        assert moved == moves.get(name, {"posterior"}), name


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("kind", ["one type", "pieces", "tags"])
def test_one_step_moves_every_parameter_and_nothing_else(kind, generator):
    model = make(kind, generator, tagger_layers=2).train()
    H, targets = make_inputs(model)
    given = [H, targets.states, targets.outputs, *dict(model.named_buffers()).values()]
    kept = [x.clone() for x in given]
    weights = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    optimizer = torch.optim.Adam(model.parameters(), 0.1)
    weigh(model(H, targets).terms).backward()
    optimizer.step()
    for name, weight in model.named_parameters():
        assert not torch.equal(weight, weights[name]), name
    assert all(torch.equal(x, y) for x, y in zip(given, kept))


@pytest.mark.parametrize("generator", GENERATORS)
def test_terms_under_autocast(generator):
    model = make("pieces", generator, tagger_layers=1)
    H, targets = make_inputs(model)
    expected = model(H, targets).terms
    targets = replace(targets, states=targets.states.float(), outputs=targets.outputs.float())
    with torch.autocast("cpu", torch.bfloat16):
        terms = model.float()(H.float(), targets).terms
    for name, term in terms.items():
        assert term.item() == pytest.approx(expected[name].item(), rel=0.1, abs=0.1), name


def test_tagger_reads_each_document_alone():
    model = make("one type", tagger_layers=2)
    H, targets = make_inputs(model)
    found = model.emissions(H, targets.units)
    for doc in range(len(DOCS)):
        here = targets.units.docs == doc
        X = model.tagger(H[here], Units.of([int(here.sum())]))
        torch.testing.assert_close(found[here], model.score(model.project(X)))
    moved = H.clone()
    moved[0, 0] += 1
    changed = (model.emissions(moved, targets.units) != found).any(1)
    assert changed.tolist() == [True] * 3 + [False] * (len(H) - 3)  # not those of other documents
