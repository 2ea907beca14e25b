"""What potassium does: traits, a visit and a potassium value become the shape of one recording's beats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecg_ka.simulator.kernels import INJURY_DIRECTION, KERNELS, P_CENTRE_MS, P_WIDTH_MS, TA_SHARE, Kernel
from ecg_ka.simulator.patients import Traits
from ecg_ka.simulator.sensitivity import Sensitivity
from ecg_ka.simulator.visits import Visit

Floats = NDArray[np.float64]

HYPER_KNEE_MMOL_L = 4.8
HYPO_KNEE_MMOL_L = 4.1
REFERENCE_MMOL_L = 4.2
KNEE_WIDTH_MMOL_L = 0.22


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Beats of n recordings: amplitudes of all kernels in 8 leads, and their timing; arrays have n rows.

    ``amplitude_mv`` (n, 8, KERNELS) for I, II, V1..V6. QT of a beat is ``qtc_ms`` times the cube root of its RR in s.
    ``t_fall_ms`` and ``t_rise_ms`` are the widths of T's two sides at a QT of 400 ms (the sigma of a Gaussian of the
    same half-width); a power of 2 makes a side Gaussian, a smaller one gives it a longer foot.
    """

    amplitude_mv: Floats
    qrs_centre: Floats  # (n, 6) shares of qrs_ms
    qrs_width: Floats  # (n, 6) shares of qrs_ms
    hr_bpm: Floats
    pr_ms: Floats
    p_centre_ms: Floats  # (n, 2) after the onset of P
    p_width_ms: Floats  # (n, 2)
    qrs_ms: Floats
    qtc_ms: Floats
    t_fall_ms: Floats
    t_rise_ms: Floats
    t_fall_power: Floats
    t_rise_power: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """How far potassium is above (``hyper``) and below (``hypo``) the range without effect, in mmol/L; (n,) each.

    ``hypo_steep`` grows faster than linearly; ``distance`` is from the middle, signed.
    """

    hyper: Floats
    hypo: Floats
    hypo_steep: Floats
    distance: Floats


def drive(felt_mmol_l: Floats) -> Drive:
    """Soft thresholds of the potassium that the heart feels, (n,) in mmol/L."""
    hyper = _softplus(felt_mmol_l - HYPER_KNEE_MMOL_L) - _softplus(REFERENCE_MMOL_L - HYPER_KNEE_MMOL_L)
    hypo = _softplus(HYPO_KNEE_MMOL_L - felt_mmol_l) - _softplus(HYPO_KNEE_MMOL_L - REFERENCE_MMOL_L)
    hyper, hypo = np.maximum(hyper, 0.0), np.maximum(hypo, 0.0)
    return Drive(hyper=hyper, hypo=hypo, hypo_steep=hypo + 0.5 * hypo**2, distance=felt_mmol_l - REFERENCE_MMOL_L)


def _softplus(x: Floats | float) -> Floats:
    return KNEE_WIDTH_MMOL_L * np.logaddexp(0.0, np.asarray(x) / KNEE_WIDTH_MMOL_L)


def shape_beats(traits: Traits, visit: Visit, potassium_mmol_l: Floats) -> Shape:
    """The beats of n recordings at the given potassium (n,) in mmol/L, true and not as recorded."""
    s = traits.sensitivity
    felt = potassium_mmol_l - s.set_point_mmol_l
    k = drive(felt)
    raised = _Raised.of(s, felt)
    hr = _heart_rate(traits, visit, k, raised)
    qrs_ms = np.clip(_qrs_duration(traits, k, raised), 60.0, 300.0)
    t_fall, t_rise = _t_widths(traits, visit, k, raised, qrs_ms / traits.qrs_ms)
    p_centre, p_width = _p_timing(traits, k, raised)
    pr = traits.pr_ms + visit.pr_ms + 10.0 * raised.conduction * k.hyper + 5.0 * k.hypo
    qtc = traits.qtc_ms + visit.qtc_ms + 18.0 * np.minimum(s.qt * k.hypo, 3.5) - 6.0 * s.qt * k.hyper
    return Shape(
        amplitude_mv=_amplitudes(traits, visit, _vectors(traits, visit, k, raised, qrs_ms, hr)),
        qrs_centre=traits.qrs_centre,
        qrs_width=traits.qrs_width,
        hr_bpm=hr,
        pr_ms=np.clip(pr, 90.0, 380.0),
        p_centre_ms=p_centre,
        p_width_ms=p_width,
        qrs_ms=qrs_ms,
        qtc_ms=np.clip(qtc + 0.55 * (qrs_ms - traits.qrs_ms), 300.0, 620.0),
        t_fall_ms=t_fall,
        t_rise_ms=t_rise,
        t_fall_power=traits.t_fall_power,
        t_rise_power=traits.t_fall_power + (traits.t_rise_power - traits.t_fall_power) * _asymmetry_left(k, raised),
    )


@dataclass(frozen=True, slots=True)
class _Raised:
    """Sensitivities of hyperkalaemic effects: from about 7.3 mmol/L on nobody stays without effect."""

    t_height: Floats
    t_width: Floats
    qrs: Floats
    p: Floats
    conduction: Floats

    @classmethod
    def of(cls, s: Sensitivity, felt_mmol_l: Floats) -> _Raised:
        least = 0.6 / (1.0 + np.exp(-(felt_mmol_l - 7.3) / 0.35))
        return cls(*(np.maximum(x, least) for x in (s.t_height, s.t_width, s.qrs, s.p, s.conduction)))


