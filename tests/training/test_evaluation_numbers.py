"""Every table of a report follows from the predictions that were stored with it, computed here in other ways."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy import optimize, stats

from ecg_ka.bundle import SHIPPED, load_bundle
from tests.training.drawn_predictions import many
from training.evaluation.options import MeasureOptions, plain
from training.evaluation.predictions import write_predictions
from training.evaluation.report import measures

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

BANDS = {"< 3.0": (0, 29), "3.0-3.4": (30, 34), "3.5-5.4": (35, 54), "5.5-5.9": (55, 59), "6.0-6.4": (60, 64)}
BANDS |= {">= 6.5": (65, 200)}
REGIONS = {"few_low": (0, 31), "median_low": (32, 35), "many": (36, 46), "median_high": (47, 53), "few_high": (54, 200)}


@dataclass(frozen=True)
class Stored:
    """Predictions as they were written, and the report on them."""

    table: pl.DataFrame
    report: dict[str, Any]

    def column(self, name: str) -> Floats:
        """As numbers (n,)."""
        return self.table[name].to_numpy().astype(np.float64)

    @property
    def labels(self) -> Floats:
        """By the laboratory."""
        return self.column("potassium_mmol_l")

    @property
    def estimates(self) -> Floats:
        """Of the network."""
        return self.column("estimate_mmol_l")

    @property
    def medians(self) -> Floats:
        """Calibrated."""
        return self.column("median_mmol_l")

    def within(self, low: int, high: int) -> Mask:
        """Labels from ``low`` to ``high`` tenths."""
        tenths = np.rint(10 * self.labels)
        return np.asarray((tenths >= low) & (tenths <= high))

    def events(self) -> dict[str, Mask]:
        """By name."""
        return {f">={t}": self.within(round(10 * t), 200) for t in (5.5, 6.0, 6.5)} | {
            f"<{t}": self.within(0, round(10 * t) - 1) for t in (3.5, 3.0)
        }

    def probability(self, name: str) -> Floats:
        """Calibrated, of an event."""
        kind = "p_at_least_" if name.startswith(">=") else "p_below_"
        return self.column(kind + name.lstrip("<>=").replace(".", "_"))


@pytest.fixture(scope="module")
def stored(evaluated: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Stored]:
    """Of the shipped bundle's run, and of many ECGs."""
    path = tmp_path_factory.mktemp("stored") / "predictions.parquet"
    predictions = replace(many(), novelty=np.random.default_rng(2).random(1500))
    write_predictions(predictions, path)
    report = plain(measures(predictions, load_bundle(SHIPPED), MeasureOptions(resamples=100)))
    ran = json.loads((evaluated / "report.json").read_text())
    return [Stored(pl.read_parquet(evaluated / "predictions.parquet"), ran), Stored(pl.read_parquet(path), report)]


def close(found: float | dict[str, float] | None, expected: float | np.floating[Any]) -> bool:
    value = found["value"] if isinstance(found, dict) else found
    return (value is None and bool(np.isnan(expected))) or value == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_errors_and_spreads(stored: list[Stored]) -> None:
    for s in stored:
        for key, values in (("estimate", s.estimates), ("calibrated_median", s.medians)):
            error, found = values - s.labels, s.report["accuracy"][key]
            assert close(found["mae"], np.abs(error).mean())
            assert close(found["mae_interval"], np.abs(error).mean())
            assert close(found["bias_interval"], error.mean())
            assert close(found["sd_ratio_interval"], values.std() / s.labels.std())
            assert close(found["sd_estimates"], values.std())
            assert close(found["r"], stats.pearsonr(values, s.labels).statistic)
            assert close(found["slope_of_labels"], np.polyfit(values, s.labels, 1)[0])
            by_label = [np.abs(error[s.labels == label]).mean() for label in np.unique(s.labels)]
            assert close(found["balanced_mae"], np.mean(by_label))


def test_labels_and_constants(stored: list[Stored]) -> None:
    for s in stored:
        found = s.report["labels"]
        assert close(found["mean"], s.labels.mean())
        assert close(found["sd"], s.labels.std())
        assert close(found["quantiles"]["5 %"], np.percentile(s.labels, 5))
        assert close(found["mae_of_the_median"], np.abs(s.labels - np.median(s.labels)).mean())
        assert close(found["mae_of_the_mean"], np.abs(s.labels - s.labels.mean()).mean())
        assert sum(found["histogram"]["ecgs"]) == len(s.labels) == found["n"]
        assert found["by_region"] == {name: s.within(*place).sum() for name, place in REGIONS.items()}


