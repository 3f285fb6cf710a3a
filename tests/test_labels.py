"""Label schemes: what is known stays known, what is missing stays missing."""

import random
import warnings
from itertools import pairwise, product

import numpy as np
import pytest
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_semivae.labels import (
    MISSING,
    SpanLabels,
    TokenLabels,
    is_annotated,
)

VOCAB = Vocab()


def make_doc(words, **kwargs):
    return Doc(VOCAB, words=words, **kwargs)


def make_example(reference, words=None, spaces=None):
    predicted = Doc(VOCAB, words=words or [t.text for t in reference], spaces=spaces)
    return Example(predicted, reference)


def stored(doc):
    """A Doc as it comes back from a .spacy file, in a vocabulary of its own."""
    data = DocBin(docs=[doc]).to_bytes()
    return next(iter(DocBin().from_bytes(data).get_docs(Vocab())))


def names_of(scheme, ids):
    return [None if i == MISSING else scheme.names[i] for i in ids]


ODD = ["!", ",", "-", "O", "_", "NOUN", "PERSON", "B-X", "a b"]


@pytest.mark.parametrize("through_disk", [False, True])
def test_any_string_is_a_tag(through_disk):
    reference = make_doc(["w"] * len(ODD), tags=ODD)
    example = make_example(stored(reference) if through_disk else reference)
    scheme = TokenLabels("tag")
    for label in scheme.collect([example]):
        assert scheme.add(label)
        assert not scheme.add(label)
    assert scheme.names == sorted(ODD)
    ids = scheme.encode(example)
    assert ids.dtype == np.int64
    assert names_of(scheme, ids) == ODD
    doc = Doc(Vocab(), words="w w w w w w w w w".split())
    scheme.annotate(doc, ids, overwrite=True)
    assert [token.tag_ for token in doc] == ODD


ATTRS = {
    "tag": ["NN", "", "VB"],
    "pos": ["NOUN", "", "VERB"],
    "morph": ["Case=Nom|Number=Sing", "", "Mood=Ind"],
}


@pytest.mark.parametrize("attr", ATTRS)
@pytest.mark.parametrize("through_disk", [False, True])
def test_partial_unlabeled_and_empty_docs(attr, through_disk):
    doc = make_doc(["a", "b", "c"])
    for token, value in zip(doc, ATTRS[attr]):
        if value and attr == "morph":
            token.set_morph(value)
        elif value:
            setattr(token, f"{attr}_", value)
    docs = [doc, make_doc(["a", "b"]), make_doc([])]
    examples = [make_example(stored(d) if through_disk else d) for d in docs]
    scheme = TokenLabels(attr)
    for label in scheme.collect(examples):
        scheme.add(label)
    assert scheme.names == sorted(filter(None, ATTRS[attr]))
    partial, unlabeled, empty = (scheme.encode(example) for example in examples)
    assert names_of(scheme, partial) == [value or None for value in ATTRS[attr]]
    assert unlabeled.tolist() == [MISSING] * 2
    assert empty.shape == (0,)
    assert [is_annotated(d, attr) for d in docs] == [True, False, False]
    assert scheme.allowed(examples[0]).tolist() == [[True, False], [True, True], [False, True]]
    scheme.annotate(examples[2].predicted, [], overwrite=True)


def test_empty_morph_is_a_label_and_unset_is_missing():
    doc = make_doc(["a", "b", "c"])
    doc[0].set_morph("")
    doc[2].set_morph("Number=Plur|Case=Acc")
    example = make_example(stored(doc))
    scheme = TokenLabels("morph", TokenLabels("morph").collect([example]))
    assert scheme.names == ["Case=Acc|Number=Plur", "_"]
    assert scheme.encode(example).tolist() == [1, MISSING, 0]
    assert not scheme.add("Number=Plur|Case=Acc")
    out = Doc(Vocab(), words="a b c".split())
    scheme.annotate(out, [1, 0, 0], overwrite=True)
    assert [str(token.morph) for token in out] == ["", *["Case=Acc|Number=Plur"] * 2]
    assert out[0].has_morph()
    assert out[1].morph.get("Number") == ["Plur"]


