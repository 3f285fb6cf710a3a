"""Score a test set and count what is right in each Doc: what every benchmark script shares."""

from pathlib import Path
from typing import Any

import numpy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example

from spacy_semivae.analysis.doc_counts import count_all_cats, count_entities, count_tokens
from spacy_semivae.analysis.paired import f1


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
    RETURNS (dict): The score ("test") and the counts of each Doc ("counts"): right, predicted and
        gold entities, or right and annotated tokens or texts.
    """
    if metric == "ents_f":
        counts = [count_entities(eg)[0] for eg in examples]
    elif metric == "cats_score":  # accuracy, as in the paper
        counts = [count_all_cats(eg, list(eg.reference.cats))[0][::2] for eg in examples]
    else:
        counts = [count_tokens(eg, metric.split("_")[0])[0][::2] for eg in examples]
    return {"test": float(f1(numpy.sum(counts, axis=0))), "counts": counts}