def test_agreement(stored: list[Stored]) -> None:
    for s in stored:
        for key, values in (("estimate", s.estimates), ("calibrated_median", s.medians)):
            found, difference = s.report["accuracy"][key]["agreement"], values - s.labels
            assert close(found["bias"], difference.mean())
            half = 1.96 * difference.std(ddof=1)
            assert close(found["lower_limit"], difference.mean() - half)
            assert close(found["upper_limit"], difference.mean() + half)
            assert close(found["slope_on_mean"], np.polyfit((values + s.labels) / 2, difference, 1)[0])
            assert close(found["slope_on_label"], np.polyfit(s.labels, difference, 1)[0])


def test_errors_by_region_and_band(stored: list[Stored]) -> None:
    for s in stored:
        places = {name: s.within(*place) for name, place in {**REGIONS, **BANDS}.items()}
        places["few"] = places["few_low"] | places["few_high"]
        places["median"] = places["median_low"] | places["median_high"]
        for name, found in {**s.report["accuracy"]["by_region"], **s.report["accuracy"]["by_band"]}.items():
            inside = places[name]
            labels, error = s.labels[inside], (s.estimates - s.labels)[inside]
            assert found["n"] == inside.sum()
            if not inside.any():
                assert found["mae"]["value"] is found["sd_labels"] is found["mae_of_the_mean"] is None
                continue
            assert close(found["sd_labels"], labels.std())
            assert close(found["mae"], np.abs(error).mean())
            assert close(found["bias"], error.mean())
            assert close(found["mae_of_calibrated_median"], np.abs(s.medians - s.labels)[inside].mean())
            assert close(found["mae_of_the_median"], np.abs(labels - np.median(s.labels)).mean())
            assert close(found["mae_of_the_mean"], np.abs(labels - s.labels.mean()).mean())
            if found["sd_ratio"] is not None:
                assert close(found["sd_ratio"], s.estimates[inside].std() / labels.std())


def test_ranking(stored: list[Stored]) -> None:
    for s in stored:
        for name, event in s.events().items():
            found, sign = s.report["alarms"]["ranking"][name], 1 if name.startswith(">=") else -1
            assert found["n_events"] == event.sum()
            assert close(found["share"], event.mean())
            if not 0 < event.sum() < len(event):
                continue
            for key, scores in (("estimate", sign * s.estimates), ("probability", s.probability(name))):
                pairs = scores[event][:, None] - scores[~event]
                cutoffs = np.unique(scores)[::-1]
                recall = np.array([(scores[event] >= c).mean() for c in cutoffs])
                precision = np.array([event[scores >= c].mean() for c in cutoffs])
                others = np.array([(scores[~event] < c).mean() for c in cutoffs])
                assert close(found[key]["auroc"], float(((pairs > 0) + 0.5 * (pairs == 0)).mean()))
                assert close(found[key]["auprc"], float(np.sum(np.diff(recall, prepend=0) * precision)))
                for least, value in found[key]["sensitivity_at_specificity"].items():
                    reached = recall[others >= float(least.split()[0]) / 100 - 1e-12]
                    assert close(value, max(reached, default=0.0))
                for least, value in found[key]["specificity_at_sensitivity"].items():
                    assert close(value, others[recall >= float(least.split()[0]) / 100 - 1e-12].max())


