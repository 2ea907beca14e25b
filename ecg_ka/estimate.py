"""The answer: one frozen object from which every output is derived."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from ecg_ka.errors import EcgError
from ecg_ka.flags import Flag

DISCLAIMER = (
    "Research use only, not a medical device. This is an estimate from an ECG, not a laboratory measurement: it can "
    "bring a laboratory test forward and must never delay, replace or cancel one."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Bounds in mmol/L that hold with probability ``level``; ``method`` names what they guarantee."""

    lower: float
    upper: float
    level: float
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Probability:
    """Calibrated probability ``p`` that potassium is ``comparator`` (``">="`` or ``"<"``) the threshold."""

    comparator: str
    threshold_mmol_l: float
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """How much training data stands behind the estimate.

    ``name`` is many, median or few; ``training_density`` is the share of training labels per mmol/L at the estimate;
    ``n_train_near`` counts training labels, one a patient, within 0.1 mmol/L of it; ``interval_reaches`` lists the
    regions that the interval touches and ``few_shot_share`` the part of the predictive distribution that lies in
    few-shot regions.
    """

    name: str
    training_density: float
    n_train_near: int
    interval_reaches: tuple[str, ...]
    few_shot_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QualitySummary:
    """Signal quality, overall and by lead, each as a grade in one word."""

    grade: str
    leads: dict[str, str]
    heart_rate_bpm: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EcgProvenance:
    """Which ECG was read, and what was assumed, converted or doubted on the way (``notes``)."""

    sha256: str
    format: str
    device: str | None
    acquired_at: str | None
    fs_in_hz: float
    units_in: str
    leads_found: tuple[str, ...]
    leads_derived: tuple[str, ...]
    duration_s: float
    window_start_s: float
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """Which model answered."""

    name: str
    version: str
    sha256: str
    preprocessing_sha256: str
    trained_on: str
    calibrated_on: str
    n_calibration: int
    intended_use: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The answer for one ECG; potassium in mmol/L. What does not apply is None, and no field is ever left out.

    ``potassium_mmol_l`` is the estimate of the network, stretched to the spread of the labels by its training; it is
    None when the value is withheld. ``median_mmol_l`` is the median of the calibrated predictive distribution, from
    which ``interval`` and ``probabilities`` come too. ``category``, ``bands``, ``interval_label_conditional`` and
    ``novelty`` are None as long as the bundle has no calibration for them.
    """

    potassium_mmol_l: float | None
    median_mmol_l: float | None
    interval: Interval | None
    interval_label_conditional: Interval | None
    probabilities: tuple[Probability, ...] | None
    category: str | None
    bands: tuple[str, ...] | None
    region: Region | None
    flags: tuple[Flag, ...]
    abstained: bool
    abstain_reasons: tuple[str, ...]
    quality: QualitySummary
    novelty: float | None
    ecg: EcgProvenance
    model: ModelIdentity
    timing_ms: float
    disclaimer: str = DISCLAIMER

    def to_dict(self) -> dict[str, Any]:
        """The answer in plain JSON types; flags become ``{"name", "sentence"}``."""
        return {**asdict(self), "flags": [{"name": str(flag), "sentence": flag.sentence} for flag in self.flags]}


def refusal_dict(error: EcgError) -> dict[str, Any]:
    """The same keys as :meth:`Estimate.to_dict` for an ECG that could not be estimated: every value None, withheld,
    with the reason."""
    answer: dict[str, Any] = dict.fromkeys(field.name for field in fields(Estimate))
    reason = {"abstained": True, "abstain_reasons": [str(error)], "flags": [], "disclaimer": DISCLAIMER}
    return answer | reason
