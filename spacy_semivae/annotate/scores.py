"""Probabilities of the entities that recognizers of this package predict."""

from collections.abc import Sequence

from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup

from ..pipeline.crf_vae_ner import CRFVAENer
from ..pipeline.ner import multiply_tags
from ..pipeline.vsl import VSLNer
from .rows import SpanKey

Scores = dict[SpanKey, float]


class EntityScorer:
    """Reads the probabilities that recognizers give while they annotate.

    nlp (Language): The pipeline; a `vsl_ner` in it is set to keep the probabilities of its tags.
    """

    def __init__(self, nlp: Language) -> None:
        pipes = [pipe for _, pipe in nlp.pipeline]
        self.crf = [pipe for pipe in pipes if isinstance(pipe, CRFVAENer)]
        self.vsl = [pipe for pipe in pipes if isinstance(pipe, VSLNer)]
        for pipe in self.vsl:
            pipe.store_probabilities = True

    def __bool__(self) -> bool:
        """RETURNS (bool): Whether any recognizer gives probabilities."""
        return bool(self.crf or self.vsl)

    def score(self, docs: Sequence[Doc]) -> list[Scores]:
        """Find the probabilities of entities.

        docs (Sequence[Doc]): Annotated Docs; the entities of a `vsl_ner` are stored with their
            probabilities in a span group of its name, as `crf_vae_ner` does.
        RETURNS (list[dict]): Probabilities by start, end and label.
        """
        found: list[Scores] = [{} for _ in docs]
        for tagger in self.vsl:
            for doc, scores in zip(docs, found):
                scores.update(score_by_tags(tagger, doc))
        for pipe in self.crf:
            for doc, scores in zip(docs, found):
                scores.update(read_group(doc, pipe.spans_key))
            score_rest(pipe, docs, found)
        return found


def read_group(doc: Doc, key: str) -> Scores:
    """Read the probabilities of a span group.

    doc (Doc): The Doc.
    key (str): The group.
    RETURNS (dict): Probabilities by start, end and label.
    """
    group = doc.spans.get(key, ())
    scores = group.attrs.get("scores", ()) if group else ()
    return {(s.start, s.end, s.label_): float(p) for s, p in zip(group, scores)}


def score_rest(pipe: CRFVAENer, docs: Sequence[Doc], found: Sequence[Scores]) -> None:
    """Compute the probabilities of entities that are not in the pipe's span group.

    With a threshold the group leaves out entities of the best path that are less probable.

    pipe (CRFVAENer): The recognizer.
    docs (Sequence[Doc]): Annotated Docs.
    found (Sequence[dict]): Probabilities of each Doc; gains those that were missing.
    """
    missing = [
        [ent for ent in doc.ents if key_of(ent) not in scores and ent.label_ in pipe.labels]
        for doc, scores in zip(docs, found)
    ]
    places = [i for i, ents in enumerate(missing) if ents]
    if not places:
        return
    rows = [[to_row(ent, pipe.labels) for ent in missing[i]] for i in places]
    P = pipe.posterior([docs[i] for i in places]).span_probabilities(rows)
    for i, probabilities in zip(places, P):
        found[i].update(zip(map(key_of, missing[i]), probabilities.tolist()))


def score_by_tags(pipe: VSLNer, doc: Doc) -> Scores:
    """Multiply the probabilities of an entity's tags: given the text they are independent.

    pipe (VSLNer): The recognizer.
    doc (Doc): An annotated Doc.
    RETURNS (dict): Probabilities by start, end and label.
    """
    P = doc.user_data[f"{pipe.name}_probabilities"]
    ents = [ent for ent in doc.ents if ent.label_ in pipe.labels]
    scores = multiply_tags(P, [to_row(ent, pipe.labels) for ent in ents])
    doc.spans[pipe.name] = SpanGroup(doc, name=pipe.name, attrs={"scores": scores}, spans=ents)
    return dict(zip(map(key_of, ents), scores.tolist()))


def key_of(span: Span) -> SpanKey:
    """RETURNS (tuple): Start, end and label."""
    return (span.start, span.end, span.label_)


def to_row(span: Span, labels: Sequence[str]) -> tuple[int, int, int]:
    """RETURNS (tuple): Start, end and index of the label."""
    return (span.start, span.end, labels.index(span.label_))
