"""Folders shaped like MIMIC-IV and MIMIC-IV-ECG: same names and columns, simulated signals, with traps."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ecg_ka.exporters.wfdb import record_wfdb
from ecg_ka.record import EcgRecord
from tests.ecg_ka.ecgs import ecg

LABEVENTS = (
    *("labevent_id", "subject_id", "hadm_id", "specimen_id", "itemid", "order_provider_id", "charttime", "storetime"),
    *("value", "valuenum", "valueuom", "ref_range_lower", "ref_range_upper", "flag", "priority", "comments"),
)
ITEMS = [
    {"itemid": 50971, "label": "Potassium", "fluid": "Blood", "category": "Chemistry"},
    {"itemid": 50822, "label": "Potassium, Whole Blood", "fluid": "Blood", "category": "Blood Gas"},
    {"itemid": 51097, "label": "Potassium, Urine", "fluid": "Urine", "category": "Chemistry"},
    {"itemid": 50983, "label": "Sodium", "fluid": "Blood", "category": "Chemistry"},
    {"itemid": 50934, "label": "H", "fluid": "Blood", "category": "Chemistry"},
    {"itemid": 51462, "label": "H", "fluid": "Urine", "category": "Chemistry"},
]
ADMISSIONS = ("subject_id", "hadm_id", "admittime", "dischtime", "admission_type", "edregtime", "race")
PATIENTS = ("subject_id", "gender", "anchor_age", "anchor_year", "anchor_year_group", "dod")


def write_table(path: Path, columns: Sequence[str], rows: Sequence[dict[str, object]]) -> None:
    """A CSV, gzipped if its name ends so; what a row does not say is empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", newline="") if path.suffix == ".gz" else path.open("w", newline="") as stream:
        table = csv.DictWriter(stream, columns, restval="")
        table.writeheader()
        table.writerows(rows)


def patient(subject: int, sex: str, age: int, years: str = "2008 - 2010") -> dict[str, object]:
    """A row of patients, with the anchor in 2178."""
    row = {"subject_id": subject, "gender": sex, "anchor_age": age, "anchor_year": 2178}
    return {**row, "anchor_year_group": years}


def stay(subject: int, number: int, began: str, ended: str, kind: str, emergency: str = "") -> dict[str, object]:
    """A row of admissions."""
    row = {"subject_id": subject, "hadm_id": number, "admittime": began, "dischtime": ended, "race": "OTHER"}
    return {**row, "admission_type": kind, "edregtime": emergency}


def lab(number: int, subject: int, time: str, valuenum: float | None, **other: object) -> dict[str, object]:
    """A row of labevents: serum potassium in mEq/L on 2180-03-12 unless told otherwise; stored three hours later."""
    row = {"labevent_id": number, "subject_id": subject, "specimen_id": number, "itemid": 50971, "valueuom": "mEq/L"}
    return {
        **row,
        "valuenum": valuenum,
        "charttime": f"2180-03-12 {time}:00",
        "storetime": "2180-03-12 12:00:00",
        **other,
    }


def write_hosp(
    folder: Path,
    labs: Sequence[dict[str, object]],
    patients: Sequence[dict[str, object]] = (),
    stays: Sequence[dict[str, object]] = (),
) -> None:
    """The tables of MIMIC-IV that are used."""
    write_table(folder / "hosp" / "labevents.csv.gz", LABEVENTS, labs)
    write_table(folder / "hosp" / "patients.csv.gz", PATIENTS, patients)
    write_table(folder / "hosp" / "admissions.csv.gz", ADMISSIONS, stays)
    write_table(folder / "hosp" / "d_labitems.csv.gz", list(ITEMS[0]), ITEMS)


def avf_before_avl(record: EcgRecord) -> EcgRecord:
    """The same ECG with its rows in the order of MIMIC-IV-ECG."""
    order = [0, 1, 2, 3, 5, 4, *range(6, 12)]
    return replace(record, signal_mv=record.signal_mv[order], leads=tuple(record.leads[i] for i in order))


def write_ecgs(folder: Path, listed: Sequence[tuple[int, int, str]], missing: Sequence[int] = ()) -> None:
    """MIMIC-IV-ECG: (subject, study, time on 2180-03-12), each study another ECG; the files of ``missing`` are not
    there."""
    rows: list[dict[str, object]] = []
    for subject, study, time in listed:
        path = f"files/p{str(subject)[:4]}/p{subject}/s{study}/{study}"
        row = {"subject_id": subject, "study_id": study, "file_name": study, "path": path}
        rows.append({**row, "ecg_time": f"2180-03-12 {time}:00"})
        if study not in missing:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            for name, data in record_wfdb(avf_before_avl(ecg(study % 1000)), str(study)).items():
                (folder / path).with_name(name).write_bytes(data)
    write_table(folder / "record_list.csv", ("subject_id", "study_id", "file_name", "ecg_time", "path"), rows)
