"""Reading textcat."""

import pytest


@pytest.mark.parametrize(
    ("columns", "content"),
    [
        ("label,text", "B\tone\ttwo\nA\tthree\n\n\tfour\n"),
        ("text,label", "one\ttwo\tB\nthree\tA\n\nfour\t\n"),
    ],
)
def test_textcat_is_exclusive_over_the_labels_found(run, columns, content):
    docs, _ = run(content, "in.tsv", format="textcat", columns=columns.split(","))
    assert [doc.text for doc in docs] == ["one\ttwo", "three", "four"]
    assert [doc.cats for doc in docs] == [{"A": 0.0, "B": 1.0}, {"A": 1.0, "B": 0.0}, {}]


def test_textcat_reads_json_lines_and_given_labels(run):
    content = '{"text": "one", "label": "A"}\n{"text": "two"}\n{"text": "x", "label": null}\n'
    docs, _ = run(content, "in.jsonl", format="textcat", labels=["A", "Z"])
    assert [doc.cats for doc in docs] == [{"A": 1.0, "Z": 0.0}, {}, {}]
    with pytest.raises(ValueError, match=r"in.jsonl, line 1: the label must be one of \['B'\]"):
        run(content, "in.jsonl", format="textcat", labels=["B"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("A\tx\nno label\n", "line 2: a line must be label TAB text, got 'no label'"),
        ("A\t \n", "line 1: a line must have a text"),
        ("\tx\n", "a text must have a label where no labels are given"),
    ],
)
def test_wrong_textcat_is_refused(run, content, message):
    with pytest.raises(ValueError, match=message):
        run(content, "in.tsv", format="textcat")
