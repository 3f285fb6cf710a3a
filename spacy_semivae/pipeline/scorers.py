"""Scorers of the components, as registered functions."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from spacy.scorer import Scorer
from spacy.training import Example
from spacy.util import registry


@registry.scorers("semivae.token_scorer.v1")
def make_token_scorer(attr: str = "tag") -> Callable[..., dict[str, Any]]:
    """Create a scorer of a token attribute.

    attr (str): "tag", "pos" or "morph".
    RETURNS (Callable): Examples to {"<attr>_acc": accuracy}; tokens without annotation are skipped.
    """
    return partial(score_tokens, attr)


def score_tokens(attr: str, examples: Iterable[Example], **settings: Any) -> dict[str, Any]:
    """Score a token attribute.

    attr (str): "tag", "pos" or "morph".
    examples (Iterable[Example]): Predicted and reference Docs.
    settings (Any): What spaCy hands to every scorer; not used.
    RETURNS (dict[str, Any]): {"<attr>_acc": accuracy}.
    """
    return Scorer.score_token_attr(examples, attr)
