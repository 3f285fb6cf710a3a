"""The page itself: what there is to show of a trained pipeline, as one file of HTML."""

import base64
import gzip
from collections.abc import Callable, Sequence

from jinja2 import Environment, PackageLoader
from plotly.offline import get_plotlyjs
from spacy.training import Example

from ...pipeline.base import SemiSupervisedPipe
from .blocks import Chapter, Note, Section, percent
from .certain import show_certain
from .generated import show_generated
from .latents import show_latents
from .quality import (
    compare,
    measure_both,
    show_confusion,
    show_facts,
    show_labels,
    show_reliability,
)
from .settings import show_settings
from .source import BEST, LAST, Source
from .training import show_discrimination, show_scores, show_terms, show_units


def make_chapters(
    source: Source, projection: str, seed: int, progress: Callable[[str], None]
) -> list[Chapter]:
    """Gather all there is to show.

    source (Source): The pipeline, its log and dev Docs.
    projection (str): "tsne" or "pca".
    seed (int): Of all choices.
    progress (Callable): Is told what is done next.
    RETURNS (list[Chapter]): The run's scores, a chapter for each component, and the settings.
    """
    chapters = [Chapter("Training", sections=[show_scores(source)])]
    for pipe in source.pipes:
        progress(f"looking at {pipe.name}")
        chapters.append(describe(source, pipe, projection=projection, seed=seed))
    return [*chapters, show_settings(source)]


def describe(source: Source, pipe: SemiSupervisedPipe, *, projection: str, seed: int) -> Chapter:
    """Show a component.

    source (Source): The pipeline, its log and dev Docs.
    pipe (SemiSupervisedPipe): The component.
    projection (str): "tsne" or "pca".
    seed (int): Of all choices.
    RETURNS (Chapter): How it learned, and how good it is where dev Docs are annotated.
    """
    factory = source.nlp.get_pipe_meta(pipe.name).factory
    learned = [
        show_terms(source, pipe.name),
        show_units(source, pipe),
        *show_discrimination(source, pipe),
    ]
    facts: list[tuple[str, str]] = []
    what = f"Left out: no Doc of {source.dev} has annotation for this component."
    quality = [Section("Quality", blocks=[Note(what)])]
    if examples := [eg for eg in source.examples if pipe.is_labeled(eg)]:
        facts = show_facts(pipe, source.scores)
        quality = assess(pipe, examples, facts)
        quality.append(show_latents(pipe, examples, method=projection, seed=seed))
        quality.append(show_certain(pipe, examples))
    sections = [*learned, *quality, *show_generated(pipe, seed=seed)]
    return Chapter(pipe.name, f"{factory}, {len(pipe.labels)} labels", facts, sections)


def assess(
    pipe: SemiSupervisedPipe, examples: Sequence[Example], facts: list[tuple[str, str]]
) -> list[Section]:
    """Show how good and how well calibrated a component is.

    pipe (SemiSupervisedPipe): The component.
    examples (Sequence[Example]): Predicted and annotated Docs.
    facts (list[tuple[str, str]]): Gains the calibration error of all that counts.
    RETURNS (list[Section]): The sections.
    """
    gold, found = compare(pipe, examples)
    reliability = measure_both(pipe, examples)
    *_, now = reliability.values()
    *_, bins = now.values()
    facts.append(("ECE", percent(bins.ece)))
    return [
        show_labels(pipe, examples, gold, found),
        show_confusion(gold, found),
        show_reliability(pipe, reliability),
    ]


def render(source: Source, chapters: Sequence[Chapter]) -> str:
    """Write the page.

    source (Source): The pipeline.
    chapters (Sequence[Chapter]): Its parts.
    RETURNS (str): HTML that needs no other file and no network.
    """
    # the texts are other people's: all of them are escaped
    env = Environment(loader=PackageLoader(__package__), autoescape=True, trim_blocks=True)
    env.lstrip_blocks = True
    # Plotly's own file is nearly 5 MB; a browser unpacks a third of it
    plotly = base64.b64encode(gzip.compress(get_plotlyjs().encode("utf8"), 9)).decode("ascii")
    folder = source.folder.resolve()
    title = folder.parent.name if folder.name in (BEST, LAST) else folder.name
    template = env.get_template("page.html.jinja")
    return template.render(title=title, chapters=chapters, plotly=plotly)
