"""What goes out over HTTP, and CDS Hooks. The answer mirrors ``ecg_ka.Estimate`` field by field and has no defaults."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ecg_ka import BANDS_SENTENCE, SEVERE_SENTENCE, Band, Category, SevereBand, Wave


class _Out(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class IntervalOut(_Out):
    """Bounds in mmol/L that hold with probability ``level``; ``method`` names what they guarantee: ``marginal`` over
    all ECGs alike, ``label_conditional`` within each true region. ``coverage_at_least_5_5``: the share of the
    calibration ECGs with K >= 5.5 whose value such an interval holds."""

    lower: float
    upper: float
    level: float
    method: str
    coverage_at_least_5_5: float | None


class ProbabilityOut(_Out):
    """Calibrated probability ``p`` that potassium, as a laboratory records it, is ``comparator`` the threshold."""

    comparator: str
    threshold_mmol_l: float
    p: float


class DistributionOut(_Out):
    """The calibrated predictive distribution in steps: ``p[k]`` is the probability that potassium, as a laboratory
    records it, lies from ``lower_mmol_l + k * step_mmol_l`` up to the next step. They add up to 1, and above a
    threshold to its probability; the first and the last hold the tails too. A laboratory rounds to steps of
    ``label_step_mmol_l`` (0: not at all), so that what is not yet rounded begins half of one lower."""

    lower_mmol_l: float
    step_mmol_l: float
    label_step_mmol_l: float
    p: list[float]


class RegionOut(_Out):
    """How much training data stands behind the estimate: many, median or few."""

    name: str
    training_density: float
    n_train_near: int
    interval_reaches: list[str]
    few_shot_share: float


class PatientOffsetOut(_Out):
    """By how much estimates of this patient lie above those of others at the same potassium, as far as earlier ECGs
    with a measured potassium tell."""

    n_pairs: int
    offset_mmol_l: float
    sd_mmol_l: float


class FlagOut(_Out):
    """Something that a reader of the estimate has to know, and one sentence about it."""

    name: str
    sentence: str


class QualityOut(_Out):
    """Signal quality, overall and by lead."""

    grade: str
    leads: dict[str, str]
    heart_rate_bpm: float | None
    qrs_ms: float | None


class NoveltyOut(_Out):
    """How far the ECG lies from the training ECGs: ``distance`` is 1 where 5 % of those lie farther, ``p_value`` the
    share of ECGs like the calibration ECGs that lie at least as far."""

    distance: float
    p_value: float


class EcgOut(_Out):
    """Which ECG was read, and what was assumed or converted on the way."""

    sha256: str
    format: str
    device: str | None
    acquired_at: str | None
    fs_in_hz: float
    units_in: str
    leads_found: list[str]
    leads_derived: list[str]
    duration_s: float
    window_start_s: float
    notes: list[str]


class ModelIdentityOut(_Out):
    """Which model answered."""

    name: str
    version: str
    sha256: str
    preprocessing_sha256: str
    trained_on: str
    calibrated_on: str
    n_calibration: int
    intended_use: str


_CATEGORIES = " ".join(f"{category}: {category.sentence}" for category in Category)


class EstimateOut(_Out):
    """The estimate for one ECG, potassium in mmol/L. What does not apply is null; no field is ever left out.

    ``potassium_mmol_l`` is null when the value is withheld; ``abstain_reasons`` then says why.
    """

    potassium_mmol_l: float | None
    median_mmol_l: float | None
    epistemic_sd_mmol_l: float | None
    interval: IntervalOut | None
    interval_label_conditional: IntervalOut | None
    probabilities: list[ProbabilityOut] | None
    distribution: DistributionOut | None
    category: Annotated[Category | None, Field(description=_CATEGORIES)]
    bands: Annotated[list[Band] | None, Field(description=BANDS_SENTENCE)]
    severe_bands: Annotated[list[SevereBand] | None, Field(description=SEVERE_SENTENCE)]
    region: RegionOut | None
    personal: PatientOffsetOut | None
    flags: list[FlagOut]
    abstained: bool
    abstain_reasons: list[str]
    quality: QualityOut
    novelty: NoveltyOut | None
    ecg: EcgOut
    model: ModelIdentityOut
    timing_ms: float
    disclaimer: str


class WaveEffectOut(_Out):
    """By how much the estimate changes when a wave of these leads is replaced, ``T(U)`` by a usual T, the others by
    the baseline: below zero where the wave raises it. Null when the ECG has no such wave."""

    wave: Wave
    leads: list[str]
    change_mmol_l: float | None


class WaveSpanOut(_Out):
    """Where one wave of one beat lies, in seconds from the start of the ECG."""

    wave: Wave
    start_s: float
    stop_s: float


class ExplanationOut(_Out):
    """Which part of the beat moves the estimate. ``effects`` by wave and lead group, those of all leads last. It tells
    how the network answers to a changed signal, not why the patient's ECG looks as it does."""

    potassium_mmol_l: float
    effects: list[WaveEffectOut]
    spans: list[WaveSpanOut]
    flags: list[FlagOut]
    ecg: EcgOut
    model: ModelIdentityOut
    disclaimer: str


