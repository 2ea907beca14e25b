"""Tables of coverage and width: by group, along recalibration, over draws; and how well probabilities agree."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ecg_ka.estimate import BANDS_ALPHA, Band, Interval, SevereBand
from ecg_ka.estimator import THRESHOLDS
from ecg_ka.uncertainty import Calibration, Pairs, Predictive, Regions, band_index
from ecg_ka.uncertainty.label_conditional import band_distances, in_severe, severe_distances
from ecg_ka.uncertainty.scores import ROUNDING, quantile
from training.answers import LEVEL
from training.markdown import table
from training.metrics import Floats
from training.metrics_agreement import holds
from training.metrics_bootstrap import share

DRAWS = 1000
"""1 % of single draws lie outside of 99 % limits: of 50 draws a class too few to tell 1 % from 2 %."""
MARGIN = 0.003
"""By how much the mean coverage over the draws may stay below what is promised."""

_REGIONS = ("few, low", "median, low", "many", "median, high", "few, high")

_AGREEMENTS = (
    *((estimate_from, ">=", threshold) for threshold in (5.5, 6.0) for estimate_from in (5.5, 6.0)),
    *((-math.inf, *event) for event in THRESHOLDS),
)
"""Lowest estimate of the answers, and event."""

Mask = NDArray[np.bool_]


def by_groups(calibration: Calibration, pairs: Pairs) -> str:
    """Share held and mean width of both intervals overall, by predicted region, by true region and by true band, and
    the share of sets that hold the true band."""
    predicted = _predicted(calibration, pairs)
    by_label = calibration.label_conditional
    marginal = [one.interval(LEVEL) for one in predicted]
    wide = [by_label.interval(float(e), LEVEL) for e in pairs.estimates]
    kept = _kept(calibration, pairs)
    rows = []
    for title, of in _groups(pairs, calibration.distribution.regions).items():
        cells = [_share(_held(found, pairs.labels)[of]) + _width(found, of) for found in (marginal, wide)]
        own = kept[title][of].mean() if title in kept and of.any() else None
        rows.append([title, f"{of.sum():,}", *cells[0], *cells[1], "" if own is None else f"{own:.3f}"])
    head = ["", "ECGs", "marginal held", "width", "label-conditional held", "width", "band in the set"]
    return table(head, rows)


def agreement_table(calibration: Calibration, pairs: Pairs) -> str:
    """Mean probability of an event among all answers, and of a high value among those with a high estimate, beside the
    observed share and its 95 % interval (Wilson)."""
    rows = []
    for estimate_from, comparator, threshold in _AGREEMENTS:
        n, p, observed, (low, high) = agreement(calibration, pairs, estimate_from, comparator, threshold)
        verdict = "yes" if low <= p <= high else "NO"
        cells = [f"{p:.3f}", f"{observed:.3f}", f"{low:.3f}-{high:.3f}", verdict]
        chosen = f">= {estimate_from}" if math.isfinite(estimate_from) else "all"
        rows.append([chosen, f"K {comparator} {threshold}", f"{n:,}", *cells])
    return table(["estimate", "event", "answers", "mean probability", "observed", "95 % interval", "agree"], rows)


def agreement(
    calibration: Calibration, pairs: Pairs, estimate_from: float, comparator: str, threshold: float
) -> tuple[int, float, float, tuple[float, float]]:
    """Number of answers, mean P(K >= threshold) or P(K < threshold), observed share, and its 95 % interval."""
    chosen = pairs.where(pairs.estimates >= estimate_from)
    is_high = chosen.labels >= threshold - ROUNDING
    happened = is_high if comparator == ">=" else ~is_high
    p = [one.probabilities(((comparator, threshold),))[0].p for one in _predicted(calibration, chosen)]
    observed = share(int(happened.sum()), len(happened))
    mean = float(np.mean(p)) if p else math.nan
    return len(p), mean, observed.value, (observed.lower, observed.upper)


def curve_table(made: Mapping[str, Calibration], test: Pairs) -> str:
    """What each calibration holds on the same ECGs."""
    rows = []
    groups = _groups(test, next(iter(made.values())).distribution.regions)
    for title, calibration in made.items():
        marginal = [one.interval(LEVEL) for one in _predicted(calibration, test)]
        wide = [calibration.label_conditional.interval(float(e), LEVEL) for e in test.estimates]
        held, kept = _held(wide, test.labels), _kept(calibration, test)
        regions = [held[of].mean() for name in _REGIONS if (of := groups[f"true region {name}"]).any()]
        bands = [own[groups[band]].mean() for band, own in kept.items() if groups[band].any()]
        _, p, observed, _ = agreement(calibration, test, 5.5, ">=", 5.5)
        rows.append(
            [
                title,
                *_share(_held(marginal, test.labels)),
                *_width(marginal, groups["all"]),
                f"{min(regions):.3f}",
                *_width(wide, groups["all"]),
                f"{min(bands):.3f}",
                f"{p:.3f} / {observed:.3f}",
            ]
        )
    head = [
        "calibration", "marginal held", "width", "label-conditional, worst true region", "width",
        "worst band in the set", "P(K >= 5.5) / observed, estimate >= 5.5",
    ]  # fmt: skip
    return table(head, rows)


def by_draws(pairs: Pairs, regions: Regions, n_calibration: int, n_test: int) -> str:
    """Mean coverage of :data:`DRAWS` draws for each true region and band, and how many of them lie outside of the
    central 99 % of the beta-binomial distribution."""
    rows, rng = [], np.random.default_rng(0)  # one for all, so that no class is drawn in the order of another
    for title, (scores, level) in scores_by_class(pairs, regions).items():
        if len(scores) < n_calibration + n_test:
            rows.append([title, f"{len(scores):,}", f"{level:g}", "too few ECGs", "", ""])
            continue
        covered = draws(scores, level, n_calibration, n_test, rng)
        rank = math.ceil(level * (n_calibration + 1) - 1e-9)
        low, high = stats.betabinom(n_test, rank, n_calibration + 1 - rank).ppf([0.005, 0.995])
        outside = int(((covered < low) | (covered > high)).sum())
        mean = float(covered.mean() / n_test)
        verdict = "yes" if mean >= level - MARGIN else "NO"
        rows.append([title, f"{len(scores):,}", f"{level:g}", f"{mean:.4f}", f"{outside} of {len(covered):,}", verdict])
    return table(["", "ECGs", "promised", "mean held", "draws outside of 99 %", f"at least promised - {MARGIN}"], rows)


def scores_by_class(pairs: Pairs, regions: Regions) -> dict[str, tuple[Floats, float]]:
    """The conformal scores (n,) of each true region and band, and the level that is promised there."""
    errors, groups = np.abs(pairs.labels - pairs.estimates), regions.group(pairs.labels)
    out = {f"interval, true region {name}": (errors[groups == g], LEVEL) for g, name in enumerate(_REGIONS)}
    bands, own = band_index(pairs.labels), band_distances(pairs.estimates, pairs.spreads)
    severe, is_in = severe_distances(pairs.estimates, pairs.spreads), in_severe(pairs.labels)
    out |= {f"band {b.words}": (own[bands == i, i], 1 - BANDS_ALPHA) for i, b in enumerate(Band)}
    return out | {f"band {b.words}": (severe[is_in[:, i], i], 1 - BANDS_ALPHA) for i, b in enumerate(SevereBand)}


def draws(scores: Floats, level: float, n_calibration: int, n_test: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """How many of ``n_test`` scores lie within the conformal quantile of ``n_calibration`` others, draw by draw.

    Only ranks count, so that the draws from one pool are independent of each other, whatever its size.
    """
    found = []
    for _ in range(DRAWS):
        drawn = rng.permutation(scores)[: n_calibration + n_test].astype(np.float32)
        found.append((drawn[n_calibration:] <= quantile(np.sort(drawn[:n_calibration]), level)).sum())
    return np.array(found)


def _predicted(calibration: Calibration, pairs: Pairs) -> list[Predictive]:
    rows = zip(pairs.estimates, pairs.spreads, strict=True)
    return [calibration.distribution.predict(float(e), float(s)) for e, s in rows]


def _groups(pairs: Pairs, regions: Regions) -> dict[str, Mask]:
    predicted, true = regions.group(pairs.estimates), regions.group(pairs.labels)
    bands, severe = band_index(pairs.labels), in_severe(pairs.labels)
    return {
        "all": np.ones(len(true), dtype=np.bool_),
        **{f"predicted region {name}": predicted == g for g, name in enumerate(_REGIONS)},
        **{f"true region {name}": true == g for g, name in enumerate(_REGIONS)},
        **{f"true {band.words}": bands == b for b, band in enumerate(Band)},
        **{f"true {band.words}": severe[:, b] for b, band in enumerate(SevereBand)},
    }


def _kept(calibration: Calibration, pairs: Pairs) -> dict[str, Mask]:
    """For each band whether the set of each ECG holds it."""
    by_label = calibration.label_conditional
    outputs = [(float(e), float(s)) for e, s in zip(pairs.estimates, pairs.spreads, strict=True)]
    sets = [(*by_label.bands(*output), *by_label.severe_bands(*output)) for output in outputs]
    return {f"true {b.words}": np.array([b in found for found in sets], dtype=np.bool_) for b in (*Band, *SevereBand)}


def _held(intervals: list[Interval], labels: Floats) -> Mask:
    return holds(labels, np.array([(i.lower, i.upper) for i in intervals]))


def _share(held: Mask) -> list[str]:
    return [f"{held.mean():.3f}" if len(held) else "-"]


def _width(intervals: list[Interval], of: Mask) -> list[str]:
    widths = np.array([i.upper - i.lower for i in intervals])[of]
    return [f"{widths.mean():.2f}" if len(widths) else "-"]
