"""Patients: what of an ECG belongs to the person and stays the same at every visit."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecg_ka.simulator.conditions import Conditions, Repolarisation, draw_conditions
from ecg_ka.simulator.geometry import RESIDUAL_WEIGHT, rotation
from ecg_ka.simulator.kernels import (
    INJURY_DIRECTION,
    KERNELS,
    P_VECTORS_MV,
    POTASSIUM_DIRECTION,
    QRS_KERNELS,
    RESIDUAL_MEAN,
    ST_VECTOR_MV,
    T_LOOP,
    T_VECTOR_MV,
    U_DIRECTION,
    QrsKind,
    qrs_shapes,
)
from ecg_ka.simulator.presets import Preset
from ecg_ka.simulator.sensitivity import Sensitivity, draw_sensitivity

Floats = NDArray[np.float64]

RESIDUAL_SHARE = 0.20
"""Size of what each lead sees beyond the dipole, as a share of the kernel's length."""

SECONDARY_T_SHARE = 0.45
"""T area against QRS area in complete left bundle branch block; gives T of about 0.9 mV in V2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What n patients bring to every visit; all arrays have n rows, vectors are in mV on the Frank axes."""

    conditions: Conditions
    sensitivity: Sensitivity
    hr_bpm: Floats
    pr_ms: Floats
    qrs_ms: Floats
    qtc_ms: Floats
    t_peak_end_ms: Floats
    t_asymmetry: Floats
    t_rise_power: Floats
    t_fall_power: Floats
    p_width: Floats  # factor on the width of both atria's waves
    p_lag: Floats  # factor on the left atrium's delay
    qrs_centre: Floats  # (n, 6)
    qrs_width: Floats  # (n, 6)
    qrs_mv: Floats  # (n, 6, 3)
    p_mv: Floats  # (n, 2, 3)
    t_mv: Floats  # (n, 3)
    t_loop: Floats  # (n, 3) direction of the loop's opening, as a share of T
    st_mv: Floats  # (n, 3)
    scoop_mv: Floats  # (n, 3)
    u_mv: Floats
    u_direction: Floats  # (n, 3)
    potassium_direction: Floats  # (n, 3)
    residual: Floats  # (n, 8, KERNELS)

    def __len__(self) -> int:
        return self.hr_bpm.size

    def take(self, rows: NDArray[np.intp]) -> Traits:
        """The traits of the given patients, repeated as often as they occur in ``rows``."""
        arrays: dict[str, Any] = {
            field.name: getattr(self, field.name)[rows]
            for field in fields(self)
            if field.name not in {"conditions", "sensitivity"}
        }
        return replace(self, conditions=self.conditions.take(rows), sensitivity=self.sensitivity.take(rows), **arrays)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """One simulated person: ``traits`` of one row."""

    seed: int
    preset: Preset
    traits: Traits

    @property
    def age_years(self) -> float:
        """Age in years."""
        return float(self.traits.conditions.age_years[0])


def draw_patient(
    seed: int, preset: Preset, *, usual_potassium_mmol_l: float | None = None, healthy: bool = False
) -> Patient:
    """The patient of this seed.

    ``usual_potassium_mmol_l`` makes chronic kidney disease likelier where potassium is high; None leaves that link
    out. ``healthy`` leaves out diseases and drugs.
    """
    rng = np.random.default_rng(seed)
    usual = None if usual_potassium_mmol_l is None else np.array([usual_potassium_mmol_l])
    ckd = ckd_probability(usual, 1)
    return Patient(seed=seed, preset=preset, traits=draw_traits(rng, ckd, preset, healthy=healthy))


def ckd_probability(usual_potassium_mmol_l: Floats | None, n: int) -> Floats:
    """(n,) share with chronic kidney disease: 10 %, more where potassium is high, unless that is None."""
    if usual_potassium_mmol_l is None:
        return np.full(n, 0.10)
    return 0.10 + 0.45 / (1.0 + np.exp(-(usual_potassium_mmol_l - 5.4) / 0.35))


