"""`semivae generate`."""

import pytest
import spacy
import srsly
from spacy.tokens import Doc
from spacy.training import Example

LABELS = ("city \U0001f600", "talk")
TEXTS = ["we like Rome", "we like Oslo", "so they say", "they say so"]
MODEL = {"width": 4, "hidden": 6, "width_z": 3, "width_y": 3}


def write_pipeline(path, *names, decoder="clstm2"):
    nlp = spacy.blank("en")
    for name in names:
        nlp.add_pipe("ssvae_textcat", name=name, config={"model": {**MODEL, "decoder": decoder}})
    examples = []
    for i, text in enumerate(TEXTS):
        reference = Doc(nlp.vocab, words=text.split())
        reference.cats = {label: float(label == LABELS[i // 2]) for label in LABELS}
        examples.append(Example(Doc(nlp.vocab, words=text.split()), reference))
    nlp.initialize(lambda: examples)
    nlp.to_disk(path)
    return path


@pytest.fixture
def trained(tmp_path):
    return write_pipeline(tmp_path / "nlp", "ssvae_textcat")


def read(path):
    return list(srsly.read_jsonl(path))


def test_texts_of_one_label(semivae, trained, tmp_path):
    out = tmp_path / "new" / "texts.jsonl"
    code, output = semivae("generate", trained, "--label", "talk", "--n", 4, "--output", out)
    assert code == 0, output
    assert "4 texts" in output
    rows = read(out)
    assert [row["latent"] for row in rows] == [0, 1, 2, 3]
    assert {row["label"] for row in rows} == {"talk"}
    pipe = spacy.load(trained).get_pipe("ssvae_textcat")
    docs = pipe.generate("talk", 4, seed=0)
    assert [row["text"] for row in rows] == [doc.text.strip() for doc in docs]


def test_every_label_from_the_same_latents(semivae, trained, tmp_path):
    out = tmp_path / "texts.jsonl"
    args = ["--n", 2, "--seed", 3, "--strategy", "sample", "--output", out]
    code, output = semivae("generate", trained, *args)
    assert code == 0, output
    rows = read(out)
    assert [(row["latent"], row["label"]) for row in rows] == [
        (i, label) for i in range(2) for label in LABELS
    ]
    docs = spacy.load(trained).get_pipe("ssvae_textcat").generate(n=2, seed=3, strategy="sample")
    expected = [docs[label][i].text.strip() for i in range(2) for label in LABELS]
    assert [row["text"] for row in rows] == expected


def test_the_table(semivae, trained):
    code, output = semivae("generate", trained, "--n", 2, "--seed", 1, "--max-length", 3)
    assert code == 0
    assert output.startswith("z label text")
    docs = spacy.load(trained).get_pipe("ssvae_textcat").generate(n=2, seed=1, max_length=3)
    for label in LABELS:
        for doc in docs[label]:
            assert len(doc) <= 3
            assert f"{label} {doc.text.strip()}".strip() in output


def test_a_seed_and_a_length_have_an_effect(semivae, trained, tmp_path):
    def texts(*args):
        out = tmp_path / "texts.jsonl"
        assert semivae("generate", trained, "-s", "sample", "-o", out, *args)[0] == 0
        return [row["text"] for row in read(out)]

    assert texts() == texts() != texts("--seed", 1)
    assert max(len(text.split()) for text in texts("--max-length", 2)) <= 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--label", "POS"], "a label is one of ['city \U0001f600', 'talk'], got 'POS'"),
        (["--component", "other"], "needs ssvae_textcat 'other': got ['ssvae_textcat']"),
        (["--strategy", "best"], "a strategy is one of"),
    ],
)
def test_what_is_not_there(semivae, trained, tmp_path, args, message):
    out = tmp_path / "texts.jsonl"
    code, output = semivae("generate", trained, *args, "--output", out)
    assert code == 1
    assert message in output
    assert not out.exists()


@pytest.mark.parametrize("args", [["--n", 0], ["--max-length", 0]])
def test_numbers_out_of_range(semivae, trained, args):
    assert semivae("generate", trained, *args)[0] == 2


def test_a_generator_that_was_pruned(semivae, trained, tmp_path):
    assert semivae("prune", trained, tmp_path / "pruned")[0] == 0
    code, output = semivae("generate", tmp_path / "pruned")
    assert code == 1
    assert "has no generator" in output


def test_a_pipeline_without_the_component(semivae, tmp_path):
    spacy.blank("en").to_disk(tmp_path / "blank")
    code, output = semivae("generate", tmp_path / "blank")
    assert code == 1
    assert "needs one ssvae_textcat, or its name: got [] of []" in output
    code, output = semivae("generate", tmp_path / "none")
    assert code == 1
    assert "none" in output


def test_several_components(semivae, tmp_path):
    path = write_pipeline(tmp_path / "two", "first", "second")
    code, output = semivae("generate", path)
    assert code == 1
    assert "or its name: got ['first', 'second']" in output
    code, output = semivae("generate", path, "--component", "second", "--n", 1)
    assert code == 0, output
