"""A cohort from a table of files and potassium values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.cohort import POTASSIUM, Label, sha256_of
from training.cohort.index import WRITTEN_BY_BUILDERS
from training.cohort.records import BuildOptions, Listing, write_records
from training.cohort.steps import Step
from training.cohort.tables import collect, moment, table

if TYPE_CHECKING:
    import polars as pl

_PLAUSIBLE_MMOL_L = (1.0, 12.0)


@dataclass(frozen=True, kw_only=True)
class ManifestConfig(BuildOptions):
    """Make a cohort from a table of ECG files and potassium values.

        python -m training.cohort manifest --table pairs.csv --out cohorts/ours

    The table has the columns path (from the folder of the table on, or absolute; any format that `ecg-ka formats`
    lists), potassium_mmol_l and patient, one row an ECG. ecg_time orders the ECGs of a patient; with lab_time it gives
    gap_min, minutes from the ECG to the blood sample; both are local times such as 2024-05-06 07:30, without a zone.
    Every other column is a covariate, such as age_years, sex, site or specimen.

    --split-by time takes ecg_time, as in --test-from 2024-01-01; --split-by site the column site, as in --test-sites B.
    """

    table: Path = field(metadata={"help": "CSV, .csv.gz or Parquet: path, potassium_mmol_l, patient, other columns"})
    label: str = field(default=POTASSIUM.name, metadata={"help": "column that the network is to estimate"})
    unit: str | None = field(default=None, metadata={"help": "its unit, when it is not potassium_mmol_l"})
    lowest: float | None = field(default=None, metadata={"help": "lower labels are left out as implausible; "
        "for potassium_mmol_l 1 if not given"})  # fmt: skip
    highest: float | None = field(default=None, metadata={"help": "higher labels are left out as implausible; "
        "for potassium_mmol_l 12 if not given"})  # fmt: skip
    licence: str = field(default="not stated", metadata={"help": "under which terms the data may be used"})
    simulated: bool = field(
        default=False, metadata={"help": "the ECGs are simulated, and what is made of them says so"}
    )

    def what(self) -> Label:
        """The label; raises ValueError where its unit is not said, or is not that of potassium_mmol_l."""
        if self.label != POTASSIUM.name and not self.unit:
            raise ValueError(f"the unit of {self.label} is not known; say it with --unit, as in --unit years")
        if self.label == POTASSIUM.name and self.unit not in (None, POTASSIUM.unit):
            raise ValueError(f"{POTASSIUM.name} is in {POTASSIUM.unit}, not in {self.unit}; name the column otherwise")
        return Label(self.label, self.unit or POTASSIUM.unit)


def build(config: ManifestConfig) -> None:
    """Read and write.

    Raises:
        FileNotFoundError, FileExistsError, ValueError: the table, a column or every ECG is missing.
    """
    label, rule = config.what(), config.rule(time_column="ecg_time")
    rows, steps = _rows(config, label)
    rows, split_steps = rule.assign(rows)
    what = "" if label == POTASSIUM else f", labelled with {label.name} in {label.unit}, which is not potassium"
    about: dict[str, Any] = {
        "is_simulated": config.simulated,
        "description": f"{'simulated ' if config.simulated else ''}ECGs listed in {config.table.name}{what}",
        "licence": config.licence,
        "inputs_sha256": {config.table.name: sha256_of(config.table)},
    }
    write_records(Listing(rows, config.table.parent, label, [*steps, *split_steps]), config, about)


def _rows(config: ManifestConfig, label: Label) -> tuple[pl.DataFrame, list[Step]]:
    import polars as pl

    needed = {"path": pl.String, label.name: pl.Float64, "patient": pl.String}
    listed = collect(table(config.table, needed), config.table)
    own = [name for name in WRITTEN_BY_BUILDERS if name in listed.columns]
    if own:
        raise ValueError(f"{config.table} has a column {', '.join(own)}, which is computed; name it otherwise")
    usual = _PLAUSIBLE_MMOL_L if label == POTASSIUM else (float("-inf"), float("inf"))
    lowest = usual[0] if config.lowest is None else config.lowest
    highest = usual[1] if config.highest is None else config.highest
    # " 12" and "12" are one patient: two names would put one into two splits
    listed = listed.with_columns(pl.col("path", "patient").str.strip_chars().replace("", None))
    complete = listed.drop_nulls(list(needed)).filter(pl.col(label.name).is_not_nan())
    plausible = complete.filter(pl.col(label.name).is_between(lowest, highest))
    _refuse_contradictions(plausible, label, config.table)
    single = plausible.unique("path", keep="first", maintain_order=True)
    steps = [
        Step("rows in the table", len(listed)),
        Step(f"with path, {label.name} and patient", len(complete)),
        Step(f"from {lowest:g} to {highest:g} {label.unit}", len(plausible)),
        Step("one a path", len(single)),
    ]
    return _in_order(single, config.table), steps


def _refuse_contradictions(rows: pl.DataFrame, label: Label, table: Path) -> None:
    """One file has one label and one patient; which of several is right is not for us to guess."""
    import polars as pl

    several = rows.group_by("path").agg(pl.col(label.name, "patient").n_unique())
    several = several.filter((pl.col(label.name) > 1) | (pl.col("patient") > 1)).sort("path")
    if len(several):
        raise ValueError(
            f"{table} gives {len(several)} paths more than one {label.name} or patient, such as "
            f"{several['path'][0]:.200}; expected one row an ECG: keep the value that belongs to it"
        )


def _in_order(listing: pl.DataFrame, table: Path) -> pl.DataFrame:
    """Patients together, their ECGs by time where times are given, else as they stand in the table."""
    import polars as pl

    times = [name for name in ("ecg_time", "lab_time") if name in listing.columns]
    for name in times:
        texts = listing[name].cast(pl.String).str.strip_chars().fill_null("")
        listing = listing.with_columns(moment(name))
        unread = texts.filter(listing[name].is_null() & (texts != ""))
        if len(unread):
            raise ValueError(
                f"{table} has {len(unread)} {name} that are no times, such as {unread[0]:.40}; expected local times "
                "such as 2024-05-06 07:30 or 2024-05-06 07:30:00, without a zone"
            )
    if len(times) == 2:
        gap = (pl.col("lab_time") - pl.col("ecg_time")).dt.total_seconds() / 60
        listing = listing.with_columns(gap.alias("gap_min"))
    by_time = ["ecg_time"] if "ecg_time" in times else []
    return listing.sort("patient", *by_time, maintain_order=True)
