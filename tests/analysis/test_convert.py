import gzip

import pytest
import spacy
import srsly
from spacy.tokens import DocBin

from spacy_semivae.analysis.convert import ConvertSettings, convert

NBSP = "\u00a0"
CONLLU = """\
# sent_id = 1
# text = It isn't "so".
1\tIt\tit\tPRON\tPRP\tCase=Nom|Number=Sing\t3\tnsubj\t_\t_
2-3\tisn't\t_\t_\t_\t_\t_\t_\t_\t_
2\tis\tbe\tAUX\t_\t_\t_\t_\t_\t_
3\tn't\tnot\t_\tRB\t_\t_\t_\t_\t_
3.1\tghost\tghost\tNOUN\t_\t_\t_\t_\t_\t_
4\t"\t"\tPUNCT\t``\t_\t_\t_\t_\tSpaceAfter=No
5-6\tso_\t_\t_\t_\t_\t_\t_\t_\tX=Y|SpaceAfter=No
5\tso\tso\tADV\tRB\t_\t_\t_\t_\t_
6\t_\t_\tSYM\t_\t_\t_\t_\t_\t_
7\t.\t.\tPUNCT\t.\t_\t_\t_\t_\t_

1\tYes\tyes\tINTJ\t_\t_\t_\t_\t_\t_
"""


@pytest.fixture(scope="module")
def nlp():
    return spacy.blank("en")


@pytest.fixture
def run(nlp, tmp_path):
    """Write content to a file, convert it and read the Docs back from disk."""

    def run(content, name="input.conll", **settings):
        source = tmp_path / name
        data = content if isinstance(content, bytes) else content.encode("utf8")
        source.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        report = convert(source, tmp_path / "out", ConvertSettings(**settings), nlp=nlp)
        docs = list(DocBin().from_disk(report.files[0]).get_docs(nlp.vocab))
        assert len(docs) == report.n_docs
        return docs, report.notes

    return run


def conll(run, content, columns="token,ner", **settings):
    docs, notes = run(content, format="conll", columns=columns.split(","), **settings)
    return docs, notes


def words_of(doc):
    return [token.text for token in doc]


def entities_of(doc):
    return [(ent.text, ent.label_) for ent in doc.ents]


def iob_of(doc):
    """One letter a token: missing is "-"."""
    return "".join("-IOB"[token.ent_iob] for token in doc)


# conll -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tags",
    [
        ["I-PER", "I-PER", "B-PER", "O", "I-creative-work"],
        ["B-PER", "I-PER", "B-PER", "O", "B-creative-work"],
        ["B-PER", "E-PER", "S-PER", "O", "S-creative-work"],
        ["B-PER", "L-PER", "U-PER", "O", "U-creative-work"],
    ],
)
@pytest.mark.parametrize("separator", ["\t", " ", "   "])
def test_all_entity_schemes_and_separators(run, tags, separator):
    words = ["Ann", "Lee", "Bo", "saw", "Jaws"]
    content = "".join(f"{word}{separator}{tag}\n" for word, tag in zip(words, tags))
    (doc,), notes = conll(run, content)
    assert words_of(doc) == words
    assert entities_of(doc) == [("Ann Lee", "PER"), ("Bo", "PER"), ("Jaws", "creative-work")]
    assert iob_of(doc) == "BIBOB"
    assert doc.has_unknown_spaces
    assert notes == {}


def test_missing_entities_are_never_outside(run):
    docs, _ = conll(run, "Ann\tB-PER\nsaw\tO\nit\t-\nin\t\nRome\tB-LOC\n\na\t-\nb\t\n\nc\tO\n")
    assert [iob_of(doc) for doc in docs] == ["BO--B", "--", "O"]
    assert [doc.has_annotation("ENT_IOB") for doc in docs] == [True, False, True]


def test_tags_are_literal_unless_they_are_named_missing(run):
    content = "a\t-\nb\t!\nc\t,\nd\t\ne\t?\n"
    (doc,), _ = conll(run, content, "token,tag")
    assert [token.tag_ for token in doc] == ["-", "!", ",", "", "?"]
    (doc,), _ = conll(run, content, "token,tag", missing="-")
    assert [token.tag_ for token in doc] == ["", "!", ",", "", "?"]
    assert not doc.has_annotation("ENT_IOB")


