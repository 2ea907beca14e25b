"""From the heart's dipole to lead amplitudes to electrode potentials.

Frank axes: X left, Y down, Z backwards. Leads stand in the order of ``INDEPENDENT_LEADS`` (I, II, V1..V6), electrodes
in the order RA, LA, LL, V1..V6.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DOWER = np.array(
    [
        [0.632, -0.235, 0.059],
        [0.235, 1.066, -0.132],
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)
"""(8, 3) lead vectors for I, II, V1..V6 (Dower 1980)."""

RESIDUAL_WEIGHT = np.array([0.5, 0.5, 1.0, 1.2, 1.2, 1.1, 1.0, 0.8])
"""(8,) how much of the heart's activity each lead sees beyond the dipole."""

ELECTRODES = 9

_THIRD = 1.0 / 3.0
LEADS_TO_ELECTRODES = np.zeros((ELECTRODES, 8))
"""(9, 8) electrode potentials against Wilson's terminal, from I, II, V1..V6."""
LEADS_TO_ELECTRODES[0, :2] = (-_THIRD, -_THIRD)
LEADS_TO_ELECTRODES[1, :2] = (2 * _THIRD, -_THIRD)
LEADS_TO_ELECTRODES[2, :2] = (-_THIRD, 2 * _THIRD)
LEADS_TO_ELECTRODES[3:, 2:] = np.eye(6)

ELECTRODES_TO_LEADS = np.zeros((8, ELECTRODES))
"""(8, 9) I = LA - RA, II = LL - RA, Vx = electrode - mean of the limb electrodes (Einthoven, Wilson)."""
ELECTRODES_TO_LEADS[0, :2] = (-1.0, 1.0)
ELECTRODES_TO_LEADS[1, [0, 2]] = (-1.0, 1.0)
ELECTRODES_TO_LEADS[2:, :3] = -_THIRD
ELECTRODES_TO_LEADS[2:, 3:] = np.eye(6)


class Reversal(IntEnum):
    """Which cables are interchanged. ``V12`` to ``V56`` are neighbouring chest cables."""

    NONE = 0
    LA_RA = 1
    LA_LL = 2
    RA_LL = 3
    V12 = 4
    V23 = 5
    V34 = 6
    V45 = 7
    V56 = 8


_SWAPS = {
    Reversal.LA_RA: (0, 1),
    Reversal.LA_LL: (1, 2),
    Reversal.RA_LL: (0, 2),
    Reversal.V12: (3, 4),
    Reversal.V23: (4, 5),
    Reversal.V34: (5, 6),
    Reversal.V45: (6, 7),
    Reversal.V56: (7, 8),
}


def electrode_order(reversal: Reversal) -> NDArray[np.intp]:
    """(9,) which body site each cable touches."""
    order = np.arange(ELECTRODES)
    if reversal in _SWAPS:
        a, b = _SWAPS[reversal]
        order[[a, b]] = order[[b, a]]
    return order


def rotation(frontal: Floats, horizontal: Floats, sagittal: Floats) -> Floats:
    """(n, 3, 3) rotations by three angles (n,) in degrees; positive frontal turns the axis clockwise (down)."""
    matrix = _plane(frontal, 0, 1)
    matrix = _plane(horizontal, 0, 2) @ matrix
    return _plane(sagittal, 1, 2) @ matrix


def _plane(angle_deg: Floats, i: int, j: int) -> Floats:
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    matrix = np.tile(np.eye(3), (angle_deg.size, 1, 1))
    matrix[:, i, i], matrix[:, i, j] = cos, -sin
    matrix[:, j, i], matrix[:, j, j] = sin, cos
    return matrix


def slide(fraction: Floats) -> Floats:
    """(n, 6, 6) blending of chest leads whose electrodes slid by ``fraction`` (n, 6) towards a neighbour.

    Positive slides towards V6. Beyond V1 and V6 there is no neighbour: those leads stay as they are.
    """
    n = fraction.shape[0]
    matrix = np.zeros((n, 6, 6))
    for lead in range(6):
        towards_v6 = fraction[:, lead] > 0
        neighbour = np.clip(np.where(towards_v6, lead + 1, lead - 1), 0, 5)
        share = np.minimum(np.abs(fraction[:, lead]), 0.9)
        matrix[:, lead, lead] += 1.0 - share
        matrix[np.arange(n), lead, neighbour] += share
    return matrix