def test_alarms_and_net_benefit(stored: list[Stored]) -> None:
    for s in stored:
        for name in (">=5.5", "<3.5"):
            event, p = s.events()[name], s.probability(name)
            found = s.report["alarms"]["predictive_values"][name]
            raised = p > found["operating_point"]
            sensitivity, specificity = raised[event].mean(), (~raised[~event]).mean()
            assert close(found["sensitivity"], sensitivity)
            assert close(found["specificity"], specificity)
            assert close(found["observed_positive_predictive_value"], event[raised].mean())
            if found["stated_by"] == "the test split":
                assert close(found["stated"]["positive_predictive_value"], event[raised].mean())
                assert close(found["stated"]["negative_predictive_value"], (~event[~raised]).mean())
            for at in (found["stated"], *found["elsewhere"]):
                share = at["prevalence"]
                alarms = sensitivity * share + (1 - specificity) * (1 - share)
                assert close(at["alarms_per_1000"], 1000 * alarms)
                assert close(at["positive_predictive_value"], sensitivity * share / alarms)
                assert close(at["negative_predictive_value"], specificity * (1 - share) / (1 - alarms))
            curve = s.report["alarms"]["decision_curves"][name]
            for t, value, everybody in zip(*(curve[k] for k in ("threshold_probabilities", "model", "testing_all")),
                                           strict=True):  # fmt: skip
                assert close(value, (event & (p >= t)).mean() - (~event & (p >= t)).mean() * t / (1 - t))
                assert close(everybody, event.mean() - (~event).mean() * t / (1 - t))


def test_calibration_of_probabilities(stored: list[Stored]) -> None:
    for s in stored:
        for name, event in s.events().items():
            p, found = s.probability(name), s.report["probabilities"][name]
            brier, share = np.mean((p - event) ** 2), event.mean()
            assert close(found["brier"], brier)
            assert close(found["brier_skill"], 1 - brier / (share * (1 - share)) if 0 < share < 1 else np.nan)
            assert close(found["observed_to_expected"], event.sum() / p.sum())
            assert sum(b["n"] for b in found["bins"]) == len(p)
            assert sum(b["n"] * b["mean_p"] for b in found["bins"]) == pytest.approx(p.sum())
            assert sum(b["n"] * b["observed"]["value"] for b in found["bins"]) == pytest.approx(event.sum())
            if min(event.sum(), (~event).sum()) >= 10:
                odds = np.log(p / (1 - p))
                slope = fitted(np.column_stack([np.ones_like(odds), odds]), np.zeros_like(odds), event)[1]
                assert found["recalibration"]["slope"]["value"] == pytest.approx(slope, abs=1e-3)
                alone = fitted(np.ones((len(odds), 1)), odds, event)[0]
                assert found["recalibration"]["in_the_large"]["value"] == pytest.approx(alone, abs=1e-3)
            else:
                assert found["recalibration"]["slope"]["value"] is None


def fitted(design: Floats, offset: Floats, event: Mask) -> Floats:
    """Logistic regression of events (n,) on columns (n, k), the likelihood climbed by a general optimiser."""

    def loss(beta: Floats) -> float:
        eta = offset + design @ beta
        return float((np.logaddexp(0, eta) - event * eta).sum())

    return np.asarray(optimize.minimize(loss, np.zeros(design.shape[1])).x)


def test_intervals(stored: list[Stored]) -> None:
    for s in stored:
        by_estimate = np.searchsorted([3.2, 3.6, 4.6, 5.3], s.estimates)
        groups = {
            "by_true_region": {name: s.within(*place) for name, place in REGIONS.items()},
            "by_true_band": {name: s.within(*place) for name, place in BANDS.items()},
            "by_predicted_region": {name: by_estimate == g for g, name in enumerate(REGIONS)},
        }
        for kind, prefix in (("marginal", ""), ("label_conditional", "label_conditional_")):
            low, high = s.column(prefix + "lower_mmol_l"), s.column(prefix + "upper_mmol_l")
            held, found = (low - 1e-6 <= s.labels) & (s.labels <= high + 1e-6), s.report["intervals"][kind]
            assert close(found["all"]["coverage"], held.mean())
            assert close(found["all"]["mean_width"], (high - low).mean())
            for key, members in groups.items():
                for name, inside in members.items():
                    assert found[key][name]["n"] == inside.sum()
                    if inside.any():
                        assert close(found[key][name]["coverage"], held[inside].mean())
                        assert close(found[key][name]["mean_width"], (high - low)[inside].mean())


