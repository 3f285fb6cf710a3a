"""What `calibrate` and `thresholds` share: predictions on held-out Docs, and what is saved."""

from functools import partial
from pathlib import Path

from spacy.language import Language
from spacy.training import Corpus, Example

from ..pipeline.base import SemiSupervisedPipe
from ..training.files import replace_folder


def predict_corpus(nlp: Language, path: str | Path) -> list[Example]:
    """Annotate a corpus, as `spacy evaluate` does.

    nlp (Language): The pipeline.
    path (str | Path): A .spacy file or a folder of them.
    RETURNS (list[Example]): Predicted and annotated Docs.
    """
    examples = list(Corpus(path)(nlp))
    docs = nlp.pipe(eg.predicted for eg in examples)
    return [Example(doc, eg.reference) for doc, eg in zip(docs, examples)]


def find_pipes(nlp: Language) -> list[SemiSupervisedPipe]:
    """Find the components of this package.

    nlp (Language): The pipeline.
    RETURNS (list[SemiSupervisedPipe]): The components.
    RAISES (ValueError): When there is none.
    """
    found = [pipe for _, pipe in nlp.pipeline if isinstance(pipe, SemiSupervisedPipe)]
    if not found:
        raise ValueError(f"The pipeline has no component of this package: {nlp.component_names}")
    return found


def check_output(model: str, output: Path | None) -> None:
    """Refuse what `save` could not write.

    model (str): The pipeline: a folder or package.
    output (Path | None): The new folder; None for the pipeline's own.
    RAISES (ValueError): For a folder that exists, and a package without a new folder.
    """
    if output is not None and output.exists():
        raise ValueError(f"{output} exists: choose another folder")
    if output is None and not Path(model).is_dir():
        raise ValueError(f"{model} is no folder: an installed package needs --output")


def save(nlp: Language, model: str, output: Path | None) -> Path:
    """Save a pipeline in a new folder, or its components of this package in its own.

    nlp (Language): The pipeline.
    model (str): Where it was loaded from.
    output (Path | None): The new folder; None for its own, where nothing else is changed.
    RETURNS (Path): The folder.
    """
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        nlp.to_disk(output)
        return output
    for pipe in find_pipes(nlp):
        replace_folder(Path(model) / pipe.name, partial(pipe.to_disk, exclude=["vocab"]))
    return Path(model)
