"""What all formats share: offsets in UTF-16, people who agree."""

import pytest

from spacy_semivae.analysis.exchange.records import (
    Answer,
    Mark,
    RecordError,
    agree,
    from_units,
    to_units,
)

TEXT = "a\U0001f600b"


@pytest.mark.parametrize(("mark", "units"), [((0, 1), (0, 1)), ((1, 2), (1, 3)), ((2, 3), (3, 4))])
def test_units_and_characters(mark, units):
    assert to_units(Mark(*mark, "X"), TEXT) == units
    assert from_units(Mark(*units, "X"), TEXT) == Mark(*mark, "X")


@pytest.mark.parametrize(("start", "end"), [(2, 3), (1, 2), (3, 5)])
def test_units_that_begin_no_character(start, end):
    with pytest.raises(RecordError, match="units of UTF-16") as caught:
        from_units(Mark(start, end, "X"), TEXT)
    assert caught.value.value == {"start": start, "end": end, "label": "X"}


def test_people_agree_in_any_order():
    one, two = Mark(0, 1, "X"), Mark(1, 2, "X")
    first = Answer(TEXT, marks=[one, two])
    assert agree([first, Answer(TEXT, marks=[two, one])], TEXT) is first
