"""What a page is made of: sections of plots, tables, notes and texts; `templates` draw them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from markupsafe import Markup


@dataclass(frozen=True)
class Plot:
    """A figure.

    figure (Figure): Plotly's; colours of paper and text are the page's.
    label (str): What it shows, in a sentence, for those who do not see it.
    title (str): Above the figure; empty for none.
    caption (str): Below it.
    size (str): "full", "half" or "small": how many stand beside one another where there is room.
    """

    kind: ClassVar[str] = "plot"
    figure: Any
    label: str
    title: str = ""
    caption: str = ""
    size: str = "full"

    @property
    def json(self) -> str:
        """RETURNS (str): The figure; Plotly writes "<" and "/" so that no script can end early."""
        return self.figure.to_json()


@dataclass(frozen=True)
class Table:
    """Rows of text.

    header (Sequence[str]): Names of the columns.
    rows (Sequence[Sequence[str]]): The cells.
    caption (str): What the rows are.
    size (str): As of a plot.
    texts (int): Columns, from the left, that are no numbers.
    folded (bool): Whether it is shown on request only.
    """

    kind: ClassVar[str] = "table"
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str
    size: str = "full"
    texts: int = 1
    folded: bool = False


@dataclass(frozen=True)
class Note:
    """A plain line: what is left out and why, or a warning."""

    kind: ClassVar[str] = "note"
    text: str
    warning: bool = False


@dataclass(frozen=True)
class Texts:
    """Marked up texts below one another.

    title (str): What they have in common.
    texts (Sequence[tuple[str, Markup]]): A line about each text, and the text.
    """

    kind: ClassVar[str] = "texts"
    title: str
    texts: Sequence[tuple[str, Markup]]


Block = Plot | Table | Note | Texts


@dataclass(frozen=True)
class Section:
    """A part of the page.

    title (str): The heading.
    lead (str): A sentence on what is to be seen.
    blocks (Sequence[Block]): The content.
    """

    title: str
    lead: str = ""
    blocks: Sequence[Block] = ()


@dataclass(frozen=True)
class Chapter:
    """Sections about one subject, such as a component; `facts` are its figures in short."""

    title: str
    lead: str = ""
    facts: Sequence[tuple[str, str]] = ()
    sections: Sequence[Section] = field(default_factory=list)


def percent(value: float | None, digits: int = 1) -> str:
    """RETURNS (str): A share in percent, a hyphen where there is none."""
    return "-" if value is None else f"{100 * value:.{digits}f}"