def test_empty_tokens_are_dropped_and_counted(run):
    content = "x\tB-PER\n\tB-PER\ny\tI-PER\nz\tO\n \tB-LOC\n\tI-LOC\n\n\tO\n\nu\tB-LOC\n\tI-LOC\n"
    docs, notes = conll(run, content)
    # The entity begun by an empty token begins at y: it does not join the one before it.
    assert [words_of(doc) for doc in docs] == [["x", "y", "z"], ["u"]]
    assert entities_of(docs[0]) == [("x", "PER"), ("y", "PER")]
    assert entities_of(docs[1]) == [("u", "LOC")]
    assert notes == {
        "empty tokens dropped": 5,
        "entities without a token dropped": 1,
        "sentences without a token dropped": 1,
    }


def test_tokens_that_look_like_white_space_or_comments(run):
    content = (
        f"# sent_id = 1\n#\tO\n# text = x\tO\n{NBSP}\tO\n-\tO\nke s\tO\na{NBSP}b\tO\n"
        "line\u2028\tO\n\t\n# newdoc\n😳 \tO\n \n-DOCSTART- -X- O\n\nend\tO"
    )
    docs, _ = conll(run, content)
    assert [words_of(doc) for doc in docs] == [
        ["#", "# text = x", NBSP, "-", "ke s", f"a{NBSP}b", "line\u2028"],
        ["😳"],
        ["end"],
    ]
    (doc,), _ = conll(run, f"# O\n{NBSP} O\n# O\n")
    assert words_of(doc) == ["#", NBSP, "#"]


def test_columns_by_name_and_by_number(run):
    content = "Rome\tNNP\tx\tPROPN\trome\tB-LOC\nis\tVBZ\tx\t_\tbe\tO\n"
    (doc,), _ = conll(run, content, "token,tag,_,pos,lemma,ner", missing="_")
    found = [(token.tag_, token.pos_, token.lemma_) for token in doc]
    assert found == [("NNP", "PROPN", "rome"), ("VBZ", "", "be")]
    assert entities_of(doc) == [("Rome", "LOC")]
    (doc,), _ = run(content, format="conll", tag_column=2, ner_column=-1)
    assert [token.tag_ for token in doc] == ["NNP", "VBZ"]
    assert entities_of(doc) == [("Rome", "LOC")]
    (doc,), _ = run("Rome NNP\n", format="conll", tag_column=-1)
    assert doc[0].tag_ == "NNP"
    assert not doc.has_annotation("ENT_IOB")


def test_line_ends_marks_and_encodings(run):
    docs, _ = conll(run, b"\xef\xbb\xbfa\tO\r\n\r\nb\tO\t\r\n")
    assert [words_of(doc) for doc in docs] == [["a"], ["b"]]
    (doc,), _ = conll(run, b"caf\xe9\tO\n", encoding="latin-1")
    assert words_of(doc) == ["café"]
    (doc,), _ = conll(run, "a\tO\n", name="zipped.conll.gz")
    assert words_of(doc) == ["a"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\tO\n\nb\n", r"input.conll, line 3: a token's line must have 2 columns, got \['b'\]"),
        ("a\tO\tx\n", r"line 1: a token's line must have 2 columns"),
        ("a\tO\n\nb\tO\nc\tQ-X\n", r"line 3: .*must have IOB, BIOES or BILOU tags .*Q-X"),
        ("a\tB-X\nb\tO\nc\tL-X\n", r"line 1: .*breaks an entity"),
        (b"a\tO\nb\xff\tO\n", r"line 2: text must be utf-8, got b'b\\xff"),
        ("\n\n", r"the input must hold a text"),
    ],
)
def test_wrong_conll_names_the_line(run, content, message):
    with pytest.raises(ValueError, match=message):
        conll(run, content)


def test_wrong_part_of_speech_names_the_line(run):
    with pytest.raises(ValueError, match=r"line 2: pos must be a universal .*, got 'NNP'"):
        conll(run, "a\tNOUN\nb\tNNP\n", "token,pos")
    with pytest.raises(ValueError, match=r"line 1: a token's line must have at least 3 columns"):
        run("a b\n", format="conll", tag_column=3)


# conllu ------------------------------------------------------------------------------------------


