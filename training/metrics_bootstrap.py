"""Intervals: by resampling patients, never ECGs, and of shares in closed form."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.metrics import Floats

RESAMPLES = 1000
LEAST_DEFINED = 0.95  # of the resamples: with fewer that have a value, an interval would be one of the lucky ones

_CHUNK = 2_000_000  # counts held at once
_Z = 1.959963984540054  # of the 97.5 % quantile of the normal distribution

Statistic = Callable[[Floats], Floats]
"""From counts (b, n), how often each of n ECGs is there in each of b resamples, to k values of each: (b, k)."""


class Measured(NamedTuple):
    """A value with its 95 % interval, in the unit of the value; NaN where there is none."""

    value: float
    lower: float
    upper: float


def patient_counts(n: int, resamples: int, rng: np.random.Generator) -> Floats:
    """How often each of n patients is drawn in each resample (resamples, n): n of them, with replacement."""
    picked = rng.integers(0, n, (resamples, n)) + n * np.arange(resamples)[:, None]
    return np.bincount(picked.ravel(), minlength=resamples * n).reshape(resamples, n).astype(np.float64)


def bootstrap(statistic: Statistic, patients: NDArray[np.int64], resamples: int, seed: int = 1) -> list[Measured]:
    """The k values of a statistic with percentile intervals, ``patients`` (n,) being whose each ECG is.

    All ECGs of a patient come and go together (cluster bootstrap; Efron & Tibshirani 1993, 13.3; Davison & Hinkley
    1997, 3.8). Without any ECG every value is NaN.
    """
    values = statistic(np.ones((1, len(patients))))[0]
    if len(patients) == 0:
        return [Measured(float("nan"), float("nan"), float("nan")) for _ in values]
    names, of_ecg = np.unique(patients, return_inverse=True)
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK // len(patients))
    sizes = [min(step, resamples - start) for start in range(0, resamples, step)]
    drawn = np.concatenate([statistic(patient_counts(len(names), size, rng)[:, of_ecg]) for size in sizes])
    return [_percentiles(float(value), column) for value, column in zip(values, drawn.T, strict=True)]


def _percentiles(value: float, drawn: Floats) -> Measured:
    defined = drawn[~np.isnan(drawn)]
    if np.isnan(value) or len(defined) < LEAST_DEFINED * len(drawn):
        return Measured(value, float("nan"), float("nan"))
    lower, upper = np.quantile(defined, [0.025, 0.975])
    if lower == upper:  # resamples that all agree, as when every event was found, make nothing certain
        return Measured(value, float("nan"), float("nan"))
    return Measured(value, float(lower), float(upper))


def share(n_yes: int, n: int) -> Measured:
    """A share of n independent ECGs with the interval of Wilson 1927, which is never empty, not even for 0 of n."""
    if n == 0:
        return Measured(float("nan"), float("nan"), float("nan"))
    p, z2 = n_yes / n, _Z**2
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z * np.sqrt(p * (1 - p) / n + z2 / (4 * n**2)) / (1 + z2 / n)
    return Measured(p, max(0.0, min(p, float(middle - half))), min(1.0, max(p, float(middle + half))))


def mean_of(values: Floats) -> Statistic:
    """The statistic that is the mean of values (n, k), of the ECGs that a resample holds."""
    return lambda counts: divided(counts @ values, counts.sum(axis=1, keepdims=True))


def divided(above: Floats, below: Floats) -> Floats:
    """Their ratio, NaN where there is nothing to divide by."""
    above, below = np.broadcast_arrays(above, below)
    return np.asarray(np.divide(above, below, out=np.full(above.shape, np.nan), where=below != 0))
