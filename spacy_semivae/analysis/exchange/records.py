"""What all formats of annotation tools say: a text to be labelled, and an answer about one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

ACCEPT, REJECT, IGNORE = "accept", "reject", "ignore"
AGENT = "spacy_semivae"  # who made the predictions


class RecordError(ValueError):
    """A record that breaks its format.

    rule (str): What was expected.
    value (Any): What was found.
    """

    def __init__(self, rule: str, value: Any) -> None:
        super().__init__(rule)
        self.rule, self.value = rule, value


@dataclass(frozen=True)
class Mark:
    """A span of characters with a label: an entity, or a token with its tag."""

    start: int
    end: int  # the character behind the last
    label: str
    probability: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """RETURNS (dict[str, Any]): Characters and label."""
        return {"start": self.start, "end": self.end, "label": self.label}


@dataclass(frozen=True)
class Task:
    """A text to be labelled, and what a pipeline predicts for it."""

    text: str
    tokens: Sequence[tuple[int, int]]  # characters of each
    marks: Sequence[Mark]
    cats: Mapping[str, float]  # probability of each class; empty for marks
    meta: Mapping[str, Any] = field(default_factory=dict)  # why it was chosen, where it stands

    @property
    def best(self) -> str:
        """The most probable class."""
        return max(self.cats, key=lambda label: self.cats[label])


@dataclass(frozen=True)
class Answer:
    """What people said of a text."""

    text: str
    words: list[str] | None = None  # None leaves it to the tokenizer
    marks: Sequence[Mark] = ()
    labels: Sequence[str] = ()  # the classes chosen
    options: Sequence[str] = ()  # the classes that could be chosen
    verdict: str = ACCEPT
    reason: str = ""  # of being ignored
    asked: bool = False  # it answers whether these marks are right, not which ones there are
    is_class: bool = False  # it is about the text's class

    @classmethod
    def ignored(cls, text: str, reason: str) -> "Answer":
        """Make an answer that says nothing.

        text (str): The text.
        reason (str): Why it says nothing.
        RETURNS (Answer): The answer.
        """
        return cls(text, verdict=IGNORE, reason=reason)


def get_text(record: Mapping[str, Any], name: str = "text") -> str:
    """Read the text.

    record (Mapping): What holds it.
    name (str): Its key.
    RETURNS (str): The text.
    RAISES (RecordError): If there is none.
    """
    text = record.get(name)
    if not isinstance(text, str):
        raise RecordError(f'"{name}" must be a string', text)
    return text


def get_list(record: Mapping[str, Any], name: str) -> list[Any]:
    """Read a list that may be absent.

    record (Mapping): What holds it.
    name (str): Its key.
    RETURNS (list): The list.
    RAISES (RecordError): If it is something else.
    """
    found = record.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise RecordError(f'"{name}" must be a list', found)
    return found


def get_objects(record: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Read a list of objects that may be absent.

    record (Mapping): What holds it.
    name (str): Its key.
    RETURNS (list[dict[str, Any]]): The objects.
    RAISES (RecordError): If it is something else.
    """
    found = get_list(record, name)
    if not all(isinstance(item, dict) for item in found):
        raise RecordError(f'"{name}" must be a list of objects', found)
    return found


def get_strings(record: Mapping[str, Any], name: str) -> list[str]:
    """Read a list of strings that may be absent.

    record (Mapping): What holds it.
    name (str): Its key.
    RETURNS (list[str]): The strings.
    RAISES (RecordError): If it is something else.
    """
    found = get_list(record, name)
    if not all(isinstance(item, str) and item for item in found):
        raise RecordError(f'"{name}" must be a list of strings', found)
    return found


def make_mark(start: Any, end: Any, label: Any) -> Mark:
    """Make a mark of what a record holds.

    start (Any): First character.
    end (Any): The character behind the last.
    label (Any): The label.
    RETURNS (Mark): The mark.
    RAISES (RecordError): If it is none.
    """
    whole = type(start) is int and type(end) is int
    if not (whole and 0 <= start < end and isinstance(label, str) and label):
        rule = "a span must have integers 0 <= start < end and a label"
        raise RecordError(rule, {"start": start, "end": end, "label": label})
    return Mark(start, end, label)


def agree(answers: Iterable[Answer], text: str) -> Answer:
    """Bring together the answers of several people to one text.

    answers (Iterable[Answer]): The answers, perhaps none.
    text (str): The text.
    RETURNS (Answer): The one that all gave; an ignored one where they differ or there is none.
    """
    found = list(answers)
    given = [answer for answer in found if answer.verdict != IGNORE]
    if not given:
        return found[0] if found else Answer.ignored(text, "not annotated")
    same = all(
        set(answer.marks) == set(given[0].marks) and set(answer.labels) == set(given[0].labels)
        for answer in given
    )
    return given[0] if same else Answer.ignored(text, "annotators disagree")


def code_units(text: str) -> list[int]:
    """Give where characters stand as JavaScript counts them, in units of UTF-16.

    text (str): The text.
    RETURNS (list[int]): The offset of each character, and of the end.
    """
    return [0, *accumulate(1 + (ord(char) > 0xFFFF) for char in text)]


def from_units(mark: Mark, text: str) -> Mark:
    """Count a mark's offsets in characters.

    mark (Mark): A mark with offsets in units of UTF-16.
    text (str): The text.
    RETURNS (Mark): The mark.
    RAISES (RecordError): If it begins or ends within a character or behind the text.
    """
    places = {unit: i for i, unit in enumerate(code_units(text))}
    if mark.start not in places or mark.end not in places:
        rule = f"offsets must be units of UTF-16 that begin a character of {text!r}"
        raise RecordError(rule, mark.to_dict())
    return Mark(places[mark.start], places[mark.end], mark.label)


def to_units(mark: Mark, text: str) -> tuple[int, int]:
    """Count a mark's offsets in units of UTF-16.

    mark (Mark): The mark.
    text (str): The text.
    RETURNS (tuple[int, int]): Start and end.
    """
    units = code_units(text)
    return units[mark.start], units[mark.end]