def test_conllu_reads_words_and_leaves_underscores_unset(run):
    docs, _ = run(CONLLU, "input.conllu", format="conllu")
    assert [len(doc) for doc in docs] == [7, 1]
    doc = docs[0]
    assert doc.text == "It is n't \"so _. "
    assert [token.pos_ for token in doc] == ["PRON", "AUX", "", "PUNCT", "ADV", "SYM", "PUNCT"]
    assert [token.tag_ for token in doc] == ["PRP", "", "RB", "``", "RB", "", "."]
    assert [token.lemma_ for token in doc] == ["it", "be", "not", '"', "so", "_", "."]
    assert str(doc[0].morph) == "Case=Nom|Number=Sing"
    assert [token.has_morph() for token in doc] == [True] + [False] * 6
    assert not doc.has_annotation("DEP")


def test_conllu_without_space_marks_has_unknown_spaces(run):
    (doc,), _ = run(
        "1\tHi\t_\t_\t_\t_\t_\t_\t_\t_\n2\t!\t_\t_\t_\t_\t_\t_\t_\t_\n", format="conllu"
    )
    assert doc.has_unknown_spaces
    assert not any(doc.has_annotation(attr) for attr in ("TAG", "POS", "MORPH", "LEMMA"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1\tHi", r"line 1: a word's line must have 10 TAB-separated fields"),
        ("2\tHi" + "\t_" * 8, r"line 1: word ids must count from 1 in each sentence, got '2'"),
        ("1\tHi\t_\tNNP" + "\t_" * 6, r"line 1: UPOS must be a universal .*got 'NNP'"),
        ("1\tHi\t_\tX\t_\tSing" + "\t_" * 4, r"line 1: FEATS must be Name=Value .*got 'Sing'"),
        ("1\t" + "\t_" * 8, r"line 1: a word must not be empty"),
    ],
)
def test_wrong_conllu_names_the_line(run, line, message):
    with pytest.raises(ValueError, match=message):
        run(line + "\n", format="conllu")


# spans -------------------------------------------------------------------------------------------


def spans(run, *records, **settings):
    content = "\n".join(srsly.json_dumps(record) for record in records)
    return run(content, "input.jsonl", format="spans", **settings)


ANN = {"start": 0, "end": 3, "label": "PER"}
ROME = {"start": 8, "end": 12, "label": "LOC"}
TEXT = {"text": "Ann saw Rome ."}


@pytest.mark.parametrize(
    ("keys", "iob"),
    [
        ({"spans": [ANN, ROME]}, "BOBO"),
        ({"spans": []}, "OOOO"),
        ({"spans": [ANN], "missing": [{"start": 9, "end": 14}]}, "BO--"),
        ({"spans": [ROME, ANN], "missing": True}, "B-B-"),
        ({"spans": [], "missing": True}, "----"),
        ({"missing": [{"start": 4, "end": 7}]}, "O-OO"),
        ({"spans": [ANN], "missing": [{"start": 2, "end": 7}]}, "B-OO"),
        ({}, "----"),
        ({"spans": None}, "----"),
        ({"rejected": [ANN]}, "----"),
        ({"rejected": [ANN], "spans": [ROME]}, "OOBO"),
    ],
)
@pytest.mark.parametrize("tokens", [False, True])
def test_span_records_state_what_is_known(run, keys, iob, tokens):
    source = {"tokens": ["Ann", "saw", "Rome", "."]} if tokens else TEXT
    (doc,), notes = spans(run, source | keys)
    assert iob_of(doc) == iob
    assert [ent.label_ for ent in doc.ents] == [
        "PER" if letter == 0 else "LOC" for letter in (i for i, x in enumerate(iob) if x == "B")
    ]
    rejected = [(span.text, span.label_) for span in doc.spans.get("incorrect_spans", [])]
    assert rejected == ([("Ann", "PER")] if "rejected" in keys else [])
    assert doc.has_annotation("ENT_IOB") == (iob != "----")
    assert notes == {}


def test_tokens_with_text_or_spaces_know_their_spaces(run):
    record = {"tokens": ["Ann", "'s", "hat"]}
    docs, _ = spans(run, record | {"text": "Ann's hat"}, record | {"spaces": [False, True, False]})
    assert [doc.text for doc in docs] == ["Ann's hat"] * 2


