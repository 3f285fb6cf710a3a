"""A list and raw text become partially annotated Docs that a recognizer learns from."""

import pytest
import spacy
import srsly
from spacy.tokens import DocBin
from spacy.training import Example

from spacy_semivae.analysis.bootstrap import (
    BootstrapSettings,
    bootstrap,
    read_patterns,
)
from spacy_semivae.labels import SpanLabels, is_annotated
from spacy_semivae.training.raw_text import read_texts

TEXTS = ["Ann saw New Rome", "no names here", "ANN sat", "Bob Lee likes Ann !"]


@pytest.fixture
def run(tmp_path):
    """Bootstrap with a list given as text, and read the Docs back."""

    def run(content, name="list.txt", **settings):
        patterns, raw, out = tmp_path / name, tmp_path / "raw.txt", tmp_path / "new" / "out.spacy"
        patterns.write_text(content, encoding="utf8")
        raw.write_text("\n".join(TEXTS), encoding="utf8")
        nlp = spacy.blank("en")
        done = bootstrap(patterns, raw, out, BootstrapSettings(**settings), nlp=nlp)
        return list(DocBin().from_disk(out).get_docs(nlp.vocab)), done

    return run


def tags(doc):
    return [f"{t.ent_iob_}-{t.ent_type_}".strip("-") for t in doc]


def test_what_matches_is_known_and_nothing_else(run):
    docs, done = run("Ann\tPER\nNew Rome\tLOC\nRome\tLOC\n")
    assert [tags(doc) for doc in docs] == [
        ["B-PER", "", "B-LOC", "I-LOC"],
        ["", "", "", "B-PER", ""],
    ]
    assert (done.texts, done.docs, done.tokens, done.inside) == (4, 2, 9, 4)
    assert done.labels == {"PER": 2, "LOC": 1}
    scheme = SpanLabels(["LOC", "PER"])
    assert scheme.encode(Example(docs[1].copy(), docs[1])).tolist() == [-1, -1, -1, 8, -1]


def test_one_label_case_and_limit(run):
    docs, done = run("ann\n\nBob Lee\tSINGER\n", label="PER", ignore_case=True)
    assert done.labels == {"PER": 3, "SINGER": 1}
    assert len(docs) == 3
    _, done = run("Ann\n", label="PER", limit=2)
    assert (done.texts, done.docs) == (2, 1)


def test_patterns_of_the_entity_ruler(run):
    patterns = [
        {"label": "PER", "pattern": "Bob Lee", "id": "bob"},
        {"label": "PER", "pattern": [{"LOWER": "ann"}]},
    ]
    content = "".join(f"{srsly.json_dumps(pattern)}\n" for pattern in patterns)
    docs, _ = run(content, "patterns.jsonl")
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns(patterns)
    spans = [[(e.text, e.label_) for e in nlp(text).ents] for text in TEXTS]
    assert [[(e.text, e.label_) for e in doc.ents] for doc in docs] == [s for s in spans if s]


def test_the_rest_is_raw_text(run, tmp_path):
    docs, _ = run("Ann\tPER\n", rest=tmp_path / "rest.jsonl")
    assert len(docs) == 2
    assert list(read_texts(tmp_path / "rest.jsonl")) == ["no names here", "ANN sat"]
    assert list(srsly.read_jsonl(tmp_path / "rest.jsonl"))[1] == {
        "tokens": ["ANN", "sat"],
        "spaces": [True, False],
    }


def test_a_recognizer_learns_from_it(run, tiny_pipeline):
    docs, _ = run("Ann\tPER\nRome\tLOC\n")
    nlp = tiny_pipeline("crf_vae_ner")
    examples = [Example(nlp.make_doc(doc.text), doc) for doc in docs]
    assert all(is_annotated(doc, "ents") for doc in docs)
    losses = [nlp.update(examples)["crf_vae_ner_supervised"] for _ in range(15)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("Ann\n", "list.txt", "list.txt, line 1: a line must be a text, a TAB and its label"),
        ("Ann\tPER\n\tPER\n", "list.txt", "line 2: a line must be a text"),
        ("\n", "list.txt", "a list must have a line, got none"),
        ('{"label": "PER"}\n', "p.jsonl", 'line 1: a pattern must have a "label" and a "pattern"'),
        ('{"label": "PER", "pattern": [1]}', "p.jsonl", "line 1: a pattern must have"),
        ("{", "p.jsonl", "line 1: a pattern must be JSON"),
        ("Zoe\tPER\n", "list.txt", "a pattern must be found in the texts of .*, got none in 4"),
    ],
)
def test_bad_lists(content, name, message, run, tmp_path):
    with pytest.raises(ValueError, match=message):
        run(content, name, rest=tmp_path / "rest.jsonl")
    assert not (tmp_path / "rest.jsonl").exists()
    assert not (tmp_path / "new" / "out.spacy").exists()


def test_a_label_on_the_line_comes_first(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("Ann\nRome \t LOC\n")
    assert read_patterns(path, "PER") == [
        {"label": "PER", "pattern": "Ann"},
        {"label": "LOC", "pattern": "Rome"},
    ]
