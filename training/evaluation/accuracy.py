"""Labels, errors and agreement: of all test ECGs, by region and by clinical band."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecg_ka.uncertainty import Regions
from ecg_ka.uncertainty.scores import ROUNDING
from training.evaluation.options import MeasureOptions
from training.evaluation.predictions import Predictions
from training.guarantees import REGION_NAMES
from training.metrics import SHOTS, Floats, regression_metrics
from training.metrics_agreement import agreement, slope, spread_ratio
from training.metrics_bootstrap import bootstrap, mean_of

BAND_EDGES_MMOL_L = (3.0, 3.5, 5.5, 6.0, 6.5)
BAND_NAMES = ("< 3.0", "3.0-3.4", "3.5-5.4", "5.5-5.9", "6.0-6.4", ">= 6.5")


def label_facts(labels: Floats, regions: Regions) -> dict[str, Any]:
    """How the labels (n,) spread, and what predicting one value for everyone costs."""
    values, counts = np.unique(np.rint(labels * 10).astype(np.int64), return_counts=True)
    groups = regions.group(labels)
    return {
        "n": len(labels),
        "mean": labels.mean(),
        "sd": labels.std(),
        "quantiles": {f"{100 * q:g} %": np.quantile(labels, q) for q in (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)},
        "mae_of_the_median": np.abs(labels - np.median(labels)).mean(),
        "mae_of_the_mean": np.abs(labels - labels.mean()).mean(),
        "histogram": {"tenths_mmol_l": values, "ecgs": counts},
        "region_edges_mmol_l": regions.edges,
        "by_region": {name: int((groups == g).sum()) for g, name in enumerate(REGION_NAMES)},
    }


def accuracy(p: Predictions, regions: Regions, options: MeasureOptions) -> dict[str, Any]:
    """Metrics of estimate and calibrated median, with intervals for the main ones; errors by region and band."""
    places = regions.group(p.labels)
    bands = clinical_bands(p.labels)
    return {
        "estimate": _whole(p, p.estimates, regions, options),
        "calibrated_median": _whole(p, p.answers.medians, regions, options),
        "by_region": {name: _part(p, np.isin(places, members), options) for name, members in SHOTS_SHOWN.items()},
        "by_band": {name: _part(p, bands == b, options) for b, name in enumerate(BAND_NAMES)},
    }


def clinical_bands(labels: Floats) -> NDArray[np.int64]:
    """Position in :data:`BAND_NAMES` of each label (n,)."""
    return np.searchsorted(BAND_EDGES_MMOL_L, labels + ROUNDING, side="right")


SHOTS_SHOWN = {name: SHOTS[name] for name in ("few_low", "many", "median", "few", "few_high")} | {
    "median_low": (1,),
    "median_high": (3,),
}


def _whole(p: Predictions, values: Floats, regions: Regions, options: MeasureOptions) -> dict[str, Any]:
    error = values - p.labels
    mae, bias = bootstrap(mean_of(np.column_stack([np.abs(error), error])), p.patients, options.resamples, options.seed)
    (ratio,) = bootstrap(spread_ratio(p.labels, values), p.patients, options.resamples, options.seed)
    return {
        **regression_metrics(p.labels, values, regions),
        "mae_interval": mae,
        "bias_interval": bias,
        "sd_ratio_interval": ratio,
        "agreement": agreement(p.labels, values) if np.ptp(p.labels) and len(p.labels) > 2 else None,
        "slope_of_labels": slope(values, p.labels),
    }


def _part(p: Predictions, members: NDArray[np.bool_], options: MeasureOptions) -> dict[str, Any]:
    """Errors of one group, beside those of the constants that are best for all ECGs."""
    labels, error, of_median = (x[members] for x in (p.labels, p.estimates - p.labels, p.answers.medians - p.labels))
    columns = np.column_stack([np.abs(error), error, np.abs(of_median)])
    mae, bias, mae_of_median = bootstrap(mean_of(columns), p.patients[members], options.resamples, options.seed)
    return {
        "n": len(labels),
        "sd_labels": labels.std() if len(labels) else None,
        "mae": mae,
        "bias": bias,
        "mae_of_calibrated_median": mae_of_median,
        "mae_of_the_median": np.abs(labels - np.median(p.labels)).mean() if len(labels) else None,
        "mae_of_the_mean": np.abs(labels - p.labels.mean()).mean() if len(labels) else None,
        "sd_ratio": p.estimates[members].std() / labels.std() if len(labels) > 1 and labels.std() > 0 else None,
    }
