"""Scorers of the components, as registered functions."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from spacy.scorer import Scorer
from spacy.tokens import Token
from spacy.training import Example
from spacy.util import registry


@dataclass(frozen=True)
class TokenScorer:
    """Score a token attribute; tokens without annotation are skipped.

    attr (str | None): "tag", "pos" or "morph"; None until the component fills in its own.
    """

    attr: str | None

    def __call__(self, examples: Iterable[Example], **settings: Any) -> dict[str, Any]:
        """Score Examples.

        examples (Iterable[Example]): Predicted and reference Docs.
        settings (Any): What spaCy hands to every scorer; not used.
        RETURNS (dict[str, Any]): {"<attr>_acc": accuracy}.
        RAISES (ValueError): Without an attribute.
        """
        if self.attr is None:
            raise ValueError("semivae.token_scorer.v1 needs attr outside of a tagger: got None")
        return Scorer.score_token_attr(examples, self.attr, getter=get_value)


def get_value(token: Token, attr: str) -> int:
    """Read a token attribute as a number, 0 where it is unset.

    token (Token): The token.
    attr (str): "tag", "pos" or "morph".
    RETURNS (int): The value; a MorphAnalysis cannot be compared with a number.
    """
    value = getattr(token, attr)
    return value.key if attr == "morph" else value


@registry.scorers("semivae.token_scorer.v1")
def make_token_scorer(attr: str | None = None) -> Callable[..., dict[str, Any]]:
    """Create a scorer of a token attribute.

    attr (str | None): "tag", "pos" or "morph"; None is the attribute that the tagger predicts.
    RETURNS (Callable): Examples to {"<attr>_acc": accuracy}; tokens without annotation are skipped.
    """
    return TokenScorer(attr)
