"""The report as a run writes it: it needs nothing else, says what it is, and replaces nothing."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ecg_ka import Estimator
from ecg_ka.bundle import SHIPPED
from ecg_ka.preprocess import ModelInput
from tests.training.drawn_predictions import many
from training.cohort import Cohort, Split
from training.evaluate import EvaluateConfig, run
from training.evaluation.options import MeasureOptions
from training.evaluation.subgroups import parts
from training.evaluation.tripod import AUTHORS
from training.evaluation.trust import risk_coverage_curves


def test_the_bundle_is_run_as_it_is_served(evaluated: Path, cohort: Path) -> None:
    table, opened, estimator = pl.read_parquet(evaluated / "predictions.parquet"), Cohort.open(cohort), Estimator.load()
    rows = opened.first_rows(Split.TEST)
    assert table["row"].to_list() == rows.tolist()
    assert table["patient"].to_list() == list(range(len(rows)))
    for signal_mv, row in zip(opened.signal_mv(rows[:3]), table.head(3).iter_rows(named=True), strict=True):
        lead_mask = np.ones(len(signal_mv), dtype=np.bool_)
        given = estimator.infer(ModelInput(signal_mv=signal_mv, lead_mask=lead_mask, flags=frozenset()))
        assert (row["estimate_mmol_l"], row["spread_mmol_l"]) == given
        predictive = estimator.bundle.calibration.distribution.predict(*given)
        assert row["median_mmol_l"] == predictive.median()
        assert row["p_below_3_5"] == 1 - predictive.p_at_least(3.5)


def test_the_page_needs_nothing_else_and_says_what_it_is(evaluated: Path) -> None:
    page = (evaluated / "report.html").read_text()
    assert not re.search(r"<script|<link|<iframe|@import|(?:src|href)=\"(?!#|data:)|url\((?!#)", page)
    assert page.count("<svg ") >= 8
    assert page.count("Simulated figures say nothing about patients") >= page.count("<figure>") + 2
    assert "DEMO_MODEL" in page
    assert "must never delay, replace or cancel" in page
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(set(names)) == len(names)
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', page)) <= set(names)
    words = (page + (evaluated / "MODEL_CARD.md").read_text()).lower()
    assert not re.search(r"ruled out|rule out|\bnormal potassium|normokal", words)


def test_every_number_of_the_page_head_stands_in_the_data(evaluated: Path) -> None:
    page, report = ((evaluated / name).read_text() for name in ("report.html", "report.json"))
    found = json.loads(report)
    for value in (found["labels"]["sd"], found["accuracy"]["estimate"]["mae"], found["labels"]["mae_of_the_mean"]):
        assert f"{value:.3f}" in page
    assert found["about"]["options"] == {"prevalence": 0.02, "prevalence_low": None, "resamples": 100, "seed": 1}
    assert found["flow"]["evaluated"]["ecgs"] * 2 == found["flow"]["splits"]["test"]["ecgs"]


def test_no_item_of_tripod_is_missing_and_none_is_made_up(evaluated: Path) -> None:
    items = {item["number"]: item for item in json.loads((evaluated / "report.json").read_text())["tripod_ai"]}
    assert len(items) == 52
    assert {number.rstrip("abcdefg") for number in items} == {str(i) for i in range(1, 28)}
    for number in ("1", "3c", "5b", "6a", "17", "18a", "18d", "19", "25", "26"):
        assert items[number]["text"] == AUTHORS
        assert items[number]["for_the_authors"]


def test_a_report_or_a_bundle_is_never_written_over_and_wrong_options_are_refused(
    evaluated: Path, cohort: Path, tmp_path: Path
) -> None:
    with pytest.raises(FileExistsError, match="holds a report already"):
        run(EvaluateConfig(bundle=SHIPPED, cohort=cohort, out=evaluated))
    (tmp_path / "bundle.json").touch()
    with pytest.raises(FileExistsError, match=r"holds something else \(bundle.json\) already"):
        run(EvaluateConfig(bundle=SHIPPED, cohort=cohort, out=tmp_path))
    with pytest.raises(ValueError, match="between 0 and 1"):
        MeasureOptions(prevalence=2.0)


def test_a_cohort_of_another_signal_path_is_refused(cohort: Path, tmp_path: Path) -> None:
    for file in cohort.iterdir():
        (tmp_path / file.name).symlink_to(file)
    about = json.loads((cohort / "cohort.json").read_text()) | {"signal_sha256": "0" * 64}
    (tmp_path / "cohort.json").unlink()
    (tmp_path / "cohort.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match="signal path 000000000000"):
        run(EvaluateConfig(bundle=SHIPPED, cohort=tmp_path, out=tmp_path / "r"))
    assert not (tmp_path / "r").exists()


def test_answers_are_also_kept_by_novelty_where_a_bundle_tells_it() -> None:
    predictions = many()
    assert "novelty" not in risk_coverage_curves(predictions)["ordered_by"]
    error = np.abs(predictions.estimates - predictions.labels)
    mae = risk_coverage_curves(replace(predictions, novelty=error))["ordered_by"]["novelty"]["mae"]
    assert (np.diff(mae) > 0).all()
    assert mae[-1] == pytest.approx(error.mean())


def test_columns_that_group_nobody_are_named_and_left_out() -> None:
    assert parts("site", np.array([f"site {i}" for i in range(40)])) == []
    assert parts("ecg_time", np.array(["2020-01-01"] * 3, dtype="datetime64[D]")) == []
    assert parts("gap_min", np.full(9, np.nan)) == []
    titles = [title for title, _ in parts("gap_min", np.array([-45.0, -5.0, 0.0, 12.0, 59.5, np.nan, *np.arange(9)]))]
    assert titles == ["< -30", "-30 to < 0", "0 to < 30", ">= 30", "not stated"]
    members = parts("any", np.random.default_rng(0).normal(size=80))
    assert [int(inside.sum()) for _, inside in members] == [20, 20, 20, 20]
