"""Arrays come back as they were put, within the limit, in this run and the next."""

import copy
import pickle
import warnings

import numpy
import pytest
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_semivae.layers.cache import FileCache, VectorCache, make_cache, text_key

RNG = numpy.random.default_rng(0)
MB = 2**20


def random(rows=3, width=4):
    return RNG.normal(size=(rows, width)).astype("float32")


def half(array):
    return array.astype("float16").astype("float32")


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, two in zip(found, expected):
        assert (one is None) == (two is None)
        if one is not None:
            assert one.dtype == "float32"
            numpy.testing.assert_array_equal(one, two)


@pytest.fixture
def _no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# In memory


def test_memory_keeps_exact_arrays_of_each_owner():
    cache, arrays = make_cache("memory", 1), [random(), random(0), random(2, 7)]
    assert_same(cache.put("a", ["x", "y", "z"], arrays), arrays)
    cache.put("b", ["x"], [arrays[2]])
    assert_same(cache.get("a", ["z", "x", "q", "x"]), [arrays[2], arrays[0], None, arrays[0]])
    assert_same(cache.get("b", ["x", "y"]), [arrays[2], None])
    assert_same(cache.get("a", ["y"]), [arrays[1]])


def test_memory_does_not_hold_the_batch():
    cache, batch = make_cache("memory", 1), random(100)
    expected = batch[:2].copy()
    cache.put("a", ["x"], [batch[:2]])
    batch[:] = 0
    assert_same(cache.get("a", ["x"]), [expected])
    assert cache.get("a", ["x"])[0].base is None


def test_those_not_used_for_longest_leave_first():
    arrays = [random(2, 4) for _ in range(5)]  # 32 bytes each
    cache = make_cache("memory", 3 * 32 / MB)
    cache.put("a", list("123"), arrays[:3])
    cache.get("a", ["1"])
    cache.put("a", ["4"], [arrays[3]])
    one, _, three, four, five = arrays
    assert_same(cache.get("a", list("1234")), [one, None, three, four])
    cache.put("a", ["5"], [random(4, 4)[:, :3]])  # 48 bytes: two must leave
    assert [array is None for array in cache.get("a", list("12345"))] == [1, 1, 1, 0, 0]
    assert cache.used == 32 + 48
    cache.put("a", ["4"], [five])
    assert_same(cache.get("a", ["4"]), [five])
    assert cache.used == 32 + 48


def test_an_array_above_the_limit_displaces_nothing():
    cache, small = make_cache("memory", 64 / MB), random(2, 4)
    cache.put("a", ["small"], [small])
    large = random(5, 4)
    assert_same(cache.put("a", ["large"], [large]), [large])
    assert_same(cache.get("a", ["small", "large"]), [small, None])


def test_none_keeps_nothing():
    cache, array = make_cache("none", 100), random()
    assert_same(cache.put("a", ["x"], [array]), [array])
    assert cache.get("a", ["x"]) == [None]


def test_copies_of_a_memory_cache():
    cache = make_cache("memory", 0.5)
    cache.put("a", ["x"], [random()])
    assert copy.deepcopy(cache) is cache
    other = pickle.loads(pickle.dumps(cache))
    assert type(other) is VectorCache
    assert other.limit == cache.limit
    assert other.get("a", ["x"]) == [None]
    assert pickle.loads(pickle.dumps(make_cache("none", 9))).limit == 0


# In a file


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "new" / "cache"


def open_cache(folder, limit_mb=1.0):
    return make_cache(str(folder), limit_mb)


