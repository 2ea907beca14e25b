"""Interval and bands that hold for each kind of true label, not only on average over all ECGs.

Mondrian conformal prediction by the label (Vovk et al. 2005, section 4.5): a candidate value is kept when its score is
within the conformal quantile of the calibration ECGs whose label is of its own kind. Whatever the share of that kind
among the ECGs of another place, the guarantee within it stays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_ka.estimate import BANDS_ALPHA, Band, Interval, SevereBand
from ecg_ka.uncertainty.conformal import LIMITS_MMOL_L, within_limits
from ecg_ka.uncertainty.regions import Regions
from ecg_ka.uncertainty.scores import HIGH_MMOL_L, LOW_MMOL_L, ROUNDING, Pairs, Scores, ascending, quantile, share_below

B = TypeVar("B", Band, SevereBand)
Ends = tuple[float, float]

_BANDS: dict[Band, Ends] = {
    Band.BELOW_3_5: (-math.inf, LOW_MMOL_L),
    Band.FROM_3_5_TO_5_4: (LOW_MMOL_L, HIGH_MMOL_L),
    Band.FROM_5_5: (HIGH_MMOL_L, math.inf),
}
_SEVERE_BANDS: dict[SevereBand, Ends] = {
    SevereBand.BELOW_3_0: (-math.inf, 3.0),
    SevereBand.FROM_6_0: (6.0, math.inf),
    SevereBand.FROM_6_5: (6.5, math.inf),
}
"""Lower and upper ends in mmol/L."""


def band_index(potassium_mmol_l: ArrayLike) -> NDArray[np.int64]:
    """Position in :class:`Band` of the band that each value lies in; shaped as the input."""
    k = np.asarray(potassium_mmol_l, dtype=np.float64) + ROUNDING
    return np.asarray((k >= LOW_MMOL_L).astype(np.int64) + (k >= HIGH_MMOL_L))


def band_distances(estimates: ArrayLike, spreads: ArrayLike) -> NDArray[np.float64]:
    """How far estimates (...) lie outside of each band, in spreads, 0 inside of it: (..., 3) in the order of
    :class:`Band`."""
    return _outside(estimates, spreads, _BANDS)


def _outside(estimates: ArrayLike, spreads: ArrayLike, bands: Mapping[B, Ends]) -> NDArray[np.float64]:
    """How far estimates (...) lie outside of bands, in spreads: (..., b)."""
    lower, upper = np.array([*bands.values()]).T
    e, spread = np.asarray(estimates, dtype=np.float64), np.asarray(spreads, dtype=np.float64)
    e = e[..., None]
    return np.asarray(np.maximum(np.maximum(lower - e, e - upper), 0.0) / spread[..., None])


def in_severe(potassium_mmol_l: ArrayLike) -> NDArray[np.bool_]:
    """Whether values (...) lie in each severe band: (..., 3) in the order of :class:`SevereBand`."""
    k = np.asarray(potassium_mmol_l, dtype=np.float64)[..., None] + ROUNDING
    lower, upper = np.array([*_SEVERE_BANDS.values()]).T
    return np.asarray((k >= lower) & (k < upper))


def severe_distances(estimates: ArrayLike, spreads: ArrayLike) -> NDArray[np.float64]:
    """How far estimates (...) lie outside of each severe band, in spreads, 0 inside of it: (..., 3) in the order of
    :class:`SevereBand`."""
    return _outside(estimates, spreads, _SEVERE_BANDS)


def least_calibration(alpha: float = BANDS_ALPHA) -> int:
    """A band with fewer calibration ECGs is in every set: ceil(1 / alpha) - 1."""
    return math.ceil(1 / alpha - 1e-9) - 1


@dataclass(frozen=True, slots=True, eq=False)
class LabelConditional:
    """Sorted scores of the calibration ECGs by their true label.

    ``errors``: abs(label - estimate) in mmol/L for each of the five groups of :meth:`Regions.group`; ``distances``: the
    distance of the estimate from the true band, see :func:`band_distances`, and ``severe`` the same for the severe
    bands, which overlap: an ECG counts for each that it lies in; ``reach`` (m,): the levels that the
    interval has to exceed to hold the labels of the calibration ECGs with K >= 5.5.
    """

    regions: Regions
    errors: tuple[Scores, ...]
    distances: Mapping[Band, Scores]
    severe: Mapping[SevereBand, Scores]
    reach: Scores

    def __post_init__(self) -> None:
        if len(self.errors) != 5 or set(self.distances) != set(Band) or set(self.severe) != set(SevereBand):
            raise ValueError("scores of a true region or of a band are missing")
        by_band = [*self.distances.items(), *self.severe.items()]
        for name, scores in [*enumerate(self.errors), *by_band, ("reach", self.reach)]:
            ascending(str(name), scores)
            if len(scores) and scores[0] < 0:
                raise ValueError(f"the scores of {str(name)!r} begin at {scores[0]:g}; distances are not below 0")

    @classmethod
    def fit(
        cls,
        pairs: Pairs,
        regions: Regions,
    ) -> LabelConditional:
        """From a calibration split."""
        errors = np.abs(pairs.labels - pairs.estimates).astype(np.float32)
        groups, bands = regions.group(pairs.labels), band_index(pairs.labels)
        distances = band_distances(pairs.estimates, pairs.spreads).astype(np.float32)
        severe, is_severe = severe_distances(pairs.estimates, pairs.spreads).astype(np.float32), in_severe(pairs.labels)
        by_region = tuple(np.sort(errors[groups == g]) for g in range(5))
        high = pairs.labels >= HIGH_MMOL_L - ROUNDING
        return cls(
            regions,
            by_region,
            {band: np.sort(distances[bands == b, b]) for b, band in enumerate(Band)},
            {band: np.sort(severe[is_severe[:, b], b]) for b, band in enumerate(SevereBand)},
            _reach(errors[high], groups[high], by_region),
        )

    def interval(self, estimate: float, level: float) -> Interval:
        """The hull of all values that lie within the quantile of their own true region from the estimate; it holds the
        label with probability at least ``level`` in each true region. The estimate is always in it."""
        k, radii = within_limits(estimate), _radii(self, level)
        edges = (LIMITS_MMOL_L[0], *self.regions.edges, LIMITS_MMOL_L[1])
        parts = [(max(edges[g], k - radii[g]), min(edges[g + 1], k + radii[g])) for g in range(5)]
        kept = [part for part in parts if part[0] <= part[1]]
        return Interval(
            lower=min(lower for lower, _ in kept),
            upper=max(upper for _, upper in kept),
            level=level,
            method="label_conditional",
            coverage_at_least_5_5=share_below(self.reach, level),
        )

    def bands(self, estimate: float, spread: float, alpha: float = BANDS_ALPHA) -> tuple[Band, ...]:
        """The bands that the estimate is not too far from: of the ECGs that truly lie in a band, whichever it is, at
        most a share ``alpha`` gets an answer without it. A band with fewer than :func:`least_calibration` ECGs is
        always among them, and so is the band of the estimate."""
        return _kept(estimate, spread, _BANDS, _limits(self, alpha)[0])

    def severe_bands(self, estimate: float, spread: float, alpha: float = BANDS_ALPHA) -> tuple[SevereBand, ...]:
        """The severe bands that the estimate is not too far from, with the guarantee of :meth:`bands` for each."""
        return _kept(estimate, spread, _SEVERE_BANDS, _limits(self, alpha)[1])

    def always_kept(self, alpha: float = BANDS_ALPHA) -> dict[Band | SevereBand, int]:
        """The bands that every set holds because too few calibration ECGs lie in them, and how many do."""
        return {band: n for band, n in self.calibrated().items() if n < least_calibration(alpha)}

    def calibrated(self) -> dict[Band | SevereBand, int]:
        """How many calibration ECGs lie in each band."""
        return {b: len(self.distances[b]) for b in Band} | {b: len(self.severe[b]) for b in SevereBand}


@lru_cache(maxsize=16)
def _radii(model: LabelConditional, level: float) -> tuple[float, ...]:
    """How far from the estimate a value of each region is kept."""
    return tuple(quantile(errors, level) for errors in model.errors)


@lru_cache(maxsize=16)
def _limits(model: LabelConditional, alpha: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """How far outside of each band, and of each severe band, the estimate may lie, in spreads."""
    bands, severe = [model.distances[b] for b in Band], [model.severe[b] for b in SevereBand]
    return tuple(quantile(s, 1 - alpha) for s in bands), tuple(quantile(s, 1 - alpha) for s in severe)


def _kept(estimate: float, spread: float, ends: Mapping[B, Ends], limits: tuple[float, ...]) -> tuple[B, ...]:
    """The bands with these ends that one estimate is within its limits of; :func:`_outside` at a tenth of its cost."""
    distances = (max(lower - estimate, estimate - upper, 0.0) / spread for lower, upper in ends.values())
    return tuple(band for band, d, limit in zip(ends, distances, limits, strict=True) if d <= limit)


def _reach(errors: Scores, groups: NDArray[np.int64], by_region: tuple[Scores, ...]) -> Scores:
    """The level that the interval has to exceed to hold labels with these errors (m,) in these regions (m,)."""
    reach = [np.searchsorted(by_region[g], e) / (len(by_region[g]) + 1) for e, g in zip(errors, groups, strict=True)]
    return np.sort(np.array(reach, dtype=np.float32))
