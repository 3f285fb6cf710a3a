"""The loop: when it evaluates and stops, what it reports, and that it learns as spaCy's own."""

from itertools import count, islice

import pytest
import spacy
from spacy.tokens import Doc
from spacy.training import Example
from spacy.training.loop import create_train_batches, train_while_improving
from spacy.util import registry
from thinc.api import Adam

from spacy_semivae.training.loop import LoopSettings, Progress, train_steps, zip_batches
from spacy_semivae.training.mixed import MixedCorpus

LABELED = [("a dog ran", "DT NN VB"), ("the old cat sat", "DT JJ NN VB"), ("dogs ran", "NN VB")]
RAW = ["a cat ran", "the dog sat here", "old dogs", "the cat", "a dog sat"]
TINY = {
    "width_y": 3,
    "width_z": 3,
    "hidden": 4,
    "width": 4,
    "variational": False,
    "tok2vec": {"width": 4, "char_width": 3, "char_hidden": 3, "hidden": 4, "min_count": 1},
}


def labeled_corpus(nlp):
    for words, tags in LABELED:
        reference = Doc(nlp.vocab, words=words.split(), tags=tags.split())
        yield Example(Doc(nlp.vocab, words=words.split()), reference)


def raw_corpus(nlp):
    for words in RAW:
        doc = Doc(nlp.vocab, words=words.split())
        yield Example(doc, doc.copy())


def texts_of(examples):
    return [" ".join(token.text for token in eg.predicted) for eg in examples]


@pytest.fixture
def nlp():
    nlp = spacy.blank("en")
    nlp.add_pipe("vsl_tagger", config={"model": TINY})
    nlp.initialize(lambda: [*labeled_corpus(nlp), *raw_corpus(nlp)])
    return nlp


def labeled_batches(nlp):
    for epoch in count():
        examples = list(labeled_corpus(nlp))
        yield epoch, examples[:2]
        yield epoch, examples[2:]


def raw_batches(nlp, size=3):
    examples = list(raw_corpus(nlp))
    while True:
        yield examples[:size]


def run(nlp, scores=(), *, raw=True, optimizer=None, **settings):
    """Run the loop with given dev scores (then 0); gives its reports and the evaluated steps."""
    scores, evaluated = iter(scores), []

    def evaluate():
        evaluated.append(nlp.get_pipe("vsl_tagger").cfg["step"])
        score = next(scores, 0.0)
        return score, {"tag_acc": score}

    steps = train_steps(
        nlp,
        optimizer or Adam(0.01),
        labeled_batches(nlp),
        raw_batches(nlp) if raw else None,
        evaluate,
        LoopSettings(**{"dropout": 0.0, "patience": 0, "max_steps": 6, **settings}),
    )
    # the losses are the loop's own dict: a copy is what a logger sees
    return [(b, {**info, "losses": {**info["losses"]}}, best) for b, info, best in steps], evaluated


@pytest.mark.parametrize("max_steps", [1, 4, 7])
def test_max_steps_is_the_number_of_updates(nlp, max_steps):
    reports, evaluated = run(nlp, max_steps=max_steps, eval_frequency=3)
    assert len(reports) == nlp.get_pipe("vsl_tagger").cfg["step"] == max_steps
    assert [info["step"] for _, info, _ in reports] == list(range(1, max_steps + 1))
    assert evaluated == sorted({*range(3, max_steps + 1, 3), max_steps})


def test_is_best_at_the_first_best(nlp):
    reports, _ = run(nlp, [0.5, 0.4, 0.5, 0.7, 0.7, 0.7], eval_frequency=1)
    assert [best for _, _, best in reports] == [True, False, False, True, False, False]
    assert [info["score"] for _, info, _ in reports] == [0.5, 0.4, 0.5, 0.7, 0.7, 0.7]
    assert reports[-1][1]["checkpoints"][3] == (0.7, 4)
    assert reports[0][1]["other_scores"] == {"tag_acc": 0.5}


def test_no_evaluation_is_none(nlp):
    reports, _ = run(nlp, eval_frequency=2, max_steps=3)
    assert [best for _, _, best in reports] == [None, True, False]
    assert [info["score"] for _, info, _ in reports] == [None, 0.0, 0.0]


@pytest.mark.parametrize(("patience", "steps"), [(2, 5), (4, 7), (0, 12)])
def test_patience_counts_updates_since_the_best(nlp, patience, steps):
    scores = [0.1, 0.2, 0.3] + [0.2] * 20
    reports, _ = run(nlp, scores, eval_frequency=1, max_steps=12, patience=patience)
    assert len(reports) == steps


def test_patience_does_not_end_a_run_before_its_first_evaluation(nlp):
    reports, evaluated = run(nlp, eval_frequency=5, max_steps=20, patience=2)
    assert (len(reports), evaluated) == (7, [5])


