"""`spacy semivae prune`: a pipeline without what only training needs."""

from pathlib import Path

import spacy
from spacy.cli._util import Arg
from wasabi import msg


def prune_cli(
    model: str = Arg(..., help="Trained pipeline: a folder or package"),
    output: Path = Arg(..., help="Folder of the pruned pipeline; must not exist"),
) -> None:
    """Remove decoders and priors from a trained pipeline; its predictions stay the same."""
    from ..pipeline.base import SemiSupervisedPipe

    if output.exists():
        msg.fail(f"{output} exists: choose another folder", exits=1)
    try:
        nlp = spacy.load(model)
    except (OSError, ValueError) as error:
        msg.fail("Cannot load the pipeline", str(error), exits=1)
    pipes = [pipe for _, pipe in nlp.components if isinstance(pipe, SemiSupervisedPipe)]
    if not pipes:
        msg.fail(f"{model} has no component to prune, only {nlp.component_names}", exits=1)
    for pipe in pipes:
        pipe.prune()
    output.parent.mkdir(parents=True, exist_ok=True)
    nlp.to_disk(output)
    msg.good(f"Saved {output} with {', '.join(pipe.name for pipe in pipes)} pruned")
