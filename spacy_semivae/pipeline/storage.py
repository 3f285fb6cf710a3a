"""What a component stores beside its model, such as learned priors."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import srsly
from spacy.pipeline import TrainablePipe


class StoredPipe(TrainablePipe):
    """A trainable component whose four storage methods keep further named parts."""

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
        extra = {k: dump() for k, (dump, _) in self.extra_state().items() if k not in exclude}
        return srsly.msgpack_dumps({"pipe": super().to_bytes(exclude=exclude), "extra": extra})

    def from_bytes(self, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> Any:
        """Load what `to_bytes` gave.

        bytes_data (bytes): The component.
        exclude (Iterable[str]): Parts to leave out.
        RETURNS (StoredPipe): This component.
        """
        message = srsly.msgpack_loads(bytes_data)
        super().from_bytes(message["pipe"], exclude=exclude)
        self.after_load()
        for name, (_, load) in self.extra_state().items():
            if name not in exclude and name in message["extra"]:
                load(message["extra"][name])
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

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> Any:
        """Load what `to_disk` saved.

        path (str | Path): The folder.
        exclude (Iterable[str]): Parts to leave out.
        RETURNS (StoredPipe): This component.
        """
        super().from_disk(path, exclude=exclude)
        self.after_load()
        for name, (_, load) in self.extra_state().items():
            if name not in exclude and (Path(path) / name).exists():
                load((Path(path) / name).read_bytes())
        return self