@pytest.mark.parametrize(("attr", "first", "second"), [("tag", "A", "B"), ("pos", "X", "ADJ")])
def test_token_overwrite(attr, first, second):
    scheme = TokenLabels(attr, [first, second])
    doc = make_doc(["a", "b"], **{"tags": ["A", ""], "pos": ["X", ""]})
    scheme.annotate(doc, np.array([1, 1]), overwrite=False)
    assert [getattr(token, f"{attr}_") for token in doc] == [first, second]
    scheme.annotate(doc, np.array([1, 0]), overwrite=True)
    assert [getattr(token, f"{attr}_") for token in doc] == [second, first]
    other = {"tag": "pos_", "pos": "tag_"}[attr]
    assert [getattr(token, other) for token in doc] == [{"tag": "X", "pos": "A"}[attr], ""]


def test_misaligned_tags_are_counted_and_missing():
    reference = make_doc(["New", "York", "do", "n't", "x"], tags=["P", "P", "V", "R", "X"])
    words, spaces = ["New York", "don't", "x"], [True, True, False]
    example = make_example(reference, words, spaces)
    scheme = TokenLabels("tag", ["P", "R", "V", "X"])
    with pytest.warns(UserWarning, match=r"1 of the first 3 \(33\.3%\)"):
        ids = scheme.encode(example)
    assert names_of(scheme, ids) == ["P", None, "X"]
    assert scheme.misaligned == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheme.encode(example)
        scheme.encode(make_example(make_doc(["ab", "c"]), ["a", "b", "c"]))  # nothing to lose
    assert scheme.misaligned == 2


def test_whitespace_without_a_reference_token_is_missing_and_not_counted():
    reference = make_doc(["a", "b"], tags=["X", "X"])
    scheme = TokenLabels("tag", ["X"])
    assert scheme.encode(make_example(reference, ["a", "\n", "b"])).tolist() == [0, MISSING, 0]
    assert scheme.misaligned == 0


def test_unseen_labels_are_errors():
    text = ["Zebra"] + ["w"] * 80
    example = make_example(make_doc(text, tags=["ZZ"] + ["A"] * 80, ents=["B-ANIMAL"] + ["O"] * 80))
    with pytest.raises(ValueError, match=r"'ZZ' in 'Zebra w .*\.\.\.' is none of the 2 classes"):
        TokenLabels("tag", ["A", "B"]).encode(example)
    with pytest.raises(ValueError, match=r"'ANIMAL' in 'Zebra .*\.\.\.' is none of the 5 classes"):
        SpanLabels(["LOC"]).encode(example)


@pytest.mark.parametrize(
    ("attr", "label", "message"),
    [
        ("lemma", "x", "tag, pos, morph: got 'lemma'"),
        ("tag", "", "non-empty string, got ''"),
        ("tag", 3, "non-empty string, got 3"),
        ("pos", "FOO", "'FOO' is no part of speech"),
        ("morph", "Sing", "'Sing' is no FEATS string"),
    ],
)
def test_bad_labels(attr, label, message):
    with pytest.raises(ValueError, match=message):
        TokenLabels(attr, [label])


@pytest.mark.parametrize("ids", [[0], [0, 0, 0], [0, 2], [0, MISSING]])
def test_ids_that_do_not_fit(ids):
    with pytest.raises(ValueError, match="need 2 class ids from 0 to 1"):
        TokenLabels("tag", ["A", "B"]).annotate(make_doc(["a", "b"]), ids, overwrite=True)
    with pytest.raises(ValueError, match="need 2 class ids from 0 to 0"):
        SpanLabels().decode(make_doc(["a", "b"]), ids)


def is_bilou(tags):
    """Whether tags form whole entities: read by eating one entity after another."""
    tags = list(tags)
    while tags:
        tag = tags.pop(0)
        if tag == "O" or tag.startswith("U-"):
            continue
        if not tag.startswith("B-"):
            return False
        while tags and tags[0] == f"I-{tag[2:]}":
            tags.pop(0)
        if not tags or tags.pop(0) != f"L-{tag[2:]}":
            return False
    return True


