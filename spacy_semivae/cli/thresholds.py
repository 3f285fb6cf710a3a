"""`spacy semivae thresholds`: labels that are only given where they are sure enough."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import spacy
from spacy.cli._util import Arg, Opt, import_code, setup_gpu
from wasabi import msg

if TYPE_CHECKING:
    from ..analysis.thresholds import LabelThreshold


def thresholds_cli(
    model: str = Arg(..., help="Trained pipeline: a folder or package"),
    dev: Path = Arg(..., help="Annotated .spacy file to choose on: not the training corpus"),
    precision: float = Opt(
        ..., "--precision", "-p", help="Wanted of each label, from 0 to 1; 0 takes them off"
    ),
    output: Path | None = Opt(None, "--output", "-o", help="New folder; else MODEL is changed"),
    gpu_id: int = Opt(-1, "--gpu-id", "-g", help="GPU, or -1 for CPU"),
    code: Path | None = Opt(None, "--code", "-c", help="Python file with registered functions"),
) -> None:
    """Choose and save for each label the lowest threshold with a precision on held-out Docs.
    Entities below it go to doc.spans["<name>_candidates"]; of texts see the documentation.
    """
    from ..analysis.thresholds import set_thresholds
    from ..analysis.trust import check_output, predict_corpus, save

    try:
        check_output(model, output)
        import_code(code)
        setup_gpu(gpu_id, silent=True)
        nlp = spacy.load(model)
        found = set_thresholds(nlp, predict_corpus(nlp, dev), precision)
        folder = save(nlp, model, output)
    except (OSError, ValueError) as error:
        msg.fail("Cannot choose thresholds", str(error), exits=1)
    for name, rows in found.items():
        show(name, rows, precision)
    msg.good(f"Saved {folder}")


def show(name: str, found: Sequence["LabelThreshold"], precision: float) -> None:
    """Print the thresholds of a component.

    name (str): The component.
    found (Sequence[LabelThreshold]): One a label.
    precision (float): What was wanted.
    """
    msg.divider(name)
    rows = [
        (
            row.label,
            f"{row.threshold:.4f}",
            f"{row.kept}/{row.predicted}",
            share(row.right, row.predicted),
            share(row.right_kept, row.kept),
            share(row.right_kept, row.right),
        )
        for row in found
    ]
    header = ("label", "threshold", "kept", "precision % before", "after", "right ones kept %")
    msg.table(rows, header=header, divider=True, aligns=("l", *"rrrrr"))
    for row in found:
        if not row.reached:
            msg.warn(
                f"{row.label}: no threshold reaches a precision of {precision:g} on "
                f"{row.predicted} predictions; with {row.threshold:g} none of them is given"
            )


def share(part: int, whole: int) -> str:
    """RETURNS (str): A percentage, "-" of nothing."""
    return f"{100 * part / whole:.1f}" if whole else "-"
