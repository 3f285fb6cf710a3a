"""The decoder's likelihood: sums to one, one pair at a time, and whatever the chunks."""

import itertools

import pytest
import torch

from spacy_semivae.modules import cross_entropy as chunks
from spacy_semivae.modules.conditional import VARIANTS
from spacy_semivae.modules.text_decoder import TextDecoder
from spacy_semivae.modules.text_words import END, build_embedding, shift, token_index

V, NZ, NY = 4, 3, 2


def make(variant="clstm2", **changes):
    torch.manual_seed(0)
    sizes = {"nV": V, "width": 5, "hidden": 6, "nZ": NZ, "nY": NY, "dropout": 0.0, **changes}
    decoder = TextDecoder(variant=variant, **sizes).double().eval()
    decoder.words[0].running_var.uniform_(0.5, 2)
    return decoder, build_embedding(V, 5).double()


def measure(decoder, table, texts, z, Y, owners=None):
    lengths = torch.tensor([len(text) for text in texts])
    words = torch.tensor([word for text in texts for word in text])
    owners = torch.arange(len(texts)) if owners is None else torch.tensor(owners)
    index = token_index(lengths, owners)
    inputs = table(shift(words, lengths, 0.0))
    return decoder(inputs, words, lengths[owners], index, z, Y)


@pytest.mark.parametrize("variant", VARIANTS)
def test_all_texts_together_are_certain(variant):
    decoder, table = make(variant)
    others = [word for word in range(V) if word != END]
    ended = [(*text, END) for n in range(3) for text in itertools.product(others, repeat=n)]
    texts = ended + list(itertools.product(others, repeat=3))  # complete, or cut off at 3 words
    z, Y = torch.randn(1, NZ).double(), torch.randn(1, NY).double()
    losses = measure(decoder, table, texts, z.expand(len(texts), -1), Y.expand(len(texts), -1))
    torch.testing.assert_close((-losses).exp().sum(), torch.ones(()).double())
    assert losses.std() > 0.1


@pytest.mark.parametrize("variant", VARIANTS)
def test_pairs_equal_steps_one_by_one(variant):
    decoder, table = make(variant)
    texts, owners = [(3, 2, END), (0,)], [1, 0, 0]
    z, Y = torch.randn(3, NZ).double(), torch.randn(3, NY).double()
    found = measure(decoder, table, texts, z, Y, owners)
    for pair, owner in enumerate(owners):
        own = slice(pair, pair + 1)
        h, c, nats = decoder.first_state(z[own], Y[own]), torch.zeros(1, 6).double(), 0.0
        for before, word in zip((END, *texts[owner]), texts[owner]):
            scores, h, c = decoder.advance(table(torch.tensor([before])), h, c, Y[own])
            nats = nats - scores[0, word]
        torch.testing.assert_close(found[pair], nats)


@pytest.mark.parametrize("variant", VARIANTS)
def test_latent_and_label_are_heard(variant):
    decoder, table = make(variant)
    z, Y = (torch.randn(1, n).double().requires_grad_() for n in (NZ, NY))
    measure(decoder, table, [(3, 2, 3)], z, Y).sum().backward()
    assert z.grad.abs().min() > 0
    assert Y.grad.abs().min() > 0


def test_chunks_of_the_vocabulary_do_not_matter(monkeypatch):
    found = []
    for size in (1, 3 * 8 * V, 2**24):
        monkeypatch.setattr(chunks, "CHUNK_BYTES", size)
        decoder, table = make()
        torch.manual_seed(1)
        z, Y = torch.randn(2, NZ).double(), torch.randn(2, NY).double()
        losses = measure(decoder, table, [(3, 2, 0, 1), (2, 2, 2)], z, Y)
        gradients = torch.autograd.grad(losses.sum(), list(decoder.parameters()), allow_unused=True)
        found.append([losses, *[g for g in gradients if g is not None]])
    torch.testing.assert_close(found[0], found[2])
    torch.testing.assert_close(found[1], found[2])