def _heart_rate(traits: Traits, visit: Visit, k: Drive, raised: _Raised) -> Floats:
    slowing = 7.0 * raised.conduction * np.maximum(k.hyper - 1.2, 0.0)
    return np.clip(traits.hr_bpm + visit.hr_bpm + 2.0 * k.hypo - slowing, 32.0, 160.0)


def _qrs_duration(traits: Traits, k: Drive, raised: _Raised) -> Floats:
    # Conduction time against potassium as in the ten Tusscher-Panfilov (2006) fibre.
    return traits.qrs_ms + 92.0 * raised.qrs * np.minimum(0.015 * k.hyper + 0.011 * k.hyper**3, 1.2)


def _t_widths(traits: Traits, visit: Visit, k: Drive, raised: _Raised, widening: Floats) -> tuple[Floats, Floats]:
    sine = np.maximum(1.0, widening / 1.2) ** 1.2
    narrowing = np.clip(np.exp(-0.075 * raised.t_width * k.distance), 0.55, 1.28)
    fall = traits.t_peak_end_ms / 2.0 * visit.t_width_factor * narrowing * sine
    asymmetry = traits.t_asymmetry * visit.t_asymmetry_factor
    asymmetry = 1.0 + (asymmetry - 1.0) * _asymmetry_left(k, raised)
    return fall, fall * (1.0 + (asymmetry - 1.0) / sine)


def _asymmetry_left(k: Drive, raised: _Raised) -> Floats:
    """Share of T's asymmetry, in width and in the foot of its rise, that high potassium leaves."""
    left: Floats = np.exp(-0.45 * raised.t_width * k.hyper)
    return left


def _p_timing(traits: Traits, k: Drive, raised: _Raised) -> tuple[Floats, Floats]:
    """Centres and widths (n, 2) of the two atria's waves in ms."""
    stretch = 1.0 + 0.06 * np.minimum(raised.p * k.hyper, 8.0) + 0.02 * k.hypo
    right = P_CENTRE_MS[0] * traits.p_width
    left = right + (P_CENTRE_MS[1] - P_CENTRE_MS[0]) * traits.p_lag
    width = np.outer(stretch * traits.p_width, P_WIDTH_MS)
    return stretch[:, None] * np.column_stack([right, left]), width


def _vectors(traits: Traits, visit: Visit, k: Drive, raised: _Raised, qrs_ms: Floats, hr: Floats) -> Floats:
    """(n, KERNELS, 3) vectors of all kernels in mV."""
    s = traits.sensitivity
    vectors = np.zeros((hr.size, KERNELS, 3))
    shrink = (qrs_ms / traits.qrs_ms) ** -0.35
    vectors[:, : Kernel.P] = traits.qrs_mv * (visit.qrs_factor * shrink[:, None])[:, :, None]
    late = np.minimum(raised.qrs * np.maximum(k.hyper - 1.0, 0.0), 4.0)
    vectors[:, 4] += late[:, None] * np.array([-0.03, -0.08, 0.10])
    vectors[:, Kernel.P : Kernel.TA] = traits.p_mv * _p_factor(k, raised)[:, None, None]
    vectors[:, Kernel.TA] = -TA_SHARE * vectors[:, Kernel.P : Kernel.TA].sum(axis=1)
    t = _t_vector(traits, visit, k, raised, hr)
    vectors[:, Kernel.T] = t
    vectors[:, Kernel.T_LOOP] = traits.t_loop * np.linalg.norm(t, axis=1, keepdims=True)
    u = traits.u_mv * (0.7 + 0.3 * 72.0 / hr) + 0.028 * np.minimum(s.u * k.hypo_steep, 7.0)
    u = (u + 0.012 * (traits.conditions.digoxin | traits.conditions.qt_drug)) * np.exp(-0.6 * s.u * k.hyper)
    vectors[:, Kernel.U] = u[:, None] * traits.u_direction
    depression = 0.022 * np.minimum(s.st * k.hypo**1.4, 5.0)
    vectors[:, Kernel.ST] = traits.st_mv - depression[:, None] * INJURY_DIRECTION
    vectors[:, Kernel.SCOOP] = traits.scoop_mv
    return vectors


def _p_factor(k: Drive, raised: _Raised) -> Floats:
    x = raised.p * k.hyper
    fading = np.exp(-0.22 * raised.p * k.hyper**1.15)
    lost = 1.0 / (1.0 + np.exp(-np.minimum((x - 3.3) / 0.3, 50.0)))
    return fading * (1.0 + 0.03 * k.hypo) * (1.0 - lost)


def _t_vector(traits: Traits, visit: Visit, k: Drive, raised: _Raised, hr: Floats) -> Floats:
    rate = np.clip(1.0 - 0.0045 * (hr - 72.0), 0.6, 1.2)
    t = traits.t_mv * (rate * visit.t_factor)[:, None] + visit.t_mv
    direction = traits.potassium_direction
    low = traits.sensitivity.t_height * k.hypo_steep
    t = t * np.maximum(0.15, 1.0 - 0.085 * low)[:, None] - np.minimum(0.028 * low, 0.24)[:, None] * direction
    high = raised.t_height * k.hyper
    return t * (1.0 + 0.10 * high)[:, None] + (0.085 * high)[:, None] * direction


def _amplitudes(traits: Traits, visit: Visit, vectors: Floats) -> Floats:
    dipolar = np.einsum("nlc,nkc->nlk", visit.lead_vectors, vectors)
    length = np.linalg.norm(vectors, axis=2)
    residual = traits.residual * length[:, None, :]
    amplitude: Floats = visit.lead_mixing @ (dipolar + residual)
    return amplitude
