"""The patient's own offset, from earlier ECGs whose potassium was measured, and the distribution that it sharpens.

Model of the estimates y of ECG j of patient i at potassium K: y_ij = a + c K_ij + b_i + e_ij, b_i ~ N(0, between) and
e_ij ~ N(0, within). Given n earlier pairs with mean residual r of y - a - c K, the best linear unbiased predictor of
b_i is n between r / (n between + within), with variance between within / (n between + within) (Robinson, "That BLUP is
a good thing", Stat Sci 1991; with components estimated from data this is empirical Bayes).

For a new ECG the calibrated distribution p(K | y) is the prior, and history enters by Bayes' rule:
p(K | y, history) ~ p(K | y) N(y; a + c K + b, v + within) / N(y; a + c K, between + within).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ecg_ka.estimate import PatientOffset
from ecg_ka.uncertainty.conformal import Predictive

MIN_PATIENTS = 100
"""Fewer patients with several ECGs do not tell the two variances apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceComponents:
    """``intercept`` a in mmol/L, ``slope`` c, the variances ``between`` patients and ``within`` a patient in
    (mmol/L)^2, and from how many patients they come."""

    intercept: float
    slope: float
    between: float
    within: float
    n_patients: int

    def __post_init__(self) -> None:
        numbers = [self.intercept, self.slope, self.between, self.within]
        if not (np.isfinite(numbers).all() and self.between >= 0 and self.within > 0):
            raise ValueError(f"{self} are no variance components")

    @classmethod
    def fit(cls, patients: ArrayLike, estimates: ArrayLike, labels: ArrayLike) -> VarianceComponents | None:
        """From estimates and labels (n,) in mmol/L and whose they are; None when fewer than :data:`MIN_PATIENTS` have
        several ECGs. Least squares for the line, analysis of variance for the components (Searle, Casella, McCulloch,
        Variance Components, 1992, section 3.6, patients with different numbers of ECGs)."""
        y, k = np.asarray(estimates, dtype=np.float64), np.asarray(labels, dtype=np.float64)
        _, who, n = np.unique(np.asarray(patients), return_inverse=True, return_counts=True)
        repeated = n[who] > 1
        y, k = y[repeated], k[repeated]
        _, who, n = np.unique(who[repeated], return_inverse=True, return_counts=True)
        if len(n) < MIN_PATIENTS:
            return None
        slope, intercept = np.polyfit(k, y, 1)
        residual = y - intercept - slope * k
        mean = np.bincount(who, residual) / n
        within = float(((residual - mean[who]) ** 2).sum() / (len(y) - len(n)))
        among = float((n * (mean - residual.mean()) ** 2).sum() / (len(n) - 1))
        n_0 = (len(y) - (n**2).sum() / len(y)) / (len(n) - 1)
        return cls(
            intercept=float(intercept),
            slope=float(slope),
            between=max(0.0, float((among - within) / n_0)),
            within=within,
            n_patients=len(n),
        )

    def offset(self, estimates: Sequence[float], labels: Sequence[float]) -> PatientOffset:
        """What earlier estimates and measured values (n,) of one patient say about b."""
        n = len(estimates)
        residuals = np.asarray(estimates) - self.intercept - self.slope * np.asarray(labels)
        total = n * self.between + self.within
        return PatientOffset(
            n_pairs=n,
            offset_mmol_l=float(self.between * residuals.sum() / total),
            sd_mmol_l=float(np.sqrt(self.between * self.within / total)),
        )

    def sharpen(self, predictive: Predictive, estimate: float, offset: PatientOffset) -> Predictive:
        """The predictive distribution of an estimate that the network gave, with the patient's offset in it. What it
        holds of ECGs with K >= 5.5 was not measured."""
        plain = predictive.values
        expected = self.intercept + self.slope * plain
        before = (estimate - expected) ** 2 / (self.between + self.within)
        after = (estimate - expected - offset.offset_mmol_l) ** 2 / (offset.sd_mmol_l**2 + self.within)
        log_weight = (before - after) / 2
        weight = np.exp(log_weight - log_weight.max())
        n = len(weight)
        share = np.cumsum(weight) / (weight.sum() + (weight[0] + weight[-1]) / 2)
        values = np.interp(np.arange(1, n + 1) / (n + 1), share, plain)
        return Predictive(values, np.empty(0, dtype=np.float32), predictive.label_step_mmol_l)
