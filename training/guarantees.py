"""What the intervals, bands and alarms of a calibration hold on other ECGs: coverage and width by true value."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecg_ka.estimate import BANDS_ALPHA, Band, Category
from ecg_ka.uncertainty import Calibration, Pairs, Regions, band_index
from ecg_ka.uncertainty.scores import HIGH_MMOL_L
from training.answers import LEVEL, Answers, answers_for, holds
from training.metrics import Floats

REGION_NAMES = ("few_low", "median_low", "many", "median_high", "few_high")

Mask = NDArray[np.bool_]


def guarantees(test: Pairs, calibration: Calibration) -> dict[str, Any]:
    """``intervals``, ``intervals_label_conditional``, ``bands`` and ``alarms`` in plain JSON types, from ECGs that
    the calibration never saw. Shares of nothing are None."""
    return held(test.labels, answers_for(test, calibration), calibration)


def held(labels: Floats, answers: Answers, calibration: Calibration) -> dict[str, Any]:
    """The same from answers that are there already."""
    groups = _groups(labels, calibration.distribution.regions)
    points = calibration.operating_points
    raised = {c: answers.categories == c.value for c in Category}
    return {
        "intervals": {
            **_intervals(labels, answers.intervals, groups),
            "mae_of_calibrated_median": float(np.abs(answers.medians - labels).mean()),
            "mean_p_at_least_5_5": float(answers.p(">=", HIGH_MMOL_L).mean()),
            "share_at_least_5_5": float(groups[Band.FROM_5_5].mean()),
        },
        "intervals_label_conditional": _intervals(labels, answers.intervals_label_conditional, groups),
        "bands": _bands(labels, answers.bands),
        "alarms": {
            name.value: _alarm(raised[name], groups[band], operating_point)
            for name, band, operating_point in (
                (Category.ALARM_5_5_AND_ABOVE, Band.FROM_5_5, points.at_least_5_5),
                (Category.ALARM_BELOW_3_5, Band.BELOW_3_5, points.below_3_5),
            )
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
