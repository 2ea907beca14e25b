"""Which patient is in which split: by a keyed hash, or with a later time or other sites held out as the test split."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from training.cohort import Split, split_of
from training.cohort.steps import Step

if TYPE_CHECKING:
    import polars as pl


class SplitBy(StrEnum):
    """What the test split is."""

    PATIENT = "patient"
    TIME = "time"
    SITE = "site"


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRule:
    """``column`` at or after ``test_from`` (by time), or equal to one of ``test_sites`` (by site), is the test split.

    Other patients are where the keyed hash has them; who would be in its test split is trained on. A patient with ECGs
    on both sides is tested with those that are held out; the others are left out, so that nobody is in two splits.
    """

    key: str
    by: SplitBy
    column: str
    test_from: str | None
    test_sites: tuple[str, ...]

    def __post_init__(self) -> None:
        given = {SplitBy.TIME: self.test_from is not None, SplitBy.SITE: bool(self.test_sites)}
        options = {SplitBy.TIME: "--test-from", SplitBy.SITE: "--test-sites"}
        for by, option in options.items():
            if given[by] != (self.by is by):
                raise ValueError(f"{option} goes with --split-by {by}, and --split-by {by} needs it; got {self.by}")

    def assign(self, listing: pl.DataFrame) -> tuple[pl.DataFrame, list[Step]]:
        """The listing (with column patient) with a column split, and how many are left.

        Raises:
            ValueError: a column is missing, or its values cannot be compared with what was given.
        """
        import polars as pl

        hashed = hashed_splits(listing["patient"], self.key)
        if self.by is SplitBy.PATIENT:
            return listing.with_columns(split=hashed), []
        held_out = listing.select(self._held_out(listing)).to_series()
        listing = listing.with_columns(held_out=held_out, split=hashed.replace(Split.TEST.value, Split.TRAIN.value))
        listing = listing.filter(pl.col("held_out").is_not_null())
        steps = [Step(f"with {self.column}", len(listing))]
        listing = listing.filter(pl.col("held_out") | ~pl.col("held_out").any().over("patient"))
        steps.append(Step("without earlier or other ECGs of patients in the test split", len(listing)))
        split = pl.when("held_out").then(pl.lit(Split.TEST.value)).otherwise("split")
        return listing.with_columns(split=split).drop("held_out"), steps

    def _held_out(self, listing: pl.DataFrame) -> pl.Expr:
        import polars as pl

        if self.column not in listing.columns:
            raise ValueError(f"no column {self.column} to split by; there are {', '.join(listing.columns)}")
        column = pl.col(self.column)
        if self.by is SplitBy.SITE:
            text = column.cast(pl.String)
            absent = set(self.test_sites) - set(listing[self.column].cast(pl.String))
            if absent:
                raise ValueError(f"no ECG has {self.column} {', '.join(sorted(absent))}; see --test-sites")
            return text.is_in(self.test_sites)
        kind = listing.schema[self.column]
        first = pl.Series([self.test_from])
        try:
            given = first.str.to_datetime(time_unit="us") if kind.is_temporal() else first.cast(kind)
        except pl.exceptions.PolarsError:
            raise ValueError(f"--test-from {self.test_from} cannot be compared with {self.column} ({kind})") from None
        return column >= pl.lit(given.item())


def hashed_splits(patients: pl.Series, key: str) -> pl.Series:
    """The split of each patient by the keyed hash."""
    import polars as pl

    names = patients.cast(pl.String).unique()
    of_name = {name: split_of(name, key).value for name in names}
    return patients.cast(pl.String).replace_strict(of_name, return_dtype=pl.String).alias("split")
