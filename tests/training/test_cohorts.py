"""Cohorts from files: which value labels which ECG, what is left out and counted, and what is refused."""

from __future__ import annotations

import csv
import gzip
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_ka.estimator import prepare
from ecg_ka.preprocess import SignalSpec
from ecg_ka.quality import assess
from ecg_ka.readers import read
from tests.ecg_ka.ecgs import csv_bytes, ecg
from tests.training.mimic_tree import ITEMS, lab, patient, stay, write_ecgs, write_hosp, write_table
from training.cohort import Cohort, Label, split_of
from training.cohort import manifest as manifest_builder
from training.cohort import mimic as mimic_builder
from training.cohort.__main__ import PROGRAMS
from training.cohort.labels import Labels, Specimen, Wanted, nearest, read_labels
from training.cohort.manifest import ManifestConfig
from training.cohort.mimic import MimicConfig
from training.cohort.tables import moment
from training.config import execute_one


def labels_of(folder: Path, *labs: dict[str, object], specimen: Specimen = Specimen.SERUM) -> Labels:
    write_hosp(folder, labs)
    return read_labels(folder / "hosp", Wanted(specimen, 1.0, 12.0, 50.0))


def joined(labels: Labels, time: str, window_min: float = 60.0) -> list[tuple[Any, ...]]:
    ecgs = pl.DataFrame({"patient": ["1"], "ecg_time": [datetime.fromisoformat(f"2180-03-12 {time}")]})
    return nearest(ecgs, labels.rows, window_min).select("potassium_mmol_l", "gap_min").rows()


def test_the_nearest_value_by_the_time_of_sampling(tmp_path: Path) -> None:
    labels = labels_of(tmp_path, lab(1, 1, "08:00", 4.0), lab(2, 1, "08:50", 5.0), lab(3, 2, "08:30", 6.0))
    assert joined(labels, "08:20") == [(4.0, -20.0)]
    assert joined(labels, "08:30") == [(5.0, 20.0)]
    assert joined(labels, "12:00") == []  # when all of them were stored


def test_of_two_at_equal_distance_the_later_one_and_the_window_is_inclusive(tmp_path: Path) -> None:
    labels = labels_of(tmp_path, lab(1, 1, "08:00", 4.0), lab(2, 1, "09:00", 5.0))
    assert joined(labels, "08:30") == [(5.0, 30.0)]
    assert joined(labels, "10:00") == [(5.0, -60.0)]
    assert joined(labels, "10:01") == []
    assert joined(labels, "07:30", 29.0) == []


def test_one_value_a_time_serum_first_then_the_lowest_number(tmp_path: Path) -> None:
    twice = (lab(9, 1, "08:00", 4.4), lab(3, 1, "08:00", 4.1), lab(2, 1, "08:00", 5.0, itemid=50822))
    both = labels_of(tmp_path, *twice, specimen=Specimen.EITHER)
    assert both.rows.select("potassium_mmol_l", "specimen").rows() == [(4.1, "serum")]
    assert [step.left for step in both.steps][-2:] == [3, 1]
    blood = labels_of(tmp_path, *twice, specimen=Specimen.WHOLE_BLOOD)
    assert blood.rows.select("potassium_mmol_l", "specimen").rows() == [(5.0, "whole-blood")]


def test_every_exclusion_is_counted_and_units_are_named(tmp_path: Path) -> None:
    labels = labels_of(
        tmp_path,
        lab(1, 1, "08:00", 4.0),
        lab(2, 1, "08:01", 4.1, valueuom="mmol/L"),
        lab(3, 1, "08:02", 16.0, valueuom="mg/dL"),
        lab(4, 1, "08:03", 4.0, valueuom=""),
        lab(5, 1, "08:04", None, value="___"),
        lab(6, 1, "08:05", 6.0, comments="MODERATELY HEMOLYZED."),
        lab(7, 1, "08:06", 4.2, comments="not hemolyzed"),
        lab(8, 1, "08:07", 40.0),
        lab(9, 1, "", 4.0, charttime=""),
        lab(10, 1, "08:09", 50.0, itemid=51097),
        lab(11, 1, "08:10", 140.0, itemid=50983),
    )
    assert labels.rows["potassium_mmol_l"].to_list() == [4.0, 4.1, 4.2]
    assert [step.left for step in labels.steps] == [9, 8, 6, 5, 4, 4, 3, 3]
    assert labels.steps[2].step == "in mEq/L or mmol/L; refused: 1 without unit; refused: 1 in mg/dL"
    assert {item.itemid: item.n for item in labels.items} == {50971: 9, 50822: 0, 51097: 1, 50934: 0}


