"""Whether probabilities, intervals and bands hold what they say, and whether doubtful answers are the wrong ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecg_ka.estimate import BANDS_ALPHA, Band, SevereBand
from ecg_ka.uncertainty import Regions, band_index
from ecg_ka.uncertainty.label_conditional import in_severe
from training.answers import LEVEL
from training.evaluation.accuracy import BAND_NAMES, clinical_bands
from training.evaluation.options import MeasureOptions
from training.evaluation.predictions import Predictions
from training.guarantees import REGION_NAMES
from training.metrics import ALARMS, has_event
from training.metrics_agreement import coverage, risk_coverage
from training.metrics_bootstrap import bootstrap, share
from training.metrics_probability import group_of, overall, recalibration, reliability

KEPT = np.linspace(0.05, 1.0, 20)
HIGH_ESTIMATES_MMOL_L = (5.5, 6.0)


def probabilities(p: Predictions, options: MeasureOptions) -> dict[str, Any]:
    """By event: Brier score and skill, observed to expected, recalibration, reliability."""
    out = {}
    for comparator, threshold in ALARMS:
        event, given = has_event(p.labels, comparator, threshold), p.answers.p(comparator, threshold)
        values = bootstrap(overall(given, event), p.patients, options.resamples, options.seed)
        out[f"{comparator}{threshold}"] = {
            **dict(zip(("brier", "brier_skill", "observed_to_expected"), values, strict=True)),
            "recalibration": recalibration(given, event),
            "bins": reliability(given, event),
        }
    return out


def among_high_estimates(p: Predictions) -> list[dict[str, Any]]:
    """What the probabilities say and what was observed where the estimate itself is high: there a probability that is
    right on average may yet be wrong."""
    return [
        {"estimate_at_least": least, "event": f">={threshold}", **group_of(given[high], event[high])._asdict()}
        for least in HIGH_ESTIMATES_MMOL_L
        for threshold in HIGH_ESTIMATES_MMOL_L
        for high in [p.estimates >= least]
        for given, event in [(p.answers.p(">=", threshold), has_event(p.labels, ">=", threshold))]
    ]


def intervals(p: Predictions, regions: Regions) -> dict[str, Any]:
    """Coverage and width of both kinds of interval by region and clinical band of the label, and by the region of the
    estimate."""
    kinds = {"marginal": p.answers.intervals, "label_conditional": p.answers.intervals_label_conditional}
    by = {
        "by_true_region": _members(REGION_NAMES, regions.group(p.labels)),
        "by_true_band": _members(BAND_NAMES, clinical_bands(p.labels)),
        "by_predicted_region": _members(REGION_NAMES, regions.group(p.estimates)),
    }
    return {"level": LEVEL} | {
        kind: {
            "all": coverage(p.labels, ends),
            **{
                name: {title: coverage(p.labels[inside], ends[inside]) for title, inside in groups.items()}
                for name, groups in by.items()
            },
        }
        for kind, ends in kinds.items()
    }


def _members(names: Sequence[str], groups: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
    return {name: groups == g for g, name in enumerate(names)}


def bands(p: Predictions) -> dict[str, Any]:
    """How often answers name each band: of the ECGs that truly lie in it, and of all."""
    in_band = band_index(p.labels)[:, None] == np.arange(len(Band))
    return {
        "alpha": BANDS_ALPHA,
        "mean_size": p.answers.bands.sum(axis=1).mean(),
        "bands": _named(list(Band), p.answers.bands, in_band),
        "severe_bands": _named(list(SevereBand), p.answers.severe_bands, in_severe(p.labels)),
    }


def _named(names: Sequence[str], named: NDArray[np.bool_], truly: NDArray[np.bool_]) -> dict[str, Any]:
    return {
        str(name): {
            "n": int(inside.sum()),
            "named": share(int(kept[inside].sum()), int(inside.sum())),
            "named_of_all": share(int(kept.sum()), len(kept)),
        }
        for name, kept, inside in zip(names, named.T, truly.T, strict=True)
    }


def risk_coverage_curves(p: Predictions) -> dict[str, Any]:
    """MAE of estimate and calibrated median against the share of answers kept, by what is doubted; beside the MAE of
    the median of the kept labels, because easy answers may merely have ordinary labels."""
    error, of_median = np.abs(p.estimates - p.labels), np.abs(p.answers.medians - p.labels)
    constant = np.abs(p.labels - np.median(p.labels))
    curves = {
        name: {
            "mae": risk_coverage(error, doubt, KEPT),
            "mae_of_calibrated_median": risk_coverage(of_median, doubt, KEPT),
            "mae_of_the_median": risk_coverage(constant, doubt, KEPT),
        }
        for name, doubt in p.doubts().items()
    }
    return {"kept": KEPT, "ordered_by": curves}
