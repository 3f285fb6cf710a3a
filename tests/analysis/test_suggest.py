"""The choice of texts: order, pool, duplicates, memory."""

import numpy
import pytest
import srsly
from spacy.tokens import DocBin

from spacy_semivae.analysis.suggest import (
    Candidate,
    Pool,
    SuggestSettings,
    find_component,
    suggest,
)
from spacy_semivae.analysis.suggest_measures import Scored, measure

TEXTS = ["Ann saw Bob", "Rome", "We like New Rome .", "no names here", "Bob likes us", "saw", "!"]


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "raw.txt"
    path.write_text("\n".join([*TEXTS, "", "Rome"]) + "\n", encoding="utf8")
    return path


def rank(nlp, by, texts=TEXTS):
    """The texts in the order of a measure, each measured by itself."""
    (pipe,) = (pipe for _, pipe in nlp.pipeline)
    docs = [nlp.make_doc(text) for text in texts]
    values = [measure(by, Scored(pipe, [doc], pipe.predict([doc])))[0] for doc in docs]
    return [texts[i] for i in numpy.argsort(-numpy.array(values), kind="stable")]


@pytest.mark.parametrize("factory", ["crf_vae_ner", "vsl_tagger", "ssvae_textcat"])
@pytest.mark.parametrize("by", ["entropy", "margin"])
def test_the_best_come_first_whatever_the_batch(factory, by, raw, tiny_pipeline):
    nlp = tiny_pipeline(factory)
    expected = rank(nlp, by)
    for batch_size in (1, 3, 100):
        settings = SuggestSettings(n=4, by=by, batch_size=batch_size)
        found = suggest(nlp, raw, settings)
        assert [task.text for task in found] == expected[:4]
    values = [task.meta["score"] for task in found]
    assert values == sorted(values, reverse=True)


def test_each_text_once_and_none_that_is_excluded(raw, tiny_pipeline, tmp_path):
    nlp = tiny_pipeline("crf_vae_ner")
    with raw.open("a", encoding="utf8") as stream:
        stream.write("ann  saw bob!\n")
    found = suggest(nlp, raw, SuggestSettings(n=50))
    assert sorted(task.text for task in found) == sorted(TEXTS)
    done = tmp_path / "done.spacy"
    DocBin(docs=[nlp.make_doc("we LIKE new Rome")]).to_disk(done)
    other = tmp_path / "done.jsonl"
    srsly.write_jsonl(other, [{"text": "saw"}])
    found = suggest(nlp, raw, SuggestSettings(n=50, exclude=[done, other]))
    assert {task.text for task in found} == {*TEXTS} - {"We like New Rome .", "saw"}


def test_where_texts_stand_and_per_token(raw, tiny_pipeline):
    nlp = tiny_pipeline("vsl_ner")
    every = {t.text: t for t in suggest(nlp, raw, SuggestSettings(n=50))}
    assert {k: v for k, v in every["Rome"].meta.items() if k != "score"} == {
        "by": "margin",
        "file": "raw.txt",
        "line": 2,
    }
    for task in suggest(nlp, raw, SuggestSettings(n=50, per_token=True)):
        score = every[task.text].meta["score"] / len(task.tokens)
        assert task.meta["score"] == pytest.approx(score, abs=1e-5)


def test_only_components_before_the_chosen_one_run(raw, tiny_pipeline):
    nlp = tiny_pipeline("vsl_tagger", "crf_vae_ner", "ssvae_textcat")
    seen = []
    for name in nlp.pipe_names:
        pipe = nlp.get_pipe(name)
        predict = pipe.predict
        pipe.predict = lambda docs, name=name, predict=predict: seen.append(name) or predict(docs)
    suggest(nlp, raw, SuggestSettings(n=2, component="crf_vae_ner", by="entities"))
    assert set(seen) == {"vsl_tagger", "crf_vae_ner"}
    assert nlp.pipe_names == ["vsl_tagger", "crf_vae_ner", "ssvae_textcat"]
    with pytest.raises(ValueError, match="must be one of this package's in the pipeline"):
        find_component(nlp, None)
    with pytest.raises(ValueError, match="got 'ner'"):
        find_component(nlp, "ner")


def test_diversity_avoids_texts_that_are_alike(tmp_path, tiny_pipeline):
    nlp = tiny_pipeline("ssvae_textcat", model={"tok2vec": None})
    path = tmp_path / "raw.txt"
    path.write_text("Ann saw Bob\nann saw Bob .\nBob likes us\n", encoding="utf8")
    for diversity in ("kcenter", "none"):
        assert len(suggest(nlp, path, SuggestSettings(n=2, diversity=diversity))) == 2


def test_pool_keeps_the_best_and_one_of_each():
    pool = Pool(2)
    none = numpy.zeros(0, dtype="f")
    for order, (value, key) in enumerate(
        [(1.0, "a"), (3.0, "b"), (3.0, "b"), (2.0, "c"), (2.0, "d")]
    ):
        pool.add(Candidate(value, -order, key, None, none))
    assert [candidate.key for candidate in pool.best()] == ["b", "c"]  # c came before d
    assert pool.keys == {"b", "c"}
    assert not pool.wants(2.0, "e")
    assert pool.wants(2.5, "a")


def test_memory_holds_the_pool_alone(tmp_path, tiny_pipeline):
    nlp = tiny_pipeline("vsl_tagger")
    path = tmp_path / "raw.txt"
    path.write_text("".join(f"w{i} x{i}\n" for i in range(500)), encoding="utf8")
    words, counts = len(nlp.vocab.strings), []
    suggest(nlp, path, SuggestSettings(n=3, batch_size=50), progress=counts.append)
    assert counts == [50] * 10
    assert len(nlp.vocab.strings) == words


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"by": "luck"}, "by must be one of entropy, margin, entities, disagreement, got 'luck'"),
        ({"diversity": "x"}, "diversity must be one of none, kcenter, got 'x'"),
        ({"n": 0}, "must be positive, got 0"),
        ({"pool": 60}, "no pool to choose from: use kcenter"),
        ({"n": 5, "pool": 4, "diversity": "kcenter"}, "must hold the 5 texts wanted, got 4"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        SuggestSettings(**settings)
