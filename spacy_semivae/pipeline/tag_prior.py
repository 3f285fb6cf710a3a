"""The prior p(y_i) of the tags of a CRF-VAE."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy
from numpy.typing import NDArray
from spacy.tokens import Doc

OUTSIDE = 2  # value of ENT_IOB
PriorSetting = str | dict[str, float]


def count_tags(doc: Doc, attr: str) -> Counter[str]:
    """Count the tags of a Doc that is annotated in full.

    doc (Doc): The Doc.
    attr (str): "ents" for BILOU tags, or "tag", "pos", "morph".
    RETURNS (Counter[str]): Occurrences by tag; empty where any token lacks the annotation, as a
        blocked one does.
    """
    counts: Counter[str] = Counter()
    if attr != "ents":
        values = doc.to_array(attr).tolist()
        return counts if 0 in values else Counter(doc.vocab.strings[value] for value in values)
    outside = int((doc.to_array("ent_iob") == OUTSIDE).sum())
    if outside + sum(map(len, doc.ents)) < len(doc):
        return counts
    for ent in doc.ents:
        edges = ["U"] if len(ent) == 1 else ["B", "L"]
        counts.update(f"{letter}-{ent.label_}" for letter in edges)
        if len(ent) > 2:
            counts[f"I-{ent.label_}"] += len(ent) - 2
    return counts + Counter({"O": outside})  # none of zero


def make_prior(
    setting: PriorSetting,
    names: Sequence[str],
    counts: Mapping[str, int],
    *,
    outside: float | None,
) -> NDArray[numpy.float64]:
    """Give the prior of every tag.

    setting (PriorSetting): "empirical" (fully annotated Docs, add-one smoothing), "simple" (half
        on O and the rest evenly; uniform without O), probabilities by tag, or "auto": empirical
        where there are fully annotated Docs, else the expected share on O and the rest evenly.
    names (Sequence[str]): The tags.
    counts (Mapping[str, int]): Occurrences in fully annotated Docs.
    outside (float | None): The share of O that is expected; None where there is no tag O.
    RETURNS (ndarray): Probabilities that add up to 1, (C,).
    RAISES (ValueError): For an unknown setting, "empirical" without fully annotated Docs, and a
        table that lacks a tag, has another one, or does not add up to 1.
    """
    known = sum(counts.values()) > 0
    if setting == "auto":
        setting = "empirical" if known else "expected"
    if setting in ("simple", "expected"):
        first = outside if setting == "expected" or outside is None else 0.5
        return spread_evenly(len(names), first)
    if setting == "empirical":
        if not known:
            raise ValueError(
                'prior = "empirical" needs fully annotated Docs, but there are none: take '
                '"auto", "simple" or a table of probabilities'
            )
        found = numpy.array([counts.get(name, 0) + 1.0 for name in names])
        return found / found.sum()
    if not isinstance(setting, Mapping):
        raise ValueError(
            f'prior must be "auto", "empirical", "simple" or a table, but got {setting!r}'
        )
    return read_table(setting, names)


def spread_evenly(size: int, first: float | None) -> NDArray[numpy.float64]:
    """Give the first tag its share and all others the same.

    size (int): Tags.
    first (float | None): The share; None for none of its own.
    RETURNS (ndarray): Probabilities, (C,).
    """
    if first is None or size < 2:
        return numpy.full(size, 1 / size)
    return numpy.array([first, *[(1 - first) / (size - 1)] * (size - 1)])


def read_table(
    setting: Mapping[str, float], names: Sequence[str], *, what: str = "tag"
) -> NDArray[numpy.float64]:
    """Read probabilities by name.

    setting (Mapping[str, float]): The probabilities.
    names (Sequence[str]): The tags or labels.
    what (str): What has a name, for messages.
    RETURNS (ndarray): Probabilities that add up to 1, (C,).
    RAISES (ValueError): When a name is missing or unknown, or they do not add up to 1.
    """
    wrong = sorted(set(setting) ^ set(names))
    table = numpy.array([float(setting.get(name, 0)) for name in names])
    if wrong or (table <= 0).any() or abs(table.sum() - 1) > 1e-3:
        raise ValueError(
            f"a prior must give each {what} a positive probability, 1 in all: it adds up to "
            f"{table.sum():.4f}, and the {what}s {wrong[:10]} are missing or unknown"
        )
    return table / table.sum()
