"""`spacy semivae generate`: texts that a trained classifier's generator writes for its labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import spacy
import srsly
from spacy.cli._util import Arg, Opt
from spacy.tokens import Doc
from wasabi import msg

from ..training.initialize import find_textcat


def generate_cli(
    model: str = Arg(..., help="Trained pipeline: a folder or package"),
    label: str | None = Opt(None, "--label", "-l", help="The class; all from the same latents"),
    n: int = Opt(5, "--n", "-n", help="Latents, each with a text of the class", min=1),
    component: str | None = Opt(None, "--component", help="The component, where there are several"),
    strategy: str = Opt("greedy", "--strategy", "-s", help="greedy, sample or beam"),
    seed: int = Opt(0, "--seed", help="Seed of latents and words"),
    max_length: int = Opt(50, "--max-length", help="Words of a text at most", min=1),
    output: Path | None = Opt(None, "--output", "-o", help="JSONL file instead of a table"),
) -> None:
    """Write texts of a class or, from the same latents, of every class."""
    try:
        pipe = find_textcat(spacy.load(model), component)
        labels = pipe.labels if label is None else [label]
        texts = {
            name: pipe.generate(name, n, seed=seed, strategy=strategy, max_length=max_length)
            for name in labels
        }
    except (OSError, ValueError) as error:
        msg.fail("Cannot write texts", str(error), exits=1)
    if output is None:
        print_texts(texts)
    else:
        save_texts(texts, output)


def print_texts(texts: Mapping[str, Sequence[Doc]]) -> None:
    """Print the texts of each latent together.

    texts (Mapping[str, Sequence[Doc]]): Texts by label, in the order of the latents.
    """
    rows = [
        (str(i) if name == next(iter(texts)) else "", name, doc.text.strip())
        for i, docs in enumerate(zip(*texts.values()))
        for name, doc in zip(texts, docs)
    ]
    msg.table(rows, header=("z", "label", "text"), divider=True, max_col=400)


def save_texts(texts: Mapping[str, Sequence[Doc]], path: Path) -> None:
    """Write the texts as JSON lines.

    texts (Mapping[str, Sequence[Doc]]): Texts by label, in the order of the latents.
    path (Path): The file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"label": name, "text": doc.text.strip(), "latent": i}
        for i, docs in enumerate(zip(*texts.values()))
        for name, doc in zip(texts, docs)
    ]
    srsly.write_jsonl(path, rows)
    msg.good(f"{len(rows)} texts: {path}")
