"""The metrics of what is kept: errors, coverage, calibration, drift."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ecg_ka import DISCLAIMER, Estimator
from service.kept_schemas import AccuracyOut, DriftOut, MonitoringOut, PredictionsOut, ReliabilityOut
from service.storage import estimates, feedback
from service.storage.estimates import Row
from service.storage.feedback import Pair
from service.storage.store import Store, now

SELECTION = (
    "Patients who get a laboratory test near their ECG are a selected group, sicker than those who do not: these "
    "errors are those of the tested, not of all."
)
WINDOW_DAYS = 30

_MAX_ROWS = 20_000
_N_REFERENCE = 500
_BIN_MMOL_L = 0.1  # of the bundle's label density
_GRADES = {"unusable": 0.0, "poor": 1.0, "acceptable": 2.0, "good": 3.0}
_FEATURES = ("amplitude_mv", "heart_rate_bpm", "quality", "novelty")
_QUANTILES = (5, 25, 50, 75, 95)

Region = Literal["all", "many", "median", "few"]
_REGIONS: tuple[Region, ...] = ("all", "many", "median", "few")
Floats = NDArray[np.float64]


def summarise(store: Store, estimator: Estimator, window_days: int) -> MonitoringOut:
    """The metrics of the loaded model over the last days.

    Raises:
        StorageUnavailable: they cannot be read.
    """
    sha256, since = estimator.bundle.sha256, now() - timedelta(days=window_days)
    with store.database.read() as connection:
        rows = estimates.recent(connection, sha256, since, _MAX_ROWS)
        first = estimates.earliest(connection, sha256, _N_REFERENCE)
        pairs = feedback.pairs(connection, sha256, since)
        left_out = feedback.left_out(connection, sha256, since)
    return MonitoringOut(
        model_sha256=sha256,
        window_days=window_days,
        selection=SELECTION,
        n_estimates=len(rows),
        abstention_rate=_mean([row.abstained for row in rows]),
        flag_rates=_flag_rates(rows),
        predictions=_predictions(rows, estimator),
        drift=[_drift(feature, first, rows) for feature in _FEATURES],
        accuracy=[_accuracy(region, pairs, estimator) for region in _REGIONS],
        reliability=[_reliability(">=", 5.5, pairs), _reliability("<", 3.5, pairs)],
        not_counted=left_out,
        disclaimer=DISCLAIMER,
    )


def _flag_rates(rows: Sequence[Row]) -> dict[str, float]:
    raised = [flag for row in rows for flag in row.flags]
    return {flag: raised.count(flag) / len(rows) for flag in sorted(set(raised))}


def _predictions(rows: Sequence[Row], estimator: Estimator) -> PredictionsOut:
    values = [row.potassium_mmol_l for row in rows if row.potassium_mmol_l is not None]
    density = estimator.bundle.density
    labels = _BIN_MMOL_L * (density.first_bin + np.arange(density.counts.size, dtype=np.float64))
    quantiles = np.percentile(values, _QUANTILES) if values else ()
    distance = _distance(np.asarray(values, dtype=np.float64), labels, density.counts) if values else None
    return PredictionsOut(
        n=len(values),
        mean_mmol_l=_mean(values),
        training_mean_mmol_l=float(np.average(labels, weights=density.counts)),
        quantiles_mmol_l={f"p{q:02d}": float(value) for q, value in zip(_QUANTILES, quantiles, strict=bool(values))},
        wasserstein_mmol_l=distance,
    )


def _drift(feature: str, first: Sequence[Row], rows: Sequence[Row]) -> DriftOut:
    reference, recent = _feature(feature, first), _feature(feature, rows)
    spread = float(reference.std()) if reference.size else 0.0
    is_known = reference.size and recent.size
    distance = _distance(reference, recent, np.ones(recent.size)) if is_known else None
    return DriftOut(
        feature=feature,
        n_reference=reference.size,
        n=recent.size,
        reference_mean=_mean(reference),
        mean=_mean(recent),
        shift=distance / spread if distance is not None and spread > 0 else None,
    )


def _feature(feature: str, rows: Sequence[Row]) -> Floats:
    values = [_GRADES[row.quality] if feature == "quality" else getattr(row, feature) for row in rows]
    return np.asarray([value for value in values if value is not None], dtype=np.float64)


def _accuracy(region: Region, pairs: Sequence[Pair], estimator: Estimator) -> AccuracyOut:
    regions = estimator.bundle.regions
    inside = [pair for pair in pairs if region in ("all", regions.name(pair.potassium_mmol_l))]
    errors = np.asarray([pair.estimate_mmol_l - pair.potassium_mmol_l for pair in inside], dtype=np.float64)
    return AccuracyOut(
        region=region,
        n=len(inside),
        mae_mmol_l=_mean(np.abs(errors)),
        bias_mmol_l=_mean(errors),
        coverage=_mean([pair.lower_mmol_l <= pair.potassium_mmol_l <= pair.upper_mmol_l for pair in inside]),
        level=_mean([pair.level for pair in inside]),
    )


def _reliability(comparator: str, threshold_mmol_l: float, pairs: Sequence[Pair]) -> ReliabilityOut:
    is_high = comparator == ">="
    told = [(pair.p_at_least_5_5 if is_high else pair.p_below_3_5, pair.potassium_mmol_l) for pair in pairs]
    known = [(p, (k >= threshold_mmol_l) if is_high else (k < threshold_mmol_l)) for p, k in told if p is not None]
    return ReliabilityOut(
        comparator=comparator,
        threshold_mmol_l=threshold_mmol_l,
        n=len(known),
        mean_p=_mean([p for p, _ in known]),
        observed=_mean([happened for _, happened in known]),
        brier=_mean([(p - happened) ** 2 for p, happened in known]),
    )


def _distance(values: Floats, others: Floats, weights: NDArray[np.number[Any]]) -> float:
    """Wasserstein-1 between the values and the weighted others: the area between their cumulative distributions."""
    points = np.sort(np.concatenate((values, others)))
    order = np.argsort(others)
    share = np.concatenate(([0.0], np.cumsum(weights[order]) / np.sum(weights)))
    below = np.searchsorted(np.sort(values), points[:-1], side="right") / values.size
    others_below = share[np.searchsorted(others[order], points[:-1], side="right")]
    return float(np.sum(np.abs(below - others_below) * np.diff(points)))


def _mean(values: Any) -> float | None:
    return float(np.mean(values)) if len(values) else None
