"""Arrays that a frozen encoder computed, kept in memory or in a file that later runs read.

An entry is found by its owner, a fingerprint of the weights and settings that computed it, and
by a key of its input. So arrays of other weights are never taken for those of the present ones.
"""

import os
import warnings
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy
import srsly
from numpy.typing import NDArray
from spacy.attrs import ORTH, SPACY
from spacy.tokens import Doc

Array = NDArray[numpy.float32]
HALF = numpy.dtype("<f2")


def make_cache(place: str, limit_mb: float) -> "VectorCache":
    """Make a cache from its settings.

    place (str): "memory", "none" or a folder.
    limit_mb (float): Megabytes kept at most.
    RETURNS (VectorCache): The cache.
    RAISES (ValueError): When the limit is negative or the folder is a file.
    """
    if not limit_mb >= 0:
        raise ValueError(f"cache_mb must be 0 or more, but got {limit_mb}")
    if not place or Path(place).is_file():
        raise ValueError(f"cache must be 'memory', 'none' or a folder, but got {place!r}")
    if place in ("memory", "none"):
        return VectorCache(limit_mb=limit_mb if place == "memory" else 0)
    return FileCache(place, limit_mb=limit_mb)


def text_key(doc: Doc) -> str:
    """Hash the texts and spaces of a Doc's tokens, the same in every process.

    doc (Doc): The Doc.
    RETURNS (str): 32 hexadecimal digits.
    """
    return blake2b(doc.to_array([ORTH, SPACY]).tobytes(), digest_size=16).hexdigest()


class VectorCache:
    """Keep arrays in memory; those not used for longest leave first.

    Copies and threads share the cache; a pickle of it is empty.

    limit_mb (float): Megabytes kept at most; 0 keeps nothing.
    """

    def __init__(self, *, limit_mb: float) -> None:
        self.limit_mb = limit_mb
        self.limit = int(limit_mb * 2**20)
        self.used = 0
        self.entries: OrderedDict[tuple[str, str], Array] = OrderedDict()
        self.lock = Lock()  # to be found moves an entry, so that reading is a change too

    def get(self, owner: str, keys: Sequence[str]) -> list[Array | None]:
        """Look up arrays; they belong to the cache and must not be written to.

        owner (str): Fingerprint of what computes them.
        keys (Sequence[str]): Keys of the inputs.
        RETURNS (list[ndarray | None]): float32, None for those not known.
        """
        with self.lock:
            for key in keys:
                if (owner, key) in self.entries:
                    self.entries.move_to_end((owner, key))
            return [self.entries.get((owner, key)) for key in keys]

    def put(self, owner: str, keys: Sequence[str], arrays: Sequence[Array]) -> list[Array]:
        """Take in arrays.

        owner (str): Fingerprint of what computed them.
        keys (Sequence[str]): Keys of the inputs, each one once.
        arrays (Sequence[ndarray]): float32, each (N, width).
        RETURNS (list[ndarray]): The arrays as `get` will give them.
        """
        # copied, because a view would keep the whole batch alive
        fits = {k: a.astype("float32") for k, a in zip(keys, arrays) if a.nbytes <= self.limit}
        with self.lock:
            for key, array in fits.items():
                self.used += array.nbytes - self.entries.pop((owner, key), array[:0]).nbytes
                self.entries[owner, key] = array
            while self.used > self.limit:
                self.used -= self.entries.popitem(last=False)[1].nbytes
        return list(arrays)

    def __deepcopy__(self, memo: dict[int, Any]) -> "VectorCache":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (make_cache, ("memory", self.limit_mb))


class FileCache(VectorCache):
    """Keep arrays in half precision in a folder, one data file with an index for each owner.

    folder (str): The folder; it is made when the first array comes.
    limit_mb (float): Megabytes of a data file at most.
    """

    def __init__(self, folder: str, *, limit_mb: float) -> None:
        super().__init__(limit_mb=limit_mb)
        self.folder = folder
        self.files: dict[str, VectorFile] = {}

    def get(self, owner: str, keys: Sequence[str]) -> list[Array | None]:
        """Look up arrays.

        owner (str): Fingerprint of what computes them; it names the file.
        keys (Sequence[str]): Keys of the inputs.
        RETURNS (list[ndarray | None]): float32, None for those not known.
        """
        file = self._open(owner)
        return [file.read(key) for key in keys]

    def put(self, owner: str, keys: Sequence[str], arrays: Sequence[Array]) -> list[Array]:
        """Append arrays to the owner's file.

        Once the file is full the rest is left out: when a corpus larger than the cache is read
        in turns, those that stay are found each time, and the newest never would be.

        owner (str): Fingerprint of what computed them; it names the file.
        keys (Sequence[str]): Keys of the inputs, each one once.
        arrays (Sequence[ndarray]): float32, each (N, width).
        RETURNS (list[ndarray]): The arrays rounded, so that a result is the same whether or not
            they were found in the cache. Those too large for half precision are not kept.
        """
        with numpy.errstate(over="ignore"):
            halves = [array.astype(HALF) for array in arrays]
        fits = [bool(numpy.isfinite(half).all()) for half in halves]
        file = self._open(owner)
        with self.lock:
            file.write({key: half for key, half, fit in zip(keys, halves, fits) if fit})
        found = zip(arrays, halves, fits)
        return [half.astype("float32") if fit else array for array, half, fit in found]

    def _open(self, owner: str) -> "VectorFile":
        with self.lock:
            if owner not in self.files:
                self.files[owner] = VectorFile(Path(self.folder) / owner, self.limit)
            return self.files[owner]

    def __reduce__(self) -> tuple[Any, ...]:
        return (make_cache, (self.folder, self.limit_mb))


