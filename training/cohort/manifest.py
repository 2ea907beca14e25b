"""A cohort from a table of files and potassium values.

    python -m training.cohort.manifest --table pairs.csv --out cohorts/ours

The table, CSV or Parquet, has the columns ``path`` (below the folder of the table, or absolute; any format that the
readers know), ``potassium_mmol_l`` and ``patient``. ``ecg_time`` orders the ECGs of a patient; with ``lab_time`` it
gives ``gap_min``, minutes from the ECG to the blood sample. Every other column is a covariate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from training.cohort.labels import Step
from training.cohort.records import BuildOptions, write_records
from training.cohort.tables import collect, moment, sha256_of, table
from training.config import execute, to_json

if TYPE_CHECKING:
    import polars as pl

_OWN = ("split", "gap_min")  # columns that the builder writes itself


@dataclass(frozen=True, kw_only=True)
class ManifestConfig(BuildOptions):
    """Make a cohort from a table of ECG files and potassium values."""

    table: Path = field(metadata={"help": "CSV or Parquet: path, potassium_mmol_l, patient, optional columns"})
    licence: str = field(default="not stated", metadata={"help": "under which terms the data may be used"})
    simulated: bool = field(
        default=False, metadata={"help": "the ECGs are simulated, and what is made of them says so"}
    )


def build(config: ManifestConfig) -> None:
    """Read and write.

    Raises:
        FileNotFoundError, FileExistsError, ValueError: the table, a column or every ECG is missing.
    """
    listing, steps = _listing(config)
    about = {
        "is_simulated": config.simulated,
        "description": f"{'simulated ' if config.simulated else ''}ECGs listed in {config.table.name}",
        "licence": config.licence,
        "spec": {key: value for key, value in to_json(config).items() if key not in ("out", "workers")},
        "inputs_sha256": {config.table.name: sha256_of(config.table)},
    }
    write_records(listing, config.table.parent, config, about, steps)


def _listing(config: ManifestConfig) -> tuple[pl.DataFrame, list[Step]]:
    import polars as pl

    needed = {"path": pl.String, "potassium_mmol_l": pl.Float64, "patient": pl.String}
    listed = collect(table(config.table, needed), config.table)
    own = [name for name in _OWN if name in listed.columns]
    if own:
        raise ValueError(f"{config.table} has a column {', '.join(own)}, which is computed; leave it out")
    complete = listed.drop_nulls(list(needed))
    plausible = complete.filter(pl.col("potassium_mmol_l").is_between(config.lowest_mmol_l, config.highest_mmol_l))
    single = plausible.unique("path", keep="first", maintain_order=True)
    steps = [
        Step("rows in the table", len(listed)),
        Step("with path, potassium and patient", len(complete)),
        Step(f"from {config.lowest_mmol_l:g} to {config.highest_mmol_l:g} mmol/L", len(plausible)),
        Step("one a path", len(single)),
    ]
    return _in_order(single), steps


def _in_order(listing: pl.DataFrame) -> pl.DataFrame:
    """Patients together, their ECGs by time where times are given, else as they stand in the table."""
    import polars as pl

    times = [name for name in ("ecg_time", "lab_time") if name in listing.columns]
    listing = listing.with_columns(moment(name) for name in times)
    if len(times) == 2:
        gap = (pl.col("lab_time") - pl.col("ecg_time")).dt.total_seconds() / 60
        listing = listing.with_columns(gap.alias("gap_min"))
    by_time = ["ecg_time"] if "ecg_time" in times else []
    return listing.sort("patient", *by_time, maintain_order=True)


def main() -> None:
    """Entry point of ``python -m training.cohort.manifest``."""
    execute(ManifestConfig, build)


if __name__ == "__main__":
    main()