def test_best_step_is_the_earliest():
    assert Progress().best_step() == 0
    assert Progress(results=[(0.1, 10), (0.3, 20), (0.3, 30)]).best_step() == 20


def test_a_report_counts_both_streams(nlp):
    reports, _ = run(nlp, max_steps=3)
    infos = [info for _, info, _ in reports]
    assert [info["labeled"] for info in infos] == [2, 3, 5]
    assert [info["unlabeled"] for info in infos] == [3, 6, 9]
    assert [info["words"] for info in infos] == [7 + 9, 9 + 18, 16 + 27]
    assert [info["epoch"] for info in infos] == [0, 0, 1]
    assert [len(batch) for batch, _, _ in reports] == [5, 4, 5]
    assert infos[-1]["seconds"] > 0


def test_labels_alone(nlp):
    reports, _ = run(nlp, raw=False, max_steps=2)
    assert [info["unlabeled"] for _, info, _ in reports] == [0, 0]
    assert reports[0][1]["losses"]["vsl_tagger_unlabeled_reconstruction"] == 0


@pytest.mark.parametrize("what", ["alpha is zero", "frozen", "no latents"])
def test_raw_text_is_not_read_where_nothing_learns_from_it(what):
    nlp = spacy.blank("en")
    variant = "baseline" if what == "no latents" else "hier"
    alpha = 0.0 if what == "alpha is zero" else 0.1
    nlp.add_pipe("vsl_tagger", config={"alpha": alpha, "model": {**TINY, "variant": variant}})
    nlp.initialize(lambda: labeled_corpus(nlp))
    frozen = ["vsl_tagger"] if what == "frozen" else []
    reports, _ = run(nlp, max_steps=2, frozen=frozen)
    assert [info["unlabeled"] for _, info, _ in reports] == [0, 0]


def test_raw_text_is_read_from_the_step_where_its_weight_is_positive():
    nlp = spacy.blank("en")
    nlp.add_pipe("vsl_tagger", config={"model": TINY})
    nlp.get_pipe("vsl_tagger").alpha.setting = lambda step: float(step >= 2)
    nlp.initialize(lambda: labeled_corpus(nlp))
    reports, _ = run(nlp, max_steps=4)
    assert [info["unlabeled"] for _, info, _ in reports] == [0, 0, 3, 6]


def test_losses_add_up_between_evaluations(nlp):
    every, _ = run(nlp, eval_frequency=1, optimizer=Adam(0.0))
    each = [info["losses"]["vsl_tagger"] for _, info, _ in every]
    assert each[0] == pytest.approx(each[2])  # the same batch, nothing learned
    assert each[0] != pytest.approx(each[1])
    some, _ = run(nlp, eval_frequency=3, optimizer=Adam(0.0))
    sums = [info["losses"]["vsl_tagger"] for _, info, _ in some]
    expected = [each[0], sum(each[:2]), sum(each[:3]), each[3], sum(each[3:5]), sum(each[3:6])]
    assert sums == pytest.approx(expected)


def test_before_update_sees_step_and_epoch(nlp):
    seen = []
    run(
        nlp, max_steps=5, before_update=lambda nlp, args: seen.append((args["step"], args["epoch"]))
    )
    assert seen == [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2)]


@pytest.mark.parametrize("dropout", [0, 0.5, "schedule"])
def test_dropout_is_a_number_or_a_schedule(nlp, dropout):
    seen, pipe = [], nlp.get_pipe("vsl_tagger")
    original = pipe.update

    def update(examples, *, drop, **settings):
        seen.append(drop)
        return original(examples, drop=drop, **settings)

    pipe.update = update
    setting = iter([0.5, 0.25]) if dropout == "schedule" else dropout
    run(nlp, max_steps=3, dropout=setting)
    assert seen == ([0.5, 0.25, 0.25] if dropout == "schedule" else [dropout] * 3)


def test_raw_text_reaches_our_components_alone(nlp):
    nlp.add_pipe("tagger")
    nlp.get_pipe("tagger").initialize(lambda: labeled_corpus(nlp), nlp=nlp)
    seen = {}
    for name, pipe in nlp.pipeline:

        def update(examples, name=name, original=pipe.update, **settings):
            seen.setdefault(name, []).append(texts_of(examples))
            return original(examples, **settings)

        pipe.update = update
    reports, _ = run(nlp, max_steps=2)
    first, second = [words for words, _ in LABELED[:2]], [LABELED[2][0]]
    assert seen["tagger"] == [first, second]
    assert seen["vsl_tagger"] == [[*first, *RAW[:3]], [*second, *RAW[:3]]]
    assert reports[-1][1]["losses"]["tagger"] > 0


