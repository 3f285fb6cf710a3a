"""Shards are cut lazily, and their digests tell texts apart."""

from pathlib import Path

from spacy_semivae.annotate.shards import cut_shards
from spacy_semivae.training.raw_text import RawRecord


def test_shards_are_cut_as_they_are_asked_for():
    read = []

    def records():
        for i in range(7):
            read.append(i)
            yield RawRecord(Path("a"), i, text=str(i))

    shards = cut_shards(records(), 3)
    assert read == []
    assert [record.text for record in next(shards).records] == ["0", "1", "2"]
    assert read == [0, 1, 2]
    rest = list(shards)
    assert [(shard.number, len(shard.records)) for shard in rest] == [(1, 3), (2, 1)]
    assert [(shard.number, shard.records) for shard in cut_shards([], 3)] == [(0, [])]


def test_digests_tell_texts_apart():
    def digest(*records):
        (shard,) = cut_shards([RawRecord(Path("a"), 1, **record) for record in records], 10)
        return shard.digest()

    found = [
        digest({"text": "ab"}),
        digest({"text": "a"}, {"text": "b"}),
        digest({"text": "b"}, {"text": "a"}),
        digest({"words": ["a", "b"]}),
        digest({"words": ["a", "b"], "spaces": [True, True]}),
        digest({"text": "\ud800"}),
        digest(),
    ]
    assert len(set(found)) == len(found)
    assert digest({"text": "ab"}) == found[0]
