"""What the intervals, bands and alarms of a calibration hold on other ECGs: coverage and width by true value."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecg_ka.estimate import BANDS_ALPHA, Band, Category, Interval, SevereBand
from ecg_ka.uncertainty import Calibration, Pairs, Regions, band_index
from ecg_ka.uncertainty.label_conditional import in_severe
from ecg_ka.uncertainty.scores import HIGH_MMOL_L
from training.metrics import Floats
from training.metrics_agreement import holds

LEVEL = 0.9

REGION_NAMES = ("few_low", "median_low", "many", "median_high", "few_high")

Mask = NDArray[np.bool_]


def guarantees(test: Pairs, calibration: Calibration) -> dict[str, Any]:
    """``intervals``, ``intervals_label_conditional``, ``bands``, ``severe_bands`` and ``alarms`` in plain JSON types,
    from ECGs that the calibration never saw. Shares of nothing are None."""
    labels = test.labels
    pairs = [(float(e), float(s)) for e, s in zip(test.estimates, test.spreads, strict=True)]
    predicted = [calibration.distribution.predict(*pair) for pair in pairs]
    by_label = calibration.label_conditional
    categories = np.array([calibration.operating_points.category(p) for p in predicted])
    groups = _groups(labels, calibration.distribution.regions)
    medians = np.array([p.median() for p in predicted])
    return {
        "intervals": {
            **_intervals(labels, [p.interval(LEVEL) for p in predicted], groups),
            "mae_of_calibrated_median": float(np.abs(medians - labels).mean()),
            "mean_p_at_least_5_5": float(np.mean([p.p_at_least(HIGH_MMOL_L) for p in predicted])),
            "share_at_least_5_5": float(groups[Band.FROM_5_5].mean()),
        },
        "intervals_label_conditional": _intervals(labels, [by_label.interval(e, LEVEL) for e, _ in pairs], groups),
        "bands": _bands(labels, [by_label.bands(*pair) for pair in pairs]),
        "severe_bands": _severe_bands(labels, [by_label.severe_bands(*pair) for pair in pairs]),
        "alarms": {
            Category.ALARM_5_5_AND_ABOVE.value: _alarm(
                categories == Category.ALARM_5_5_AND_ABOVE,
                groups[Band.FROM_5_5],
                calibration.operating_points.at_least_5_5,
            ),
            Category.ALARM_BELOW_3_5.value: _alarm(
                categories == Category.ALARM_BELOW_3_5,
                groups[Band.BELOW_3_5],
                calibration.operating_points.below_3_5,
            ),
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


def _intervals(labels: Floats, intervals: list[Interval], groups: dict[str, Mask]) -> dict[str, Any]:
    ends = np.array([(i.lower, i.upper) for i in intervals])
    covered, widths = holds(labels, ends), ends[:, 1] - ends[:, 0]
    by_true_value = {
        name: {"n": int(of.sum()), "coverage": _mean(covered[of]), "mean_width": _mean(widths[of])}
        for name, of in groups.items()
    }
    return {"level": LEVEL, "by_true_value": by_true_value}


def _bands(labels: Floats, sets: list[tuple[Band, ...]]) -> dict[str, Any]:
    kept = np.array([[band in found for band in Band] for found in sets])
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


def _severe_bands(labels: Floats, sets: list[tuple[SevereBand, ...]]) -> dict[str, Any]:
    kept, lies_in = np.array([[band in found for band in SevereBand] for found in sets]), in_severe(labels)
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
