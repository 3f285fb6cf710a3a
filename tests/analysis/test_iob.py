"""Tags of all schemes become BILOU, or an error that names the tag."""

import re
from itertools import product

import pytest
from spacy.training import iob_to_biluo

from spacy_semivae.analysis.iob import bilou_from_iob

WELL_FORMED = re.compile(r"(O |U-. |B-(.) (I-\2 )*L-\2 )*")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("", ""),
        ("O B-X I-X I-X O B-X", "O B-X I-X L-X O U-X"),
        ("I-X I-X O I-X I-Y B-Y", "B-X L-X O U-X U-Y U-Y"),  # IOB1
        ("B-X I-X E-X S-Y O", "B-X I-X L-X U-Y O"),
        ("B-X I-X L-X U-Y O", "B-X I-X L-X U-Y O"),
        ("- B-X I-X - I-X", "- B-X L-X - U-X"),
        ("B-creative-work I-creative-work B-- O", "B-creative-work L-creative-work U-- O"),
        ("B-X B-X I-Y", "U-X U-X U-Y"),
    ],
)
def test_all_schemes(tags, expected):
    assert bilou_from_iob(tags.split()) == expected.split()


def test_empty_tag_is_missing():
    assert bilou_from_iob(["", "O", "-"]) == ["-", "O", "-"]


def test_agrees_with_spacy():
    for tags in product(["O", "B-X", "I-X", "B-Y", "I-Y"], repeat=4):
        assert bilou_from_iob(tags) == iob_to_biluo(tags)


@pytest.mark.parametrize("types", [["X"], ["X", "Y"]])
def test_tags_that_state_their_ends_must_be_well_formed(types):
    tagset = ["O", *(f"{kind}-{type_}" for type_ in types for kind in "BILU")]
    for tags in product(tagset, repeat=3):
        if not any(tag[0] in "LU" for tag in tags):
            continue
        if WELL_FORMED.fullmatch("".join(f"{tag} " for tag in tags)):
            assert bilou_from_iob(tags) == list(tags)
        else:
            with pytest.raises(ValueError, match="breaks an entity"):
                bilou_from_iob(tags)


@pytest.mark.parametrize("tag", ["B", "B-", "X-LOC", "O-LOC", "b-LOC", "--", "-LOC", "BI-LOC", "_"])
def test_malformed_tags(tag):
    with pytest.raises(ValueError, match=f"tag 1 .* got '{tag}'"):
        bilou_from_iob(["O", tag])
