"""Reports on test splits that lack nearly everything, and what stops a report."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ecg_ka.bundle import SHIPPED, load_bundle
from tests.training.drawn_predictions import predictions_of
from training.cohort import Cohort
from training.config import execute
from training.evaluate import EvaluateConfig, run
from training.evaluation.card import card
from training.evaluation.options import MeasureOptions
from training.evaluation.page import page
from training.evaluation.report import report_of
from training.evaluation.tables import flow
from training.files import write_atomically

NONE: dict[str, NDArray[Any]] = {}
SPLITS: dict[str, tuple[NDArray[np.float64], dict[str, NDArray[Any]]]] = {
    "one ECG": (np.array([4.2]), NONE),
    "two ECGs": (np.array([4.2, 6.0]), {"age_years": np.array([70.0, np.nan]), "sex": np.array(["f", ""])}),
    "equal labels": (np.full(60, 4.2), {"gap_min": np.full(60, np.nan), "specimen": np.array(["serum"] * 60)}),
    "high alone": (np.tile([6.8, 6.9], 15), NONE),
    "the middle alone": (np.tile([4.0, 4.1, 4.2], 10), {"age_years": np.arange(30) + 1.0}),
}


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_that_lacks_something_has_its_report(split: str, cohort: Path) -> None:
    labels, covariates = SPLITS[split]
    bundle, p = load_bundle(SHIPPED), predictions_of(labels, covariates)
    report = report_of(p, bundle, Cohort.open(cohort), MeasureOptions(resamples=100))
    text = page(report, p) + card(bundle, report)
    assert report["labels"]["n"] == len(labels)
    assert "DEMO_MODEL" in text
    assert not {"nan", "None", "inf"} & set(text.replace(">", " ").replace("<", " ").split())


def test_a_step_that_leaves_nothing_out_stands_beside_the_flow() -> None:
    steps = [("listed", 90), ("with a label", 60), ("of them with an age", 40), ("readable", 59)]
    report = {
        "flow": {
            "steps": [{"step": name, "left": left} for name, left in steps],
            "splits": {"train": {"ecgs": 49, "patients": 9}, "test": {"ecgs": 10, "patients": 4}},
            "evaluated": {"ecgs": 4, "patients": 4},
        }
    }
    chart = flow(report)
    out = [cell.split("</div>")[0] for cell in chart.split('<div class="out">')[1:]]
    assert out[:3] == ["", "30 left out", "1 left out"]
    assert out[-2:] == ["49 in other splits", "6 further ECGs of these patients"]
    assert chart.count('class="box"') == 6


def test_a_full_disk_names_the_file_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match=r"report\.html"):
            write_atomically(tmp_path / "report.html", "x" * 9999)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_bundle_ends_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["--bundle", tmp_path / "b", "--cohort", tmp_path / "c", "--out", tmp_path / "r"]
    monkeypatch.setattr(sys, "argv", ["evaluate", *map(str, options)])
    with pytest.raises(SystemExit, match=r"^error: cannot read .*bundle\.json"):
        execute(EvaluateConfig, run)
    assert not (tmp_path / "r").exists()
