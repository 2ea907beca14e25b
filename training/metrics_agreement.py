"""How estimates and intervals agree with laboratory values, all in mmol/L."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ecg_ka.uncertainty.scores import ROUNDING
from training.metrics import Floats
from training.metrics_bootstrap import Measured, Statistic, divided, share

_NOTHING = Measured(float("nan"), float("nan"), float("nan"))


class Agreement(NamedTuple):
    """Bland & Altman 1999, differences being estimate minus laboratory.

    ``lower_limit`` and ``upper_limit`` hold 95 % of normal differences. ``slope_on_mean`` is the proportional bias: by
    how much the difference grows with the mean of both. It is 0 when both have the same SD, whatever their correlation,
    and so judges the spread of estimates; ``slope_on_label`` is by how much it grows with the laboratory value, -1 for
    a constant predictor (regression to the mean).
    """

    bias: Measured
    sd: float
    lower_limit: Measured
    upper_limit: Measured
    slope_on_mean: Measured
    slope_on_label: Measured


def agreement(labels: Floats, estimates: Floats) -> Agreement:
    """Of estimates (n,) with labels (n,), n >= 3 and neither all the same; one ECG a patient."""
    difference = estimates - labels
    n, bias, sd = len(difference), float(difference.mean()), float(difference.std(ddof=1))
    t = float(stats.t.ppf(0.975, n - 1))
    half = t * sd / np.sqrt(n)
    half_of_limit = t * sd * np.sqrt(1 / n + 1.96**2 / (2 * (n - 1)))
    low, high = bias - 1.96 * sd, bias + 1.96 * sd
    return Agreement(
        Measured(bias, bias - half, bias + half),
        sd,
        Measured(low, low - half_of_limit, low + half_of_limit),
        Measured(high, high - half_of_limit, high + half_of_limit),
        slope((estimates + labels) / 2, difference),
        slope(labels, difference),
    )


def slope(x: Floats, y: Floats) -> Measured:
    """Of the least-squares line of y (n,) on x (n,), with the interval of Student's t; NaN when n < 3 or x is all the
    same."""
    if len(x) < 3 or np.ptp(x) == 0:
        return _NOTHING
    fit = stats.linregress(x, y)
    half = float(stats.t.ppf(0.975, len(x) - 2) * fit.stderr)
    return Measured(float(fit.slope), float(fit.slope) - half, float(fit.slope) + half)


def spread_ratio(labels: Floats, estimates: Floats) -> Statistic:
    """Statistic of one value: SD of the estimates over SD of the labels."""
    powers = np.column_stack([labels, labels**2, estimates, estimates**2])

    def values(counts: Floats) -> Floats:
        m = divided(counts @ powers, counts.sum(axis=1, keepdims=True))
        variances = m[:, 1::2] - m[:, ::2] ** 2
        return np.sqrt(divided(np.maximum(variances[:, 1:], 0), np.maximum(variances[:, :1], 0)))

    return values


class Coverage(NamedTuple):
    """How many intervals of a group hold the label, and how wide they are on average."""

    n: int
    coverage: Measured
    mean_width: float


def holds(labels: Floats, ends: Floats) -> NDArray[np.bool_]:
    """Which intervals (n, 2) hold their label (n,); labels come in steps of 0.1, so the last bit of a float decides
    nothing."""
    return np.asarray((ends[:, 0] <= labels + ROUNDING) & (labels <= ends[:, 1] + ROUNDING))


def coverage(labels: Floats, ends: Floats) -> Coverage:
    """Of the intervals (m, 2) of one group with labels (m,)."""
    width = float((ends[:, 1] - ends[:, 0]).mean()) if len(labels) else float("nan")
    return Coverage(len(labels), share(int(holds(labels, ends).sum()), len(labels)), width)


def risk_coverage(errors: Floats, doubts: Floats, kept: Floats) -> Floats:
    """MAE (k,) of the shares ``kept`` (k,) of answers with the least doubt (n,) (Geifman & El-Yaniv 2017); at least
    one answer is kept. Answers of equal doubt are kept for their mean error, so that their order does not matter."""
    names, where = np.unique(doubts, return_inverse=True)
    mean = np.bincount(where, errors, len(names)) / np.bincount(where, minlength=len(names))
    running = np.cumsum(mean[np.sort(where)]) / np.arange(1, len(errors) + 1)
    places = np.clip(np.rint(kept * len(errors)).astype(np.int64), 1, len(errors)) - 1
    return np.asarray(running[places])
