"""Streams of raw text: the order, and going on from a saved position."""

import json
import random
from collections.abc import Iterator
from itertools import islice

import numpy
import pytest
import spacy
import srsly
from spacy.tokens import Doc

from spacy_semivae.training import raw_stream as module
from spacy_semivae.training.raw_docs import Item, Place, Tokens
from spacy_semivae.training.unlabeled import UnlabeledCorpus


@pytest.fixture(scope="module")
def nlp():
    # Few rules, as a tokenizer is made for each stream; one of them sets a norm.
    nlp = spacy.blank("xx")
    nlp.tokenizer.add_special_case("gonna", [{65: "gon", 67: "going"}, {65: "na", 67: "to"}])
    return nlp


class FakeReader:
    """The numbers from 0 as pieces of a file of one line each."""

    def __init__(self, n, size, limit=0) -> None:
        self.n, self.shuffle_buffer, self.limit, self.seed = n, size, limit, 0

    def item(self, i) -> Item:
        return Item(Place(0, i, 0), Tokens([str(i)], None, numpy.zeros(1, dtype="uint64")))

    def read(self, after) -> Iterator[Item]:
        return (self.item(i) for i in range(after.line + 1, self.n + 1))

    def find(self, places):
        return [self.item(place.line) for place in places]

    def rejected(self):
        return None

    def make_example(self, item):
        return item.place.line


def test_full_buffer_is_unbiased():
    counts = [[0] * 4 for _ in range(4)]
    for epoch in range(4000):
        state = module.Epoch(FakeReader(4, 4), module.Snapshot(epoch))
        for place in range(4):
            counts[state.draw().place.line - 1][place] += 1
        assert state.draw() is None
    assert all(880 < count < 1120 for row in counts for count in row)


def test_the_order_is_that_of_a_plain_shuffle_buffer():
    def shuffle(items, size, rng):
        buffer = list(islice(items, size))
        for item in items:
            i = rng.randrange(len(buffer))
            yield buffer[i]
            buffer[i] = item
        rng.shuffle(buffer)
        yield from buffer

    for epoch in range(3):
        drawn = module.draw_items(FakeReader(50, 7), module.Snapshot(epoch), endless=False)
        order = [item.place.line for _, item in drawn if item]
        assert order == list(shuffle(iter(range(1, 51)), 7, random.Random(f"0/{epoch}")))


def test_a_stream_of_nothing_stops_in_each_epoch():
    stream = module.RawStream(FakeReader(0, 3), [], module.Snapshot())
    for epoch in (1, 2):
        assert next(stream, None) is None
        assert stream.position["epoch"] == epoch
    assert list(module.RawStream(FakeReader(0, 3), [], module.Snapshot(), endless=False)) == []


def content(example) -> tuple:
    return tuple(
        (
            [token.text for token in doc],
            [token.whitespace_ for token in doc],
            [token.norm_ for token in doc],
            doc.has_unknown_spaces,
        )
        for doc in (example.predicted, example.reference)
    )


@pytest.fixture
def corpus_files(tmp_path, write, write_lines, write_docs, nlp):
    """A folder with all formats, split Docs, blank lines, short Docs and bad lines."""
    lines = [
        "one two three",
        "",
        "short",
        "I'm gonna sing a long song to you today",
        "dev text it is",
    ]
    write_lines(tmp_path / "raw" / "a.txt", lines)
    entries = [
        {"text": "a text of five words"},
        {"tokens": ["no", "spaces", "known"]},
        {"tokens": ["some", "are", "known"], "spaces": [True, False, False]},
        {"text": "gonna be a very long one , which is split in pieces of four"},
    ]
    write_lines(tmp_path / "raw" / "b.jsonl.gz", [*map(srsly.json_dumps, entries), "{broken"])
    doc = Doc(nlp.vocab, words="a b c d e f g".split(), sent_starts=[1, 0, 0, 1, 0, 1, 0])
    write_docs(tmp_path / "raw" / "c.spacy", [doc, nlp.make_doc("the end is near")])
    write(tmp_path / "raw" / "d.txt", b"caf\xe9\nlast line of all\n")
    try:
        from pyarrow import parquet, table
    except ImportError:
        pass
    else:
        rows = table({"text": [f"row number {i} of it" for i in range(5)]})
        parquet.write_table(rows, tmp_path / "raw" / "e.parquet", row_group_size=2)
    write_lines(tmp_path / "dev.txt", ["Dev text: it is."])
    return tmp_path