def draw_traits(rng: np.random.Generator, ckd: Floats, preset: Preset, *, healthy: bool) -> Traits:
    """Traits of n patients, n being the size of ``ckd`` (n,), the probabilities of chronic kidney disease."""
    conditions = draw_conditions(rng, ckd, healthy=healthy)
    n = ckd.size
    intervals = _draw_intervals(rng, conditions)
    voltage = _log_normal(rng, 0.22, n) * np.where(conditions.male, 1.05, 0.93)
    qrs_centre, qrs_width, qrs_mv = _draw_qrs(rng, conditions, voltage)
    t_turn = rotation(rng.normal(0, 7, n), rng.normal(0, 12, n), rng.normal(0, 6, n))
    t_mv, st_mv = _draw_repolarisation(rng, conditions, voltage, t_turn)
    half_width = intervals["t_peak_end_ms"] / 4 * (1 + intervals["t_asymmetry"])
    area = np.einsum("nk,nkc->nc", qrs_width, qrs_mv) * intervals["qrs_ms"][:, None]
    t_mv = _secondary_t(conditions, t_mv, area / half_width[:, None])
    p_mv = _draw_p(rng, conditions)
    return Traits(
        conditions=conditions,
        sensitivity=draw_sensitivity(rng, n, preset.constants),
        qrs_centre=qrs_centre,
        qrs_width=qrs_width,
        qrs_mv=qrs_mv,
        p_mv=p_mv,
        t_mv=t_mv,
        t_loop=T_LOOP + rng.normal(0.0, 0.06, (n, 3)),
        st_mv=st_mv,
        scoop_mv=np.where(conditions.digoxin, -0.10, 0.0)[:, None] * INJURY_DIRECTION,
        u_mv=0.022 * _log_normal(rng, 0.6, n),
        u_direction=np.tile(U_DIRECTION, (n, 1)),
        potassium_direction=t_turn @ POTASSIUM_DIRECTION,
        residual=RESIDUAL_MEAN + RESIDUAL_SHARE * RESIDUAL_WEIGHT[:, None] * rng.normal(0.0, 1.0, (n, 8, KERNELS)),
        **intervals,
    )


def _log_normal(rng: np.random.Generator, sigma: float, size: int | tuple[int, ...]) -> Floats:
    return np.exp(rng.normal(0.0, sigma, size))


def _draw_intervals(rng: np.random.Generator, c: Conditions) -> dict[str, Floats]:
    n = c.age_years.size
    qrs = rng.normal(np.where(c.male, 95.0, 89.0), 9.0) + 8.0 * c.lvh
    wide = {QrsKind.LBBB: (148, 11), QrsKind.RBBB: (140, 11), QrsKind.IVCD: (122, 7), QrsKind.PACED: (160, 13)}
    noise = rng.normal(0.0, 1.0, n)
    for kind, (mean, sd) in wide.items():
        qrs = np.where(c.qrs_kind == kind, mean + sd * noise, qrs)
    slow = np.abs(rng.normal(35.0, 22.0, n)) * (rng.random(n) < 0.05)
    p_width, p_lag = _log_normal(rng, 0.16, n), _log_normal(rng, 0.25, n)
    longer_p = 60.0 * (p_width - 1.0) + 34.0 * (p_lag - 1.0)
    pr = rng.normal(152.0 + 0.25 * (c.age_years - 60.0), 16.0) + longer_p + slow + 18.0 * c.digoxin
    calcium = rng.normal(0.0, 9.0, n) + np.abs(rng.normal(0.0, 18.0, n)) * c.ckd
    drug = np.abs(rng.normal(32.0, 20.0, n)) * c.qt_drug
    conduction = 0.55 * np.maximum(qrs - 110.0, 0.0)
    qtc = rng.normal(np.where(c.male, 394.0, 404.0), 20.0) + calcium + drug + conduction - 22.0 * c.digoxin
    hr = rng.normal(76.0, 16.0, n) + 10.0 * c.atrial_fibrillation - 12.0 * c.early_repolarisation
    return {
        "hr_bpm": np.clip(hr, 42.0, 150.0),
        "pr_ms": np.clip(pr, 105.0, 340.0),
        "qrs_ms": np.clip(qrs, 65.0, 200.0),
        "qtc_ms": qtc,
        "t_peak_end_ms": np.clip(rng.normal(82.0, 8.5, n), 50.0, 130.0),
        "t_asymmetry": 1.06 * _log_normal(rng, 0.13, n),
        "t_rise_power": np.clip(rng.normal(1.5, 0.14, n), 1.1, 2.0),
        "t_fall_power": np.clip(rng.normal(2.15, 0.15, n), 1.7, 2.6),
        "p_width": p_width,
        "p_lag": p_lag,
    }


