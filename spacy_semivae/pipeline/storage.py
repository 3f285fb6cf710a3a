"""How a component is stored: cfg, model, further parts such as learned priors, and checksums."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import srsly
from spacy.pipeline import TrainablePipe

from ..layers.loading import check_files, check_parts, checksum, reading, write_checksums

PARTS = ("cfg", "vocab", "model")  # those of every trainable component, in the order of loading


class StoredPipe(TrainablePipe):
    """A trainable component whose four storage methods keep further named parts.

    Damage is noticed: what was written can be loaded as it was, or there is an error.
    """

    def after_load(self) -> None:
        """Bring in line what depends on the loaded settings."""

    def extra_state(self) -> dict[str, tuple[Callable[[], bytes], Callable[[bytes], Any]]]:
        """Name what the component stores beside its model.

        RETURNS (dict): By name, a function that serializes and one that loads.
        """
        return {}

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Serialize the component.

        exclude (Iterable[str]): Parts to leave out.
        RETURNS (bytes): The component.
        """
        pipe = super().to_bytes(exclude=exclude)
        extra = {k: dump() for k, (dump, _) in self.extra_state().items() if k not in exclude}
        sums = {name: checksum(part) for name, part in {"pipe": pipe, **extra}.items()}
        return srsly.msgpack_dumps({"pipe": pipe, "extra": extra, "checksums": sums})

    def from_bytes(self, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> Any:
        """Load what `to_bytes` gave.

        bytes_data (bytes): The component.
        exclude (Iterable[str]): Parts to leave out.
        RETURNS (StoredPipe): This component.
        RAISES (ValueError): When the bytes are damaged, or of another component.
        """
        with reading(f"Component '{self.name}'"):
            message = srsly.msgpack_loads(bytes_data)
            extra = message["extra"]
            check_parts({"pipe": message["pipe"], **extra}, message.get("checksums", {}))
            super().from_bytes(message["pipe"], exclude=exclude)
            self.after_load()
            for name, (_, load) in self.extra_state().items():
                if name not in exclude and name in extra:
                    load(extra[name])
        return self

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Save the component.

        path (str | Path): A folder.
        exclude (Iterable[str]): Parts to leave out.
        """
        super().to_disk(path, exclude=exclude)
        for name, (dump, _) in self.extra_state().items():
            if name not in exclude:
                (Path(path) / name).write_bytes(dump())
        names = [name for name in ("cfg", "model", *self.extra_state()) if name not in exclude]
        write_checksums(Path(path), names)

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> Any:
        """Load what `to_disk` saved.

        path (str | Path): The folder.
        exclude (Iterable[str]): Parts to leave out.
        RETURNS (StoredPipe): This component.
        RAISES (ValueError): When a file is damaged, or of another component; names it.
        RAISES (OSError): When a file is missing.
        """
        folder, extra = Path(path), self.extra_state()
        check_files(folder, [name for name in (*PARTS, *extra) if name not in exclude])
        for name in PARTS:
            if name not in exclude:
                with reading(folder / name):
                    super().from_disk(folder, exclude=[*exclude, *set(PARTS) - {name}])
        with reading(folder):
            self.after_load()
        for name, (_, load) in extra.items():
            if name not in exclude and (folder / name).exists():
                with reading(folder / name):
                    load((folder / name).read_bytes())
        return self
