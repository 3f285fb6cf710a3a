"""Word pieces: what every token gets, and that the pieces of a Doc are its text."""

import copy
import json
import pickle
from itertools import chain

import numpy
import pytest
import spacy
from spacy.tokens import Doc
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from spacy_semivae.layers import pieces as pieces_file
from spacy_semivae.layers.pieces import PieceVocabulary, load_pieces

END = "<|endoftext|>"
TEXTS = [
    "The cat's hat, the dog and  the cat.",
    "",
    " leading\n\nlines\tand trailing ",
    "naïve café, 東京 🙂!",
    "a",
    f"read {END} aloud",
]


def train_bpe(pre_tokenizer):
    """Byte-level BPE with some merges of its own."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizer, decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=275, initial_alphabet=alphabet, special_tokens=[END], show_progress=False
    )
    tokenizer.train_from_iterator(["the cat and the hat the cat"] * 3, trainer)
    return tokenizer


@pytest.fixture(scope="module")
def bpe():
    return train_bpe(pre_tokenizers.ByteLevel(add_prefix_space=False))


@pytest.fixture
def vocabulary(bpe):
    return PieceVocabulary(bpe.to_str(), unknown=0, start=0)


@pytest.fixture(scope="module")
def docs():
    nlp = spacy.blank("en")
    return [nlp.make_doc(text) for text in TEXTS]


@pytest.fixture
def word_pieces():
    vocab = {"[UNK]": 0, "the": 1, "cat": 2, "##s": 3, "[CLS]": 4}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.normalizer = normalizers.BertNormalizer()
    return tokenizer


def expected_pieces(tokenizer, doc):
    """Token by token, by the tokenizer itself."""
    tokenizer = Tokenizer.from_str(tokenizer.to_str())
    tokenizer.encode_special_tokens = True
    found = []
    for token in doc:
        space = " " if token.i and doc[token.i - 1].whitespace_ else ""
        found.append(tokenizer.encode(space + token.text, add_special_tokens=False).ids)
    return found


def test_every_token_is_encoded_on_its_own(bpe, vocabulary, docs):
    found = vocabulary.encode(docs)
    expected = [expected_pieces(bpe, doc) for doc in docs]
    rows = [row for doc in expected for row in doc]
    assert found.ids.tolist() == list(chain(*rows))
    assert found.lengths.tolist() == [len(row) for row in rows]
    assert found.units.tolist() == [sum(map(len, doc)) for doc in expected]
    assert found.units[1] == 0
    assert found.lengths.max() > 1
    assert {array.dtype.name for array in (found.ids, found.lengths, found.units)} == {"int64"}


def test_pieces_are_those_of_the_whole_text(bpe, vocabulary):
    doc = spacy.blank("en").make_doc("the cat and the hat.")
    assert vocabulary.encode([doc]).ids.tolist() == bpe.encode(doc.text).ids
    assert bpe.id_to_token(vocabulary.encode([doc]).ids[1]) == "Ġcat"


@pytest.mark.parametrize(
    "pre_tokenizer",
    [
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        pre_tokenizers.ByteLevel(add_prefix_space=True),
        pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(), pre_tokenizers.ByteLevel(add_prefix_space=True)]
        ),
    ],
)
def test_pieces_decode_to_the_text(pre_tokenizer, docs):
    tokenizer = train_bpe(pre_tokenizer)
    vocabulary = PieceVocabulary(tokenizer.to_str(), unknown=0)
    found = vocabulary.encode(docs)
    for doc, ids in zip(docs, numpy.split(found.ids, numpy.cumsum(found.units)[:-1])):
        text = vocabulary.encoder.decode(ids.tolist(), skip_special_tokens=False)
        assert text + (doc[-1].whitespace_ if len(doc) else "") == doc.text


def test_text_never_becomes_a_special_piece(bpe, vocabulary, vocab):
    doc = Doc(vocab, words=[END, END])
    assert bpe.encode(END).ids == [0]
    assert 0 not in vocabulary.encode([doc]).ids


def test_a_token_of_nothing_is_unknown(word_pieces, vocab):
    doc = Doc(vocab, words=["the", " ", "Cats", "\n", "☃"])
    vocabulary = PieceVocabulary(word_pieces.to_str(), unknown=0)
    found = vocabulary.encode([doc])
    assert found.ids.tolist() == [1, 0, 2, 3, 0, 0]
    assert found.lengths.tolist() == [1, 1, 2, 1, 1]


def test_special_pieces_and_truncation_are_left_out(word_pieces, vocab):
    word_pieces.post_processor = None
    word_pieces.enable_truncation(1)
    word_pieces.enable_padding(length=5)
    doc = Doc(vocab, words=["cats", "the"])
    vocabulary = PieceVocabulary(word_pieces.to_str(), unknown=0)
    assert vocabulary.encode([doc]).ids.tolist() == [2, 3, 1]


def test_without_tokens(vocabulary, vocab):
    for docs in ([], [Doc(vocab)] * 2):
        found = vocabulary.encode(docs)
        assert (found.ids.tolist(), found.lengths.tolist()) == ([], [])
        assert found.units.tolist() == [0] * len(docs)


def test_each_form_is_encoded_once(vocabulary, docs, monkeypatch):
    first = vocabulary.encode(docs)
    monkeypatch.setattr(vocabulary, "encoder", None)  # a call would fail
    again = vocabulary.encode(docs[::-1])
    assert sorted(again.ids.tolist()) == sorted(first.ids.tolist())
    assert again.units.tolist() == first.units.tolist()[::-1]


def test_the_table_of_forms_is_bounded(vocabulary, monkeypatch, vocab):
    monkeypatch.setattr(pieces_file, "MAX_FORMS", 10)
    for i in range(30):
        doc = Doc(vocab, words=[f"w{i}", f"v{i}"])
        found = vocabulary.encode([doc])
        assert vocabulary.encoder.decode(found.ids.tolist()) == doc.text.strip()
        assert len(vocabulary.cache) <= 12


def test_copies(vocabulary, docs):
    assert copy.deepcopy(vocabulary) is vocabulary
    other = pickle.loads(pickle.dumps(vocabulary))
    assert other.to_dict() == vocabulary.to_dict()
    assert other.encode(docs).ids.tolist() == vocabulary.encode(docs).ids.tolist()


@pytest.mark.parametrize(
    ("special", "unknown", "start"),
    [
        ({"eos_token": END}, END, END),
        ({"eos_token": END, "bos_token": "a", "unk_token": "b"}, "b", "a"),
        ({"unk_token": "b"}, "b", None),
    ],
)
def test_load_by_folder(tmp_path, bpe, vocab, special, unknown, start):
    transformers = pytest.importorskip("transformers")
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=bpe, **special)
    fast.save_pretrained(tmp_path)
    vocabulary = load_pieces(str(tmp_path))
    assert vocabulary.unknown == bpe.token_to_id(unknown)
    assert vocabulary.start == (None if start is None else bpe.token_to_id(start))
    doc = Doc(vocab, words=["the", "cat"])
    assert vocabulary.encode([doc]).ids.tolist() == bpe.encode("the cat").ids


def test_no_piece_for_unknown_text(tmp_path, bpe):
    transformers = pytest.importorskip("transformers")
    transformers.PreTrainedTokenizerFast(tokenizer_object=bpe).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="unknown or end token"):
        load_pieces(str(tmp_path))


def test_slow_tokenizers_are_refused(tmp_path):
    transformers = pytest.importorskip("transformers")
    transformers.CanineTokenizer().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "canine"}))
    with pytest.raises(ValueError, match="fast tokenizer"):
        load_pieces(str(tmp_path))
