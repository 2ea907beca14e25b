"""Everything besides potassium that changes an ECG: diseases and drugs."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecg_ka.simulator.kernels import QrsKind

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Repolarisation(IntEnum):
    """Ischaemia and non-specific ST-T changes."""

    NORMAL = 0
    FLAT = 1
    INVERTED = 2
    HYPERACUTE = 3
    DEPRESSED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Who has what; every array is (n,)."""

    male: Bools
    age_years: Floats
    ckd: Bools
    lvh: Bools
    early_repolarisation: Bools
    qrs_kind: NDArray[np.int8]
    lafb: Bools
    atrial_fibrillation: Bools
    old_infarction: Bools
    digoxin: Bools
    qt_drug: Bools
    repolarisation: NDArray[np.int8]

    def take(self, rows: NDArray[np.intp]) -> Conditions:
        """The rows of the given patients, repeated as often as they occur in ``rows``."""
        arrays: dict[str, Any] = {field.name: getattr(self, field.name)[rows] for field in fields(self)}
        return replace(self, **arrays)


def draw_conditions(rng: np.random.Generator, ckd_probability: Floats, *, healthy: bool) -> Conditions:
    """Age, sex, diseases and drugs of n patients, n being the size of ``ckd_probability`` (n,).

    ``healthy`` leaves out everything but age, sex and early repolarisation.
    """
    n = ckd_probability.size
    male = rng.random(n) < 0.52
    age = np.clip(rng.normal(64.0, 16.0, n), 18.0, 97.0)
    ill = 0.0 if healthy else 1.0
    old = np.clip((age - 30.0) / 40.0, 0.1, 1.6) * ill
    ckd = rng.random(n) < ckd_probability * ill
    fibrillation = rng.random(n) < 0.10 * old
    return Conditions(
        male=male,
        age_years=age,
        ckd=ckd,
        lvh=rng.random(n) < (0.10 + 0.15 * ckd) * ill,
        early_repolarisation=rng.random(n) < np.where(male & (age < 50.0), 0.15, 0.03),
        qrs_kind=_draw_qrs_kind(rng, old),
        lafb=rng.random(n) < 0.06 * old,
        atrial_fibrillation=fibrillation,
        old_infarction=rng.random(n) < 0.08 * old,
        digoxin=rng.random(n) < (0.02 + 0.10 * fibrillation) * ill,
        qt_drug=rng.random(n) < 0.14 * ill,
        repolarisation=_draw_repolarisation(rng, n, ill),
    )


def _draw_qrs_kind(rng: np.random.Generator, old: Floats) -> NDArray[np.int8]:
    shares = {QrsKind.LBBB: 0.04, QrsKind.RBBB: 0.07, QrsKind.IVCD: 0.03, QrsKind.PACED: 0.03}
    kind = np.full(old.size, QrsKind.NORMAL, dtype=np.int8)
    which = rng.random(old.size)
    low = np.zeros_like(old)
    for name, share in shares.items():
        kind[(which >= low) & (which < low + share * old)] = name
        low = low + share * old
    return kind


def _draw_repolarisation(rng: np.random.Generator, n: int, ill: float) -> NDArray[np.int8]:
    changed = rng.random(n) < 0.17 * ill
    kinds = (Repolarisation.FLAT, Repolarisation.INVERTED, Repolarisation.HYPERACUTE, Repolarisation.DEPRESSED)
    kind = rng.choice(np.array(kinds, dtype=np.int8), n, p=(0.50, 0.30, 0.07, 0.13))
    return np.where(changed, kind, np.int8(Repolarisation.NORMAL)).astype(np.int8)
