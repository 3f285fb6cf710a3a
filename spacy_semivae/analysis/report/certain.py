"""A section on the texts that a component is most and least certain of."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from markupsafe import Markup
from spacy import displacy
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import minibatch

from ...labels import SpanLabels
from ...pipeline.base import SemiSupervisedPipe
from ...pipeline.crf_vae import CRFVAEPipe
from ...pipeline.text_labels import TextLabels
from ..reliability import BATCH, find_spans, predict_classes, read_gold
from .blocks import Section, Texts

SHOWN = 5  # texts of each kind
MAX_TOKENS = 60  # of a text that is shown
OTHERS = 3  # likely spans that are no entity
TINTS = ("#cfe5f5", "#fde3b0", "#bfe8da", "#f3d6e6", "#d9eefb", "#fbd2bd", "#e3e3e3", "#f6f0a8")
TEMPLATE = (
    '<mark class="entity {state}" style="background: {bg}">{text}'
    "<span>{label}{kb_link}</span></mark>"
)


@dataclass(frozen=True)
class Mark:
    """A part of a Doc with its label."""

    start: int  # first token
    end: int  # token after the last
    label: str
    probability: float
    right: bool


@dataclass(frozen=True)
class Described:
    """What is said of a Doc: a line about it, and what is marked in it."""

    line: str
    marks: Sequence[Mark]


def show_certain(pipe: SemiSupervisedPipe, examples: Sequence[Example]) -> Section:
    """Show the texts with the least and the most entropy.

    pipe (SemiSupervisedPipe): The component.
    examples (Sequence[Example]): Predicted and annotated Docs.
    RETURNS (Section): The texts with probabilities.
    """
    H = measure_entropy(pipe, [eg.predicted for eg in examples])
    order = sorted(range(len(examples)), key=lambda i: H[i])
    sure = order
    if isinstance(pipe.scheme, SpanLabels):  # texts without an entity tell nothing
        sure = [i for i in order if examples[i].predicted.ents] or order
    tints = {label: TINTS[i % len(TINTS)] for i, label in enumerate(pipe.labels)}
    blocks = []
    for title, places in {"Least certain": order[::-1], "Most certain": sure}.items():
        places = places[:SHOWN]
        said = describe(pipe, [examples[i] for i in places])
        lines = [f"{H[i]:.3f} nats{said.line}" for i, said in zip(places, said)]
        drawn = [draw(examples[i].predicted, said.marks, tints) for i, said in zip(places, said)]
        blocks.append(Texts(title, list(zip(lines, drawn))))
    unit = "text" if isinstance(pipe.scheme, TextLabels) else "token"
    lead = (
        f"By the entropy of the prediction per {unit}. Beside a label stands its probability; "
        "what is not as annotated has a dashed frame."
    )
    return Section("Most and least certain Docs", lead, blocks)


def measure_entropy(pipe: Any, docs: Sequence[Doc]) -> list[float]:
    """Measure how unsure a component is.

    pipe (SemiSupervisedPipe): The component.
    docs (Sequence[Doc]): Docs with at least a token, not changed.
    RETURNS (list[float]): Nats a token, of a text classifier nats a text; a CRF's entropy is that
        of the whole sequence, shared among its tokens.
    """
    output: list[float] = []
    for some in minibatch(docs, BATCH):
        if isinstance(pipe, CRFVAEPipe):
            output += [h / len(doc) for h, doc in zip(pipe.predict_entropy(some), some)]
        else:
            for _, P in predict_classes(pipe, some):
                output.append(float(-(P * np.log(np.maximum(P, 1e-12))).sum(1).mean()))
    return output


def describe(pipe: SemiSupervisedPipe, examples: Sequence[Example]) -> list[Described]:
    """Say what is predicted.

    pipe (SemiSupervisedPipe): The component.
    examples (Sequence[Example]): Predicted and annotated Docs.
    RETURNS (list[Described]): Of each Doc.
    """
    docs = [eg.predicted for eg in examples]
    if isinstance(pipe.scheme, SpanLabels):
        found = find_spans(pipe, docs)
        return [describe_entities(eg, spans) for eg, spans in zip(examples, found)]
    tell = describe_class if isinstance(pipe.scheme, TextLabels) else describe_tokens
    return [tell(pipe, eg, *found) for eg, found in zip(examples, predict_classes(pipe, docs))]


def describe_entities(example: Example, spans: dict[tuple[int, int, str], float]) -> Described:
    """RETURNS (Described): Entities, and other spans that are likely."""
    rest, marks = dict(spans), []
    gold = {(e.start, e.end, e.label_) for e in example.get_aligned_ents_and_ner()[0]}
    for ent in example.predicted.ents:
        key = (ent.start, ent.end, ent.label_)
        if key in rest:
            marks.append(Mark(*key, rest.pop(key), key in gold))
    likely = sorted(rest.items(), key=lambda item: -item[1])[:OTHERS]
    doc = example.predicted
    others = [f"{doc[i:j].text} {label} {p:.2f}" for (i, j, label), p in likely]
    return Described(f" · also possible: {', '.join(others)}" if others else "", marks)


def describe_tokens(pipe: SemiSupervisedPipe, example: Example, ids: Any, P: Any) -> Described:
    """RETURNS (Described): Tokens with their tags."""
    names, gold = pipe.scheme.names, read_gold(pipe, example)
    marks = [
        Mark(token, token + 1, names[i], float(P[token, i]), gold[token] in (None, names[i]))
        for token, i in enumerate(ids)
    ]
    return Described("", marks)


def describe_class(pipe: SemiSupervisedPipe, example: Example, ids: Any, P: Any) -> Described:
    """RETURNS (Described): The class that is found, and the annotated one if it is another."""
    (gold,), found = read_gold(pipe, example), pipe.scheme.names[ids[0]]
    note = "" if gold in (None, found) else f", annotated as {gold}"
    return Described(f" · {found} {P[0, ids[0]]:.2f}{note}", [])


def draw(doc: Doc, marks: Sequence[Mark], tints: dict[str, str]) -> Markup:
    """Mark up a text by displaCy.

    doc (Doc): The Doc; what follows `MAX_TOKENS` is left out.
    marks (Sequence[Mark]): What is marked.
    tints (dict[str, str]): Colours of labels.
    RETURNS (Markup): HTML. Text is escaped by displaCy, labels, which it takes as they are, here.
    """
    ents = [
        {
            "start": doc[mark.start].idx,
            "end": doc[mark.end - 1].idx + len(doc[mark.end - 1]),
            "label": mark.label,
            "params": {
                "label": f"{escape(mark.label)}&nbsp;{mark.probability:.2f}",
                "bg": tints.get(mark.label, TINTS[-1]),
                "state": "" if mark.right else "wrong",
            },
        }
        for mark in marks
        if mark.end <= MAX_TOKENS
    ]
    cut = " …" if len(doc) > MAX_TOKENS else ""
    data = {"text": doc[:MAX_TOKENS].text + cut, "ents": ents}
    options = {"template": TEMPLATE}
    return Markup(displacy.render(data, style="ent", manual=True, options=options, jupyter=False))
