"""The index of a cohort: one row an ECG, first the columns that every cohort has, then covariates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from training.cohort import Label

if TYPE_CHECKING:
    import polars as pl

WRITTEN_BY_BUILDERS = ("gap_min", "quality", "split", "ecg_sha256")


class Columns(Mapping[str, NDArray[Any]]):
    """The columns of an index on disk as arrays (n,), each read when it is first asked for."""

    def __init__(self, path: Path) -> None:
        import polars as pl

        self._path = path
        self._names = tuple(pl.read_parquet_schema(path))
        self.n_rows = int(pl.scan_parquet(path).select(pl.len()).collect().item())
        self._arrays: dict[str, NDArray[Any]] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        import polars as pl

        if name not in self._names:
            raise KeyError(name)
        if name not in self._arrays:
            self._arrays[name] = _array(pl.read_parquet(self._path, columns=[name])[name])
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def in_standard_form(frame: pl.DataFrame, label: Label) -> pl.DataFrame:
    """The index with the columns that every cohort has, in their order and types; null where nothing is known."""
    import polars as pl

    time = pl.Datetime("us")
    first: dict[str, Any] = {
        "patient": pl.String,
        "ecg_time": time,
        label.name: pl.Float64,
        "lab_time": time,
        "gap_min": pl.Float64,
    }
    first |= {"specimen": pl.String, "quality": pl.String, "split": pl.String}
    known = frame.with_columns(pl.lit(None, kind).alias(name) for name, kind in first.items() if name not in frame)
    others = [name for name in known.columns if name not in first]
    return known.select(*(pl.col(name).cast(kind) for name, kind in first.items()), *others)


def refuse_leakage(patients: NDArray[Any], splits: NDArray[Any]) -> None:
    """Check that no patient is in two splits.

    Raises:
        ValueError: a patient is; a network would be tested on whom it was trained on.
    """
    import polars as pl

    pairs = pl.DataFrame({"patient": patients, "split": splits}).unique()
    in_two = pairs.filter(pl.col("patient").is_duplicated())["patient"].unique().sort()
    if len(in_two):
        raise ValueError(f"{len(in_two)} patients are in more than one split, such as {in_two[0]!s:.40}")


def _array(series: pl.Series) -> NDArray[Any]:
    """Without objects: a missing text is empty, a missing number NaN, a missing time NaT."""
    import polars as pl

    if series.dtype.is_temporal():
        return np.asarray(series.to_numpy(), dtype="datetime64[us]")
    if series.dtype == pl.Null:
        return np.full(len(series), np.nan)
    if series.dtype == pl.Boolean or series.dtype.is_numeric():
        return series.to_numpy() if series.null_count() == 0 else series.cast(pl.Float64).to_numpy()
    return np.array(series.cast(pl.String).fill_null("").to_list(), dtype=str)
