"""The report: its numbers are those of the stored predictions, it needs nothing else, and it says what it is."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from ecg_ka import Estimator
from ecg_ka.bundle import SHIPPED, load_bundle
from ecg_ka.preprocess import ModelInput
from ecg_ka.uncertainty import Pairs
from training.cohort import Cohort, Split
from training.cohort.simulated import SimulatedConfig, build
from training.evaluate import EvaluateConfig, run
from training.evaluation.options import MeasureOptions, plain
from training.evaluation.predictions import Predictions, joined, write_predictions
from training.evaluation.report import measures
from training.evaluation.subgroups import parts
from training.evaluation.tripod import AUTHORS
from training.evaluation.trust import risk_coverage_curves

Floats = NDArray[np.float64]
Report = dict[str, Any]

OPTIONS = MeasureOptions(resamples=100)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort") / "c"
    build(SimulatedConfig(out=folder, patients=640, visits=2, workers=1, seed=77))
    return folder


@pytest.fixture(scope="module")
def evaluated(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reports") / "r"
    run(EvaluateConfig(bundle=SHIPPED, cohort=cohort, out=out, resamples=100, prevalence=0.02))
    return out


def many() -> Predictions:
    """Predictions of 1500 patients who never had an ECG, with covariates of every kind."""
    rng = np.random.default_rng(11)
    labels = np.rint(10 * (4.2 + 0.55 * rng.standard_t(5, 1500)).clip(2, 8.5)) / 10
    pairs = Pairs(4.3 + 0.8 * (labels - 4.2) + rng.normal(0, 0.4, 1500), rng.uniform(0.2, 0.6, 1500), labels)
    covariates = {
        "male": rng.random(1500) < 0.5,
        "age_years": np.where(rng.random(1500) < 0.1, np.nan, rng.uniform(18, 95, 1500)),
        "rhythm": rng.choice(np.array(["sinus", "fibrillation", "paced"]), 1500, p=[0.9, 0.08, 0.02]),
    }
    numbers = np.arange(1500)
    return joined(3 * numbers, numbers, pairs, load_bundle(SHIPPED).calibration, covariates)


@pytest.fixture(scope="module")
def stored(evaluated: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[pl.DataFrame, Report]]:
    """Stored predictions, and the report that was made of them: of the shipped bundle's run, and of many ECGs."""
    path = tmp_path_factory.mktemp("stored") / "predictions.parquet"
    predictions = many()
    write_predictions(predictions, path)
    report = plain(measures(predictions, load_bundle(SHIPPED), OPTIONS))
    ran = json.loads((evaluated / "report.json").read_text())
    return [(pl.read_parquet(evaluated / "predictions.parquet"), ran), (pl.read_parquet(path), report)]


def column(table: pl.DataFrame, name: str) -> Floats:
    return table[name].to_numpy().astype(np.float64)


def close(found: float | None, expected: float | np.floating[Any]) -> bool:
    return (found is None and bool(np.isnan(expected))) or found == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_errors_and_constants_follow_from_the_stored_predictions(stored: list[tuple[pl.DataFrame, Report]]) -> None:
    for table, report in stored:
        labels, estimates = column(table, "potassium_mmol_l"), column(table, "estimate_mmol_l")
        error, whole, facts = estimates - labels, report["accuracy"]["estimate"], report["labels"]
        assert close(whole["mae"], np.abs(error).mean())
        assert close(whole["mae_interval"]["value"], whole["mae"])
        assert close(whole["bias_interval"]["value"], error.mean())
        assert close(whole["sd_ratio_interval"]["value"], estimates.std() / labels.std())
        assert close(facts["sd"], labels.std())
        assert close(facts["mae_of_the_median"], np.abs(labels - np.median(labels)).mean())
        assert close(facts["mae_of_the_mean"], np.abs(labels - labels.mean()).mean())
        assert sum(facts["histogram"]["ecgs"]) == len(labels) == facts["n"]
        assert close(whole["agreement"]["slope_on_label"]["value"], np.polyfit(labels, error, 1)[0])


