"""`spacy semivae calibrate`: probabilities of a trained pipeline that mean what they say."""

from pathlib import Path
from typing import TYPE_CHECKING

import spacy
from spacy.cli._util import Arg, Opt, import_code, setup_gpu
from wasabi import msg

if TYPE_CHECKING:
    from ..analysis.calibrate import Calibration


def calibrate_cli(
    model: str = Arg(..., help="Trained pipeline: a folder or package"),
    dev: Path = Arg(..., help="Annotated .spacy file to fit on: not the training corpus"),
    output: Path | None = Opt(None, "--output", "-o", help="New folder; else MODEL is changed"),
    test: Path | None = Opt(None, "--test", "-t", help="Annotated .spacy file to measure on"),
    gpu_id: int = Opt(-1, "--gpu-id", "-g", help="GPU, or -1 for CPU"),
    code: Path | None = Opt(None, "--code", "-c", help="Python file with registered functions"),
) -> None:
    """Fit one temperature for each component and save it; no predicted label changes."""
    from ..analysis.calibrate import calibrate
    from ..analysis.trust import check_output, predict_corpus, save

    try:
        check_output(model, output)
        import_code(code)
        setup_gpu(gpu_id, silent=True)
        nlp = spacy.load(model)
        corpora = [predict_corpus(nlp, path) for path in (dev, test) if path is not None]
        done = calibrate(nlp, *corpora)
        folder = save(nlp, model, output)
    except (OSError, ValueError) as error:
        msg.fail("Cannot calibrate the pipeline", str(error), exits=1)
    for found in done:
        show(found)
    if test is None:
        msg.info("Measured on the corpus that the temperature was fitted on: give --test another")
    msg.good(f"Saved {folder}")


def show(done: "Calibration") -> None:
    """Print what was done with a component.

    done (Calibration): What was done.
    """
    from ..analysis.calibrate import HIGH, LOW

    msg.divider(f"{done.name}: temperature {done.temperature:.3f}")
    rows = [
        (
            what,
            old.n,
            new.n,
            percent(old.ece),
            percent(new.ece),
            f"{old.brier:.4f}",
            f"{new.brier:.4f}",
        )
        for (what, old), new in zip(done.before.items(), done.after.values())
    ]
    header = ("", "n before", "after", "ECE % before", "after", "Brier before", "after")
    msg.table(rows, header=header, divider=True, aligns=("l", *"rrrrrr"))
    if done.at_edge:
        msg.warn(
            f"The temperature is at the edge of what is looked at, {LOW} to {HIGH}: too little "
            "annotation, or none of it predicted wrong"
        )


def percent(value: float) -> str:
    """RETURNS (str): A percentage of two digits."""
    return f"{100 * value:.2f}"
