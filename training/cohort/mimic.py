"""A cohort of MIMIC-IV-ECG with the potassium values of MIMIC-IV. The rules of the join stand in labels.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.cohort import POTASSIUM, sha256_of
from training.cohort.labels import Labels, Specimen, Wanted, nearest, read_labels
from training.cohort.records import BuildOptions, Listing, write_records
from training.cohort.steps import Step
from training.cohort.tables import collect, moment, table, table_named

if TYPE_CHECKING:
    import polars as pl

LICENCE = (
    "Derived from MIMIC-IV (PhysioNet Credentialed Health Data License; of its demo subsets: Open Data Commons Open "
    "Database License): what is derived from the former may go to nobody who has not signed the data use agreement of "
    "MIMIC-IV. Whether a model trained on it may be shared is for that agreement to say."
)
HOSP_TABLES = ("labevents", "d_labitems", "patients", "admissions")


@dataclass(frozen=True, kw_only=True)
class MimicConfig(BuildOptions):
    """Make a cohort of MIMIC-IV-ECG with the potassium values of MIMIC-IV.

        python -m training.cohort mimic --ecg mimic-iv-ecg --mimic mimiciv --out cohorts/mimic

    Read are record_list and files/ in the folder of MIMIC-IV-ECG, and hosp/labevents, hosp/d_labitems, hosp/patients
    and hosp/admissions in that of MIMIC-IV, each as .csv.gz, .csv or .parquet; the open demo subsets look the same.
    An ECG gets the potassium whose blood was drawn nearest to it (charttime), of two at equal distance the later one.
    mEq/L equals mmol/L; other units, haemolysed and implausible values are left out and counted in cohort.json.

    Dates in MIMIC-IV are shifted patient by patient, so --split-by time uses the column year_about: the middle of the
    three years in which a patient came first, plus the years since (right to a year): --test-from 2017.
    """

    ecg: Path = field(metadata={"help": "folder of MIMIC-IV-ECG: record_list.csv and files/"})
    mimic: Path = field(metadata={"help": "folder of MIMIC-IV: hosp/labevents.csv.gz and other tables"})
    specimen: Specimen = field(
        default=Specimen.SERUM, metadata={"help": "serum or plasma (item 50971), whole blood (50822), or either"}
    )
    window_min: float = field(default=60.0, metadata={"help": "largest gap between ECG and blood sample, in minutes"})
    lowest_mmol_l: float = field(default=1.0, metadata={"help": "lower values are left out as implausible"})
    highest_mmol_l: float = field(default=12.0, metadata={"help": "higher values are left out as implausible"})
    highest_haemolysis_index: float = field(
        default=50.0,
        metadata={"help": "values of specimens above it are left out; one unit feigns about 0.004 mmol/L"},
    )


def build(config: MimicConfig) -> None:
    """Join, read and write.

    Raises:
        FileNotFoundError, FileExistsError, ValueError: a table, a column or an ECG that is needed is missing.
    """
    rule = config.rule(time_column="year_about")
    tables = {name: table_named(config.mimic / "hosp", name) for name in HOSP_TABLES}
    tables["record_list"] = table_named(config.ecg, "record_list")
    ecgs, steps = _ecgs(tables["record_list"])
    labels = read_labels(
        config.mimic / "hosp",
        Wanted(config.specimen, config.lowest_mmol_l, config.highest_mmol_l, config.highest_haemolysis_index),
    )
    listing = nearest(ecgs, labels.rows, config.window_min)
    steps.append(Step(f"with potassium within {config.window_min:g} min", len(listing)))
    listing = _with_admission(_with_age_and_sex(listing, tables["patients"]), tables["admissions"])
    steps.append(Step("of them with an age (the others stay, without one)", listing["age_years"].count()))
    listing, split_steps = rule.assign(listing)
    write_records(
        Listing(listing, config.ecg, POTASSIUM, [*steps, *split_steps]), config, _about(config, labels, tables)
    )


def _ecgs(path: Path) -> tuple[pl.DataFrame, list[Step]]:
    import polars as pl

    names = ("subject_id", "study_id", "ecg_time", "path")
    listed = collect(table(path, dict.fromkeys(names, pl.String)).select(names), path)
    complete = listed.with_columns(moment("ecg_time")).drop_nulls(["subject_id", "ecg_time", "path"])
    single = complete.unique("path", keep="first", maintain_order=True)
    steps = [
        Step(f"ECGs in {path.name}", len(listed)),
        Step("with patient, time and path", len(complete)),
        Step("one a path", len(single)),
    ]
    ecgs = single.select(patient="subject_id", study="study_id", ecg_time="ecg_time", path=pl.col("path") + ".hea")
    return ecgs, steps


def _with_age_and_sex(listing: pl.DataFrame, path: Path) -> pl.DataFrame:
    """The age in the year of the ECG; an unknown patient has none. The order of the rows is kept."""
    import polars as pl

    columns = {"subject_id": pl.String, "gender": pl.String, "anchor_age": pl.Float64, "anchor_year": pl.Int64}
    columns["anchor_year_group"] = pl.String
    patients = collect(table(path, columns).select(*columns), path).unique("subject_id", keep="first")
    joined = listing.join(patients, left_on="patient", right_on="subject_id", how="left", maintain_order="left")
    since = pl.col("ecg_time").dt.year() - pl.col("anchor_year")
    first_year = pl.col("anchor_year_group").str.extract(r"^\s*(\d{4})").cast(pl.Int64)
    joined = joined.with_columns(
        age_years=pl.col("anchor_age") + since, sex="gender", year_about=first_year + 1 + since
    )
    return joined.drop("gender", "anchor_age", "anchor_year", "anchor_year_group")


def _with_admission(listing: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Number and kind of the stay during which the ECG was recorded, from the emergency room on; of two stays the one
    that began later. Without a stay both are empty, as for patients who were sent home from there."""
    import polars as pl

    names = ("subject_id", "hadm_id", "admittime", "dischtime", "edregtime", "admission_type")
    admissions = collect(table(path, dict.fromkeys(names, pl.String)).select(names), path)
    times = admissions.with_columns(moment("admittime"), moment("dischtime"), moment("edregtime"))
    stays = times.select(
        "hadm_id",
        "admission_type",
        "dischtime",
        patient="subject_id",
        began=pl.min_horizontal("edregtime", "admittime"),
    )
    stays = stays.drop_nulls(["patient", "began", "dischtime"]).sort("patient", "began", "hadm_id")
    joined = listing.join_asof(
        stays, left_on="ecg_time", right_on="began", by="patient", strategy="backward", check_sortedness=False
    )
    during = pl.col("ecg_time") <= pl.col("dischtime")
    kept = (pl.when(during).then(name).alias(name) for name in ("hadm_id", "admission_type"))
    return joined.with_columns(kept).drop("began", "dischtime")


def _about(config: MimicConfig, labels: Labels, tables: dict[str, Path]) -> dict[str, Any]:
    return {
        "description": f"MIMIC-IV-ECG with potassium ({config.specimen}) of MIMIC-IV within {config.window_min:g} min",
        "licence": LICENCE,
        "potassium_items": [item._asdict() for item in labels.items],
        "label_steps": [step._asdict() for step in labels.steps],
        "inputs_sha256": {path.name: sha256_of(path) for path in tables.values()},
    }
