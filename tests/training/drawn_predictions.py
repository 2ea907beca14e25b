"""Predictions for patients who never had an ECG: labels, outputs and covariates of every kind, drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecg_ka.bundle import SHIPPED, load_bundle
from ecg_ka.uncertainty import Pairs
from training.evaluation.predictions import Predictions, joined


def predictions_of(labels: NDArray[np.float64], covariates: dict[str, NDArray[Any]]) -> Predictions:
    """Estimates that follow the labels (n,), with the answers of the shipped bundle to them."""
    rng, n = np.random.default_rng(11), len(labels)
    pairs = Pairs(4.3 + 0.8 * (labels - 4.2) + rng.normal(0, 0.4, n), rng.uniform(0.2, 0.6, n), labels)
    return joined(3 * np.arange(n), np.arange(n), pairs, load_bundle(SHIPPED).calibration, covariates)


def many() -> Predictions:
    """Of 1500 patients."""
    rng = np.random.default_rng(11)
    labels = np.rint(10 * (4.2 + 0.55 * rng.standard_t(5, 1500)).clip(2, 8.5)) / 10
    covariates = {
        "male": rng.random(1500) < 0.5,
        "age_years": np.where(rng.random(1500) < 0.1, np.nan, rng.uniform(18, 95, 1500)),
        "rhythm": rng.choice(np.array(["sinus", "fibrillation", "paced"]), 1500, p=[0.9, 0.08, 0.02]),
    }
    return predictions_of(labels, covariates)
