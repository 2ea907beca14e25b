"""How the errors of a network change with its estimate: quantile curves, and the scores that they make of values.

An estimate that Dist Loss stretched is mostly too high just above a region's edge and nearly right far above it. One
pool of errors for all of a region then says too little of one end of it and too much of the other, and the distribution
jumps where the next pool begins. So a value is first put in its place among the quantiles of errors at just this
estimate, and that place, on the scale of the normal distribution, is the conformal score (distributional conformal
prediction: Chernozhukov, Wuthrich, Zhu, PNAS 2021). What the curves miss the scores still mend: they guarantee the same
whatever the curves, as long as other ECGs made those.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_ka.uncertainty.scores import ROUNDING, Pairs, Scores

LEVELS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99)
"""Of the quantiles."""

_STEP_MMOL_L = 0.4  # between knots: of 0.3, 0.4 and 0.5 least log loss at 3.0, least falls of P(K >= 5.5)
_LEAST = 100  # ECGs within a step of a knot: the outermost quantiles are then of single ones
_RISING_TO = 0.7  # mmol/L of spread, 99 % of all lie below 0.76: up to here no value falls from knot to knot
_LEAST_RISE = 1e-3  # from one quantile to the next, in spreads
_PLACES = np.array([NormalDist().inv_cdf(level) for level in LEVELS])
_FAR = 1e5  # as far beyond the outermost quantiles the curves go on as straight lines
_LARGEST = 1e4  # of mmol/L or spreads: more is a damaged file
_LEAST_SLOPE = 0.01  # of these, in spreads: they end 1,000 of them away, farther than any potassium

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """An increasing curve of straight pieces through ``scores`` (m,) and ``values`` (m,) in mmol/L."""

    scores: Numbers
    values: Numbers

    def value(self, scores: ArrayLike) -> Numbers:
        """In mmol/L, of scores of any shape."""
        return np.asarray(np.interp(np.asarray(scores), self.scores, self.values))

    def score(self, values: ArrayLike) -> Numbers:
        """Of values of any shape, in mmol/L."""
        return np.asarray(np.interp(np.asarray(values), self.values, self.scores))


IN_MMOL_L = Curve(np.array([0.0, 16.0]), np.array([0.0, 16.0]))
"""Where the scores are values themselves; wider than any interval."""


@dataclass(frozen=True, slots=True, eq=False)
class QuantileCurves:
    """``quantiles`` (k, 15), at the :data:`LEVELS`, of (label - estimate) / spread at ``knots`` (k,), estimates in
    mmol/L; straight between knots, constant beyond them."""

    knots: Scores
    quantiles: Scores

    def __post_init__(self) -> None:
        shapes = self.knots.shape, self.quantiles.shape
        if not len(self.knots) or shapes != ((len(self.knots),), (len(self.knots), len(LEVELS))):
            raise ValueError(f"curves of shapes {shapes}; expected (k,) and (k, {len(LEVELS)})")
        for name, array in (("knots", self.knots), ("quantiles", self.quantiles)):
            rises = (array[..., 1:] > array[..., :-1]).all()
            if array.dtype != np.float32 or not (np.abs(array) <= _LARGEST).all() or not rises:
                raise ValueError(f"the {name} of the curves are not rising float32 within {_LARGEST:g}")

    @classmethod
    def fit(cls, pairs: Pairs) -> QuantileCurves:
        """From ECGs that do not calibrate; those of the normal distribution from fewer than 100.

        A knot lies at each multiple of 0.4 mmol/L that has 100 ECGs within a step of it, without a gap around the
        median; its quantiles are weighted by how near an ECG lies, from 1 at the knot, and beyond the last one, to 0 at
        the next. Where the estimate rises no quantile falls in mmol/L, at spreads up to 0.7: made so by isotonic
        regression over the knots (Barlow et al., Statistical Inference under Order Restrictions, 1972).
        """
        if len(pairs.labels) < _LEAST:
            return cls(np.zeros(1, dtype=np.float32), _PLACES[None].astype(np.float32))
        errors = (pairs.labels - pairs.estimates) / pairs.spreads
        knots = _knots(pairs.estimates)
        weights = np.stack([np.interp(pairs.estimates, knots, own) for own in np.eye(len(knots))])
        quantiles = np.stack([_weighted_quantiles(errors[w > 0], w[w > 0]) for w in weights])
        return cls(knots.astype(np.float32), _rising(quantiles, knots, weights.sum(axis=1)).astype(np.float32))

    def at(self, estimate: float, spread: float) -> Curve:
        """What scores stand for at one output of the network."""
        knots, rows = _lines(self)
        above = bisect_right(knots, estimate)
        if 0 < above < len(knots):
            low, high = knots[above - 1 : above + 1]
            share = (estimate - low) / (high - low)
            row = (1 - share) * rows[above - 1] + share * rows[above]
        else:
            row = rows[min(above, len(knots) - 1)]
        return Curve(_SCORES, estimate + spread * row)

    def scores(self, pairs: Pairs) -> Scores:
        """Of the labels (n,)."""
        given = zip(pairs.estimates.tolist(), pairs.spreads.tolist(), pairs.labels.tolist(), strict=True)
        return np.array([self.at(estimate, spread).score(label) for estimate, spread, label in given], dtype=np.float32)


_SCORES = np.concatenate([[_PLACES[0] - _FAR], _PLACES, [_PLACES[-1] + _FAR]])


@lru_cache(maxsize=4)
def _lines(curves: QuantileCurves) -> tuple[list[float], Numbers]:
    """The knots, and the quantiles (k, 17) with the ends of the straight lines that go on beyond them."""
    q = curves.quantiles.astype(np.float64)
    slopes = np.maximum(np.diff(q) / np.diff(_PLACES), _LEAST_SLOPE)
    return curves.knots.tolist(), np.column_stack([q[:, 0] - _FAR * slopes[:, 0], q, q[:, -1] + _FAR * slopes[:, -1]])


def _knots(estimates: Numbers) -> Numbers:
    """From the middle outwards as long as there are ECGs enough; one knot for all where the middle has too few."""
    middle = round(float(np.median(estimates)) / _STEP_MMOL_L)
    found = [middle]
    for step in (-1, 1) if _is_beside_enough(middle, estimates) else ():
        k = middle + step
        while _is_beside_enough(k, estimates):
            found.append(k)
            k += step
    return np.sort(found) * _STEP_MMOL_L


def _is_beside_enough(k: int, estimates: Numbers) -> bool:
    """Within a step of a knot, but for what rounding puts there from the next one."""
    near = np.abs(estimates - k * _STEP_MMOL_L) < _STEP_MMOL_L - ROUNDING
    return int(near.sum()) >= _LEAST


def _rising(quantiles: Numbers, knots: Numbers, weights: Numbers) -> Numbers:
    """The nearest quantiles (k, 15) that, times a spread up to the largest, fall no faster than the knots (k,) rise.
    Those of one knot keep their order and distance, because regression and order go together."""
    from scipy.optimize import isotonic_regression

    slack = knots / _RISING_TO
    return np.column_stack([isotonic_regression(q + slack, weights=weights).x - slack for q in quantiles.T])


def _weighted_quantiles(errors: Numbers, weights: Numbers) -> Numbers:
    """At the :data:`LEVELS`, of errors (n,), made to rise."""
    order = np.argsort(errors)
    weights = weights[order]
    q = np.interp(LEVELS, (np.cumsum(weights) - weights / 2) / weights.sum(), errors[order])
    rises = np.maximum(np.diff(q), _LEAST_RISE)
    return np.concatenate([q[:1], q[0] + np.cumsum(rises)])