@pytest.mark.parametrize("types", [[], ["LOC"], ["creative-work", "-"]])
def test_transitions_are_the_well_formed_sequences(types):
    scheme = SpanLabels(types)
    mask, size = scheme.transitions(), len(scheme.names)
    assert size == 4 * len(types) + 1
    valid = 0
    for length in range(1, 5):
        for path in product(range(size), repeat=length):
            pairs = all(mask.pair[a, b] for a, b in pairwise(path))
            allowed = mask.start[path[0]] and pairs and mask.end[path[-1]]
            assert allowed == is_bilou([scheme.names[i] for i in path])
            valid += allowed
    assert valid >= 4


def test_token_transitions_are_free():
    mask = TokenLabels("tag", ["A", "B", "C"]).transitions()
    assert mask.start.tolist() == mask.end.tolist() == [True] * 3
    assert mask.pair.tolist() == [[True] * 3] * 3


@pytest.mark.parametrize("through_disk", [False, True])
def test_span_round_trips(through_disk):
    tags = ["B-creative-work", "I-creative-work", "I-creative-work", "O", "B-!", "B-O", "I-O"]
    doc = make_doc(list("abcdefg"), ents=tags)
    example = make_example(stored(doc) if through_disk else doc)
    scheme = SpanLabels(SpanLabels().collect([example]))
    assert scheme.types == ["!", "O", "creative-work"]
    assert scheme.names[:5] == ["O", "B-!", "I-!", "L-!", "U-!"]
    ids = scheme.encode(example)
    assert names_of(scheme, ids) == [
        *("B-creative-work", "I-creative-work", "L-creative-work"),
        *("O", "U-!", "B-O", "L-O"),
    ]
    assert scheme.allowed(example).tolist() == np.eye(13, dtype=bool)[ids].tolist()
    out = Doc(Vocab(), words="a b c d e f g".split())
    scheme.annotate(out, ids, overwrite=True)
    assert [(e.start, e.end, e.label_) for e in out.ents] == [
        (e.start, e.end, e.label_) for e in doc.ents
    ]
    assert [token.ent_iob_ for token in out] == [token.ent_iob_ for token in doc]


@pytest.mark.parametrize("through_disk", [False, True])
def test_partial_unlabeled_gold_and_empty_entities(through_disk):
    partial, unlabeled, gold = make_doc(["a", "b", "c", "d"]), make_doc(["a"]), make_doc(["a"])
    partial.set_ents([Span(partial, 1, 2, "X")], outside=[partial[3:4]], default="missing")
    gold.ents = []
    docs = [partial, unlabeled, gold, make_doc([])]
    examples = [make_example(stored(d) if through_disk else d) for d in docs]
    scheme = SpanLabels(["X"])
    found = [names_of(scheme, scheme.encode(example)) for example in examples]
    assert found == [[None, "U-X", None, "O"], [None], ["O"], []]
    assert [is_annotated(d, "ents") for d in docs] == [True, False, True, False]
    allowed = scheme.allowed(examples[0])
    assert allowed.sum(axis=1).tolist() == [5, 1, 5, 1]
    assert scheme.decode(make_doc([]), []) == []


def test_blocked_tokens_are_missing():
    doc = make_doc(["a", "b"])
    doc.set_ents([], blocked=[doc[:1]])
    assert SpanLabels(["X"]).encode(make_example(doc)).tolist() == [MISSING, 0]


# The first three: predicted words, reference words and their tags; None is missing.
ALIGNMENTS = {
    "merged with a neighbour": ("New York-based firm", "New York -based firm", "B I O O", "- - O"),
    "split entity": ("Lon don is", "London is", "B O", "B L O"),
    "split outside": ("Lon don is", "London is", "O B", "O O U"),
    "outside merged": ("ab c", "a b c", "O O B", "O U"),
    "entity merged": ("ab c", "a b c", "B I O", "U O"),
    "two entities merged": ("ab c", "a b c", "B B O", "- O"),
    "outside and missing merged": ("ab c", "a b c", "O - O", "- O"),
    "crossing ends": ("ab cd", "a bc d", "B O O", "- O"),
    "crossing, both": ("ab cd", "a bc d", "O B O", "- -"),
}


