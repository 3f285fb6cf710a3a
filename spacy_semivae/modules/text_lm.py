"""A language model that starts an SSVAE: the next word from the words before it.

Paper: Xu et al. (AAAI 2017), rows "LM": a language model trained on the raw text starts the
embedding and the classifier's LSTM. As an option it is a sequence autoencoder (Dai and Le, NIPS
2015): the same LSTM reads the text first and writes it again from its last state.
"""

import torch
from torch import Tensor, nn

from .cross_entropy import cross_entropy
from .labeled_mlp import norm_and_drop
from .lstm import TextLSTM
from .ssvae import SSVAE
from .text_words import Texts, build_embedding, shift


class TextLM(nn.Module):
    """Embedding, LSTM and softmax.

    nV (int): Words.
    width (int): Width of a word embedding.
    hidden (int): Units.
    dropout (float): Dropout on embedded words and on states, in training.
    autoencoder (bool): Whether it starts from the state in which it has read the text.
    """

    def __init__(
        self, *, nV: int, width: int, hidden: int, dropout: float, autoencoder: bool
    ) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.embedding = build_embedding(nV, width)
        self.embedded = norm_and_drop(width, dropout)
        self.reader = TextLSTM(nI=width, nH=hidden)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Parameter(torch.randn(nV, hidden) * hidden**-0.5)

    def forward(self, texts: Texts) -> Tensor:
        """Give -log p of each word given those before it.

        texts (Texts): The texts.
        RETURNS (Tensor): Nats, (T,), to be trained by their mean, of which the exponential is the
            perplexity.
        """
        lengths = texts.lengths[texts.lengths > 0]
        h = self.output.new_zeros((len(lengths), self.output.shape[1]))
        if self.autoencoder:
            h = self.reader(self.embedded(self.embedding(texts.words)), lengths)
        X = self.embedded(self.embedding(shift(texts.words, lengths, 0.0)))
        states = self.reader.states(X, lengths, h)
        equal = states.new_ones(len(states))
        return cross_entropy(self.dropout(states), self.output, texts.words, weights=equal)

    def start(self, model: SSVAE, *, encoder: bool) -> None:
        """Copy embedding and LSTM to where an SSVAE reads.

        model (SSVAE): The module to start, with the same words; changed in place.
        encoder (bool): Whether the LSTM of its autoencoder starts with the same weights.
        RAISES (ValueError): When a table or LSTM has another size.
        """
        readers = [model.reader]
        if encoder and model.generator is not None:
            readers.append(model.generator.encoder)
        if model.embedding is not None:
            copy_weights(self.embedding, model.embedding)
            copy_weights(self.embedded, model.embedded)
        for reader in readers:
            if reader is not None:
                copy_weights(self.reader, reader)


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Copy parameters and buffers between modules of one kind.

    source (nn.Module): Where they come from.
    target (nn.Module): Where they go, changed in place.
    RAISES (ValueError): When one has another shape.
    """
    found = source.state_dict()
    for name, tensor in target.state_dict().items():
        if tensor.shape != found[name].shape:
            raise ValueError(
                f"the language model's {type(source).__name__} has a {name} of shape "
                f"{tuple(found[name].shape)}, but the classifier needs {tuple(tensor.shape)}: "
                "give both the same words, width and units"
            )
    target.load_state_dict(found)
