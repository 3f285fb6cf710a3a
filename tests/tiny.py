"""Annotated sentences and settings of tiny models, as tests of several folders take them."""

from spacy.tokens import Doc, Span
from spacy.training import Example

SENTENCES = [
    (
        "Ann saw Bob Lee in Rome !",
        "N V N N P N .",
        [(0, 1, "PER"), (2, 4, "PER"), (5, 6, "LOC")],
        "trip",
    ),
    ("We like New Rome .", "P V N N .", [(2, 4, "LOC")], "trip"),
    ("no names here", "D N R", [], "talk"),
    ("Bob likes us", "N V P", [(0, 1, "PER")], "talk"),
]
CATS = ("trip", "talk")
ENCODER = {
    "@architectures": "semivae.CharWordBiGRU.v1",
    "width": 8,
    "char_width": 6,
    "char_hidden": 6,
    "hidden": 8,
    "min_count": 1,
}
CONVOLUTION = {
    "@architectures": "spacy.HashEmbedCNN.v2",
    "width": 8,
    "depth": 1,
    "embed_size": 50,
    "window_size": 1,
    "maxout_pieces": 2,
    "subword_features": True,
    "pretrained_vectors": None,
}
MODELS = {
    "vsl": {"variant": "hier", "width_y": 4, "width_z": 6, "hidden": 8, "width": 8}
    | {"tok2vec": ENCODER},
    "crf": {"width": 8, "generator": None, "tok2vec": ENCODER},
    "ssvae": {"width": 8, "hidden": 12, "width_z": 4, "width_y": 4},
}


def model_of(factory):
    """Give the `model` settings of a component."""
    return MODELS[factory.split("_")[0]]


def annotate(nlp, text, tags, ents, cat, cats=CATS):
    """Make an annotated Doc."""
    doc = Doc(nlp.vocab, text.split(), tags=tags.split())
    doc.ents = [Span(doc, *ent) for ent in ents]
    doc.cats = {label: float(label == cat) for label in cats}
    return doc


def make_examples(nlp, raw=("raw text",)):
    """Make Examples with tags, entities and cats, and some without."""
    gold = [annotate(nlp, *sentence) for sentence in SENTENCES]
    gold += [Doc(nlp.vocab, text.split()) for text in raw]
    return [Example(Doc(nlp.vocab, [t.text for t in doc]), doc) for doc in gold]
