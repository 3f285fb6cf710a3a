"""What tests of several folders share: seed, one thread, small vocabularies, Docs, a BERT."""

import numpy
import pytest
import torch
from spacy.tokens import Doc
from spacy.vectors import Vectors
from spacy.vocab import Vocab

TEXTS = ["the cat saw the dog", "the dog saw a Cat in 1999", "a", "cat in the dog"]
VECTOR_WORDS = ["the", "cat", "dog", "saw", "a", "Paris", "0000"]


@pytest.fixture(autouse=True)
def _fixed_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    numpy.random.seed(0)


@pytest.fixture
def vocab():
    return Vocab()


@pytest.fixture
def vector_vocab():
    data = numpy.random.default_rng(0).normal(size=(len(VECTOR_WORDS), 6)).astype("f")
    vocab = Vocab()
    vocab.vectors = Vectors(strings=vocab.strings, data=data, keys=VECTOR_WORDS)
    return vocab


@pytest.fixture
def make_docs():
    """Gives a function from a vocabulary (and texts) to Docs split at spaces."""

    def make(vocab, texts=TEXTS):
        return [Doc(vocab, words=text.split()) for text in texts]

    return make


@pytest.fixture
def tiny_bert(tmp_path):
    """A random BERT with a word-level vocabulary, made on the spot."""
    transformers = pytest.importorskip("transformers")
    words = (
        "ann saw bob lee in rome ! we like new york city . no names here likes us zeb ##ras".split()
    )
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary))
    tokenizer = transformers.BertTokenizerFast(str(tmp_path / "vocab.txt"))
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=12,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=32,
    )
    folder = tmp_path / "bert"
    tokenizer.save_pretrained(folder)
    transformers.BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory):
    """A random GPT-2 with byte-level BPE, made on the spot; most words have several pieces."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    byte_level, end = tokenizers.pre_tokenizers.ByteLevel, "<|endoftext|>"
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = byte_level(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=280, initial_alphabet=byte_level.alphabet(), special_tokens=[end]
    )
    tokenizer.train_from_iterator(["Ann saw Bob Lee in Rome !", "We like Rome ."] * 3, trainer)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=end)
    config = transformers.GPT2Config(
        vocab_size=len(fast),
        n_layer=1,
        n_embd=8,
        n_head=2,
        n_positions=32,
        initializer_range=0.5,
    )
    folder = tmp_path_factory.mktemp("gpt2")
    fast.save_pretrained(folder)
    torch.manual_seed(1)
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return str(folder)
