"""Metrics of an imbalanced regression, and of the alarms that can be made from it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ecg_ka.uncertainty import Regions

Floats = NDArray[np.float64]

ALARMS = ((">=", 5.5), (">=", 6.0), (">=", 6.5), ("<", 3.5), ("<", 3.0))
_GROUPS = ("few_low", "median_low", "many", "median_high", "few_high")


class Auroc(NamedTuple):
    """Area under the ROC curve with its 95 % interval (DeLong) and the number of positives."""

    value: float
    lower: float
    upper: float
    n_positive: int


def regression_metrics(labels: Floats, estimates: Floats, regions: Regions) -> dict[str, object]:
    """Errors in mmol/L of estimates (n,) against labels (n,), overall and by the region of the label."""
    error = estimates - labels
    groups = regions.group(labels)
    by_group = {name: _mae(error[groups == g]) for g, name in enumerate(_GROUPS)}
    bins = np.rint(labels * 10).astype(int)
    by_bin = [_mae(error[bins == b]) for b in np.unique(bins)]
    return {
        "n": len(labels),
        "mae": _mae(error),
        "mae_many": _mae(error[groups == 2]),
        "mae_median": _mae(error[np.isin(groups, (1, 3))]),
        "mae_few": _mae(error[np.isin(groups, (0, 4))]),
        "mae_few_low": by_group["few_low"],
        "mae_few_high": by_group["few_high"],
        "balanced_mae": float(np.mean(by_bin)),
        "bias": float(error.mean()),
        "r": float(np.corrcoef(labels, estimates)[0, 1]) if estimates.std() > 1e-9 else 0.0,
        "sd_estimates": float(estimates.std()),
        "sd_labels": float(labels.std()),
        "mae_of_the_median": _mae(labels - np.median(labels)),
        "wasserstein": float(stats.wasserstein_distance(labels, estimates)),
    }


def auroc(is_positive: NDArray[np.bool_], scores: Floats) -> Auroc:
    """AUROC of scores (n,) by midranks, with the interval of DeLong et al. 1988 (computed as Sun & Xu 2014)."""
    positive, negative = scores[is_positive], scores[~is_positive]
    m, n = len(positive), len(negative)
    if m < 2 or n < 2:
        return Auroc(float("nan"), float("nan"), float("nan"), m)
    ranks = stats.rankdata(np.concatenate([positive, negative]))
    v_positive = (ranks[:m] - stats.rankdata(positive)) / n
    v_negative = 1 - (ranks[m:] - stats.rankdata(negative)) / m
    value = float(v_positive.mean())
    half = 1.96 * float(np.sqrt(v_positive.var(ddof=1) / m + v_negative.var(ddof=1) / n))
    return Auroc(value, max(0.0, value - half), min(1.0, value + half), m)


def alarm_metrics(labels: Floats, estimates: Floats) -> dict[str, dict[str, float]]:
    """AUROC of the estimate for each of :data:`ALARMS`, keyed as ``">=5.5"``."""
    out = {}
    for comparator, threshold in ALARMS:
        is_high = labels >= threshold - 1e-6
        found = auroc(is_high, estimates) if comparator == ">=" else auroc(~is_high, -estimates)
        out[f"{comparator}{threshold}"] = dict(zip(Auroc._fields, map(float, found), strict=True))
    return out


def quantile_map(estimates: Floats, reference_estimates: Floats, labels: Floats) -> Floats:
    """Estimates mapped monotonically so that ``reference_estimates`` would get the distribution of ``labels``: the
    free alternative to Dist Loss that needs no training."""
    u = np.linspace(0, 1, 1001)
    return np.interp(estimates, np.quantile(reference_estimates, u), np.quantile(labels, u))


def _mae(error: Floats) -> float:
    return float(np.abs(error).mean()) if len(error) else float("nan")