class SignalSpecOut(_Out):
    """What the network is fed with."""

    leads: list[str]
    required_leads: list[str]
    min_chest_leads: int
    fs_hz: float
    duration_s: float
    min_duration_s: float
    high_pass_hz: float
    low_pass_hz: float


class RegionsOut(_Out):
    """Edges in mmol/L: many between ``many_low`` and ``many_high``, few below ``few_low`` or above ``few_high``."""

    few_low: float
    many_low: float
    many_high: float
    few_high: float


class ProvenanceOut(_Out):
    """How the bundle came about; ``is_simulated`` marks a model that never saw a patient."""

    name: str
    version: str
    is_simulated: bool
    trained_on: str
    calibrated_on: str
    intended_use: str
    licences: list[str]
    label_distribution_sha256: str
    training: dict[str, Any]


class OperatingPointsOut(_Out):
    """Calibrated probabilities above which ``category`` is an alarm."""

    at_least_5_5: float
    below_3_5: float


class PolicyOut(_Out):
    """The flags that withhold the value where their finding is grave; OUT_OF_DISTRIBUTION is raised up to the p-value
    ``novelty_p``."""

    withhold: list[str]
    novelty_p: float


class DensityOut(_Out):
    """How many training labels lie in each bin of 0.1 mmol/L, from ``first_bin`` (in steps of 0.1 mmol/L) upwards; of
    the natural cohort, one a patient. ``n_train`` patients trained the network."""

    first_bin: int
    counts: list[int]
    n_train: int


class WordsOut(_Out):
    """What the codes of an answer say in words, and what the bands promise."""

    category: dict[Category, str]
    bands: dict[Band, str]
    severe_bands: dict[SevereBand, str]
    bands_sentence: str
    severe_sentence: str


class ModelOut(_Out):
    """The loaded bundle: what it is, where it comes from, what it takes and what was measured."""

    identity: ModelIdentityOut
    provenance: ProvenanceOut
    signal: SignalSpecOut
    regions: RegionsOut
    density: DensityOut
    operating_points: OperatingPointsOut
    policy: PolicyOut
    members: int
    wide_interval_mmol_l: float
    metrics: dict[str, Any]
    words: WordsOut
    disclaimer: str


class ModelReloadOut(_Out):
    """Which model answered before and which does now; ``largest_difference`` is by how much it answers its reference
    ECGs otherwise than where it was made, in mmol/L."""

    before: ModelIdentityOut | None
    now: ModelIdentityOut
    n_references: int
    largest_difference: float


class TracingOut(_Out):
    """The part of an ECG that the model looks at, as it was recorded: ``signal_uv`` has the samples of each lead in
    microvolt, the first of them ``start_s`` after the start of the file."""

    fs_hz: float
    start_s: float
    leads: list[str]
    leads_derived: list[str]
    signal_uv: list[list[int]]


class CdsRequest(BaseModel):
    """What is read of a CDS Hooks request; the rest of it is not looked at, its ``fhirServer`` and tokens above all."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    hook: Literal["patient-view"]
    hookInstance: Annotated[str, Field(min_length=1, max_length=128)]  # noqa: N815 - named by CDS Hooks
    context: CdsContext
    prefetch: Annotated[dict[str, Any] | None, Field(description="what GET /cds-services asks for; null if none")] = (
        None
    )


class CdsContext(BaseModel):
    """Whose record is open."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    patientId: Annotated[str, Field(pattern=r"^[A-Za-z0-9.\-]{1,64}$")]  # noqa: N815 - named by CDS Hooks


class CdsServicesOut(_Out):
    """The one service there is, as CDS Hooks describes services."""

    services: list[dict[str, Any]]


class CdsCardsOut(_Out):
    """At most one card, below 140 characters, whose only suggestion is a confirmatory serum potassium."""

    cards: list[dict[str, Any]]


class HealthOut(_Out):
    """A word on the state of the service."""

    status: str


class Problem(_Out):
    """Why there is no answer (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