class Entry(NamedTuple):
    """Where an array lies in the data file."""

    start: int  # first byte
    rows: int
    width: int
    checksum: int  # CRC-32 of its bytes

    @property
    def end(self) -> int:
        """The byte behind the last."""
        return self.start + self.rows * self.width * HALF.itemsize


class VectorFile:
    """Arrays one after the other in a memory-mapped file, and an index with a line for each.

    Both files only grow, data before index, so that an interrupted run leaves nothing wrong
    behind. What is damaged all the same is found by its checksum and computed anew.

    stem (Path): The path of both files, without their endings.
    limit (int): Bytes of the data file at most.
    """

    def __init__(self, stem: Path, limit: int) -> None:
        self.data, self.index = stem.with_suffix(".f16"), stem.with_suffix(".jsonl")
        self.limit = limit
        self.open = True  # False once the file is full or cannot be written
        self.mapped: NDArray[numpy.uint8] = numpy.zeros(0, dtype="uint8")
        self.entries = self._read_index()

    def read(self, key: str) -> Array | None:
        """Read an array.

        key (str): Its key.
        RETURNS (ndarray | None): float32, (N, width); None when it is not there or damaged.
        """
        entry = self.entries.get(key)
        if entry is None:
            return None
        raw = self._bytes(entry)
        if len(raw) != entry.end - entry.start or zlib.crc32(raw) != entry.checksum:
            self.entries.pop(key, None)  # unless another thread was first
            self._warn("damaged", "the damaged vectors are computed anew")
            return None
        return numpy.frombuffer(raw, HALF).reshape(entry.rows, entry.width).astype("float32")

    def write(self, arrays: dict[str, NDArray[numpy.float16]]) -> None:
        """Append arrays, as many as there is room for.

        arrays (dict[str, ndarray]): float16, each (N, width), by key.
        """
        if not (self.open and arrays):
            return
        try:
            self.data.parent.mkdir(parents=True, exist_ok=True)
            self._append(arrays)
        except OSError as error:
            self.open = False
            self._warn(f"not writable ({error})", "further vectors are not kept")

    def _append(self, arrays: dict[str, NDArray[numpy.float16]]) -> None:
        with self.data.open("ab", buffering=0) as file:  # unbuffered: tell() counts other writers
            room = self.limit - file.tell()
            entries, parts, length = {}, [], 0
            for key, array in arrays.items():
                raw = array.tobytes()
                if length + len(raw) > room:
                    self.open = False
                    continue
                rows, width = array.shape
                entries[key] = Entry(length, rows, width, zlib.crc32(raw))
                parts.append(raw)
                length += len(raw)
            if file.write(b"".join(parts)) != length:
                raise OSError("the disk is full")
            start = file.tell() - length
        placed = {key: e._replace(start=start + e.start) for key, e in entries.items()}
        with self.index.open("ab") as file:
            file.write(index_lines(placed))
        self.entries.update(placed)
        if not self.open:
            self._warn(f"full ({self.limit} bytes)", "raise cache_mb to keep further vectors")

    def _bytes(self, entry: Entry) -> bytes:
        mapped = self.mapped
        if entry.end > len(mapped) and self.data.exists() and self.data.stat().st_size:
            mapped = self.mapped = numpy.memmap(self.data, dtype="uint8", mode="r")
        return mapped[entry.start : entry.end].tobytes()

    def _read_index(self) -> dict[str, Entry]:
        if not self.index.exists():
            return {}
        size = self.data.stat().st_size if self.data.exists() else 0
        entries, n_bad = {}, 0
        with self.index.open("rb") as file:
            for line in file:
                key, entry = parse_line(line)
                if entry is None or entry.end > size:
                    n_bad += 1
                else:
                    entries[key] = entry
        if n_bad:
            self._warn("damaged", f"it is rebuilt from the {len(entries)} arrays left in it")
            self._rewrite_index(entries)
        return entries

    def _rewrite_index(self, entries: dict[str, Entry]) -> None:
        try:
            temporary = self.index.with_suffix(f".{os.getpid()}")
            temporary.write_bytes(index_lines(entries))
            temporary.replace(self.index)
        except OSError as error:
            self.open = False
            self._warn(f"not writable ({error})", "further vectors are not kept")

    def _warn(self, state: str, consequence: str) -> None:
        warnings.warn(f"The vector cache {self.data} is {state}: {consequence}", stacklevel=2)


def index_lines(entries: dict[str, Entry]) -> bytes:
    """Write lines of an index.

    entries (dict[str, Entry]): Entries by key.
    RETURNS (bytes): A JSON list for each.
    """
    return "".join(f"{srsly.json_dumps([key, *e])}\n" for key, e in entries.items()).encode()


def parse_line(line: bytes) -> tuple[str, Entry | None]:
    """Read a line of an index.

    line (bytes): The line.
    RETURNS (tuple[str, Entry | None]): Key and entry; None when the line is damaged.
    """
    try:
        key, *numbers = srsly.json_loads(line)
        entry = Entry._make(int(number) for number in numbers)
    except (ValueError, TypeError):
        return "", None
    return key, entry if min(entry) >= 0 else None
