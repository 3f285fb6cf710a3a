"""What a run writes down beside its shards, so that a restart knows what is done.

`manifest.json` says what the run is made of: versions, pipeline, input and settings. A line of
`finished.log` is added after each shard.
"""

import os
from collections.abc import Sequence
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

import srsly
from spacy.util import get_package_path, is_package, logger

from ..layers.loading import file_checksum
from ..training.files import replacing
from ..training.resume import flatten, list_changes
from .shards import DIGEST_SIZE, Done, Job

MANIFEST, FINISHED = "manifest.json", "finished.log"
PACKAGES = ("spacy_semivae", "spacy", "thinc", "torch")


def describe_run(job: Job, files: Sequence[Path], *, shard_size: int) -> dict[str, Any]:
    """Describe all that the bytes of the shards depend on.

    job (Job): What is to be done.
    files (Sequence[Path]): The input.
    shard_size (int): Texts of a shard.
    RETURNS (dict[str, Any]): What goes into the manifest.
    """
    names = [file.relative_to(job.root).as_posix() for file in files]
    return {
        "versions": {name: version(name) for name in PACKAGES},
        "model": job.model_hash,
        "code": None if job.code is None else hash_files(Path(job.code)),
        "input": {name: file.stat().st_size for name, file in zip(names, files)},
        "format": job.format,
        "shard_size": shard_size,
        "batch_size": job.batch_size,
        "gpu": job.gpu_id >= 0,
    }


def find_model(name: str) -> Path:
    """Find the files of a pipeline.

    name (str): A folder, or the name of a package.
    RETURNS (Path): The folder.
    RAISES (ValueError): When there is none.
    """
    if is_package(name):
        return get_package_path(name)
    if not Path(name).is_dir():
        raise ValueError(f"a pipeline is a folder or a package, got {name!r}")
    return Path(name)


def hash_files(path: Path) -> str:
    """Hash a file, or the names and contents of the files in a folder.

    path (Path): The file or folder.
    RETURNS (str): Hexadecimal digits.
    """
    found = blake2b(digest_size=DIGEST_SIZE)
    inner = (f for f in path.rglob("*") if f.is_file() and f.parent.name != "__pycache__")
    for file in sorted(inner) if path.is_dir() else [path]:
        found.update(f"{file.relative_to(path).as_posix()}\0{file_checksum(file)}\0".encode())
    return found.hexdigest()


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest.

    folder (Path): The run's folder.
    manifest (dict): What `describe_run` gave, and perhaps the totals.
    """
    with replacing(folder / MANIFEST) as stream:
        stream.write(f"{srsly.json_dumps(manifest, indent=2)}\n".encode())


def check_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Refuse to go on with a run that was made of something else.

    folder (Path): The run's folder.
    manifest (dict): What the run is made of now.
    RAISES (ValueError): When anything differs; says what.
    """
    try:
        old: Any = srsly.read_json(folder / MANIFEST)
        before = flatten({key: old[key] for key in manifest})
    except (ValueError, KeyError, TypeError) as error:
        rule = "holds a damaged manifest: --overwrite starts anew"
        raise ValueError(f"{folder} {rule} ({error})") from error
    changes = list_changes(before, flatten(manifest))
    if changes:
        rule = "holds a run of which this has changed since (--overwrite starts anew)"
        raise ValueError(f"{folder} {rule}: {'; '.join(changes)}")


def note_finished(folder: Path, done: Done) -> None:
    """Write down that a shard is finished.

    folder (Path): The run's folder.
    done (Done): The shard.
    """
    with (folder / FINISHED).open("ab") as stream:
        stream.write(to_line(done))
        stream.flush()
        os.fsync(stream.fileno())


def write_finished(folder: Path, finished: dict[int, Done]) -> None:
    """Write down all finished shards anew, in order and without what was cut off.

    folder (Path): The run's folder.
    finished (dict[int, Done]): The shards by number.
    """
    with replacing(folder / FINISHED) as stream:
        stream.writelines(to_line(done) for _, done in sorted(finished.items()))


def to_line(done: Done) -> bytes:
    """RETURNS (bytes): A line of `finished.log`."""
    entry = [done.number, done.docs, done.bytes, done.digest, done.rejected]
    return f"{srsly.json_dumps(entry)}\n".encode()


def has_finished(folder: Path) -> bool:
    """Tell whether any shard of a run was finished.

    folder (Path): The run's folder.
    RETURNS (bool): Whether one was noted.
    """
    path = folder / FINISHED
    return path.exists() and path.stat().st_size > 0


def read_finished(job: Job) -> dict[int, Done]:
    """Find the shards that need not be made again.

    job (Job): What is to be done.
    RETURNS (dict[int, Done]): By number. A shard whose file is not as long as it was is left out.
    """
    path = job.folder / FINISHED
    noted = {}
    for line in path.read_text(encoding="utf8").splitlines() if path.exists() else ():
        try:
            number, docs, size, digest, rejected = srsly.json_loads(line)
        except ValueError:
            continue  # the line was cut off with the run
        noted[number] = Done(number, docs, size, digest, [tuple(entry) for entry in rejected])
    return {number: done for number, done in noted.items() if is_whole(job.path(number), done)}


def is_whole(path: Path, done: Done) -> bool:
    """Tell whether a shard's file is as long as it was.

    path (Path): The file.
    done (Done): What was noted of it.
    RETURNS (bool): False, with a warning, if it is gone or has another length.
    """
    if not path.exists():
        logger.warning("%s is gone: made again", path)
        return False
    size = path.stat().st_size
    if size != done.bytes:
        logger.warning("%s has %d bytes instead of %d: made again", path, size, done.bytes)
    return size == done.bytes