@pytest.mark.parametrize(
    ("n_labeled", "n_raw", "parts", "sizes"),
    [
        (3, 2, 1, [(3, 2)]),
        (4, 2, 2, [(2, 1), (2, 1)]),
        (5, 2, 2, [(2, 1), (2, 1), (1, 0)]),
        (1, 4, 2, [(1, 2), (0, 2)]),
        (4, 0, 2, [(2, 0), (2, 0)]),
    ],
)
def test_batches_are_divided_for_accumulation(nlp, n_labeled, n_raw, parts, sizes):
    examples = list(islice(labeled_corpus(nlp), 1)) * n_labeled
    raw = list(islice(raw_corpus(nlp), 1)) * n_raw
    assert [(len(a), len(b)) for a, b in zip_batches(examples, raw, parts)] == sizes


def test_accumulated_parts_hold_every_example_once(nlp):
    labeled, raw = list(labeled_corpus(nlp)), list(raw_corpus(nlp))
    parts = list(zip_batches(labeled, raw, 2))
    assert sorted(text for part, _ in parts for text in texts_of(part)) == sorted(
        w for w, _ in LABELED
    )
    assert sorted(text for _, part in parts for text in texts_of(part)) == sorted(RAW)


def test_one_update_for_all_accumulated_parts(nlp):
    pipe, calls = nlp.get_pipe("vsl_tagger"), []
    original = pipe.update

    def update(examples, **settings):
        calls.append(len(list(examples)))
        return original(examples, **settings)

    pipe.update = update
    reports, _ = run(nlp, max_steps=1, accumulate_gradient=2)
    assert calls == [2, 2, 1]  # 1 + 1, 1 + 1, and what is left of 2 + 3
    assert pipe.cfg["step"] == len(reports) == 1


def test_the_optimizers_averages_are_evaluated(nlp, monkeypatch):
    optimizer, seen = Adam(0.05, use_averages=True), []
    original = nlp.use_params
    monkeypatch.setattr(nlp, "use_params", lambda params: seen.append(params) or original(params))
    run(nlp, max_steps=2, eval_frequency=2, optimizer=optimizer)
    assert seen == [optimizer.averages]
    assert seen[0]


def losses_of_stock_training(steps):
    """What `spacy train` does with a mixed corpus: the losses of each step."""
    nlp = spacy.blank("en")
    nlp.add_pipe("vsl_tagger", config={"model": TINY})
    spacy.util.fix_random_seed(0)
    nlp.initialize(lambda: [*labeled_corpus(nlp), *raw_corpus(nlp)])
    batcher = registry.batchers.get("spacy.batch_by_sequence.v1")(size=6, get_length=None)
    corpus = MixedCorpus(labeled_corpus, raw_corpus, ratio=1.0)
    loop = train_while_improving(
        nlp,
        Adam(0.01),
        create_train_batches(nlp, corpus, batcher, max_epochs=-1),
        lambda: (0.0, {}),
        dropout=0.0,
        eval_frequency=1,
        accumulate_gradient=1,
        patience=0,
        max_steps=steps - 1,
        exclude=[],
        annotating_components=[],
        before_update=None,
    )
    batches, losses = [], []
    for batch, info, _ in loop:
        batches.append(texts_of(batch))
        losses.append(info["losses"])
    return batches, losses


def test_the_same_batches_give_the_losses_of_stock_training():
    batches, expected = losses_of_stock_training(6)
    labeled = [words for words, _ in LABELED]
    assert sorted(batches[0]) == sorted([*labeled, *RAW[:3]])
    assert sorted(batches[1]) == sorted([*labeled, *RAW[3:], RAW[0]])
    nlp = spacy.blank("en")
    nlp.add_pipe("vsl_tagger", config={"model": TINY})
    spacy.util.fix_random_seed(0)
    nlp.initialize(lambda: [*labeled_corpus(nlp), *raw_corpus(nlp)])

    def raw_of_batches():
        by_text = dict(zip(RAW, raw_corpus(nlp)))
        for batch in batches:
            yield [by_text[text] for text in batch if text in by_text]

    steps = train_steps(
        nlp,
        Adam(0.01),
        ((epoch, list(labeled_corpus(nlp))) for epoch in count()),
        raw_of_batches(),
        lambda: (0.0, {}),
        LoopSettings(dropout=0.0, patience=0, max_steps=6, eval_frequency=1),
    )
    found = [info["losses"] for _, info, _ in steps]
    assert len(found) == len(expected) == 6
    for ours, stock in zip(found, expected):
        assert ours == pytest.approx(stock, rel=1e-5)
    assert found[-1]["vsl_tagger"] < found[0]["vsl_tagger"]
    assert found[0]["vsl_tagger_unlabeled_reconstruction"] > 0
