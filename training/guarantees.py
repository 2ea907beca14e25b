"""What the intervals, bands and alarms of a calibration hold on other ECGs: coverage and width by true value."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecg_ka.estimate import BANDS_ALPHA, Band, Category, SevereBand
from ecg_ka.uncertainty import Calibration, Regions, band_index
from ecg_ka.uncertainty.label_conditional import in_severe
from training.answers import LEVEL, Answers
from training.metrics import Floats
from training.metrics_agreement import holds

REGION_NAMES = ("few_low", "median_low", "many", "median_high", "few_high")

Mask = NDArray[np.bool_]


def guarantees(labels: Floats, answers: Answers, calibration: Calibration) -> dict[str, Any]:
    """``intervals``, ``intervals_label_conditional``, ``bands``, ``severe_bands`` and ``alarms`` in plain JSON types,
    from answers of ``calibration`` for ECGs that it never saw, with labels (n,). Shares of nothing are None."""
    groups, points = _groups(labels, calibration.distribution.regions), calibration.operating_points
    alarms = {
        Category.ALARM_5_5_AND_ABOVE: (groups[Band.FROM_5_5], points.at_least_5_5),
        Category.ALARM_BELOW_3_5: (groups[Band.BELOW_3_5], points.below_3_5),
    }
    return {
        "intervals": {
            **_intervals(labels, answers.intervals, groups),
            "mae_of_calibrated_median": float(np.abs(answers.medians - labels).mean()),
            "mean_p_at_least_5_5": float(answers.p(">=", 5.5).mean()),
            "share_at_least_5_5": float(groups[Band.FROM_5_5].mean()),
        },
        "intervals_label_conditional": _intervals(labels, answers.intervals_label_conditional, groups),
        "bands": _bands(labels, answers.bands),
        "severe_bands": _severe_bands(labels, answers.severe_bands),
        "alarms": {
            category.value: _alarm(answers.categories == category.value, positive, point)
            for category, (positive, point) in alarms.items()
        },
    }


def _groups(labels: Floats, regions: Regions) -> dict[str, Mask]:
    """Which ECGs lie where: all of them, by true region, by true band."""
    region, band = regions.group(labels), band_index(labels)
    return {
        "all": np.ones(len(labels), dtype=np.bool_),
        **{name: region == g for g, name in enumerate(REGION_NAMES)},
        **{name.value: band == b for b, name in enumerate(Band)},
    }


def _intervals(labels: Floats, ends: Floats, groups: dict[str, Mask]) -> dict[str, Any]:
    covered, widths = holds(labels, ends), ends[:, 1] - ends[:, 0]
    by_true_value = {
        name: {"n": int(of.sum()), "coverage": _mean(covered[of]), "mean_width": _mean(widths[of])}
        for name, of in groups.items()
    }
    return {"level": LEVEL, "by_true_value": by_true_value}


def _bands(labels: Floats, kept: Mask) -> dict[str, Any]:
    true_band = band_index(labels)
    by_true_band = {
        band.value: {
            "n": int((true_band == b).sum()),
            "in_set": _mean(kept[true_band == b, b]),
            "mean_size": _mean(kept[true_band == b].sum(axis=1)),
            "share_of_answers": _mean(kept[:, b]),
        }
        for b, band in enumerate(Band)
    }
    return {"alpha": BANDS_ALPHA, "mean_size": _mean(kept.sum(axis=1)), "by_true_band": by_true_band}


def _severe_bands(labels: Floats, kept: Mask) -> dict[str, Any]:
    lies_in = in_severe(labels)
    by_true_band = {
        band.value: {
            "n": int(lies_in[:, b].sum()),
            "in_set": _mean(kept[lies_in[:, b], b]),
            "share_of_answers": _mean(kept[:, b]),
        }
        for b, band in enumerate(SevereBand)
    }
    return {"alpha": BANDS_ALPHA, "by_true_band": by_true_band}


def _alarm(raised: Mask, positive: Mask, operating_point: float) -> dict[str, Any]:
    return {
        "operating_point": operating_point,
        "n_positive": int(positive.sum()),
        "sensitivity": _mean(raised[positive]),
        "false_alarms": _mean(raised[~positive]),
        "positive_predictive_value": _mean(positive[raised]),
    }


def _mean(values: NDArray[Any]) -> float | None:
    return float(values.mean()) if len(values) else None
