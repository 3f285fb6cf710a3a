"""Raw Docs with vocabularies of their own: the components learn the same from them."""

import pytest
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import fix_random_seed
from thinc.api import Adam
from tiny import CONVOLUTION

from spacy_semivae.training.private_vocab import make_private

FACTORIES = ("vsl_tagger", "vsl_ner", "crf_vae_tagger", "crf_vae_ner", "ssvae_textcat")
WORDS = [
    "Lee likes New Rome",
    "Ann saw unheard names",
    "We saw 12 zebras here !",
    "Ann saw Bob Lee",
    "Zürich again",
]


def train(nlp, gold, raw, tensors):
    fix_random_seed(3)
    optimizer, losses = Adam(0.01), []
    pipes = [pipe for _, pipe in nlp.pipeline if hasattr(pipe, "model")]
    for batch in ([*gold, *raw[:3]], raw[3:], [raw[0], *gold, *raw[1:]]):
        losses.append(nlp.update(batch, sgd=optimizer, losses={}, drop=0.1))
    return losses, [tensors(pipe.model) for pipe in pipes]


def compare(make, gold, tensors):
    """Train on the same Docs in the pipeline's vocabulary and in two private ones."""
    found = []
    for is_private in (False, True):
        nlp = make()
        examples, raw = gold(nlp), []
        vocab, sizes = make_private(nlp.vocab), (len(nlp.vocab), len(nlp.vocab.strings))
        for i, words in enumerate(WORDS):
            if i == 2:
                vocab = make_private(nlp.vocab)
            docs = [Doc(vocab if is_private else nlp.vocab, words=words.split(" ")) for _ in "pr"]
            raw.append(Example(*docs))
        found.append(train(nlp, examples, raw, tensors))
        if is_private:
            assert (len(nlp.vocab), len(nlp.vocab.strings)) == sizes
            assert "unheard" not in nlp.vocab.strings
    (losses, weights), (private_losses, private_weights) = found
    assert losses == private_losses
    assert any(value > 0 for value in losses[0].values())
    for one, other in zip(weights, private_weights):
        assert one.keys() == other.keys()
        assert all((one[name] == other[name]).all() for name in one)


@pytest.mark.parametrize("vectors", [False, True])
@pytest.mark.parametrize("factory", FACTORIES)
def test_components_learn_the_same(factory, vectors, make_nlp, gold, tensors):
    compare(lambda: make_nlp(factory, vectors=vectors), gold, tensors)


def test_word_pieces_are_the_same(make_nlp, gold, tensors, crf_model):
    model = crf_model("mt_lm", "piece")
    compare(lambda: make_nlp("crf_vae_ner", model=model), gold, tensors)


@pytest.mark.parametrize("factory", ["vsl_tagger", "crf_vae_ner"])
def test_listeners_learn_the_same(factory, make_nlp, gold, raw, tensors):
    encoder = {**CONVOLUTION, "pretrained_vectors": True}
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": 8, "upstream": "*"}
    generator = {"@architectures": "semivae.MFGenerator.v1", "width": 6}
    settings = {"generator": generator} if factory == "crf_vae_ner" else {}

    def make():
        nlp = make_nlp(factory, vectors=True, initialize=False)
        nlp.remove_pipe(factory)
        nlp.add_pipe("tok2vec", config={"model": encoder})
        nlp.add_pipe("tagger", config={"model": {"tok2vec": listener}})
        nlp.add_pipe(factory, config={"model": {"width": 8, **settings, "tok2vec": listener}})
        examples = [*gold(nlp), *raw(nlp)]
        fix_random_seed(0)
        nlp.initialize(lambda: examples)
        return nlp

    compare(make, gold, tensors)


def test_docs_of_other_vocabularies_can_be_annotated(make_nlp, gold):
    nlp = make_nlp("vsl_tagger")
    for name in ("tagger", "ner", "morphologizer"):
        nlp.add_pipe(name)
    examples = gold(nlp)
    nlp.initialize(lambda: examples)
    doc = nlp(Doc(make_private(nlp.vocab), words=["unheard", "Rome", "names"]))
    expected = nlp(Doc(nlp.vocab, words=["unheard", "Rome", "names"]))
    for name in ("tag_", "pos_", "ent_type_", "morph"):
        assert [str(getattr(t, name)) for t in doc] == [str(getattr(t, name)) for t in expected]