def test_misaligned_spans_are_an_error_or_missing(run):
    cut = {"start": 0, "end": 2, "label": "PER"}
    with pytest.raises(ValueError, match=r"line 1: spans must .*'An' is cut from the tokens"):
        spans(run, TEXT | {"spans": [cut]})
    record = TEXT | {"spans": [cut, ROME], "rejected": [{"start": 5, "end": 7, "label": "PER"}]}
    (doc,), notes = spans(run, record, on_misaligned="skip")
    assert iob_of(doc) == "-OBO"
    assert "incorrect_spans" not in doc.spans
    assert notes == {
        "spans not aligned with tokens skipped": 1,
        "rejected not aligned with tokens skipped": 1,
    }


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"spans": [ANN, {"start": 2, "end": 7, "label": "X"}]}, "spans must begin and end"),
        ({"spans": [{"start": 0, "end": 7, "label": "X"}, ANN]}, "spans must not overlap"),
        ({"spans": [ANN], "rejected": [ANN]}, "must not be an entity and rejected, got 'Ann'"),
        ({"spans": [ANN | {"end": 99}]}, "0 <= start < end <= 14"),
        ({"spans": [ANN | {"start": 3}]}, "0 <= start < end <= 14"),
        ({"spans": [{"start": 0, "end": 3}]}, "spans must have a label"),
        ({"missing": [{"start": 3}]}, "missing must have 0 <= start"),
        ({"spans": ["PER"]}, '"spans" must be a list of objects'),
        ({"answer": "reject"}, "only accepted answers can be read, got 'reject'"),
        ({"tokens": ["Bob"]}, '"tokens" must fit "text"'),
        ({"tokens": [""]}, '"tokens" must be non-empty strings'),
        ({"text": 3}, '"text" must be a string'),
    ],
)
def test_wrong_records_name_the_line(run, record, message):
    with pytest.raises(ValueError, match=f"input.jsonl, line 2: .*{message}"):
        spans(run, TEXT, TEXT | record)


def test_a_line_that_is_no_record_is_named(run):
    with pytest.raises(ValueError, match="line 1: a line must be JSON"):
        run("{", format="spans")
    with pytest.raises(ValueError, match='line 1: a record must be an object with "text"'):
        run("[1]", format="spans")


# textcat -----------------------------------------------------------------------------------------


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


# files and settings ------------------------------------------------------------------------------


def test_folders_give_a_file_each_or_one_for_all(nlp, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name, label in (("a.train", "X"), ("a.dev", "Y"), (".hidden", "Z"), ("b.tsv.gz", "X")):
        data = f"{label}\ttext\n".encode()
        (folder / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    settings = ConvertSettings(format="textcat")
    report = convert(folder, tmp_path / "out", settings, nlp=nlp)
    assert [path.name for path in report.files] == ["a.dev.spacy", "a.train.spacy", "b.spacy"]
    dev, train, _ = (next(DocBin().from_disk(p).get_docs(nlp.vocab)) for p in report.files)
    assert (dev.cats, train.cats) == ({"X": 0.0, "Y": 1.0}, {"X": 1.0, "Y": 0.0})
    report = convert(folder, tmp_path / "all.spacy", settings, nlp=nlp)
    assert report.files == (tmp_path / "all.spacy",)
    assert len(DocBin().from_disk(report.files[0])) == report.n_docs == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "iob"}, "format must be one of conll, conllu, spans, textcat .*'iob'"),
        ({"format": "spans", "missing": "-"}, "missing is a setting of conll only"),
        ({"format": "conllu", "columns": ["token"]}, "columns is a setting of conll and textcat"),
        ({"format": "conll", "columns": ["token", "x"]}, "columns must be of token, tag"),
        ({"format": "conll", "columns": ["tag"]}, "columns must be of token, tag"),
        ({"format": "conll", "columns": ["token"], "ner_column": 2}, "not by both"),
        ({"format": "conll", "ner_column": 0, "tag_column": 1}, "numbered from 1"),
        ({"format": "textcat", "columns": ["text"]}, "label,text or text,label .*'text'"),
        ({"format": "spans", "on_misaligned": "x"}, "on_misaligned must be one of .*'x'"),
        ({"format": "conll", "encoding": "utf9"}, "encoding must be one of Python's .*'utf9'"),
    ],
)
def test_wrong_settings_are_refused(run, settings, message):
    with pytest.raises(ValueError, match=message):
        run('{"text": "a"}\n', **settings)


def test_a_missing_input_is_refused(nlp, tmp_path):
    with pytest.raises(ValueError, match="must be a file or a folder with files"):
        convert(tmp_path / "none", tmp_path, ConvertSettings(format="spans"), nlp=nlp)