SETTINGS = [
    {"shuffle_buffer": 0},
    {"shuffle_buffer": 1, "max_length": 4},
    {"shuffle_buffer": 3, "max_length": 4, "min_length": 3},
    {"shuffle_buffer": 100, "max_length": 3},
    {"shuffle_buffer": 3, "limit": 7, "max_length": 4},
    {"shuffle_buffer": 100, "limit": 5},
    {"shuffle_buffer": 5, "limit": 1000, "exclude": "dev"},
]


def advance(stream):
    """Give the next Example, of the next epoch where one has ended."""
    example = next(stream, None)
    return next(stream) if example is None else example


@pytest.mark.parametrize("every", [1, 3, 256])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_stream_cut_anywhere_goes_on_the_same(nlp, corpus_files, monkeypatch, settings, every):
    monkeypatch.setattr(module, "SNAPSHOT_EVERY", every)
    settings = {**settings, "on_error": "skip", "prefetch": 0}
    if "exclude" in settings:
        settings["exclude"] = corpus_files / "dev.txt"

    def start(position=None):
        return UnlabeledCorpus(corpus_files / "raw", **settings).stream(nlp, position)

    whole = start()
    n_docs = sum(1 for _ in UnlabeledCorpus(corpus_files / "raw", **settings)(nlp))
    assert n_docs >= 5
    expected, positions = [], [whole.position]
    for _ in range(3 * n_docs):
        expected.append(content(advance(whole)))
        positions.append(json.loads(json.dumps(whole.position)))
    assert [p["epoch"] for p in positions[1:]] == [i // n_docs for i in range(3 * n_docs)]
    for cut in range(n_docs + 3):
        stream = start(positions[cut])
        assert stream.position == positions[cut]
        for given in range(cut, min(cut + n_docs + 2, 3 * n_docs)):
            assert content(advance(stream)) == expected[given]
            if every == 1:
                assert stream.position == positions[given + 1]


def test_positions_survive_json_and_msgpack(nlp, corpus_files):
    stream = UnlabeledCorpus(corpus_files / "raw", on_error="skip", max_length=4).stream(nlp)
    for _ in range(3):
        advance(stream)
    position = stream.position
    assert srsly.json_loads(srsly.json_dumps(position)) == position
    assert srsly.msgpack_loads(srsly.msgpack_dumps(position)) == position
    stream.close()


def test_one_epoch_ends_at_the_start_of_the_next(nlp, corpus_files):
    settings = {"on_error": "skip", "shuffle_buffer": 4, "prefetch": 0}
    corpus = UnlabeledCorpus(corpus_files / "raw", **settings)
    endless = corpus.stream(nlp)
    position, found = None, []
    for epoch in range(3):
        stream = corpus.stream(nlp, position)
        docs = [content(example) for example in stream]
        found += docs
        position = stream.position
        assert (position["epoch"], position["skip"], position["buffer"]) == (epoch + 1, 0, [])
    assert found == [content(advance(endless)) for _ in found]
    # The reader that stock training calls gives the same epochs.
    called = UnlabeledCorpus(corpus_files / "raw", **settings)
    assert [content(example) for _ in range(3) for example in called(nlp)] == found


@pytest.mark.parametrize("prefetch", [1, 3, 40, 1000])
def test_prefetching_changes_neither_order_nor_positions(nlp, corpus_files, prefetch):
    settings = {"on_error": "skip", "shuffle_buffer": 4, "max_length": 4}
    raw = corpus_files / "raw"
    plain = UnlabeledCorpus(raw, **settings, prefetch=0).stream(nlp)
    ahead = UnlabeledCorpus(raw, **settings, prefetch=prefetch).stream(nlp)
    for _ in range(70):
        assert content(advance(ahead)) == content(advance(plain))
        assert ahead.position == plain.position
    assert ahead.epoch == plain.epoch > 1
    position = ahead.position
    ahead.close()
    resumed = UnlabeledCorpus(raw, **settings, prefetch=prefetch).stream(nlp, position)
    assert [content(advance(resumed)) for _ in range(40)] == [
        content(advance(plain)) for _ in range(40)
    ]
    assert resumed.waited > 0
    resumed.close()


def test_resuming_tokenizes_only_what_is_needed(nlp, tmp_path, write_lines, monkeypatch):
    path = write_lines(tmp_path / "a.txt", [f"text number {i}" for i in range(3000)])
    corpus = UnlabeledCorpus(path, shuffle_buffer=10, prefetch=0)
    stream = corpus.stream(nlp)
    for _ in range(2500):
        advance(stream)
    from spacy_semivae.training import unlabeled

    seen, make = [], unlabeled.make_doc
    monkeypatch.setattr(
        unlabeled,
        "make_doc",
        lambda vocab, record, **rest: seen.append(record.line) or make(vocab, record, **rest),
    )
    resumed = corpus.stream(nlp, stream.position)
    expected = content(advance(stream))
    seen.clear()
    assert content(advance(resumed)) == expected
    assert len(seen) < module.SNAPSHOT_EVERY + 20


def test_changed_files_are_refused(nlp, tmp_path, write_lines):
    folder = tmp_path / "raw"
    write_lines(folder / "a.txt", ["one", "two"])
    write_lines(folder / "b.txt", ["three", "four"])
    corpus = UnlabeledCorpus(folder, shuffle_buffer=2, prefetch=0)
    stream = corpus.stream(nlp)
    advance(stream)
    position = stream.position
    write_lines(folder / "c.txt", ["five"])
    with pytest.raises(ValueError, match="it had 2 files and has 3"):
        corpus.stream(nlp, position)
    (folder / "c.txt").unlink()
    write_lines(folder / "b.txt", ["three", "fourteen"])
    with pytest.raises(ValueError, match=r"b\.txt of 11 bytes was read where b\.txt of 15 bytes"):
        corpus.stream(nlp, position)
    (folder / "b.txt").rename(folder / "bb.txt")
    with pytest.raises(ValueError, match=r"b\.txt of 11 bytes was read where bb\.txt"):
        corpus.stream(nlp, position)


def test_other_settings_are_noticed_where_the_buffer_does_not_fit(nlp, tmp_path, write_lines):
    path = write_lines(tmp_path / "a.txt", ["one two", "three four", "five"] * 9)
    settings = {"shuffle_buffer": 20, "prefetch": 0}
    stream = UnlabeledCorpus(path, **settings).stream(nlp)
    advance(stream)
    advance(stream)
    longer = UnlabeledCorpus(path, **settings, min_length=2)
    with pytest.raises(ValueError, match=r"a\.txt, line 3 is not what it was.*must stay the same"):
        next(longer.stream(nlp, {**stream.position, "buffer": [[0, 3, 0]]}))


def test_rejects_go_on_where_they_were(nlp, tmp_path, write_lines):
    lines = [f'{{"text": "good {i}"}}' if i % 3 else "{" for i in range(60)]
    path = write_lines(tmp_path / "a.jsonl", lines)
    settings = {"shuffle_buffer": 5, "on_error": "skip", "prefetch": 0}

    def start(name, position=None):
        corpus = UnlabeledCorpus(path, **settings, rejects=tmp_path / name)
        return corpus, corpus.stream(nlp, position)

    corpus, stream = start("whole.jsonl")
    for _ in range(90):
        advance(stream)
    assert corpus.rejected == 20
    whole = (tmp_path / "whole.jsonl").read_text(encoding="utf8")
    assert [entry["line"] for entry in srsly.read_jsonl(tmp_path / "whole.jsonl")] == list(
        range(1, 61, 3)
    )
    _, stream = start("cut.jsonl")
    for _ in range(10):
        advance(stream)
    position = stream.position
    for _ in range(15):
        advance(stream)  # what a killed process has written is written once all the same
    corpus, stream = start("cut.jsonl", position)
    for _ in range(80):
        advance(stream)
    assert corpus.rejected == 20
    assert (tmp_path / "cut.jsonl").read_text(encoding="utf8") == whole
