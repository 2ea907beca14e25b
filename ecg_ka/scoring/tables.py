"""Tables of rows: Parquet, NDJSON and CSV, written as they come, in memory that does not grow."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ecg_ka.errors import EcgError, MissingDependency
from ecg_ka.scoring.row import COLUMNS, Kind, Row, Value

if TYPE_CHECKING:
    from types import ModuleType

    import pyarrow as pa

_ROW_GROUP = 16_384
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_NAMES = tuple(column.name for column in COLUMNS)


class TableFormat(StrEnum):
    """What a table is written as: the suffix of its name."""

    PARQUET = "parquet"
    NDJSON = "ndjson"
    CSV = "csv"


class Table(Protocol):
    """A table that is being written."""

    def add(self, rows: list[Row]) -> None:
        """Append rows."""


def table_format(path: Path) -> TableFormat:
    """By the suffix of its name.

    Raises:
        EcgError: it is none of those that are written.
        MissingDependency: what it needs is not installed.
    """
    suffix = path.suffix.removeprefix(".")
    if suffix not in set(TableFormat):
        raise EcgError(f"{path} ends in {path.suffix!r}; expected .{', .'.join(TableFormat)}")
    if suffix == TableFormat.PARQUET:
        arrow()
    return TableFormat(suffix)


@contextmanager
def written(path: Path, kind: TableFormat, about: dict[str, Any]) -> Iterator[Table]:
    """A new table; ``about`` goes into the file where the format has a place for it."""
    match kind:
        case TableFormat.PARQUET:
            with _parquet(path, about) as table:
                yield table
        case TableFormat.NDJSON:
            with path.open("w", encoding="utf-8") as stream:
                yield _Ndjson(stream)
        case TableFormat.CSV:
            with path.open("w", encoding="utf-8", newline="") as stream:
                yield CsvTable(stream, _NAMES)


class CsvTable:
    """CSV with a header."""

    def __init__(self, stream: Any, names: tuple[str, ...]) -> None:
        self._writer = csv.writer(stream, lineterminator="\r\n")
        self._writer.writerow(names)

    def add(self, rows: list[Row]) -> None:
        """Append rows."""
        self._writer.writerows(map(_safe, row) for row in rows)


def arrow() -> ModuleType:
    """The library that writes Parquet.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:
        raise MissingDependency(
            "Parquet needs pyarrow: pip install 'ecg-ka[archive]', or write .ndjson or .csv"
        ) from None
    return pa  # type: ignore[no-any-return]


def arrow_table(rows: list[Row], about: dict[str, Any]) -> pa.Table:
    """Rows as a table of Arrow."""
    schema = _schema(about)
    columns = zip(*rows, strict=True) if rows else [[] for _ in COLUMNS]
    arrays = [arrow().array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return arrow().Table.from_arrays(arrays, schema=schema)


class _Ndjson:
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def add(self, rows: list[Row]) -> None:
        for row in rows:
            self._stream.write(json.dumps(dict(zip(_NAMES, row, strict=True)), allow_nan=False) + "\n")


class _Parquet:
    def __init__(self, writer: Any, about: dict[str, Any]) -> None:
        self._writer, self._about = writer, about
        self._rows: list[Row] = []

    def add(self, rows: list[Row]) -> None:
        self._rows += rows
        if len(self._rows) >= _ROW_GROUP:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self._writer.write_table(arrow_table(self._rows, self._about))
        self._rows = []


@contextmanager
def _parquet(path: Path, about: dict[str, Any]) -> Iterator[_Parquet]:
    with arrow().parquet.ParquetWriter(path, _schema(about), compression="zstd") as writer:
        table = _Parquet(writer, about)
        yield table
        table.flush()


def _schema(about: dict[str, Any]) -> Any:
    types = {Kind.TEXT: arrow().string(), Kind.NUMBER: arrow().float64()}
    fields = [arrow().field(column.name, types[column.kind]) for column in COLUMNS]
    return arrow().schema(fields, metadata={"ecg_ka": json.dumps(about, sort_keys=True)})


def _safe(cell: Value) -> Value:
    """A text that a spreadsheet would take for a formula, with a quote before it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell
