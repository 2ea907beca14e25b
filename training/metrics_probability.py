"""Whether probabilities are worth their name, and whether acting on them helps. p (n,), events (n,) of 0 and 1."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from training.metrics import Floats
from training.metrics_bootstrap import Measured, Statistic, divided, share

LEAST_EVENTS = 10  # on either side, to fit a line through the calibration
_EDGE = 1e-6  # probabilities of 0 and 1 have no log odds
_Z = 1.959963984540054


class Bin(NamedTuple):
    """ECGs with neighbouring probabilities: their mean, and the share that had the event, with its interval."""

    n: int
    mean_p: float
    observed: Measured


def reliability(p: Floats, has_event: NDArray[np.bool_], n_bins: int = 10) -> list[Bin]:
    """Observed share against mean probability in bins of equal number, equal probabilities in one bin (Wilson
    intervals; Lichtenstein et al. 1982)."""
    edges = np.unique(np.quantile(p, np.linspace(0, 1, n_bins + 1)[1:-1])) if len(p) else np.empty(0)
    where = np.searchsorted(edges, p, side="right")
    return [group_of(p[where == b], has_event[where == b]) for b in np.unique(where)]


def group_of(p: Floats, has_event: NDArray[np.bool_]) -> Bin:
    """One group of ECGs as a bin."""
    return Bin(len(p), float(p.mean()) if len(p) else float("nan"), share(int(has_event.sum()), len(p)))


def overall(p: Floats, has_event: NDArray[np.bool_]) -> Statistic:
    """Statistic of three values: Brier score (Brier 1950), its skill against the share of events given to everyone,
    and events observed to expected."""
    squares = (p - has_event) ** 2

    def values(counts: Floats) -> Floats:
        n, events, expected = counts.sum(axis=1), counts @ has_event, counts @ p
        brier, rate = divided(counts @ squares, n), divided(events, n)
        skill = 1 - divided(brier, rate * (1 - rate))
        return np.stack([brier, skill, divided(events, expected)], axis=1)

    return values


class Recalibration(NamedTuple):
    """Logistic recalibration (Cox 1958; Van Calster et al. 2016): ``in_the_large`` is the intercept with the slope held
    at 1 (0 when right; above 0 when probabilities are too low), ``slope`` that of the log odds (1 when right; below 1
    when probabilities are too extreme)."""

    in_the_large: Measured
    slope: Measured


def recalibration(p: Floats, has_event: NDArray[np.bool_]) -> Recalibration:
    """By maximum likelihood, with Wald intervals; NaN with fewer than :data:`LEAST_EVENTS` events or others.

    The slope is also NaN where a cut of the probabilities parts events from others, and where all are the same: no
    finite slope is then the most likely one (Albert & Anderson 1984).
    """
    nothing = Measured(float("nan"), float("nan"), float("nan"))
    if min(has_event.sum(), (~has_event).sum()) < LEAST_EVENTS:
        return Recalibration(nothing, nothing)
    odds = logit(np.clip(p, _EDGE, 1 - _EDGE))
    ones = np.ones((len(p), 1))
    in_the_large = _logistic(ones, odds, has_event)[0]
    if _are_parted(odds[has_event], odds[~has_event]):
        return Recalibration(in_the_large, nothing)
    return Recalibration(in_the_large, _logistic(np.column_stack([ones, odds]), np.zeros(len(p)), has_event)[1])


def _are_parted(some: Floats, others: Floats) -> bool:
    return bool(some.min() >= others.max() or others.min() >= some.max())


def _logistic(design: Floats, offset: Floats, has_event: NDArray[np.bool_]) -> list[Measured]:
    """Coefficients by Newton's method (McCullagh & Nelder 1989, 4.4), halving steps that lower the likelihood."""
    beta = np.zeros(design.shape[1])

    def log_likelihood(at: Floats) -> float:
        eta = offset + design @ at
        return float((has_event * eta - np.logaddexp(0, eta)).sum())

    for _ in range(50):
        mean = expit(offset + design @ beta)
        information = design.T @ (design * (mean * (1 - mean))[:, None])
        step = np.linalg.solve(information, design.T @ (has_event - mean))
        while log_likelihood(beta + step) < log_likelihood(beta) - 1e-9:
            step = step / 2
        beta = beta + step
        if np.abs(step).max() < 1e-9:
            break
    sd = np.sqrt(np.diag(np.linalg.inv(information)))
    return [Measured(float(b), float(b - _Z * s), float(b + _Z * s)) for b, s in zip(beta, sd, strict=True)]


def net_benefit(p: Floats, has_event: NDArray[np.bool_], thresholds: Floats) -> Statistic:
    """Decision curve (Vickers & Elkin 2006): statistic of one value for each threshold probability (k,), the true
    alarms less the false ones at the exchange rate that the threshold states, a share of all ECGs.

    At threshold t whoever has p >= t is tested; a true alarm is worth (1 - t) / t false ones.
    """
    alarm = p[:, None] >= thresholds
    worth = np.where(has_event[:, None], 1.0, -thresholds / (1 - thresholds)) * alarm

    def values(counts: Floats) -> Floats:
        return divided(counts @ worth, counts.sum(axis=1, keepdims=True))

    return values


def net_benefit_of_testing_all(prevalence: float, thresholds: Floats) -> Floats:
    """The same (k,) when everyone is tested; when nobody is, it is 0."""
    return prevalence - (1 - prevalence) * thresholds / (1 - thresholds)
