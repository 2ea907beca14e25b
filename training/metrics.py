"""Metrics of an imbalanced regression, and of the alarms that can be made from it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]

ALARMS = ((">=", 5.5), (">=", 6.0), (">=", 6.5), ("<", 3.5), ("<", 3.0))
SHOTS = {"many": (2,), "median": (1, 3), "few": (0, 4), "few_low": (0,), "few_high": (4,)}
"""Names of the regions that figures are given for, and the groups of :class:`ShotRegions` in each."""

_GM_EPSILON = 1e-3  # label units; without it one error of 0 makes the geometric mean 0


class ShotRegions(Protocol):
    """Anything that tells many-, median- and few-shot labels apart: given edges, or counts of training labels."""

    def group(self, labels: ArrayLike, /) -> NDArray[np.int64]:
        """0 low few, 1 low median, 2 many, 3 high median, 4 high few; shaped as the input."""


class Auroc(NamedTuple):
    """Area under the ROC curve with its 95 % interval (DeLong) and the number of positives."""

    value: float
    lower: float
    upper: float
    n_positive: int


def regression_metrics(labels: Floats, estimates: Floats, regions: ShotRegions) -> dict[str, float]:
    """Errors in label units of estimates (n,) against labels (n,), overall and by the region of the label.

    MAE, geometric mean (GM) and bias (mean error) of all, many-, median- and few-shot labels as in Yang et al., ICML
    2021, and of the few-shot labels at either end; balanced MAE is the mean over labels rounded to 0.1. NaN where no
    label lies.
    """
    error = estimates - labels
    groups = regions.group(labels)
    by_shot = {"": error} | {f"_{name}": error[np.isin(groups, members)] for name, members in SHOTS.items()}
    sd_estimates, sd_labels = float(estimates.std()), float(labels.std())
    return {
        "n": len(labels),
        **{f"n{name}": len(errors) for name, errors in by_shot.items() if name},
        **{f"mae{name}": _mae(errors) for name, errors in by_shot.items()},
        **{f"gm{name}": _geometric_mean(errors) for name, errors in by_shot.items()},
        **{f"bias{name}": _bias(errors) for name, errors in by_shot.items()},
        "balanced_mae": balanced_mae(labels, estimates),
        "r": correlation(labels, estimates),
        "sd_estimates": sd_estimates,
        "sd_labels": sd_labels,
        "sd_ratio": sd_estimates / sd_labels if sd_labels else float("nan"),
        "mae_of_the_median": _mae(labels - np.median(labels)),
        "wasserstein": float(stats.wasserstein_distance(labels, estimates)),
    }


def correlation(labels: Floats, estimates: Floats) -> float:
    """Pearson's r: 0 of a constant estimate, NaN where all labels are the same."""
    if np.ptp(labels) < 1e-9:
        return float("nan")
    return float(np.corrcoef(labels, estimates)[0, 1]) if estimates.std() > 1e-9 else 0.0


def balanced_mae(labels: Floats, estimates: Floats) -> float:
    """Mean over labels, rounded to 0.1, of the MAE at that label."""
    bins = label_bins(labels)
    return float(np.mean([_mae((estimates - labels)[bins == b]) for b in np.unique(bins)]))


def label_bins(labels: Floats) -> NDArray[np.int64]:
    """Labels in steps of 0.1."""
    return np.rint(labels * 10).astype(np.int64)


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


def has_event(labels: Floats, comparator: str, threshold: float) -> NDArray[np.bool_]:
    """Which labels (n,) are at least the threshold (``">="``) or below it (``"<"``); labels come in steps of 0.1, so
    the last bit of a float decides nothing."""
    at_least = labels >= threshold - 1e-6
    return at_least if comparator == ">=" else ~at_least


def alarm_metrics(labels: Floats, estimates: Floats) -> dict[str, dict[str, float]]:
    """AUROC of the estimate for each of :data:`ALARMS`, keyed as ``">=5.5"``."""
    out = {}
    for comparator, threshold in ALARMS:
        sign = 1 if comparator == ">=" else -1
        found = auroc(has_event(labels, comparator, threshold), sign * estimates)
        out[f"{comparator}{threshold}"] = dict(zip(Auroc._fields, map(float, found), strict=True))
    return out


def quantile_map(estimates: Floats, reference_estimates: Floats, labels: Floats) -> Floats:
    """Estimates mapped monotonically so that ``reference_estimates`` would get the distribution of ``labels``: the
    free alternative to Dist Loss that needs no training."""
    u = np.linspace(0, 1, 1001)
    return np.interp(estimates, np.quantile(reference_estimates, u), np.quantile(labels, u))


def stretched(estimates: Floats, reference_estimates: Floats, labels: Floats) -> Floats:
    """Estimates moved and scaled so that ``reference_estimates`` would get mean and SD of ``labels``: as free as
    :func:`quantile_map`, and linear."""
    factor = labels.std() / max(float(reference_estimates.std()), 1e-9)
    return np.asarray((estimates - reference_estimates.mean()) * factor + labels.mean())


def _mae(error: Floats) -> float:
    return float(np.abs(error).mean()) if len(error) else float("nan")


def _geometric_mean(error: Floats) -> float:
    return float(np.exp(np.log(np.abs(error) + _GM_EPSILON).mean())) if len(error) else float("nan")


def _bias(error: Floats) -> float:
    return float(error.mean()) if len(error) else float("nan")