def test_regions_and_bands_follow_from_the_stored_predictions(stored: list[tuple[pl.DataFrame, Report]]) -> None:
    for table, report in stored:
        labels = column(table, "potassium_mmol_l")
        error = column(table, "estimate_mmol_l") - labels
        tenths = np.rint(10 * labels)
        edges = [(0, 29), (30, 34), (35, 54), (55, 59), (60, 64), (65, 200)]
        bands = dict(zip(report["accuracy"]["by_band"], edges, strict=True))
        regions = {"few_low": (0, 31), "median_low": (32, 35), "many": (36, 46), "median_high": (47, 53)}
        regions["few_high"] = (54, 200)
        for key, places in (("by_band", bands), ("by_region", regions)):
            for name, (low, high) in places.items():
                found, inside = report["accuracy"][key][name], (tenths >= low) & (tenths <= high)
                assert found["n"] == inside.sum()
                if inside.any():
                    assert close(found["mae"]["value"], np.abs(error[inside]).mean())
                    assert close(found["bias"]["value"], error[inside].mean())
                    assert close(found["mae_of_the_median"], np.abs(labels[inside] - np.median(labels)).mean())


def events(labels: Floats) -> dict[str, NDArray[np.bool_]]:
    tenths = np.rint(10 * labels)
    return {f">={t}": tenths >= 10 * t for t in (5.5, 6.0, 6.5)} | {f"<{t}": tenths < 10 * t for t in (3.5, 3.0)}


def probability(table: pl.DataFrame, name: str) -> Floats:
    kind = "p_at_least_" if name.startswith(">=") else "p_below_"
    return column(table, kind + name.lstrip("<>=").replace(".", "_"))


def test_ranking_and_calibration_follow_from_the_stored_predictions(stored: list[tuple[pl.DataFrame, Report]]) -> None:
    for table, report in stored:
        estimates = column(table, "estimate_mmol_l")
        for name, event in events(column(table, "potassium_mmol_l")).items():
            scores = estimates if name.startswith(">=") else -estimates
            found, p = report["alarms"]["ranking"][name], probability(table, name)
            assert found["n_events"] == event.sum()
            if not 0 < event.sum() < len(event):
                continue
            for key, s in (("estimate", scores), ("probability", p)):
                pairs = s[event][:, None] - s[~event]
                assert close(found[key]["auroc"]["value"], float(((pairs > 0) + 0.5 * (pairs == 0)).mean()))
                cutoffs = np.unique(s)[::-1]
                recall = np.array([(s[event] >= c).mean() for c in cutoffs])
                precision = np.array([event[s >= c].mean() for c in cutoffs])
                assert close(found[key]["auprc"]["value"], float(np.sum(np.diff(recall, prepend=0) * precision)))
                kept = [(s[event] >= c).mean() for c in cutoffs if (s[~event] < c).mean() >= 0.9]
                assert close(found[key]["sensitivity_at_specificity"]["90 %"]["value"], max(kept, default=0.0))
            calibration = report["probabilities"][name]
            assert close(calibration["brier"]["value"], np.mean((p - event) ** 2))
            assert close(calibration["observed_to_expected"]["value"], event.sum() / p.sum())


def test_alarms_and_net_benefit_follow_from_the_stored_predictions(stored: list[tuple[pl.DataFrame, Report]]) -> None:
    for table, report in stored:
        for name in (">=5.5", "<3.5"):
            event, p = events(column(table, "potassium_mmol_l"))[name], probability(table, name)
            found = report["alarms"]["predictive_values"][name]
            raised = p > found["operating_point"]
            sensitivity, specificity = raised[event].mean(), (~raised[~event]).mean()
            assert close(found["sensitivity"]["value"], sensitivity)
            assert close(found["specificity"]["value"], specificity)
            for at in (found["stated"], *found["elsewhere"]):
                share = at["prevalence"]
                alarms = sensitivity * share + (1 - specificity) * (1 - share)
                assert close(at["alarms_per_1000"]["value"], 1000 * alarms)
                assert close(at["positive_predictive_value"]["value"], sensitivity * share / alarms)
                assert close(at["negative_predictive_value"]["value"], specificity * (1 - share) / (1 - alarms))
            curve = report["alarms"]["decision_curves"][name]
            for t, value in zip(curve["threshold_probabilities"], curve["model"], strict=True):
                benefit = (event & (p >= t)).mean() - (~event & (p >= t)).mean() * t / (1 - t)
                assert close(value["value"], benefit)


