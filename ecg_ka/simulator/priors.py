"""Distributions of potassium in a population, and the laboratory's error."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

POTASSIUM_RANGE_MMOL_L = (1.8, 9.5)
"""Simulated values are clipped to this range."""

LAB_STEP_MMOL_L = 0.1
LAB_SD_MMOL_L = 0.15
HAEMOLYSIS_SHARE = 0.02
HAEMOLYSIS_SD_MMOL_L = 0.6


class Prior(StrEnum):
    """Which potassium values a simulated population has.

    ``HOSPITAL`` resembles admissions, ``WIDE`` has heavier tails, ``ESRD`` resembles dialysis patients, ``UNIFORM`` is
    flat on 2 to 8.5 mmol/L (for balanced tests), ``MIX`` is half ``WIDE`` and half flat on 2 to 8 (for training).
    """

    HOSPITAL = "hospital"
    WIDE = "wide"
    ESRD = "esrd"
    UNIFORM = "uniform"
    MIX = "mix"


@dataclass(frozen=True, slots=True)
class _Mixture:
    """Normal core, gamma tail to the left of ``hypo_start``, gamma tail to the right of ``hyper_start``."""

    core_mean: float
    core_sd: float
    hypo_weight: float
    hypo_start: float
    hypo_scale: float
    hyper_weight: float
    hyper_start: float
    hyper_shape: float
    hyper_scale: float


_HYPO_SHAPE = 2.0
_MIXTURES = {
    Prior.HOSPITAL: _Mixture(4.15, 0.38, 0.07, 3.75, 0.28, 0.08, 4.5, 1.6, 0.48),
    Prior.WIDE: _Mixture(4.15, 0.40, 0.10, 3.75, 0.28, 0.10, 4.55, 1.6, 0.50),
    Prior.ESRD: _Mixture(4.4, 0.50, 0.05, 3.8, 0.25, 0.35, 4.6, 1.8, 0.45),
}


def sample_potassium(prior: Prior, n: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Potassium in the blood and as the laboratory records it, each (n,) in mmol/L.

    The recorded value has the laboratory's noise, haemolysis of a few samples and steps of 0.1 mmol/L.
    """
    match prior:
        case Prior.UNIFORM:
            true = rng.uniform(2.0, 8.5, n)
        case Prior.MIX:
            natural, flat = _sample_mixture(_MIXTURES[Prior.WIDE], n, rng), rng.uniform(2.0, 8.0, n)
            true = np.where(rng.random(n) < 0.5, natural, flat)
        case _:
            true = _sample_mixture(_MIXTURES[prior], n, rng)
    true = np.clip(true, *POTASSIUM_RANGE_MMOL_L)
    return true, _record(true, rng)


def uniform_potassium(
    low: float, high: float, n: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Potassium in the blood, flat between two values, and as the laboratory records it, each (n,) in mmol/L."""
    true = np.clip(rng.uniform(low, high, n), *POTASSIUM_RANGE_MMOL_L)
    return true, _record(true, rng)


def _sample_mixture(mixture: _Mixture, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    core = rng.normal(mixture.core_mean, mixture.core_sd, n)
    hypo = mixture.hypo_start - rng.gamma(_HYPO_SHAPE, mixture.hypo_scale, n)
    hyper = mixture.hyper_start + rng.gamma(mixture.hyper_shape, mixture.hyper_scale, n)
    which = rng.random(n)
    tails = np.where(which < mixture.hypo_weight + mixture.hyper_weight, hyper, core)
    return np.where(which < mixture.hypo_weight, hypo, tails)


def _record(true: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    noise = rng.normal(0.0, LAB_SD_MMOL_L, true.size)
    haemolysis = np.abs(rng.normal(0.0, HAEMOLYSIS_SD_MMOL_L, true.size)) * (rng.random(true.size) < HAEMOLYSIS_SHARE)
    measured = np.clip(true + noise + haemolysis, *POTASSIUM_RANGE_MMOL_L)
    recorded: NDArray[np.float64] = np.round(np.round(measured / LAB_STEP_MMOL_L) * LAB_STEP_MMOL_L, 1)
    return recorded
