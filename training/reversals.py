"""What interchanged cables make of an ECG, as matrices: reversed (leads, T) = matrix @ as it should be (leads, T)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

Matrix = tuple[tuple[float, ...], ...]

_LIMB = {"I": (1, 0), "II": (0, 1), "III": (-1, 1), "aVR": (-0.5, -0.5), "aVL": (1, -0.5), "aVF": (-0.5, 1)}  # of I, II
_LIMB_CABLES = {
    "RA and LA": ((-1, 0), (-1, 1)),  # I upside down, III for II
    "LA and LL": ((0, 1), (1, 0)),  # II for I, I for II
    "RA and LL": ((1, -1), (0, -1)),  # III upside down for I, II upside down
}
_CHEST = ("V1", "V2", "V3", "V4", "V5", "V6")


def reversals(leads: Sequence[str]) -> tuple[Matrix, ...]:
    """Two limb cables interchanged, then two neighbouring chest cables; those that all their leads are there for.

    Chest leads are measured against the mean of the limbs, which stays what it is when two limbs change places.
    """
    limb = [_limb(leads, cables) for cables in _LIMB_CABLES.values()] if {"I", "II"} <= set(leads) else []
    chest = [_swapped(leads, a, b) for a, b in pairwise(_CHEST) if {a, b} <= set(leads)]
    return tuple(limb + chest)


def _limb(leads: Sequence[str], cables: tuple[tuple[float, float], tuple[float, float]]) -> Matrix:
    (i_from_i, i_from_ii), (ii_from_i, ii_from_ii) = cables

    def row(lead: str) -> tuple[float, ...]:
        if lead not in _LIMB:
            return tuple(float(other == lead) for other in leads)
        a, b = _LIMB[lead]
        of = {"I": a * i_from_i + b * ii_from_i, "II": a * i_from_ii + b * ii_from_ii}
        return tuple(float(of.get(other, 0.0)) for other in leads)

    return tuple(row(lead) for lead in leads)


def _swapped(leads: Sequence[str], one: str, other: str) -> Matrix:
    takes = {one: other, other: one}
    return tuple(tuple(float(column == takes.get(lead, lead)) for column in leads) for lead in leads)
