"""Sections about a run: its score, its loss terms, the units of its latents."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...pipeline.base import SemiSupervisedPipe
from ...pipeline.collapse import COLLAPSED as COLLAPSED_SHARES
from ...pipeline.latents import ACTIVE, COLLAPSED, MATURE
from ...pipeline.ssvae import SSVAETextcat
from ...pipeline.vsl import VSLPipe
from ...training.log_file import Row
from .blocks import Block, Note, Plot, Section, percent
from .generated import lack_of_generator
from .plots import draw_lines, draw_units
from .source import Source

NO_LOG = (
    "Left out: there is no log {log}. Train with [training.logger] @loggers = "
    '"semivae.Logger.v1" to have one.'
)
CLASSIFIED, UNIT_KL, DISCRIMINATION = "cats_micro_f", "cats_unit_kl", "cats_discrimination"
WORDS = {"kl": "KL", "o": "O"}


def show_scores(source: Source) -> Section:
    """Show the scores of the evaluations.

    source (Source): The run.
    RETURNS (Section): A plot, or why there is none.
    """
    title = "Score over time"
    rows = [row for row in source.rows if row.get("score") is not None]
    if not rows:
        return Section(title, blocks=[Note(NO_LOG.format(log=source.log))])
    steps = [row["step"] for row in rows]
    lines = {"score": (steps, [100 * row["score"] for row in rows])}
    weights = source.config["training"]["score_weights"]
    for name in (name for name, weight in weights.items() if weight):
        values = [row["scores"].get(name) for row in rows]
        if any(isinstance(value, int | float) for value in values):
            lines[name] = (steps, [None if v is None else 100 * v for v in values])
    unlike = {n: line for n, line in lines.items() if n == "score" or line != lines["score"]}
    best = max(rows, key=lambda row: row["score"])
    label = f"The score over {len(rows)} evaluations, best at step {best['step']}"
    lead = f"Best at step {best['step']}: {percent(best['score'], 2)} of 100."
    plot = Plot(draw_lines(unlike, unit="percent"), label)
    return Section(title, lead, [plot])


def show_terms(source: Source, name: str) -> Section:
    """Show every loss term of a component.

    source (Source): The run.
    name (str): The component.
    RETURNS (Section): A small plot each, or why there is none.
    """
    title = "Loss terms"
    series = read_series(source, name)
    if not series:
        return Section(title, blocks=[Note(NO_LOG.format(log=source.log))])
    rows = [row for row in source.rows if name in row["losses"]]
    last = (rows[-1].get("weights") or {}).get(name) or {}
    blocks: list[Block] = []
    for term, (steps, values) in series.items():
        head = "Loss" if not term else name_term(term)
        caption = f"weight {last[term]:.3g} at the end" if term in last else ""
        if term and last and term not in last:
            caption = "watched, not part of the loss"
        figure = draw_lines({head: (steps, values)}, unit="", small=True)
        label = f"{head} of {name} over {len(steps)} points, last {values[-1] or 0:.4g}"
        blocks.append(Plot(figure, label, head, caption, "small"))
    lead = "Means per step since the point before, in nats; the loss is the weighted sum."
    return Section(title, lead, blocks)


def read_series(source: Source, name: str) -> dict[str, tuple[list[int], list[float | None]]]:
    """Read what the log says of a component.

    source (Source): The run.
    name (str): The component.
    RETURNS (dict): Steps and values by term, "" for the weighted sum.
    """
    others = [other for other, _ in source.nlp.pipeline if other.startswith(f"{name}_")]
    found: dict[str, tuple[list[int], list[float | None]]] = {}
    for row in source.rows:
        for key, value in row["losses"].items():
            mine = key == name or key.startswith(f"{name}_")
            if mine and not any(key == o or key.startswith(f"{o}_") for o in others):
                steps, values = found.setdefault(key[len(name) + 1 :], ([], []))
                steps.append(row["step"])
                values.append(value)
    return found


def name_term(term: str) -> str:
    """RETURNS (str): A loss term as a heading, such as "Unlabeled KL"."""
    words = [WORDS.get(word, word) for word in term.split("_")]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


def show_units(source: Source, pipe: SemiSupervisedPipe) -> Section:
    """Show what the units of a latent carry while it is trained.

    source (Source): The run.
    pipe (SemiSupervisedPipe): The component.
    RETURNS (Section): The KL of each unit, their number and a warning, or why there are none.
    """
    title = "Latent units over training"
    if isinstance(pipe, VSLPipe):
        key, per = f"{pipe.name}_unit_kl", "token"
    elif isinstance(pipe, SSVAETextcat):
        key, per = UNIT_KL, "text"
    else:
        what = "Left out: the latent of a CRF-VAE is the tag sequence; it has no units."
        return Section(title, blocks=[*warn_of_shares(source, pipe.name), Note(what)])
    rows = [row for row in source.rows if (row.get("scores") or {}).get(key)]
    if not rows:
        lacking = isinstance(pipe, SSVAETextcat) and lack_of_generator(pipe)
        what = lacking or "no evaluation in the log has the KL of the units"
        return Section(title, blocks=[Note(f"Left out: {what}.")])
    steps = [row["step"] for row in rows]
    kl = np.array([row["scores"][key] for row in rows], dtype=float)
    active = (kl > ACTIVE).sum(1).tolist()
    blocks: list[Block] = [
        *warn_of_collapse(kl[-1], rows[-1], pipe.name, per),
        Plot(
            draw_units(steps, kl[:, np.argsort(kl[-1])]),
            f"Heat map of the KL of {kl.shape[1]} units over {len(steps)} evaluations",
            "KL of each unit",
            size="half",
        ),
        Plot(
            draw_lines({"active units": (steps, active)}, unit="units", zero=True),
            f"Active units over training, {active[-1]} of {kl.shape[1]} at the end",
            "Active units",
            size="half",
        ),
    ]
    lead = (
        f"{active[-1]} of {kl.shape[1]} units are active at the end: more than {ACTIVE} nats a "
        f"{per}; all together carry {kl[-1].sum():.2f} nats."
    )
    return Section(title, lead, blocks)


def warn_of_collapse(kl: Any, row: Row, name: str, per: str) -> Iterator[Note]:
    """Say when the latent carries nothing.

    kl (ndarray): Nats of each unit at the last evaluation, (Z,).
    row (dict): That evaluation.
    name (str): The component.
    per (str): What the nats are of: "text" or "token".
    YIELDS (Note): A warning, if there is cause.
    """
    weights = (row.get("weights") or {}).get(name) or {}
    # beside the reconstruction, which itself counts less in a VSL
    weight = (weights.get("kl") or 0.0) / (weights.get("reconstruction") or 1.0)
    if kl.sum() < COLLAPSED and weight >= MATURE:
        dropout = " raise word_dropout," if per == "text" else ""
        yield Note(
            f"Posterior collapse: all units together carry {kl.sum():.3g} nats a {per}, so that "
            f"the decoder makes no use of them. Lengthen the schedule of kl_weight,{dropout} or "
            "make the decoder smaller.",
            warning=True,
        )


def warn_of_shares(source: Source, name: str) -> Iterator[Note]:
    """Say when a recognizer has decoded O nearly everywhere or nearly nowhere.

    source (Source): The run.
    name (str): The component.
    YIELDS (Note): A warning, if there is cause.
    """
    values = [v for v in read_series(source, name).get("decoded_outside", ((), ()))[1] if v]
    low, high = COLLAPSED_SHARES
    if values and not low < values[-1] < high:
        yield Note(
            f"Collapse: in Docs without full annotation the best paths are O at "
            f"{percent(values[-1])} % of the tokens.",
            warning=True,
        )


def show_discrimination(source: Source, pipe: SemiSupervisedPipe) -> Sequence[Section]:
    """Show the discrimination index beside the accuracy of an SSVAE.

    source (Source): The run.
    pipe (SemiSupervisedPipe): The component.
    RETURNS (Sequence[Section]): A plot, or why there is none; nothing for other components.
    """
    if not isinstance(pipe, SSVAETextcat):
        return []
    title = "Discrimination index"
    rows = [row for row in source.rows if DISCRIMINATION in (row.get("scores") or {})]
    if not rows:
        what = "Left out: no evaluation in the log has the index (discrimination_docs)."
        return [Section(title, blocks=[Note(what)])]
    steps = [row["step"] for row in rows]
    names = {"accuracy": CLASSIFIED, "discrimination index": DISCRIMINATION}
    lines = {n: (steps, [100 * row["scores"][key] for row in rows]) for n, key in names.items()}
    lead = (
        "The share of texts that the generator finds likeliest with their own label, beside the "
        "classifier's accuracy: a generator that cannot tell labels apart cannot teach them."
    )
    label = f"Accuracy and discrimination index over {len(steps)} evaluations"
    return [Section(title, lead, [Plot(draw_lines(lines, unit="percent"), label)])]
