"""Files of annotated Docs: JSON lines, DocBins and Parquet, each written whole or not at all."""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, cast

import srsly
from spacy.tokens import DocBin

from .rows import Annotated, Fields, make_row


class Writer(ABC):
    """Takes in annotated Docs batch by batch and brings them into a file.

    stream (BinaryIO): The file.
    fields (Fields): What the pipeline annotates.
    """

    def __init__(self, stream: BinaryIO, fields: Fields) -> None:
        self.stream = stream
        self.fields = fields

    @abstractmethod
    def add(self, batch: Sequence[Annotated]) -> None:
        """Take in Docs; they may be freed afterwards.

        batch (Sequence[Annotated]): The Docs.
        """

    @abstractmethod
    def finish(self) -> None:
        """Write what was held back."""

    @staticmethod
    @abstractmethod
    def join(paths: Sequence[Path], stream: BinaryIO) -> None:
        """Write files one after the other into one.

        paths (Sequence[Path]): One file or more.
        stream (BinaryIO): The file.
        """


class JsonlWriter(Writer):
    """A JSON object a line."""

    def add(self, batch: Sequence[Annotated]) -> None:
        """Write lines."""
        for item in batch:
            self.stream.write(f"{srsly.json_dumps(make_row(item, self.fields))}\n".encode())

    def finish(self) -> None:
        """Do nothing: no line was held back."""

    @staticmethod
    def join(paths: Sequence[Path], stream: BinaryIO) -> None:
        """Copy all lines."""
        for path in paths:
            with path.open("rb") as source:
                shutil.copyfileobj(source, stream)


class SpacyWriter(Writer):
    """A DocBin, held in memory until the end, as is its nature."""

    def __init__(self, stream: BinaryIO, fields: Fields) -> None:
        super().__init__(stream, fields)
        self.docs = DocBin()

    def add(self, batch: Sequence[Annotated]) -> None:
        """Pack Docs."""
        for item in batch:
            self.docs.add(item.doc)

    def finish(self) -> None:
        """Write the DocBin."""
        self.stream.write(self.docs.to_bytes())

    @staticmethod
    def join(paths: Sequence[Path], stream: BinaryIO) -> None:
        """Merge DocBins."""
        docs = DocBin()
        for path in paths:
            docs.merge(DocBin().from_disk(path))
        stream.write(docs.to_bytes())


class ParquetWriter(Writer):
    """A row a Doc, the shard's rows in one row group."""

    def __init__(self, stream: BinaryIO, fields: Fields) -> None:
        super().__init__(stream, fields)
        self.schema = make_schema(fields)
        self.tables = [self.schema.empty_table()]

    def add(self, batch: Sequence[Annotated]) -> None:
        """Pack rows into columns."""
        rows = [make_row(item, self.fields) for item in batch]
        self.tables.append(import_pyarrow().Table.from_pylist(rows, schema=self.schema))

    def finish(self) -> None:
        """Write the columns."""
        arrow = import_pyarrow()
        with arrow.parquet.ParquetWriter(self.stream, self.schema) as writer:
            writer.write_table(arrow.concat_tables(self.tables))

    @staticmethod
    def join(paths: Sequence[Path], stream: BinaryIO) -> None:
        """Copy row groups."""
        parquet = import_pyarrow().parquet
        with parquet.ParquetWriter(stream, parquet.read_schema(paths[0])) as writer:
            for path in paths:
                writer.write_table(parquet.read_table(path))


FORMATS: dict[str, type[Writer]] = {
    "jsonl": JsonlWriter,
    "spacy": SpacyWriter,
    "parquet": ParquetWriter,
}


def make_schema(fields: Fields) -> Any:
    """Give the columns of a Parquet file; they are the keys of `rows.make_row`.

    fields (Fields): What the pipeline annotates.
    RETURNS (pyarrow.Schema): The schema.
    """
    arrow = import_pyarrow()
    strings, number = arrow.list_(arrow.string()), arrow.int64()
    columns = {"text": arrow.string(), "tokens": strings, "spaces": arrow.list_(arrow.bool_())}
    if fields.entities:
        entity = [("start", number), ("end", number), ("label", arrow.string())]
        if fields.probabilities:
            entity.append(("probability", arrow.float64()))
        columns["entities"] = arrow.list_(arrow.struct(entity))
    columns.update(dict.fromkeys(fields.attrs, strings))
    if fields.cats:
        columns["cats"] = arrow.map_(arrow.string(), arrow.float64())
    return arrow.schema([*columns.items(), ("file", arrow.string()), ("line", number)])


def import_pyarrow() -> ModuleType:
    """Import pyarrow with its Parquet part.

    RETURNS (ModuleType): The package.
    RAISES (ValueError): When it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ValueError(f"the format parquet needs the package pyarrow, got {error}") from error
    return cast(ModuleType, pyarrow)