def test_a_haemolysis_index_of_the_same_specimen_leaves_the_value_out(tmp_path: Path) -> None:
    labels = labels_of(
        tmp_path,
        lab(1, 1, "08:00", 5.9, specimen_id=70),
        lab(2, 1, "08:00", 51, specimen_id=70, itemid=50934, valueuom=""),
        lab(9, 1, "08:00", 3, specimen_id=70, itemid=50934, valueuom=""),
        lab(3, 1, "09:00", 4.1, specimen_id=71),
        lab(4, 1, "09:00", 50, specimen_id=71, itemid=50934, valueuom=""),
        lab(5, 1, "10:00", 4.2, specimen_id=72),
        lab(6, 1, "10:00", 300, specimen_id=72, itemid=51462, valueuom=""),  # "H" of urine
        lab(7, 2, "10:00", 4.3, specimen_id=""),
        lab(8, 2, "10:00", 300, specimen_id="", itemid=50934, valueuom=""),
    )
    assert labels.rows["potassium_mmol_l"].to_list() == [4.1, 4.2, 4.3]
    assert [step.left for step in labels.steps if "index" in step.step] == [3]
    assert {item.itemid: item.n for item in labels.items}[50934] == 4


@pytest.mark.parametrize(
    ("comment", "is_left_out"),
    [
        ("HEMOLYSIS FALSELY ELEVATES K.", True),
        ("slightly haemolysed", True),
        ("NO VISIBLE HEMOLYSIS", False),
        ("NOT HEMOLYZED. LATER TUBE GROSSLY HEMOLYZED", True),
        ("LIPEMIC", False),
    ],
)
def test_comments_on_haemolysis(tmp_path: Path, comment: str, is_left_out: bool) -> None:
    labels = labels_of(tmp_path, lab(1, 1, "08:00", 4.0, comments=comment))
    assert (len(labels.rows) == 0) is is_left_out


def test_hours_that_summer_time_skips_are_hours_like_others() -> None:
    times = pl.DataFrame({"t": ["2180-03-12 02:30:00", "2180-03-12T02:30", "yesterday", None]}).select(moment("t"))
    assert times["t"].to_list() == [datetime(2180, 3, 12, 2, 30)] * 2 + [None, None]


START = datetime(2180, 3, 12)
MINUTES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 300)), min_size=1, max_size=12, unique=True)


