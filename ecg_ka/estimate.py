"""The answer: one frozen object from which every output is derived."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

import orjson

from ecg_ka.errors import EcgError
from ecg_ka.flags import Flag

DISCLAIMER = (
    "Research use only, not a medical device. This is an estimate from an ECG, not a laboratory measurement: it can "
    "bring a laboratory test forward and must never delay, replace or cancel one."
)


BANDS_ALPHA = 0.05
"""Of the ECGs that truly lie in a band, at most this share gets an answer without it."""

BANDS_SENTENCE = f"Of ECGs with K >= 5.5, at most {100 * BANDS_ALPHA:g} % get an answer without this band."
"""What the bands promise, to those who read an answer."""

SEVERE_SENTENCE = (
    f"Of ECGs with K < 3.0, at most {100 * BANDS_ALPHA:g} % get an answer without that band; the same holds for "
    "K >= 6.0 and for K >= 6.5, each by itself."
)
"""What the severe bands promise."""

FALSE_ALARM_SHARE = 0.10
"""Of the ECGs on the other side of an alarm's threshold, at most this share gives the alarm."""


class Band(StrEnum):
    """Where potassium may lie, from low to high."""

    BELOW_3_5 = "below_3_5"
    FROM_3_5_TO_5_4 = "3_5_to_5_4"
    FROM_5_5 = "5_5_and_above"

    @property
    def words(self) -> str:
        """The band as it is printed."""
        return _BAND_WORDS[self]


class SevereBand(StrEnum):
    """Parts of the outer bands, from low to high. Each has a guarantee of its own, so that a set may hold one without
    the wider band around it."""

    BELOW_3_0 = "below_3_0"
    FROM_6_0 = "6_0_and_above"
    FROM_6_5 = "6_5_and_above"

    @property
    def words(self) -> str:
        """The band as it is printed."""
        return _SEVERE_WORDS[self]


class Category(StrEnum):
    """Which calibrated probability exceeds its operating point; :attr:`sentence` says what that means."""

    ALARM_BELOW_3_5 = "alarm_below_3_5"
    ALARM_5_5_AND_ABOVE = "alarm_5_5_and_above"
    NO_ALARM = "no_alarm"

    @property
    def sentence(self) -> str:
        """One sentence that explains the category to a clinician."""
        return _CATEGORY_SENTENCES[self]


