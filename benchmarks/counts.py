"""Score a test set and count what is right in each Doc: what every benchmark script shares."""

from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example


def predict(nlp: Language, path: str | Path) -> list[Example]:
    """Annotate the Docs of a file anew, with the file's own tokens.

    nlp (Language): The pipeline.
    path (str | Path): A .spacy file.
    RETURNS (list[Example]): Predicted and gold Docs.
    """
    docs = list(DocBin().from_disk(path).get_docs(nlp.vocab))
    bare = [
        Doc(nlp.vocab, [t.text for t in doc], [bool(t.whitespace_) for t in doc]) for doc in docs
    ]
    return [Example(doc, gold) for doc, gold in zip(nlp.pipe(bare), docs)]


def test(examples: list[Example], metric: str) -> dict[str, Any]:
    """Score the test set, and count what is right in each Doc for paired tests.

    examples (list[Example]): Predicted and gold Docs.
    metric (str): "ents_f", "cats_score", or "tag_acc", "pos_acc" and so on.
    RETURNS (dict): The score ("test") and the counts of each Doc ("counts").
    """
    if metric == "ents_f":
        counts = [entity_counts(eg) for eg in examples]
        right, predicted, gold = (sum(column) for column in zip(*counts))
        score = 2 * right / max(1, predicted + gold)
    else:
        attr = metric.split("_")[0]
        is_text = attr == "cats"
        counts = [text_counts(eg) if is_text else token_counts(eg, attr) for eg in examples]
        right, known = (sum(column) for column in zip(*counts))
        score = right / known
    return {"test": score, "counts": counts}


def text_counts(eg: Example) -> tuple[int, int]:
    """Count whether the most probable class of a Doc is right."""
    predicted, gold = eg.predicted.cats, eg.reference.cats
    return int(max(predicted, key=predicted.__getitem__) == max(gold, key=gold.__getitem__)), 1


def token_counts(eg: Example, attr: str) -> tuple[int, int]:
    """Count right tokens and annotated tokens of a Doc."""
    pairs = zip(eg.predicted.to_array(attr), eg.reference.to_array(attr))
    found = [bool(p == g) for p, g in pairs if g]
    return sum(found), len(found)


def entity_counts(eg: Example) -> tuple[int, int, int]:
    """Count right, predicted and gold entities of a Doc."""
    predicted = {(e.start, e.end, e.label) for e in eg.predicted.ents}
    gold = {(e.start, e.end, e.label) for e in eg.reference.ents}
    return len(predicted & gold), len(predicted), len(gold)