@given(MINUTES, MINUTES, st.integers(0, 90))
@settings(max_examples=60, deadline=None)
def test_the_join_equals_a_search_by_hand(
    ecgs: list[tuple[int, int]], labs: list[tuple[int, int]], window_min: int
) -> None:
    frames = [
        pl.DataFrame({"patient": [str(p) for p, _ in rows], name: [START + timedelta(minutes=t) for _, t in rows]})
        for rows, name in ((ecgs, "ecg_time"), (labs, "lab_time"))
    ]
    found = nearest(frames[0], frames[1], float(window_min))
    expected = set()
    for who, time in ecgs:
        gaps = [t - time for p, t in labs if p == who and abs(t - time) <= window_min]
        if gaps:
            expected.add((str(who), START + timedelta(minutes=time), min(gaps, key=lambda g: (abs(g), -g))))
    assert set(found.select("patient", "ecg_time", "gap_min").rows()) == expected


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Patients 10000001 (two ECGs, listed backwards), 10000002 (not in patients), 10000003 (a missing file),
    10000004 (no value near), 10000005 (not in MIMIC-IV-ECG)."""
    folder = tmp_path_factory.mktemp("mimic")
    listed = [
        (10000001, 40000002, "09:00"),
        (10000001, 40000001, "08:00"),
        (10000002, 40000003, "08:00"),
        (10000003, 40000004, "08:00"),
        (10000004, 40000005, "08:00"),
    ]
    write_ecgs(folder / "ecg", listed, missing=[40000004])
    labs = [lab(i, 10000000 + i, "08:10", 3.0 + i) for i in (1, 2, 3, 5)]
    labs += [lab(6, 10000001, "08:55", 6.5), lab(7, 10000004, "11:00", 4.0)]
    patients = [patient(10000001, "F", 60, "2011 - 2013"), patient(10000005, "M", 50)]
    stays = [
        stay(10000001, 1, "2180-03-12 08:30:00", "2180-03-12 12:00:00", "URGENT"),
        stay(10000001, 2, "2180-03-10 08:30:00", "2180-03-11 12:00:00", "ELECTIVE"),
        stay(10000002, 3, "2180-03-12 09:00:00", "2180-03-13 12:00:00", "EW EMER.", "2180-03-12 07:00:00"),
    ]
    write_hosp(folder / "mimic", labs, patients, stays)
    return folder


def mimic_config(tree: Path, out: Path, **options: Any) -> MimicConfig:
    return MimicConfig(ecg=tree / "ecg", mimic=tree / "mimic", out=out, workers=1, **options)


def test_mimic_from_tables_and_signals_to_a_cohort(tree: Path, tmp_path: Path) -> None:
    mimic_builder.build(mimic_config(tree, tmp_path / "c"))
    cohort = Cohort.open(tmp_path / "c")
    assert cohort.index["patient"].tolist() == ["10000001", "10000001", "10000002"]
    np.testing.assert_allclose(cohort.index["potassium_mmol_l"], [4.0, 6.5, 5.0])
    np.testing.assert_allclose(cohort.index["gap_min"], [10, -5, 10])
    np.testing.assert_array_equal(cohort.index["age_years"], [62, 62, np.nan])
    assert cohort.index["sex"].tolist() == ["F", "F", ""]
    assert cohort.index["admission_type"].tolist() == ["", "URGENT", "EW EMER."]
    np.testing.assert_array_equal(cohort.index["year_about"], [2014, 2014, np.nan])
    assert cohort.index["specimen"].tolist() == ["serum"] * 3
    records = [read(tree / "ecg" / str(path)) for path in cohort.index["path"]]
    assert cohort.index["quality"].tolist() == [assess(record).grade.value for record in records]
    assert cohort.index["ecg_sha256"].tolist() == [record.source.sha256 for record in records]
    assert cohort.index["split"][0] == split_of("10000001", "ecg_ka cohort")
    assert [step["left"] for step in cohort.about["about"]["steps"]] == [5, 5, 5, 4, 2, 3]
    assert [item["itemid"] for item in cohort.about["about"]["potassium_items"]] == [50822, 50971, 51097, 50934]
    assert len(cohort.about["about"]["inputs_sha256"]) == 5
    with (tmp_path / "c" / "rejects.csv").open(newline="") as stream:
        (reject,) = csv.DictReader(stream)
    assert reject["path"].endswith("s40000004/40000004.hea")
    assert "cannot be opened" in reject["reason"]


def test_leads_go_by_name_and_signals_are_those_of_serving(tree: Path, tmp_path: Path) -> None:
    mimic_builder.build(mimic_config(tree, tmp_path / "c"))
    cohort = Cohort.open(tmp_path / "c")
    for row, path in enumerate(cohort.index["path"]):
        record = read(tree / "ecg" / str(path))
        assert "aVL\n" in (tree / "ecg" / str(path)).read_text().split("aVF\n")[1]
        np.testing.assert_allclose(record.signal_mv, ecg(int(Path(path).stem) % 1000).signal_mv, atol=0.001)
        np.testing.assert_array_equal(cohort.signal_mv(np.array([row]))[0], prepare(record, SignalSpec()).signal_mv)


def test_the_same_files_give_the_same_bytes_whatever_the_processes(tree: Path, tmp_path: Path) -> None:
    mimic_builder.build(mimic_config(tree, tmp_path / "a"))
    mimic_builder.build(replace(mimic_config(tree, tmp_path / "b"), workers=2))
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["cohort.json", "index.parquet", "rejects.csv", "signals.npy"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_tables_may_be_plain_csv_as_in_the_demo_subsets(tree: Path, tmp_path: Path) -> None:
    copy = tmp_path / "tree"
    shutil.copytree(tree, copy)
    for path in (copy / "mimic" / "hosp").glob("*.csv.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    mimic_builder.build(mimic_config(tree, tmp_path / "a"))
    mimic_builder.build(mimic_config(copy, tmp_path / "b"))
    for name in ("signals.npy", "index.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("name", ["labevents", "patients", "admissions", "d_labitems"])
def test_missing_tables_and_columns_are_named(tree: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "tree"
    shutil.copytree(tree, copy)
    path = copy / "mimic" / "hosp" / f"{name}.csv.gz"
    write_table(path, ("row", "charttime"), [{"row": 1}])
    with pytest.raises(ValueError, match=f"{name}.csv.gz has no column .*its columns are row, charttime"):
        mimic_builder.build(mimic_config(copy, tmp_path / "c"))
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ValueError, match=name):
        mimic_builder.build(mimic_config(copy, tmp_path / "c"))
    path.unlink()
    with pytest.raises(FileNotFoundError, match=rf"no table {name}: looked for {name}\.csv\.gz, {name}\.csv, "):
        mimic_builder.build(mimic_config(copy, tmp_path / "c"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tree"]


def test_items_that_are_not_potassium_are_refused(tmp_path: Path) -> None:
    write_hosp(tmp_path, [lab(1, 1, "08:00", 4.0)])
    write_table(tmp_path / "hosp" / "d_labitems.csv.gz", list(ITEMS[0]), ITEMS[1:])
    with pytest.raises(ValueError, match="does not list item 50971 as potassium"):
        read_labels(tmp_path / "hosp", Wanted(Specimen.SERUM, 1.0, 12.0, 50.0))


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Two patients, times out of order, one ECG under two names, a text for an ECG, a value beyond belief."""
    for seed in (1, 2, 3):
        (tmp_path / f"{seed}.csv").write_bytes(csv_bytes(ecg(seed)))
    (tmp_path / "again.csv").write_bytes((tmp_path / "1.csv").read_bytes())
    (tmp_path / "text.csv").write_text("no ECG")
    (tmp_path / "pairs.csv").write_text(
        "path,potassium_mmol_l,patient,ecg_time,lab_time,ward\n"
        "2.csv,5.5,007,2024-05-02 10:00:00,2024-05-02 09:30:00,\n"
        "1.csv,4.5,007,2024-05-01 10:00:00,,A\n"
        "3.csv,3.5,8,2024-05-01 10:00,2024-05-01 10:15,B\n"
        "again.csv,3.5,9,,,\n"
        "text.csv,3.5,9,,,\n"
        "absent.csv,3.5,9,,,\n"
        "3.csv,33,8,,,\n"
        ",3.5,8,,,\n"
    )
    return tmp_path / "pairs.csv"