_BAND_WORDS = {Band.BELOW_3_5: "K < 3.5", Band.FROM_3_5_TO_5_4: "K 3.5-5.4", Band.FROM_5_5: "K >= 5.5"}
_SEVERE_WORDS = {SevereBand.BELOW_3_0: "K < 3.0", SevereBand.FROM_6_0: "K >= 6.0", SevereBand.FROM_6_5: "K >= 6.5"}
_CATEGORY_SENTENCES = {
    Category.ALARM_BELOW_3_5: "The probability of K < 3.5 is higher than in 90 % of the calibration ECGs with "
    "K >= 3.5.",
    Category.ALARM_5_5_AND_ABOVE: "The probability of K >= 5.5 is higher than in 90 % of the calibration ECGs with "
    "K < 5.5.",
    Category.NO_ALARM: "Neither the probability of K >= 5.5 nor that of K < 3.5 exceeds its operating point; this "
    "places potassium in no range.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Bounds in mmol/L that hold with probability ``level``; ``method`` names what they guarantee: ``marginal`` over
    all ECGs alike, ``label_conditional`` within each true region.

    ``coverage_at_least_5_5``: the share of the calibration ECGs with K >= 5.5 whose value such an interval holds; None
    when the calibration data had none.
    """

    lower: float
    upper: float
    level: float
    method: str
    coverage_at_least_5_5: float | None

    @property
    def percent(self) -> str:
        """The level as it is printed, not rounded."""
        return f"{100 * self.level:g}%"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probability:
    """Calibrated probability ``p`` that potassium, as a laboratory records it, is ``comparator`` (``">="`` or ``"<"``)
    the threshold."""

    comparator: str
    threshold_mmol_l: float
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """The calibrated predictive distribution in steps: ``p[k]`` is the probability that potassium, as a laboratory
    records it, lies from ``lower_mmol_l + k * step_mmol_l`` up to the next step. They add up to 1, and above a
    threshold to its :class:`Probability`; the first and the last hold the tails too. A laboratory rounds to steps of
    ``label_step_mmol_l`` (0: not at all), so that what is not yet rounded begins half of one lower."""

    lower_mmol_l: float
    step_mmol_l: float
    label_step_mmol_l: float
    p: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """How much training data stands behind the estimate.

    ``name`` is many, median or few; ``training_density`` is the share of training labels per mmol/L at the estimate;
    ``n_train_near`` of them, one a patient, lie within 0.1 mmol/L of it (both of the natural cohort, before any
    enrichment, scaled to the size of the training set); ``interval_reaches`` lists the
    regions that the interval touches and ``few_shot_share`` the part of the predictive distribution that lies in
    few-shot regions.
    """

    name: str
    training_density: float
    n_train_near: int
    interval_reaches: tuple[str, ...]
    few_shot_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientOffset:
    """By how much estimates of this patient lie above those of others at the same potassium, as far as ``n_pairs``
    earlier ECGs with a measured potassium tell, and the SD of what they leave open."""

    n_pairs: int
    offset_mmol_l: float
    sd_mmol_l: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QualitySummary:
    """Signal quality, overall and by lead, each as a grade in one word; heart rate and QRS width as measured."""

    grade: str
    leads: dict[str, str]
    heart_rate_bpm: float | None
    qrs_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Novelty:
    """How far an ECG lies from the training ECGs: ``distance`` is 1 where 5 % of those lie farther, ``p_value`` the
    share of ECGs like the calibration ECGs that lie at least as far."""

    distance: float
    p_value: float


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
    which ``interval``, ``probabilities``, ``distribution`` and ``category`` come too. ``interval_label_conditional``,
    ``bands`` and ``severe_bands`` hold for each kind of true value and surround the estimate. ``personal`` is the
    patient's own offset, taken off the estimate before anything else; None without earlier pairs.
    ``epistemic_sd_mmol_l`` is the standard deviation of the members' estimates, None for a model of one. ``novelty`` is
    None where the signal alone withholds the value.
    """

    potassium_mmol_l: float | None
    median_mmol_l: float | None
    epistemic_sd_mmol_l: float | None
    interval: Interval | None
    interval_label_conditional: Interval | None
    probabilities: tuple[Probability, ...] | None
    distribution: Distribution | None
    category: Category | None
    bands: tuple[Band, ...] | None
    severe_bands: tuple[SevereBand, ...] | None
    region: Region | None
    personal: PatientOffset | None
    flags: tuple[Flag, ...]
    abstained: bool
    abstain_reasons: tuple[str, ...]
    quality: QualitySummary
    novelty: Novelty | None
    ecg: EcgProvenance
    model: ModelIdentity
    timing_ms: float
    disclaimer: str = DISCLAIMER

    def to_json(self) -> bytes:
        """The answer as JSON in UTF-8; flags become ``{"name", "sentence"}``, numbers of numpy plain ones."""
        values = {name: getattr(self, name) for name in _FIELDS}
        values["flags"] = [{"name": str(flag), "sentence": flag.sentence} for flag in self.flags]
        return orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)

    def to_dict(self) -> dict[str, Any]:
        """The same in plain types."""
        answer: dict[str, Any] = orjson.loads(self.to_json())
        return answer


_FIELDS = tuple(field.name for field in fields(Estimate))


def refusal_dict(error: EcgError) -> dict[str, Any]:
    """The same keys as :meth:`Estimate.to_dict` for an ECG that could not be estimated: every value None, withheld,
    with the reason."""
    answer: dict[str, Any] = dict.fromkeys(_FIELDS)
    reason = {"abstained": True, "abstain_reasons": [str(error)], "flags": [], "disclaimer": DISCLAIMER}
    return answer | reason
