"""Makes the report; only this module can be imported without the extra `report`."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from ...training.files import replacing

FILE = "report.html"
NEEDS = ("jinja2", "plotly", "sklearn")


def make_report(
    output: str | Path,
    dev: str | Path | None = None,
    page: str | Path | None = None,
    *,
    projection: str = "tsne",
    seed: int = 0,
    progress: Callable[[str], None] = lambda what: None,
) -> Path:
    """Write a page about a trained pipeline.

    output (str | Path): What `semivae train` has written, or a pipeline in it.
    dev (str | Path | None): Annotated Docs; None for the dev corpus of the config.
    page (str | Path | None): The file; None for "report.html" in the output folder.
    projection (str): How latents are brought to the plane: "tsne" or "pca".
    seed (int): Of the choice of points and of generated texts.
    progress (Callable): Is told what is done next.
    RETURNS (Path): The file.
    RAISES (ValueError): Without a pipeline of this package or without dev Docs.
    RAISES (ImportError): Where a package of the extra `report` is missing.
    """
    check_installed()
    from .latents import METHODS
    from .page import make_chapters, render
    from .source import read_source

    if projection not in METHODS:
        raise ValueError(f"projection must be one of {', '.join(METHODS)}, got {projection!r}")
    progress("reading pipeline and dev corpus")
    source = read_source(Path(output), Path(dev) if dev else None)
    html = render(source, make_chapters(source, projection, seed, progress))
    path = Path(page) if page else Path(output) / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as stream:
        stream.write(html.encode("utf8"))
    return path


def check_installed() -> None:
    """Refuse to begin without what the page is made with.

    RAISES (ImportError): Names what to install.
    """
    missing = [name for name in NEEDS if find_spec(name) is None]
    if missing:
        raise ImportError(
            f"The report needs {', '.join(missing)}: pip install 'spacy-semivae[report]'"
        )
