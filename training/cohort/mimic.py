"""A cohort of MIMIC-IV-ECG with the potassium values of MIMIC-IV.

    python -m training.cohort.mimic --ecg mimic-iv-ecg --mimic mimiciv --out cohorts/mimic

``--ecg`` holds record_list.csv and files/, ``--mimic`` holds hosp/labevents.csv.gz, hosp/patients.csv.gz and
hosp/d_labitems.csv.gz. The rules of the join stand in training/cohort/labels.py.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.cohort.labels import Labels, Specimen, Step, nearest, read_labels
from training.cohort.records import BuildOptions, write_records
from training.cohort.tables import collect, moment, sha256_of, table
from training.config import execute, to_json

if TYPE_CHECKING:
    import polars as pl

LICENCE = (
    "Derived from MIMIC-IV (PhysioNet Credentialed Health Data License): it may go to nobody who has not signed the "
    "data use agreement of MIMIC-IV. Whether a model trained on it may be shared is for that agreement to say."
)


@dataclass(frozen=True, kw_only=True)
class MimicConfig(BuildOptions):
    """Make a cohort of MIMIC-IV-ECG with the potassium values of MIMIC-IV."""

    ecg: Path = field(metadata={"help": "folder of MIMIC-IV-ECG: record_list.csv and files/"})
    mimic: Path = field(metadata={"help": "folder of MIMIC-IV: hosp/labevents.csv.gz and other tables"})
    specimen: Specimen = field(default=Specimen.SERUM, metadata={"help": "which potassium values are labels"})
    window_min: float = field(default=60.0, metadata={"help": "largest gap between ECG and blood sample, in minutes"})


def build(config: MimicConfig) -> None:
    """Join, read and write.

    Raises:
        FileNotFoundError, FileExistsError, ValueError: a table, a column or an ECG that is needed is missing.
    """
    hosp = config.mimic / "hosp"
    ecgs, steps = _ecgs(config.ecg / "record_list.csv")
    labels = read_labels(hosp, config.specimen, (config.lowest_mmol_l, config.highest_mmol_l))
    listing = nearest(ecgs, labels.rows, config.window_min)
    steps.append(Step(f"with potassium within {config.window_min:g} min", len(listing)))
    listing = _with_age_and_sex(listing, hosp / "patients.csv.gz")
    steps.append(Step("of them with an age (the others stay, without one)", listing["age_years"].count()))
    write_records(listing, config.ecg, config, _about(config, labels), steps)


def _ecgs(path: Path) -> tuple[pl.DataFrame, list[Step]]:
    import polars as pl

    names = ("subject_id", "study_id", "ecg_time", "path")
    listed = collect(table(path, dict.fromkeys(names, pl.String)).select(names), path)
    complete = listed.with_columns(moment("ecg_time")).drop_nulls(["subject_id", "ecg_time", "path"])
    single = complete.unique("path", keep="first", maintain_order=True)
    steps = [
        Step("ECGs in record_list.csv", len(listed)),
        Step("with patient, time and path", len(complete)),
        Step("one a path", len(single)),
    ]
    ecgs = single.select(patient="subject_id", study="study_id", ecg_time="ecg_time", path=pl.col("path") + ".hea")
    return ecgs, steps


def _with_age_and_sex(listing: pl.DataFrame, path: Path) -> pl.DataFrame:
    """The age in the year of the ECG; an unknown patient has none. The order of the rows is kept."""
    import polars as pl

    columns = {"subject_id": pl.String, "gender": pl.String, "anchor_age": pl.Float64, "anchor_year": pl.Int64}
    patients = collect(table(path, columns).select(*columns), path).unique("subject_id", keep="first")
    joined = listing.join(patients, left_on="patient", right_on="subject_id", how="left", maintain_order="left")
    age = pl.col("anchor_age") + pl.col("ecg_time").dt.year() - pl.col("anchor_year")
    return joined.with_columns(age_years=age, sex="gender").drop("gender", "anchor_age", "anchor_year")


def _about(config: MimicConfig, labels: Labels) -> dict[str, Any]:
    tables = [config.ecg / "record_list.csv"]
    tables += [config.mimic / "hosp" / f"{name}.csv.gz" for name in ("labevents", "patients", "d_labitems")]
    return {
        "description": f"MIMIC-IV-ECG with potassium ({config.specimen}) of MIMIC-IV within {config.window_min:g} min",
        "licence": LICENCE,
        "spec": {key: value for key, value in to_json(config).items() if key not in ("out", "workers")},
        "potassium_items": [asdict(item) for item in labels.items],
        "label_steps": [asdict(step) for step in labels.steps],
        "inputs_sha256": {path.name: sha256_of(path) for path in tables},
    }


def main() -> None:
    """Entry point of ``python -m training.cohort.mimic``."""
    execute(MimicConfig, build)


if __name__ == "__main__":
    main()
