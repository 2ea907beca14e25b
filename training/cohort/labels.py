"""Potassium of MIMIC-IV laboratory events, and the value that lies nearest to each ECG.

Rules, in this order:

- By ``charttime``, when the blood was drawn; never by ``storetime``, when the result was known.
- mEq/L is mmol/L for an ion of one charge; a value in another unit, or in none, is left out and counted by its unit.
- A comment that speaks of haemolysis leaves the value out, unless it denies it ("not hemolyzed").
- So does a haemolysis index of the same specimen above the limit, where the laboratory measured one.
- Of several values of one patient at one time, serum comes before whole blood, then the lowest ``labevent_id``.
- The nearest value within the tolerance (inclusive) labels an ECG; of two at equal distance the later one.
- One value may label several ECGs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from training.cohort.steps import Step
from training.cohort.tables import collect, moment, table, table_named

if TYPE_CHECKING:
    import polars as pl

SERUM, WHOLE_BLOOD = 50971, 50822

_HAEMOLYSIS_INDEX = r"(?i)^\s*(H|H[ -]?index|ha?emoly\w*( index)?)\s*$"
"""Labels of the haemolysis index in d_labitems; MIMIC-IV calls it "H", beside "L" and "I" for fat and bilirubin."""


class Specimen(StrEnum):
    """Which potassium values are labels."""

    SERUM = "serum"
    WHOLE_BLOOD = "whole-blood"
    EITHER = "either"

    @property
    def items(self) -> tuple[int, ...]:
        """Their items in d_labitems."""
        match self:
            case Specimen.SERUM:
                return (SERUM,)
            case Specimen.WHOLE_BLOOD:
                return (WHOLE_BLOOD,)
            case Specimen.EITHER:
                return (SERUM, WHOLE_BLOOD)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What makes a potassium value a label."""

    specimen: Specimen
    lowest_mmol_l: float
    highest_mmol_l: float
    highest_haemolysis_index: float


class Item(NamedTuple):
    """A row of d_labitems that names potassium or the haemolysis index, and how often it was measured."""

    itemid: int
    label: str
    fluid: str
    n: int


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """``rows``: patient, lab_time, potassium_mmol_l, specimen, sorted by patient and time; one value a time."""

    rows: pl.DataFrame
    items: tuple[Item, ...]
    steps: tuple[Step, ...]


def read_labels(hosp: Path, wanted: Wanted) -> Labels:
    """Potassium values in the folder ``hosp`` of MIMIC-IV.

    Raises:
        FileNotFoundError, ValueError: a table or a column is missing, or d_labitems does not list the items.
    """
    import polars as pl

    potassium, indices = _listed_items(table_named(hosp, "d_labitems"), wanted.specimen)
    listed = pl.concat([potassium, indices])
    events = _events(table_named(hosp, "labevents"), listed["itemid"].to_list())
    counts = dict(events["itemid"].value_counts().iter_rows())
    items = tuple(Item(i, label, fluid, counts.get(i, 0)) for i, label, fluid in listed.iter_rows())
    index = events.filter(pl.col("itemid").is_in(indices["itemid"].to_list())).select("specimen_id", "valuenum")
    worst = index.group_by("specimen_id").agg(haemolysis_index=pl.col("valuenum").max())
    chosen = events.filter(pl.col("itemid").is_in(wanted.specimen.items))
    chosen = chosen.join(worst, on="specimen_id", how="left", maintain_order="left")
    rows, steps = _filtered(chosen, wanted)
    return Labels(rows, items, steps)


def nearest(ecgs: pl.DataFrame, labels: pl.DataFrame, tolerance_min: float) -> pl.DataFrame:
    """The ECGs (columns patient, ecg_time) that have a value within the tolerance, with potassium_mmol_l, lab_time,
    specimen and gap_min: minutes from the ECG to the blood sample, negative when the blood came first."""
    import polars as pl

    joined = ecgs.sort("patient", "ecg_time", maintain_order=True).join_asof(
        labels.sort("patient", "lab_time").with_columns(pl.col("lab_time").alias("key")),
        left_on="ecg_time",
        right_on="key",
        by="patient",
        strategy="nearest",
        tolerance=timedelta(minutes=tolerance_min),
        check_sortedness=False,  # cannot be checked by patient, and was sorted above
        coalesce=True,
    )
    gap = (pl.col("lab_time") - pl.col("ecg_time")).dt.total_seconds() / 60
    return joined.filter(pl.col("lab_time").is_not_null()).with_columns(gap.alias("gap_min"))