def test_intervals_and_high_estimates_follow_from_the_stored_predictions(
    stored: list[tuple[pl.DataFrame, Report]],
) -> None:
    for table, report in stored:
        labels, estimates = column(table, "potassium_mmol_l"), column(table, "estimate_mmol_l")
        for kind, prefix in (("marginal", ""), ("label_conditional", "label_conditional_")):
            low, high = column(table, prefix + "lower_mmol_l"), column(table, prefix + "upper_mmol_l")
            held = (low - 1e-6 <= labels) & (labels <= high + 1e-6)
            assert close(report["intervals"][kind]["all"]["coverage"]["value"], held.mean())
            true, predicted = np.rint(10 * labels) > 53, estimates > 5.3
            for key, inside in (("by_true_region", true), ("by_predicted_region", predicted)):
                found = report["intervals"][kind][key]["few_high"]
                assert found["n"] == inside.sum()
                assert close(found["coverage"]["value"], held[inside].mean())
                assert close(found["mean_width"], (high - low)[inside].mean())
        for row in report["among_high_estimates"]:
            inside = estimates >= row["estimate_at_least"]
            assert row["n"] == inside.sum()
            if inside.any():
                assert close(row["mean_p"], probability(table, row["event"])[inside].mean())
                assert close(row["observed"]["value"], events(labels)[row["event"]][inside].mean())
        assert close(report["risk_coverage"]["ordered_by"]["spread of the network"]["mae"][-1],
                     np.abs(estimates - labels).mean())  # fmt: skip


def test_subgroups_follow_from_the_stored_predictions(stored: list[tuple[pl.DataFrame, Report]]) -> None:
    table, report = stored[1]
    labels, estimates = column(table, "potassium_mmol_l"), column(table, "estimate_mmol_l")
    age, groups = column(table, "covariate_age_years"), report["subgroups"]["by_covariate"]
    members = {
        ("male", "female"): ~table["covariate_male"].to_numpy(),
        ("age_years", "40 to < 60"): (age >= 40) & (age < 60),
        ("age_years", "not stated"): np.isnan(age),
        ("rhythm", "fibrillation"): (table["covariate_rhythm"] == "fibrillation").to_numpy(),
    }
    for (name, level), inside in members.items():
        found, high = groups[name][level], events(labels)[">=5.5"] & inside
        assert found["n"] == inside.sum() >= 50
        assert close(found["sd_labels"], labels[inside].std())
        assert close(found["mae"]["value"], np.abs(estimates - labels)[inside].mean())
        assert close(found["mae_of_the_median"], np.abs(labels[inside] - np.median(labels[inside])).mean())
        if found["auroc"][">=5.5"] is not None:
            pairs = estimates[high][:, None] - estimates[inside & ~high]
            assert close(found["auroc"][">=5.5"]["value"], (pairs > 0).mean())
    assert groups["rhythm"]["paced"] == {"n": int((table["covariate_rhythm"] == "paced").sum()), "is_too_small": True}
    assert report["subgroups"]["not_recorded"] == ["gap to the laboratory sample", "signal quality", "QRS width"]


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
        assert row["p_below_3_5"] == predictive.probability("<", 3.5).p


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


def test_a_report_is_never_written_over_and_wrong_options_are_refused(evaluated: Path, cohort: Path) -> None:
    with pytest.raises(FileExistsError, match="holds a report already"):
        run(EvaluateConfig(bundle=SHIPPED, cohort=cohort, out=evaluated))
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
