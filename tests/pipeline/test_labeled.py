"""Labels of a component: added before and after there is a model, loaded."""

from spacy.vocab import Vocab
from thinc.api import Linear

from spacy_semivae.labels import TokenLabels
from spacy_semivae.pipeline.labeled import LabeledPipe


class Pipe(LabeledPipe):
    """A component of labels and a model without weights."""

    def __init__(self, labels=()):
        self.vocab, self.name, self.model, self.sizes = Vocab(), "pipe", Linear(nI=2), []
        self.model.attrs["resize_output"] = lambda model, n: model.set_dim("nO", n, force=True)
        self.start_labels(TokenLabels("tag"))
        for label in labels:
            self.add_label(label)

    def after_resize(self):
        self.sizes.append(self.model.get_dim("nO"))


def test_labels_keep_their_order():
    pipe = Pipe(["B", "A"])
    assert (pipe.add_label("B"), pipe.add_label("C")) == (0, 1)
    assert pipe.labels == ("B", "A", "C") == tuple(pipe.label_data) == tuple(pipe.scheme.names)
    assert "C" in pipe.vocab.strings
    assert not pipe.sizes  # there was nothing to resize


def test_a_model_grows_with_its_labels():
    pipe = Pipe(["A"])
    pipe.model.set_dim("nO", 1)
    assert (pipe.add_label("B"), pipe.add_label("A"), pipe.add_label("C")) == (1, 0, 1)
    assert pipe.sizes == [2, 3]


def test_loaded_labels_take_the_place_of_others():
    pipe = Pipe(["A", "B", "C"])
    pipe.cfg = {"labels": ["C", "D"]}
    pipe.after_load()
    assert pipe.scheme.names == ["C", "D"]
    assert pipe.add_label("A") == 1
    assert pipe.scheme.names == ["C", "D", "A"]