def test_a_manifest_gives_a_cohort(pairs: Path, tmp_path: Path) -> None:
    manifest_builder.build(ManifestConfig(table=pairs, out=tmp_path / "c", workers=1))
    cohort = Cohort.open(tmp_path / "c")
    assert cohort.index["patient"].tolist() == ["007", "007", "8"]
    assert cohort.index["path"].tolist() == ["1.csv", "2.csv", "3.csv"]
    np.testing.assert_array_equal(cohort.index["gap_min"], [np.nan, -30, 15])
    assert cohort.index["ward"].tolist() == ["A", "", "B"]
    assert [step["left"] for step in cohort.about["about"]["steps"]] == [8, 7, 6, 6, 3]
    assert cohort.about["about"]["rejects"] == 3
    rejects = (tmp_path / "c" / "rejects.csv").read_text()
    for reason in ("again.csv,the same ECG as 1.csv", 'text.csv,"Unknown format', "absent.csv,Unreadable record"):
        assert reason in rejects


def test_blanks_around_a_patient_make_no_other_patient_and_blanks_alone_none(pairs: Path, tmp_path: Path) -> None:
    pairs.write_text("path,potassium_mmol_l,patient\n1.csv,4,007\n 2.csv,5,007 \n3.csv,5,  \n3.csv,5,\n")
    manifest_builder.build(ManifestConfig(table=pairs, out=tmp_path / "c", workers=1))
    cohort = Cohort.open(tmp_path / "c")
    assert cohort.index["patient"].tolist() == ["007", "007"]
    assert cohort.about["about"]["rejects"] == 0


