"""How strongly one patient's ECG answers to potassium, component by component."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecg_ka.simulator.presets import PresetConstants

Floats = NDArray[np.float64]

NON_RESPONDER_SENSITIVITY = 0.12
SET_POINT_SD_MMOL_L = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """Factors (n,) of the potassium effects; 1 is the average responder at gain 1.

    ``set_point_mmol_l`` shifts the potassium that the heart feels against the one in the blood.
    """

    set_point_mmol_l: Floats
    t_height: Floats
    t_width: Floats
    qrs: Floats
    p: Floats
    conduction: Floats
    st: Floats
    u: Floats
    qt: Floats

    def take(self, rows: NDArray[np.intp]) -> Sensitivity:
        """The rows of the given patients, repeated as often as they occur in ``rows``."""
        arrays: dict[str, Any] = {field.name: getattr(self, field.name)[rows] for field in fields(self)}
        return replace(self, **arrays)


def draw_sensitivity(rng: np.random.Generator, n: int, constants: PresetConstants) -> Sensitivity:
    """Sensitivities of n patients."""
    sigma = constants.sensitivity_sigma
    responder = np.exp(rng.normal(-(sigma**2) / 2, sigma, n))
    base = np.where(rng.random(n) < constants.non_responder_share, NON_RESPONDER_SENSITIVITY, responder)
    sigma = constants.component_sigma
    parts = constants.gain * base * np.exp(rng.normal(-(sigma**2) / 2, sigma, (8, n)))
    return Sensitivity(
        set_point_mmol_l=rng.normal(0.0, SET_POINT_SD_MMOL_L, n),
        t_height=parts[0],
        t_width=parts[1],
        qrs=parts[2],
        p=parts[3],
        conduction=parts[4],
        st=parts[5],
        u=parts[6],
        qt=parts[7],
    )
