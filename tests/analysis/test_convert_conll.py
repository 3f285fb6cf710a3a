"""Reading conll."""

import pytest

NBSP = "\u00a0"


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