def test_parquet_is_read_like_csv(pairs: Path, tmp_path: Path) -> None:
    pl.read_csv(pairs, schema_overrides={"patient": pl.String}).write_parquet(pairs.with_suffix(".parquet"))
    manifest_builder.build(ManifestConfig(table=pairs, out=tmp_path / "a", workers=1))
    manifest_builder.build(ManifestConfig(table=pairs.with_suffix(".parquet"), out=tmp_path / "b", workers=1))
    for name in ("signals.npy", "index.parquet", "rejects.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,potassium,patient\n1.csv,4,1\n", "no column potassium_mmol_l"),
        ("path,potassium_mmol_l,patient\n1.csv,high,1\n", "cannot be read"),
        ("path,potassium_mmol_l,patient,split\n1.csv,4,1,test\n", "has a column split"),
        ("path,potassium_mmol_l,patient\nabsent.csv,4,1\n", "no ECG is left"),
        ("path,potassium_mmol_l,patient\nabsent.csv,4,1\n", "1 files rejected, such as absent.csv: Unreadable record"),
        ("path,potassium_mmol_l,patient\n", "no ECG is left"),
        (
            "path,potassium_mmol_l,patient\na,4,1\na,6,1\n",
            "1 paths more than one potassium_mmol_l or patient, such as a;",
        ),
        (
            "path,potassium_mmol_l,patient\na,4,1\na,4,2\n",
            "1 paths more than one potassium_mmol_l or patient, such as a;",
        ),
        (
            "path,potassium_mmol_l,patient,ecg_time\na,4,1,2024-05-06T07:30:00+02:00\nb,4,1,2024-05-06T07:30\n",
            "has 1 ecg_time that are no times, such as 2024-05-06T07:30:00.02:00; expected local times",
        ),
        ("path,potassium_mmol_l,patient,lab_time\na,4,1,06.05.2024 07:30\n", "1 lab_time that are no times"),
        ("", "no table that can be read"),
    ],
)
def test_a_wrong_manifest_ends_in_one_line_and_leaves_nothing(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "pairs.csv").write_text(text)
    arguments = ["manifest", "--table", str(tmp_path / "pairs.csv"), "--out", str(tmp_path / "c"), "--workers", "1"]
    with pytest.raises(SystemExit, match=f"^error: .*{message}"):
        execute_one(PROGRAMS, "python -m training.cohort", "", arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.csv"]


@pytest.mark.parametrize("options", [{"label": "age"}, {"unit": "mg/dL"}, {"label": "age", "unit": ""}])
def test_a_label_has_a_unit(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"unit of age is not known|is in mmol/L, not in mg/dL"):
        ManifestConfig(table=Path("t.csv"), out=Path("c"), **options).what()


@pytest.mark.shared
def test_real_ecgs_through_a_manifest_with_age_as_the_label(shared_data: Path, tmp_path: Path) -> None:
    """A check of the pipeline on real ECGs and real labels."""
    ptbxl = (shared_data / "ptbxl").resolve()
    rows: list[dict[str, object]] = []
    with (ptbxl / "ptbxl_database.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            path = ptbxl / f"{row['filename_hr']}.hea"
            path = path if path.exists() else path.parents[1] / path.name
            if path.exists():
                values = {"path": str(path), "age": row["age"], "patient": row["patient_id"], "sex": row["sex"]}
                rows.append({**values, "ecg_time": row["recording_date"]})
    write_table(tmp_path / "ages.csv", list(rows[0]), rows)
    config = ManifestConfig(table=tmp_path / "ages.csv", out=tmp_path / "c", label="age", unit="years", workers=1)
    manifest_builder.build(replace(config, highest=120.0))
    cohort = Cohort.open(tmp_path / "c")
    assert len(rows) == 200
    assert cohort.label == Label("age", "years")
    assert "potassium_mmol_l" not in cohort.columns
    assert cohort.about["about"]["description"].endswith("labelled with age in years, which is not potassium")
    ages = {str(row["path"]): float(str(row["age"])) for row in rows if row["age"]}
    every = np.arange(len(cohort.signals))
    assert [ages[str(path)] for path in cohort.column("path", every)] == cohort.labels(every).tolist()
    assert len(every) == sum(age <= 120 for age in ages.values())  # older than 89 is written as 300
    last = every[-1:]
    record = read(str(cohort.column("path", last)[0]))
    np.testing.assert_array_equal(cohort.signal_mv(last)[0], prepare(record, SignalSpec()).signal_mv)