def _listed_items(path: Path, specimen: Specimen) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What names potassium, and what names the haemolysis index of blood: itemid, label, fluid."""
    import polars as pl

    columns = {"itemid": pl.Int64, "label": pl.String, "fluid": pl.String}
    listed = collect(table(path, columns).select(*columns), path).sort("itemid")
    potassium = listed.filter(pl.col("label").str.contains("(?i)potassium"))
    missing = set(specimen.items) - set(potassium["itemid"])
    if missing:
        raise ValueError(f"{path} does not list item {', '.join(map(str, sorted(missing)))} as potassium")
    is_index = pl.col("label").str.contains(_HAEMOLYSIS_INDEX) & pl.col("fluid").str.contains("(?i)blood|serum|plasma")
    return potassium, listed.filter(is_index)


def _events(path: Path, items: list[int]) -> pl.DataFrame:
    """The laboratory events of some items. A row is parsed as far as its item, and only those that stay any further:
    what is left to pay for is the decompression. Comments are read and forgotten here, so that memory stays small."""
    import polars as pl

    columns = {
        "labevent_id": pl.Int64,
        "subject_id": pl.Int64,
        "specimen_id": pl.Int64,
        "itemid": pl.Int64,
        "charttime": pl.String,
        "valuenum": pl.Float64,
        "valueuom": pl.String,
        "comments": pl.String,
    }
    events = table(path, columns).select(*columns).filter(pl.col("itemid").is_in(items))
    unit = pl.col("valueuom").str.strip_chars().fill_null("")
    events = events.with_columns(moment("charttime"), unit=unit, haemolysed=_haemolysed()).drop("comments", "valueuom")
    return collect(events, path)


def _filtered(events: pl.DataFrame, wanted: Wanted) -> tuple[pl.DataFrame, tuple[Step, ...]]:
    import polars as pl

    lowest, highest, limit = wanted.lowest_mmol_l, wanted.highest_mmol_l, wanted.highest_haemolysis_index
    steps = [Step("values of the chosen items", len(events))]
    has_unit = pl.col("unit").str.to_lowercase().is_in(["meq/l", "mmol/l"])
    tests = {
        "with patient and time of sampling": pl.col("charttime").is_not_null() & pl.col("subject_id").is_not_null(),
        "in mEq/L or mmol/L": has_unit,
        "with a number": pl.col("valuenum").is_not_null() & pl.col("valuenum").is_finite(),
        "without a comment on haemolysis": ~pl.col("haemolysed"),
        f"without a haemolysis index above {limit:g}": ~(pl.col("haemolysis_index") > limit).fill_null(value=False),
        f"from {lowest:g} to {highest:g} mmol/L": pl.col("valuenum").is_between(lowest, highest),
    }
    for name, test in tests.items():
        if test is has_unit:
            name += _refused_units(events.filter(~has_unit))
        events = events.filter(test)
        steps.append(Step(name, len(events)))
    first = events.sort("subject_id", "charttime", pl.col("itemid") != SERUM, "labevent_id").unique(
        ["subject_id", "charttime"], keep="first", maintain_order=True
    )
    steps.append(Step("one a patient and time", len(first)))
    return _named(first), tuple(steps)


def _named(events: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    is_serum = pl.col("itemid") == SERUM
    return events.select(
        patient=pl.col("subject_id").cast(pl.String),
        lab_time=pl.col("charttime"),
        potassium_mmol_l=pl.col("valuenum"),
        specimen=pl.when(is_serum).then(pl.lit("serum")).otherwise(pl.lit("whole-blood")),
    )


def _haemolysed() -> pl.Expr:
    import polars as pl

    denied = (
        r"(?i)\b(no|not|non|without)[\s-]+((visibly|visible|significantly|significant|grossly|gross)\s+)?ha?emoly\w*"
    )
    return pl.col("comments").fill_null("").str.replace_all(denied, "").str.contains(r"(?i)ha?emoly")


def _refused_units(events: pl.DataFrame) -> str:
    counts = sorted(events["unit"].value_counts().iter_rows())
    return "".join(f"; refused: {n} in {unit[:20]}" if unit else f"; refused: {n} without unit" for unit, n in counts)