def _draw_qrs(rng: np.random.Generator, c: Conditions, voltage: Floats) -> tuple[Floats, Floats, Floats]:
    n = voltage.size
    centre, width, vectors = qrs_shapes(c.qrs_kind)
    centre[:, 5] = rng.uniform(0.3, 0.75, n)
    width *= _log_normal(rng, 0.15, (n, 1))
    vectors *= _log_normal(rng, 0.15, (n, QRS_KERNELS, 1))
    vectors[:, 5] = rng.normal(0.0, 0.06, (n, 3)) * _log_normal(rng, 0.5, (n, 1))
    hypertrophy = np.where(c.lvh, rng.uniform(1.3, 1.8, n), 1.0)
    vectors *= (voltage * hypertrophy)[:, None, None]
    turn = rotation(rng.normal(-5, 16, n) - 52.0 * c.lafb, rng.normal(0, 14, n), rng.normal(0, 12, n))
    vectors = np.einsum("nij,nkj->nki", turn, vectors)
    # An infarct takes away early forces that point to it: anterior, inferior or lateral.
    wall = np.array([[0.1, 0.0, -0.5], [0.0, 0.5, 0.1], [0.5, 0.0, 0.1]])[rng.integers(0, 3, n)]
    lost = wall * (rng.uniform(0.4, 1.2, n) * c.old_infarction)[:, None]
    vectors[:, :3] -= lost[:, None, :] * np.array([0.5, 1.0, 0.6])[:QRS_KERNELS, None]
    return centre, width, vectors


def _draw_p(rng: np.random.Generator, c: Conditions) -> Floats:
    """(n, 2, 3) vectors of the two atria in mV."""
    n = c.male.size
    p_turn = rotation(rng.normal(0, 10, n), rng.normal(0, 10, n), rng.normal(0, 8, n))
    p_gain = _log_normal(rng, 0.20, n) * ~c.atrial_fibrillation
    p_gain = p_gain[:, None] * _log_normal(rng, 0.15, (n, 2))
    p_mv: Floats = np.einsum("nij,kj->nki", p_turn, P_VECTORS_MV) * p_gain[:, :, None]
    p_mv[:, 1] = np.einsum("nij,nj->ni", rotation(*rng.normal(0, 10, (3, n))), p_mv[:, 1])
    return p_mv


def _draw_repolarisation(
    rng: np.random.Generator, c: Conditions, voltage: Floats, turn: Floats
) -> tuple[Floats, Floats]:
    n = voltage.size
    gain = _log_normal(rng, 0.25, n) * np.where(c.male, 1.08, 0.83) * voltage**0.35
    gain = gain * np.exp(-0.006 * (c.age_years - 60.0))
    early = c.early_repolarisation
    gain = gain * np.where(early, rng.uniform(1.3, 1.9, n), 1.0)
    t_mv = (turn @ T_VECTOR_MV) * gain[:, None]
    st_mv = (turn @ ST_VECTOR_MV) * _log_normal(rng, 0.5, (n, 1)) + early[:, None] * 0.05 * INJURY_DIRECTION
    strain = (rng.beta(2.0, 2.0, n) * c.lvh)[:, None]
    t_mv = t_mv + strain * np.array([-0.38, -0.12, -0.10])
    st_mv = st_mv + strain * np.array([-0.07, -0.02, 0.03])
    severity = rng.beta(1.6, 2.0, n)[:, None]
    depression = rng.uniform(0.02, 0.08, n)[:, None]
    kind = c.repolarisation[:, None]
    t_mv = t_mv * np.where(kind == Repolarisation.FLAT, 1 - 0.75 * severity, 1.0)
    t_mv = t_mv - np.where(kind == Repolarisation.INVERTED, severity, 0.0) * np.array([0.42, 0.22, -0.42])
    t_mv = t_mv + np.where(kind == Repolarisation.HYPERACUTE, severity, 0.0) * np.array([0.15, 0.10, -0.35])
    st_mv = st_mv - np.where(kind != Repolarisation.NORMAL, severity * depression, 0.0) * INJURY_DIRECTION
    drugs = np.where(c.digoxin, 0.65, 1.0) * np.where(c.qt_drug, 0.85, 1.0)
    return t_mv * drugs[:, None], st_mv


def _secondary_t(c: Conditions, t_mv: Floats, opposite_mv: Floats) -> Floats:
    """T of a wide QRS: less of its own, and the more against the QRS area the more abnormal the activation."""
    share = np.zeros(c.male.size)
    for kind, value in {QrsKind.LBBB: 1.0, QrsKind.PACED: 1.0, QrsKind.IVCD: 0.4, QrsKind.RBBB: 0.30}.items():
        share[c.qrs_kind == kind] = value
    own = np.where(share > 0.0, 0.45 + 0.4 * (share < 0.5), 1.0)
    return t_mv * own[:, None] - SECONDARY_T_SHARE * share[:, None] * opposite_mv
