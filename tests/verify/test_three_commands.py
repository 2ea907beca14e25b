"""From files to a report by the commands of the README, as they stand there, in a copy of the programs alone."""

from __future__ import annotations

import csv
import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.training.mimic_tree import lab, write_ecgs, write_hosp, write_table

ROOT = Path(__file__).parents[2]
QUICK = ["--epochs", "1", "--batch-size", "32", "--threads", "1"]
N_PATIENTS = 120


def commands(builder: str) -> list[list[str]]:
    """Cohort, bundle and report as the README prints them, for one of the two builders."""
    section = (ROOT / "README.md").read_text().split("\n## Retrain on your own data\n")[1].split("\n## ")[0]
    (block,) = [text for text in re.findall(r"```sh\n(.*?)```", section, re.DOTALL) if "fit.sh" in text]
    found = [shlex.split(line, comments=True) for line in block.splitlines()]
    return [words for words in found if "training.cohort" not in words or builder in words]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The two packages that retraining needs, and nothing else of the repository."""
    folder = tmp_path / "clone"
    for package in ("ecg_ka", "training"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def execute(clone: Path, words: Sequence[str], limit: Callable[[], None] | None = None) -> tuple[int, str]:
    """Exit code, and what it said."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    env |= {"PATH": f"{Path(sys.executable).parent}:{env['PATH']}", "OMP_NUM_THREADS": "1"}
    quick = [*words, *QUICK] if words[0].endswith("fit.sh") else words
    done = subprocess.run(quick, cwd=clone, env=env, capture_output=True, text=True, preexec_fn=limit)
    return done.returncode, done.stdout + done.stderr


def files_of_at_most_60_kb() -> None:
    """Writing stops in the middle of a file, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))


def test_mimic_in_three_commands_and_a_full_disk_before_each(clone: Path) -> None:
    listed = [(10_000_001 + i, 40_000_001 + i, "08:00") for i in range(N_PATIENTS)]
    write_ecgs(clone / "mimic-iv-ecg", listed)
    write_hosp(
        clone / "mimiciv", [lab(i, subject, "08:10", 3.0 + i % 40 / 10) for i, (subject, _, _) in enumerate(listed)]
    )
    three = commands("mimic")
    assert len(three) == 3
    for words in three:
        code, said = execute(clone, words, files_of_at_most_60_kb)
        assert code == 1, said
        assert "error: " in said
        assert "File too large" in said
        assert "Traceback" not in said
        code, said = execute(clone, words)
        assert code == 0, said
    report = json.loads((clone / "reports" / "ours" / "report.json").read_text())
    n_test = json.loads((clone / "cohorts" / "ours" / "cohort.json").read_text())["counts"]["test"]
    assert report["labels"]["n"] == n_test > 0
    builder, _, evaluation = ([word.replace("/ours", "/other") for word in words] for words in three)
    code, said = execute(clone, [*builder, "--split-key", "other"])
    assert code == 0, said
    code, said = execute(clone, [*evaluation, "--bundle", "runs/ours/bundle"])
    assert code == 1
    assert "split by another rule" in said


@pytest.mark.shared
def test_real_ecgs_by_a_manifest_in_three_commands(clone: Path, shared_data: Path) -> None:
    """Ages stand in for potassium, which is not known of these patients: 0 to 100 years as 3 to 7 mmol/L."""
    ptbxl = (shared_data / "ptbxl").resolve()
    with (ptbxl / "ptbxl_database.csv").open(newline="") as stream:
        listed = list(csv.DictReader(stream))
    paths = {path.stem: path for path in ptbxl.rglob("*_hr.hea")}
    found = [(row, paths.get(Path(row["filename_hr"]).name)) for row in listed]
    rows: list[dict[str, object]] = [
        {"path": path, "potassium_mmol_l": 3 + min(float(row["age"]), 100) / 25, "patient": row["patient_id"]}
        for row, path in found
        if path and row["age"]
    ]
    write_table(clone / "pairs.csv", list(rows[0]), rows)
    for words in commands("manifest"):
        code, said = execute(clone, words)
        assert code == 0, said
    assert "report.html" in said