def test_bands_and_high_estimates(stored: list[Stored]) -> None:
    for s in stored:
        found, events = s.report["bands"], s.events()
        truly = {"below_3_5": events["<3.5"], "3_5_to_5_4": s.within(35, 54), "5_5_and_above": events[">=5.5"]}
        severe = {"below_3_0": events["<3.0"], "6_0_and_above": events[">=6.0"], "6_5_and_above": events[">=6.5"]}
        for key, prefix, members in (("bands", "band_", truly), ("severe_bands", "severe_band_", severe)):
            for name, inside in members.items():
                named = s.column(prefix + name) > 0
                assert found[key][name]["n"] == inside.sum()
                assert close(found[key][name]["named"], named[inside].mean() if inside.any() else np.nan)
                assert close(found[key][name]["named_of_all"], named.mean())
        assert close(found["mean_size"], np.sum([s.column("band_" + name) for name in truly], axis=0).mean())
        for row in s.report["among_high_estimates"]:
            high = s.estimates >= row["estimate_at_least"]
            assert row["n"] == high.sum()
            if high.any():
                assert close(row["mean_p"], s.probability(row["event"])[high].mean())
                assert close(row["observed"], events[row["event"]][high].mean())


def test_surest_answers(stored: list[Stored]) -> None:
    for s in stored:
        found = s.report["risk_coverage"]
        doubts = {
            "width of the interval": s.column("upper_mmol_l") - s.column("lower_mmol_l"),
            "spread of the network": s.column("spread_mmol_l"),
            "novelty": s.column("novelty"),
        }
        assert set(found["ordered_by"]) == set(doubts)
        for name, doubt in doubts.items():
            for key, value in (("mae", s.estimates), ("mae_of_calibrated_median", s.medians),
                               ("mae_of_the_median", np.full_like(s.labels, np.median(s.labels)))):  # fmt: skip
                error = np.abs(value - s.labels)[np.argsort(doubt)]
                for kept, mae in zip(found["kept"], found["ordered_by"][name][key], strict=True):
                    n = max(1, round(kept * len(error)))
                    assert len(np.unique(doubt)) < len(doubt) or close(mae, error[:n].mean())
                assert close(found["ordered_by"][name][key][-1], error.mean())


def test_subgroups(stored: list[Stored]) -> None:
    s = stored[1]
    age, groups = s.column("covariate_age_years"), s.report["subgroups"]["by_covariate"]
    members = {
        ("male", "female"): ~s.table["covariate_male"].to_numpy(),
        ("age_years", "40 to < 60"): (age >= 40) & (age < 60),
        ("age_years", "not stated"): np.isnan(age),
        ("rhythm", "fibrillation"): (s.table["covariate_rhythm"] == "fibrillation").to_numpy(),
    }
    for (name, level), inside in members.items():
        found, labels = groups[name][level], s.labels[inside]
        assert found["n"] == inside.sum() >= 50
        assert close(found["sd_labels"], labels.std())
        assert close(found["mae"], np.abs(s.estimates - s.labels)[inside].mean())
        assert close(found["bias"], (s.estimates - s.labels)[inside].mean())
        assert close(found["mae_of_the_median"], np.abs(labels - np.median(labels)).mean())
        for event, sign in ((">=5.5", 1), ("<3.5", -1)):
            has = s.events()[event] & inside
            assert found["n_events"][event] == has.sum()
            if found["auroc"][event] is not None:
                pairs = sign * (s.estimates[has][:, None] - s.estimates[inside & ~has])
                assert close(found["auroc"][event], (pairs > 0).mean())
    assert groups["rhythm"]["paced"] == {"n": (s.table["covariate_rhythm"] == "paced").sum(), "is_too_small": True}
    assert s.report["subgroups"]["not_recorded"] == ["gap to the laboratory sample", "signal quality", "QRS width"]


def measured(found: Any) -> list[dict[str, Any]]:
    """Every value with an interval, wherever it stands."""
    if isinstance(found, dict):
        inner = [m for item in found.values() for m in measured(item)]
        return [found, *inner] if {"value", "lower", "upper"} <= set(found) else inner
    return [m for item in found for m in measured(item)] if isinstance(found, list) else []


def test_every_interval_holds_its_value(stored: list[Stored]) -> None:
    for s in stored:
        found = [m for m in measured(s.report) if m["lower"] is not None]
        assert len(found) > 300
        assert all(m["lower"] <= m["value"] <= m["upper"] for m in found)
    mae, error = stored[1].report["accuracy"]["estimate"]["mae_interval"], stored[1].estimates - stored[1].labels
    half = 1.96 * np.abs(error).std() / np.sqrt(len(error))
    assert mae["upper"] - mae["lower"] == pytest.approx(2 * half, rel=0.3)
