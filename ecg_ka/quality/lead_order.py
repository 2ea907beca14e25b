"""Do the leads stand under their own names? Chest leads resemble their neighbours, and no chest lead is a limb lead.

Limits were set on 300 simulated ECGs and PTB-XL 1-100; docs/uncertainty.md has what they find on others. Neighbouring
chest cables that are interchanged are found less often than three leads, and a file without III, aVR, aVL and aVF in
which I or II stands among chest leads less often than one that has them, where Einthoven's law tells.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ecg_ka.quality.einthoven import square_of
from ecg_ka.record import DERIVED_FROM_I_II, INDEPENDENT_LEADS

_RIDGE = 0.01
# Mean products of the leads I, II, V1..V6 with each other over QRS and over ST-T, each ECG's divided by its mean
# square: 1,023 simulated ECGs of all conditions without interchanged cables.
_PRODUCTS = (
    (
        (0.31, 0.23, -0.33, -0.21, 0.19, 0.46, 0.53, 0.48),
        (0.23, 0.72, -0.22, -0.05, 0.39, 0.66, 0.69, 0.59),
        (-0.33, -0.22, 0.92, 0.98, 0.40, -0.20, -0.53, -0.64),
        (-0.21, -0.05, 0.98, 1.43, 0.92, 0.24, -0.22, -0.46),
        (0.19, 0.39, 0.40, 0.92, 1.20, 0.92, 0.57, 0.28),
        (0.46, 0.66, -0.20, 0.24, 0.92, 1.25, 1.08, 0.83),
        (0.53, 0.69, -0.53, -0.22, 0.57, 1.08, 1.20, 1.00),
        (0.48, 0.59, -0.64, -0.46, 0.28, 0.83, 1.00, 0.97),
    ),
    (
        (0.43, 0.41, -0.06, 0.60, 0.70, 0.59, 0.52, 0.44),
        (0.41, 0.68, 0.07, 0.91, 0.95, 0.73, 0.59, 0.48),
        (-0.06, 0.07, 0.44, 0.44, 0.19, -0.02, -0.10, -0.12),
        (0.60, 0.91, 0.44, 2.08, 1.72, 1.08, 0.79, 0.62),
        (0.70, 0.95, 0.19, 1.72, 1.85, 1.28, 0.99, 0.79),
        (0.59, 0.73, -0.02, 1.08, 1.28, 1.12, 0.88, 0.71),
        (0.52, 0.59, -0.10, 0.79, 0.99, 0.88, 0.82, 0.65),
        (0.44, 0.48, -0.12, 0.62, 0.79, 0.71, 0.65, 0.59),
    ),
)
_LIMB = {"I": (1.0, 0.0), "II": (0.0, 1.0), **DERIVED_FROM_I_II}

_LEAST_GAIN_CHEST, _LEAST_GAIN_LIMB = 0.1, 0.4  # log of misfit as named over misfit of the best exchange
LIMB_STRIDE = 2
"""Of the samples at about 250 Hz in which chest leads and limb leads are compared: more would tell no more."""

_NO_WAVE = 1e-11  # square mV
_SAME_LEAD = 0.07  # root mean square of the difference, as a share of the lead's: PTB-XL above 0.11, simulated 0.08

Numbers = NDArray[np.float64]


def order_note(names: tuple[str, ...], products: Numbers, *, limb_leads_checked: bool) -> str | None:
    """Why the leads of an averaged beat seem to stand under wrong names, from its wave products (3, 8, 8); None where
    they do not, and unless they are I, II and V1-V6 in this order.

    The misfit of an ECG is the Mahalanobis distance tr(C^-1 S) of its products S from those of other ECGs, summed over
    QRS and ST-T; it is compared with the misfit after every exchange of three chest leads and, unless Einthoven's law
    has checked the limb leads, of three leads with I or II among them.
    """
    if names != INDEPENDENT_LEADS:
        return None
    waves = products[1:]
    sizes = waves.trace(axis1=1, axis2=2)
    if not sizes.min() > _NO_WAVE:
        return None
    shapes = (waves * (len(names) / sizes)[:, None, None]).take(_once())
    gain = _gain(shapes, _exchanges(chest=True))
    if gain > _LEAST_GAIN_CHEST:
        return f"three chest leads exchanged would fit {np.exp(gain):.2f} times as well"
    gain = 0.0 if limb_leads_checked else _gain(shapes, _exchanges(chest=False))
    if gain > _LEAST_GAIN_LIMB:
        return f"I or II and chest leads exchanged would fit {np.exp(gain):.2f} times as well"
    return None


def limb_lead_note(names: tuple[str, ...], signal_mv: NDArray[np.float32]) -> str | None:
    """Which of V1-V6 among ``signal_mv`` (leads, n), every :data:`LIMB_STRIDE`-th sample, is, step by step, I, II or
    a lead that follows from them; a cart makes those sample by sample, so that they agree to within rounding, which no
    chest lead does."""
    if not {"I", "II"} <= set(names):
        return None
    steps = signal_mv[:, 1:] - signal_mv[:, :-1]
    products: list[list[float]] = (steps @ steps.T).tolist()
    i, ii = names.index("I"), names.index("II")
    with_i, with_ii = products[i], products[ii]
    chest = [(k, products[k][k]) for k, name in enumerate(names) if name.startswith("V") and products[k][k] > 0]
    alike = []
    for limb, (a, b) in _LIMB.items():
        size = square_of((a, b), with_i[i], with_i[ii], with_ii[ii])
        for k, own in chest:
            distance = own + size - 2 * (a * with_i[k] + b * with_ii[k])
            if distance < _SAME_LEAD**2 * own:
                alike.append((distance / own, names[k], limb))
    return "{1} is the limb lead {2}".format(*min(alike)) if alike else None


def _gain(shapes: Numbers, exchanged: Numbers) -> float:
    """Log of the misfit as named, the first of (1 + k, 72), over that of the best exchange."""
    misfits = exchanged @ shapes
    return math.log(misfits[0] / misfits[1:].min())


@lru_cache(maxsize=1)
def _once() -> NDArray[np.intp]:
    """Where in the products of two waves (2, 8, 8) each pair of leads stands once (72,)."""
    return np.flatnonzero(np.triu(np.ones((2, 8, 8))))


@lru_cache(maxsize=2)
def _exchanges(*, chest: bool) -> Numbers:
    """C^-1 (1 + k, 72) of the leads as named, and with just three of them moved: three of the chest, or with I or II
    among them."""
    trios = np.array([trio for trio in combinations(range(8), 3) if (trio[0] > 1) == chest])
    orders = np.tile(np.arange(8), (1 + 2 * len(trios), 1))
    for row, moved in enumerate(np.concatenate([np.roll(trios, 1, axis=1), np.roll(trios, 2, axis=1)]), start=1):
        orders[row, trios[(row - 1) % len(trios)]] = moved
    precisions = np.linalg.inv(np.array(_PRODUCTS) + _RIDGE * np.eye(len(INDEPENDENT_LEADS)))
    exchanged = precisions[:, orders[:, :, None], orders[:, None, :]]  # (2, 1 + k, 8, 8)
    both = exchanged.swapaxes(0, 1) * (2 - np.eye(8))  # a pair of leads stands in a trace twice
    return np.ascontiguousarray(both.reshape(len(orders), -1)[:, _once()])
