"""Tables of the Gaussian kernels that waves are made of.

Centre and width of QRS kernels are fractions of the QRS duration; amplitudes are vectors in mV on the Frank axes
(X left, Y down, Z backwards). Every QRS has six kernels, the last being a small notch at a random place.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class QrsKind(IntEnum):
    """How the ventricles are activated."""

    NORMAL = 0
    LBBB = 1
    RBBB = 2
    IVCD = 3
    PACED = 4


@dataclass(frozen=True, slots=True)
class QrsTable:
    """Five kernels: ``centre`` (5,), ``width`` (5,), ``vectors_mv`` (5, 3)."""

    centre: tuple[float, ...]
    width: tuple[float, ...]
    vectors_mv: tuple[tuple[float, float, float], ...]


_NORMAL = QrsTable(
    (0.22, 0.36, 0.47, 0.61, 0.77),
    (0.060, 0.064, 0.058, 0.070, 0.064),
    ((-0.10, -0.02, -0.18), (0.45, 0.32, -0.22), (1.05, 0.72, 0.28), (0.22, 0.22, 1.05), (-0.12, -0.02, 0.30)),
)
_LBBB = QrsTable(
    (0.16, 0.33, 0.50, 0.70, 0.88),
    (0.075, 0.10, 0.11, 0.10, 0.075),
    ((0.30, 0.18, 0.30), (0.70, 0.22, 0.75), (0.62, 0.05, 0.95), (0.75, -0.02, 0.70), (0.22, 0.0, 0.28)),
)
_PACED = QrsTable(
    (0.16, 0.33, 0.50, 0.70, 0.88),
    (0.075, 0.10, 0.11, 0.11, 0.08),
    ((0.10, -0.25, 0.25), (0.40, -0.70, 0.55), (0.65, -0.85, 0.70), (0.50, -0.55, 0.55), (0.15, -0.15, 0.20)),
)
_RBBB = QrsTable(
    (0.12, 0.25, 0.35, 0.52, 0.76),
    (0.06, 0.06, 0.06, 0.10, 0.125),
    ((-0.12, -0.02, -0.22), (0.55, 0.40, -0.15), (0.95, 0.62, 0.30), (-0.05, 0.02, 0.05), (-0.42, -0.05, -0.50)),
)

_TABLES = {
    QrsKind.NORMAL: _NORMAL,
    QrsKind.LBBB: _LBBB,
    QrsKind.RBBB: _RBBB,
    QrsKind.IVCD: _NORMAL,
    QrsKind.PACED: _PACED,
}

QRS_KERNELS = 6
NOTCH_WIDTH = 0.045

P_VECTORS_MV = np.array([[0.050, 0.078, -0.045], [0.080, 0.080, 0.030]])
"""(2, 3) right and left atrium."""
P_CENTRE_MS = (44.0, 78.0)
"""After the onset of P."""
P_WIDTH_MS = (15.5, 17.5)
TA_SHARE = 0.18
"""Atrial repolarisation against the atria's summed vectors; lowers the PR segment of II by some 0.03 mV."""
TA_DELAY_MS = 125.0
"""From the left atrium's peak to that of its repolarisation."""
TA_WIDTH_MS = 70.0

T_VECTOR_MV = np.array([0.34, 0.17, -0.23])
T_LOOP = np.array([-0.17, 0.0, -0.17])
"""Opening of the T loop, as a share of the length of T: T peaks some 20 ms earlier in V2 than in V5."""
T_LOOP_MS = 40.0
"""How far the loop's own peak lies before that of T."""
ST_VECTOR_MV = np.array([0.005, 0.0, -0.05])
U_DIRECTION = np.array([0.30, 0.22, -0.60]) / np.linalg.norm([0.30, 0.22, -0.60])
POTASSIUM_DIRECTION = np.array([0.26, 0.20, -0.34]) / np.linalg.norm([0.26, 0.20, -0.34])
"""Direction in which hyperkalaemia raises T."""
INJURY_DIRECTION = np.array([0.75, 0.45, -0.35]) / np.linalg.norm([0.75, 0.45, -0.35])
"""Direction from which subendocardial ST depression points away."""


class Kernel(IntEnum):
    """Places of the kernels in arrays of all kernels."""

    QRS = 0
    P = 6
    TA = 8
    T = 9
    T_LOOP = 10
    U = 11
    ST = 12
    SCOOP = 13


KERNELS = 14

RESIDUAL_MEAN = np.zeros((8, KERNELS))
"""(8, KERNELS) what the average healthy person's I, II, V1..V6 see beyond the dipole, as a share of its length.

The lead vectors describe a torso model; these close the gap to the mean amplitudes of real healthy ECGs.
"""
RESIDUAL_MEAN[:, Kernel.QRS + 2] = (0.0, 0.0, 0.10, 0.0, 0.0, 0.0, 0.0, 0.0)
RESIDUAL_MEAN[:, Kernel.QRS + 3] = (0.0, 0.0, 0.25, -0.05, 0.25, 0.06, 0.0, 0.0)
RESIDUAL_MEAN[:, Kernel.P] = (0.33, -0.12, 0.12, -0.21, -0.58, -0.55, -0.33, -0.11)
RESIDUAL_MEAN[:, Kernel.P + 1] = (0.31, -0.08, 0.17, 0.42, -0.02, -0.40, -0.42, -0.28)
RESIDUAL_MEAN[:, Kernel.TA] = -RESIDUAL_MEAN[:, Kernel.P : Kernel.TA].mean(axis=1)
RESIDUAL_MEAN[:, Kernel.T] = (0.29, 0.08, -0.55, 0.32, -0.14, -0.21, 0.03, 0.25)
RESIDUAL_MEAN[:, Kernel.ST] = (0.23, -0.02, -0.55, 0.35, -0.45, -0.38, 0.06, 0.36)


def qrs_shapes(kind: NDArray[np.int8]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Centre (n, 6), width (n, 6) and vectors (n, 6, 3) in mV for each kind (n,); the notch's are left at zero."""
    centre, width = np.zeros((2, kind.size, QRS_KERNELS))
    vectors = np.zeros((kind.size, QRS_KERNELS, 3))
    for name, table in _TABLES.items():
        rows = kind == name
        centre[rows, :5], width[rows, :5], vectors[rows, :5] = table.centre, table.width, table.vectors_mv
    width[:, 5] = NOTCH_WIDTH
    return centre, width, vectors