@pytest.mark.usefixtures("_no_warning")
def test_files_are_read_by_the_next_run(folder):
    arrays = [random(), random(5, 2), random(0)]
    cache = open_cache(folder)
    assert cache.get("a", ["x"]) == [None]
    assert not folder.exists()
    assert_same(cache.put("a", list("xyz"), arrays), [half(array) for array in arrays])
    cache.put("b", ["x"], arrays[1:2])
    for same in (cache, open_cache(folder), pickle.loads(pickle.dumps(cache))):
        expected = [half(arrays[2]), half(arrays[0]), None, half(arrays[1])]
        assert_same(same.get("a", list("zxqy")), expected)
        assert_same(same.get("b", list("xy")), [half(arrays[1]), None])
    later = open_cache(folder)
    later.put("a", ["w"], arrays[:1])  # behind those of the run before
    assert_same(open_cache(folder).get("a", ["w", "y"]), [half(arrays[0]), half(arrays[1])])
    assert copy.deepcopy(cache) is cache
    assert sorted(path.name for path in folder.iterdir()) == [
        "a.f16",
        "a.jsonl",
        "b.f16",
        "b.jsonl",
    ]
    size = sum(array.nbytes // 2 for array in arrays) + arrays[0].nbytes // 2
    assert (folder / "a.f16").stat().st_size == size


@pytest.mark.usefixtures("_no_warning")
def test_two_writers_share_a_file(folder):
    arrays = [random() for _ in range(4)]
    one, two = open_cache(folder), open_cache(folder)
    for cache, key, array in zip((one, two, one, two), "wxyz", arrays):
        cache.get("a", ["w"])
        cache.put("a", [key], [array])
    assert_same(open_cache(folder).get("a", list("wxyz")), [half(array) for array in arrays])
    assert_same(two.get("a", list("xz")), [half(arrays[1]), half(arrays[3])])


@pytest.mark.usefixtures("_no_warning")
def test_what_half_precision_cannot_hold_is_not_kept(folder):
    cache, large, small = open_cache(folder), numpy.full((1, 2), 1e5, dtype="f"), random()
    assert_same(cache.put("a", ["large", "small"], [large, small]), [large, half(small)])
    assert_same(cache.get("a", ["large", "small"]), [None, half(small)])


def test_a_full_file_keeps_the_first(folder):
    arrays = [random(2, 4), random(9, 4), random(2, 4), random(1, 4)]  # 16, 72, 16, 8 bytes
    cache = open_cache(folder, 36 / MB)
    with pytest.warns(UserWarning, match=r"a\.f16 is full \(36 bytes\): raise cache_mb"):
        given = cache.put("a", list("wxyz"), arrays)
    assert_same(given, [half(array) for array in arrays])
    expected = [half(arrays[0]), None, half(arrays[2]), None]
    assert_same(cache.get("a", list("wxyz")), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # one warning is enough
        assert_same(cache.put("a", ["v"], arrays[3:]), [half(arrays[3])])
    assert (folder / "a.f16").stat().st_size == 32
    assert_same(open_cache(folder).get("a", list("wxyz")), expected)


@pytest.fixture
def written(folder):
    """A folder with three arrays of 24 bytes each."""
    arrays = [random() for _ in range(3)]
    open_cache(folder).put("a", list("xyz"), arrays)
    return folder, [half(array) for array in arrays]


def damage_end_of_data(folder):
    data = (folder / "a.f16").read_bytes()
    (folder / "a.f16").write_bytes(data[:-5])


def damage_end_of_index(folder):
    index = (folder / "a.jsonl").read_bytes()
    (folder / "a.jsonl").write_bytes(index[:-5])


def put_nonsense_in_index(folder):
    lines = (folder / "a.jsonl").read_bytes().splitlines(keepends=True)
    nonsense = [
        b"\xff\xfe\n",
        b"3\n",
        b'["z"]\n',
        b'["z", 0, "a", 4, 1]\n',
        b'["z", -24, 3, 4, 1]\n',
    ]
    (folder / "a.jsonl").write_bytes(b"".join(nonsense[:2] + lines[:2] + nonsense[2:]))


@pytest.mark.parametrize("damage", [damage_end_of_data, damage_end_of_index, put_nonsense_in_index])
def test_a_damaged_cache_is_rebuilt(damage, written):
    folder, arrays = written
    damage(folder)
    cache = open_cache(folder)
    with pytest.warns(UserWarning, match="damaged: it is rebuilt from the 2 arrays left"):
        found = cache.get("a", list("xyz"))
    assert_same(found, [*arrays[:2], None])
    cache.put("a", ["z"], arrays[2:])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # whole again
        assert_same(cache.get("a", list("xyz")), arrays)
        assert_same(open_cache(folder).get("a", list("xyz")), arrays)


def test_a_changed_byte_is_noticed(written):
    folder, arrays = written
    data = bytearray((folder / "a.f16").read_bytes())
    data[30] ^= 1
    (folder / "a.f16").write_bytes(bytes(data))
    cache = open_cache(folder)
    with pytest.warns(UserWarning, match="the damaged vectors are computed anew"):
        found = cache.get("a", list("xyz"))
    assert_same(found, [arrays[0], None, arrays[2]])
    cache.put("a", ["y"], arrays[1:2])
    assert_same(open_cache(folder).get("a", list("xyz")), arrays)


def test_lost_data(written):
    folder, arrays = written
    (folder / "a.f16").unlink()
    cache = open_cache(folder)
    with pytest.warns(UserWarning, match="rebuilt from the 0 arrays left"):
        assert cache.get("a", list("xyz")) == [None] * 3
    cache.put("a", ["x"], arrays[:1])
    assert_same(open_cache(folder).get("a", list("xy")), [arrays[0], None])


def test_an_interrupted_write_leaves_the_rest_whole(written):
    folder, arrays = written
    with (folder / "a.f16").open("ab") as file:
        file.write(b"12345")  # data without its line in the index
    open_cache(folder).put("a", ["w"], arrays[:1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same(open_cache(folder).get("a", list("wxyz")), [arrays[0], *arrays])


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    cache, array = open_cache(tmp_path / "file" / "below"), random()
    with pytest.warns(UserWarning, match="not writable .*further vectors are not kept"):
        assert_same(cache.put("a", ["x"], [array]), [half(array)])
    assert cache.get("a", ["x"]) == [None]


# Settings and keys


def test_wrong_settings(tmp_path):
    (tmp_path / "file").write_text("")
    for place in ("", str(tmp_path / "file")):
        with pytest.raises(ValueError, match=f"'memory', 'none' or a folder, but got '{place}'"):
            make_cache(place, 1)
    for limit in (-1, float("nan")):
        with pytest.raises(ValueError, match=f"cache_mb must be 0 or more, but got {limit}"):
            make_cache("memory", limit)
    assert type(make_cache(str(tmp_path), 1)) is FileCache


def test_text_key_knows_texts_and_spaces_alone():
    def key(words, spaces=None, tag=""):
        doc = Doc(Vocab(), words=words, spaces=spaces)
        for token in doc:
            token.tag_ = tag
        return text_key(doc)

    docs = [([], None), (["a"], None), (["a"], [False]), (["b"], None), (["a", "b"], None)]
    docs += [(["b", "a"], None), (["ab"], None), (["a", "b"], [False, True]), (["a b"], None)]
    keys = [key(*doc) for doc in docs]
    assert len(set(keys)) == len(docs)
    assert [key(*doc, tag="X") for doc in docs] == keys
    assert keys[1] == "509953e0d62c0a22175376384b03a1ce"  # in every process
