"""The tag schemes of entities in token columns: IOB1, IOB2, BIOES and BILOU."""

from collections.abc import Sequence
from itertools import pairwise

PREFIXES = {"B": "B", "I": "I", "L": "L", "U": "U", "E": "L", "S": "U"}


def bilou_from_iob(tags: Sequence[str]) -> list[str]:
    """Convert one sequence of IOB1, IOB2, BIOES or BILOU tags to BILOU.

    A sequence with an L, E, U or S tag states its ends and must be well-formed. In any other an
    "I-" that continues nothing opens an entity, as in IOB1.

    tags (Sequence[str]): The tags; "-" and "" are missing. A type follows the first hyphen.
    RETURNS (list[str]): BILOU tags, "-" where annotation is missing.
    RAISES (ValueError): For a malformed tag or a broken entity, with its position.
    """
    parts = [_split_tag(tag, i) for i, tag in enumerate(tags)]
    strict = any(kind in "LU" for kind, _ in parts)
    joined = [a[0] in "BI" and b[0] in "IL" and a[1] == b[1] for a, b in pairwise(parts)]
    joined = [False, *joined, False]  # whether one entity spans the edge before each tag
    output = []
    for i, (kind, type_) in enumerate(parts):
        found = "UBLI"[2 * joined[i] + joined[i + 1]] if type_ else kind
        if strict and found != kind:
            raise ValueError(f"tag {i} breaks an entity: {tags[i]!r} in {' '.join(tags)!r}")
        output.append(f"{found}-{type_}" if type_ else found)
    return output


def _split_tag(tag: str, i: int) -> tuple[str, str]:
    """One of "-OBILU", and the entity type if there is one."""
    prefix, _, type_ = tag.partition("-")
    if tag in ("", "-", "O"):
        return tag or "-", ""
    if prefix not in PREFIXES or not type_:
        raise ValueError(f"tag {i} must be O, -, or one of BILUES, a hyphen, a type: got {tag!r}")
    return PREFIXES[prefix], type_
