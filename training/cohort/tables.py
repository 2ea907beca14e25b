"""Tables that a hospital hands over: found by name, columns checked by name, rows streamed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

_ENDINGS = (".csv.gz", ".csv", ".parquet")


def table_named(folder: Path, name: str) -> Path:
    """The table ``name`` in a folder, gzipped or not.

    Raises:
        FileNotFoundError: there is none.
    """
    for ending in _ENDINGS:
        if (path := folder / f"{name}{ending}").is_file():
            return path
    raise FileNotFoundError(f"{folder} has no table {name}: looked for {', '.join(name + e for e in _ENDINGS)}")


def table(path: Path, columns: Mapping[str, Any]) -> pl.LazyFrame:
    """A CSV (also gzipped) or Parquet table; ``columns`` are those that it has to have, with their polars types.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column is missing.
    """
    import polars as pl

    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; expected a table with the columns {', '.join(columns)}")
    if path.suffix == ".parquet":
        scanned = pl.scan_parquet(path)
    else:
        scanned = pl.scan_csv(path, schema_overrides=columns, infer_schema_length=10_000)
    try:
        found = scanned.collect_schema().names()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{path} is no table that can be read: {_first_line(error)}") from None
    missing = [name for name in columns if name not in found]
    if missing:
        raise ValueError(f"{path} has no column {', '.join(missing)}; its columns are {', '.join(found)[:400]}")
    return scanned.with_columns(pl.col(name).cast(kind) for name, kind in columns.items())


def collect(lazy: pl.LazyFrame, path: Path) -> pl.DataFrame:
    """The rows, streamed.

    Raises:
        ValueError: a value of the table at ``path`` is not of its column's type.
    """
    import polars as pl

    try:
        return lazy.collect(engine="streaming")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{path} cannot be read: {_first_line(error)}") from None


def moment(name: str) -> pl.Expr:
    """A column of texts such as ``2180-07-23 08:44:00`` as local times without a zone; null where it is none.

    Hospitals write wall-clock times: no zone is assumed, so none of their hours is skipped or doubled.
    """
    import polars as pl

    text = pl.col(name).cast(pl.String).str.strip_chars().str.replace("T", " ", literal=True)
    times = (text.str.to_datetime(form, strict=False, time_unit="us") for form in _MOMENTS)
    return pl.coalesce(*times).alias(name)


_MOMENTS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:300]
