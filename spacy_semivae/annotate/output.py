"""Where annotated Docs go: a folder of shards, or one file that is made of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

import srsly

from ..training.files import TEMPORARY, replacing
from .manifest import FINISHED, MANIFEST, check_manifest, has_finished, write_manifest
from .writers import FORMATS

PARTS = ".parts"
HEX = "[0-9a-f]" * 32  # what makes a temporary name unique


@dataclass(frozen=True)
class Output:
    """A folder of shards, or a file.

    path (Path): The folder or file.
    format (str): A name of `writers.FORMATS`.
    is_file (bool): Whether it is a file.
    """

    path: Path
    format: str
    is_file: bool

    @property
    def folder(self) -> Path:
        """The folder of the shards; that of a file lies beside it until the file is whole."""
        return self.path.with_name(self.path.name + PARTS) if self.is_file else self.path

    @property
    def rejects(self) -> Path:
        """The file of rejected texts, beside the output: a folder of shards can be a corpus."""
        return self.path.with_name(f"{self.path.name}.rejects.jsonl")

    def open(self, manifest: dict[str, Any], *, overwrite: bool) -> bool:
        """Make the folder ready for a run, a new one or one to go on with.

        manifest (dict): What the run is made of.
        overwrite (bool): Delete what an earlier run wrote.
        RETURNS (bool): False when nothing is left to do.
        RAISES (ValueError): When the output holds something else.
        """
        is_run = (self.folder / MANIFEST).exists()
        was_whole = self.is_file and self.path.exists() and self.folder.exists()
        if overwrite:
            self._delete(is_run)
        elif is_run and (was_whole or has_finished(self.folder)):
            check_manifest(self.folder, manifest)
        elif is_run:
            self.delete_run()  # nothing was finished, so nothing has to fit
        if was_whole and not overwrite:
            self.delete_run()  # cut off while it did so
            return False
        if self.path.exists() and not is_run:
            self._check_empty()
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(exist_ok=True)
        self._delete_temporary()
        write_manifest(self.folder, manifest)
        return True

    def close(self, shards: Sequence[Path], manifest: dict[str, Any]) -> list[Path]:
        """Finish a run.

        shards (Sequence[Path]): The files of all shards, in order.
        manifest (dict): What the run is made of and what came out.
        RETURNS (list[Path]): The files that stay.
        """
        write_manifest(self.folder, manifest)
        if not self.is_file:
            self._delete_temporary()  # of workers that were killed, and their shards repeated
            return list(shards)
        with replacing(self.path) as stream:
            FORMATS[self.format].join(shards, stream)
        self.delete_run()
        return [self.path]

    def delete_run(self) -> None:
        """Delete notes and shards of a run, the manifest last, and the folder if it is empty."""
        self._delete_temporary()
        for pattern in (FINISHED, *(f"shard-*.{name}" for name in FORMATS), MANIFEST):
            for file in self.folder.glob(pattern):
                file.unlink()
        if self.folder.exists() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def sort_rejects(self) -> None:
        """Bring rejects into the order of the input: workers report them as they find them."""
        if self.rejects.exists():
            rows: list[Any] = list(srsly.read_jsonl(self.rejects))
            rows.sort(key=lambda row: (row["file"], row["line"]))
            with replacing(self.rejects) as stream:
                stream.writelines(f"{srsly.json_dumps(row)}\n".encode() for row in rows)

    def _delete(self, is_run: bool) -> None:
        if self.is_file:
            self.path.unlink(missing_ok=True)
        if is_run:
            self.delete_run()

    def _delete_temporary(self) -> None:
        own = [f".{escape(path.name)}.{HEX}{TEMPORARY}" for path in (self.path, self.rejects)]
        beside = [file for pattern in own for file in self.path.parent.glob(pattern)]
        for file in (*self.folder.glob(f".*{TEMPORARY}"), *beside):
            file.unlink()

    def _check_empty(self) -> None:
        if self.is_file:
            raise ValueError(f"{self.path} exists; --overwrite replaces it")
        if any(not file.name.endswith(TEMPORARY) for file in self.path.iterdir()):
            raise ValueError(
                f"{self.path} must be new, empty or hold a run of annotate, got other files"
            )


def find_output(path: str | Path, format: str | None) -> Output:
    """Read from a name what the output is.

    path (str | Path): A name with the suffix of a format is a file, any other a folder.
    format (str | None): The format; None for that of the suffix, or JSON lines without one.
    RETURNS (Output): The output.
    RAISES (ValueError): When the format is unknown, or is another one than that of the suffix.
    """
    path = Path(path)
    suffix = path.suffix.lower().removeprefix(".")
    is_file = suffix in FORMATS
    if format is None:
        format = suffix or "jsonl"
    if format not in FORMATS or (is_file and format != suffix):
        known = ", ".join(FORMATS)
        rule = f"the format is one of {known}, and that of the suffix where OUTPUT has one of these"
        raise ValueError(f"{rule}, got {format!r} for {path}")
    if is_file and path.is_dir():
        raise ValueError(f"{path} must be a file by its suffix, got a folder")
    if not is_file and path.is_file():
        raise ValueError(f"{path} must be a folder by its name, got a file")
    return Output(path, format, is_file)
