"""Reading what may be damaged or made to do harm: no part is trusted before it was looked at.

Safetensors, msgpack and JSON hold no code. What is left is damage, which checksums show, and
settings that ask for memory, files or code of somebody else's, which are refused here.
"""

import gc
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path, PureWindowsPath
from typing import Any

CHECKSUMS = "checksums.json"
BLOCK = 2**20  # bytes read at once


@contextmanager
def reading(what: str | Path) -> Iterator[None]:
    """Give all that may go wrong while something is read one kind of error, which names it.

    what (str | Path): The file or part.
    RAISES (ValueError): When it cannot be read; errors of the system that name a file stay.
    """
    collects = gc.isenabled()
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.filename:
            raise
        kind = "" if type(error) is ValueError else f"{type(error).__name__}: "
        raise ValueError(f"{what} cannot be loaded: {kind}{error}") from error
    finally:
        if collects:
            gc.enable()  # srsly leaves it off after an error


# Checksums


def checksum(data: bytes) -> str:
    """Hash what was or will be written.

    data (bytes): The content.
    RETURNS (str): 32 hexadecimal digits.
    """
    return blake2b(data, digest_size=16).hexdigest()


def file_checksum(file: Path) -> str:
    """Hash a file, of which only a block is held in memory.

    file (Path): The file.
    RETURNS (str): What `checksum` gives of its content.
    """
    found = blake2b(digest_size=16)
    with file.open("rb") as stream:
        while block := stream.read(BLOCK):
            found.update(block)
    return found.hexdigest()


def write_checksums(folder: Path, names: Iterable[str]) -> None:
    """Write the checksums of files beside them.

    folder (Path): Their folder.
    names (Iterable[str]): The files.
    """
    found = {name: file_checksum(folder / name) for name in names}
    (folder / CHECKSUMS).write_text(json.dumps(found, indent=2), encoding="utf8")


def check_files(folder: Path, names: Iterable[str]) -> None:
    """Compare files with their checksums; a folder that has none is taken as it is.

    folder (Path): Their folder.
    names (Iterable[str]): The files that will be read.
    RAISES (ValueError): When a file is not what was written.
    RAISES (OSError): When a file is missing.
    """
    if not (folder / CHECKSUMS).exists():
        return
    with reading(folder / CHECKSUMS):
        known = dict(json.loads((folder / CHECKSUMS).read_bytes()))
    for name in names:
        if name in known and file_checksum(folder / name) != known[name]:
            raise ValueError(
                f"{folder / name} is not what was written: copy or save it anew, or delete "
                f"{CHECKSUMS} beside it to load it as it is"
            )


def check_parts(parts: Mapping[str, bytes], known: Mapping[str, str]) -> None:
    """Compare parts of a message with their checksums.

    parts (Mapping[str, bytes]): The parts by name.
    known (Mapping[str, str]): Checksums by name; none in messages of older versions.
    RAISES (ValueError): When a part is missing or not what was written.
    """
    for name, expected in known.items():
        if name not in parts or checksum(parts[name]) != expected:
            raise ValueError(f"its part {name!r} is not what was written")


# Settings


def walk_settings(settings: Any) -> Iterator[tuple[str, Any]]:
    """Go through settings that hold settings.

    settings (Any): A dictionary, a list, or one value, of which nothing comes.
    YIELDS (tuple[str, Any]): Names and values.
    """
    for name, value in settings.items() if isinstance(settings, dict) else ():
        yield str(name), value
        yield from walk_settings(value)
    for value in settings if isinstance(settings, list) else ():
        yield from walk_settings(value)


def check_depth(settings: dict[str, Any], limit: int) -> None:
    """Refuse a module of more layers than there are weights: it would be built without end.

    settings (dict[str, Any]): The settings of a module.
    limit (int): How many weights there are.
    RAISES (ValueError): When a number of layers is larger.
    """
    for name, value in walk_settings(settings):
        if "layer" in name and isinstance(value, int | float) and value > limit:
            raise ValueError(f"{name} is {value}, but there are {limit} weights")


def check_config(config: dict[str, Any]) -> None:
    """Refuse a configuration that lets transformers fetch code for its attention.

    config (dict[str, Any]): The configuration of a model.
    RAISES (ValueError): When it names a repository.
    """
    for name, value in walk_settings(config):
        if "attn_implementation" in name and "/" in str(value):
            raise ValueError(f"its configuration asks for code: {name} = {value!r}")


def write_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files that came in a message into a folder, and nowhere else.

    files (Mapping[str, bytes]): Contents by name.
    folder (Path): The folder.
    RAISES (ValueError): For a name that is none of a file in this folder.
    """
    for name, content in files.items():
        if name in ("", ".", "..") or PureWindowsPath(name).name != name:
            raise ValueError(f"it holds a file of the name {name!r}")
        (folder / name).write_bytes(content)
