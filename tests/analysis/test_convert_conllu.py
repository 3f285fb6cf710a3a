"""Reading conllu."""

import pytest

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