@pytest.mark.parametrize("case", ALIGNMENTS)
def test_entities_that_do_not_align_are_missing(case):
    predicted, words, tags, expected = ALIGNMENTS[case]
    ents = [{"B": "B-X", "I": "I-X", "O": "O", "-": ""}[tag] for tag in tags.split()]
    spaces = [True] * len(predicted.split())
    example = make_example(make_doc(words.split(), ents=ents), predicted.split(), spaces)
    scheme = SpanLabels(["X"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ids = scheme.encode(example)
    expected = [{"-": None, "O": "O"}.get(tag, f"{tag}-X") for tag in expected.split()]
    assert names_of(scheme, ids) == expected
    assert scheme.misaligned == expected.count(None)


def test_misaligned_entities_warn_once():
    reference = make_doc(["a", "b", "c"], ents=["B-X", "O", "O"])
    scheme = SpanLabels(["X"])
    with pytest.warns(UserWarning, match=r"entities: 1 of the first 2 \(50\.0%\) .* 'ab c"):
        scheme.encode(make_example(reference, ["ab", "c"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheme.encode(make_example(reference, ["ab", "c"]))
    assert scheme.misaligned == 2


@pytest.mark.parametrize(
    ("ents", "expected"),
    [
        (["O", "O"], ["O", "O", "O"]),
        (["B-X", "B-X"], ["U-X", "O", "U-X"]),
        (["B-X", "I-X"], [None, None, None]),
        (["", "O"], [None, None, "O"]),
        (["", ""], [None, None, None]),
    ],
)
def test_whitespace_that_the_reference_lacks(ents, expected):
    example = make_example(make_doc(["a", "b"], ents=ents), ["a", "\n", "b"], [False] * 3)
    scheme = SpanLabels(["X"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert names_of(scheme, scheme.encode(example)) == expected
    assert scheme.misaligned == (2 if ents == ["B-X", "I-X"] else 0)


def test_whitespace_that_the_reference_leaves_open():
    example = make_example(make_doc(["a", "\n", "bc"], ents=["O", "", "O"]), ["a", "\n", "b", "c"])
    assert names_of(SpanLabels(), SpanLabels().encode(example)) == ["O", None, "O", "O"]


def test_whitespace_only_tokens_of_an_empty_reference():
    example = make_example(make_doc([]), ["\n"])
    assert SpanLabels().encode(example).tolist() == [MISSING]
    assert TokenLabels("tag").encode(example).tolist() == [MISSING]


def test_random_tokenizations_agree_with_spacy():
    rng = random.Random(5)
    scheme = SpanLabels(["X", "Y"])
    states = set()

    def cut(text):
        ends = sorted({len(text), *(i for i in range(1, len(text)) if rng.random() < 0.5)})
        return [text[i:j] for i, j in zip([0, *ends], ends)]

    for _ in range(300):
        text = "".join(rng.choice("ab") for _ in range(rng.randint(1, 8)))
        words, other = cut(text), cut(text)
        tags = [rng.choice(["O", "", "B-X", "B-Y"]) for _ in words]
        for i in range(1, len(tags)):
            if tags[i - 1][2:] and rng.random() < 0.5:
                tags[i] = f"I-{tags[i - 1][2:]}"
        example = make_example(make_doc(words, ents=tags, spaces=[False] * len(words)), other)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = names_of(scheme, scheme.encode(example))
            assert found == example.get_aligned_ner()
        states.update(found)
    assert states == {None, *scheme.names}


def test_overlapping_entities_are_an_error():
    with pytest.raises(ValueError, match="overlap"):
        Example.from_dict(make_doc(["a", "b", "c"]), {"entities": [(0, 3, "X"), (2, 5, "Y")]})


def test_negatives():
    doc = make_doc(["a", "b", "c", "d"])
    assert not is_annotated(doc, "ents", key="wrong")
    doc.spans["wrong"] = [Span(doc, 0, 2, "Y"), Span(doc, 1, 3, "X"), Span(doc, 3, 4, "X")]
    assert is_annotated(doc, "ents", key="wrong")
    assert not is_annotated(doc, "ents")
    example = make_example(stored(doc))
    assert SpanLabels().collect([example]) == []
    scheme = SpanLabels(SpanLabels().collect([example], key="wrong"))
    assert scheme.negatives(example, "wrong") == [(0, 2, 1), (1, 3, 0), (3, 4, 0)]
    assert scheme.negatives(example, None) == scheme.negatives(example, "other") == []
    assert scheme.encode(example).tolist() == [MISSING] * 4
    merged = make_example(doc, ["ab", "c", "d"], [True] * 3)
    merged.reference = make_doc(["a", "b", "c", "d"], spaces=[False, True, True, True])
    merged.reference.spans["wrong"] = [
        Span(merged.reference, *s) for s in [(0, 2, "Y"), (1, 3, "X")]
    ]
    with pytest.warns(UserWarning, match="2 of the first"):
        assert scheme.negatives(merged, "wrong") == [(0, 1, 1)]
    assert scheme.misaligned == 2


def test_contradicting_and_unknown_negatives_are_errors():
    doc = make_doc(["a", "b"], ents=["B-X", "O"])
    doc.spans["wrong"] = [Span(doc, 0, 1, "X")]
    doc.spans["unknown"] = [Span(doc, 0, 1, "Q")]
    doc.spans["fine"] = [Span(doc, 0, 2, "X")]
    scheme = SpanLabels(["X"])
    with pytest.raises(ValueError, match=r"'a' \(X\) in 'a b .* rejected in 'wrong'"):
        scheme.negatives(make_example(doc), "wrong")
    with pytest.raises(ValueError, match="'Q'"):
        scheme.negatives(make_example(doc), "unknown")
    assert scheme.negatives(make_example(doc), "fine") == [(0, 2, 0)]


def test_span_overwrite():
    scheme = SpanLabels(["X", "Y"])
    ids = [scheme.names.index(tag) for tag in ["B-Y", "L-Y", "U-Y", "O", "O"]]
    doc = make_doc(["a", "b", "c", "d", "e"])
    kept = Span(doc, 1, 2, "X", kb_id="Q1")
    doc.set_ents([kept], blocked=[doc[4:5]], default="missing")
    scheme.annotate(doc, ids, overwrite=False)
    assert [(e.start, e.end, e.label_, e.kb_id_) for e in doc.ents] == [
        (1, 2, "X", "Q1"),
        (2, 3, "Y", ""),
    ]
    assert [token.ent_iob_ for token in doc] == ["O", "B", "B", "O", "B"]
    assert doc[4].ent_type == 0
    scheme.annotate(doc, ids, overwrite=True)
    assert [(e.start, e.end, e.label_) for e in doc.ents] == [(0, 2, "Y"), (2, 3, "Y")]
    assert [token.ent_iob_ for token in doc] == ["B", "I", "B", "O", "O"]


def test_any_token_of_an_entity_protects_it():
    scheme, doc = SpanLabels(["X"]), make_doc(["a", "b"], ents=["B-X", "I-X"])
    scheme.annotate(doc, [0, 4], overwrite=False)
    assert [(e.start, e.end) for e in doc.ents] == [(0, 2)]


def test_blocked_tokens_refuse_entities_without_overwrite():
    scheme, doc = SpanLabels(["X"]), make_doc(["a", "b"])
    doc.set_ents([], blocked=[doc[:1]], default="missing")
    scheme.annotate(doc, [1, 3], overwrite=False)
    assert doc.ents == ()


@pytest.mark.parametrize("ids", [[1, 0, 0], [0, 3, 0], [1, 2, 2], [1, 7, 0], [4, 2, 3]])
def test_decode_refuses_broken_paths(ids):
    with pytest.raises(ValueError, match="not well-formed BILOU in 'a b c '"):
        SpanLabels(["X", "Y"]).decode(make_doc(["a", "b", "c"]), ids)


def test_span_types_are_checked():
    with pytest.raises(ValueError, match="non-empty string, got ''"):
        SpanLabels([""])
    scheme = SpanLabels(["X"])
    assert not scheme.add("X")
    assert scheme.add("Y")
    assert scheme.names[5:] == ["B-Y", "I-Y", "L-Y", "U-Y"]
    with pytest.raises(ValueError, match="got 'dep'"):
        is_annotated(make_doc(["a"]), "dep")
