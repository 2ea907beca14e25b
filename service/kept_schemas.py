"""What goes in and out of batches, feedback, monitoring, quality and the audit trail."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from service.storage.store import FIRST_YEAR, LAST_YEAR


class _Out(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BatchOut(_Out):
    """How far a batch is. ``n_workers`` is how many workers were heard of lately: with none, nothing moves."""

    id: str
    state: Literal["running", "done"]
    created_at: datetime
    finished_at: datetime | None
    n_ecgs: int
    n_done: int
    n_refused: int
    n_workers: int


class BatchEcgOut(_Out):
    """Which files are the ECG at this position. Names are told here and kept nowhere."""

    position: int
    names: list[str]


class BatchSubmittedOut(_Out):
    """A batch that is kept, and what it holds."""

    batch: BatchOut
    ecgs: list[BatchEcgOut]


def _in_our_time(time: datetime) -> datetime:
    if not FIRST_YEAR <= time.year <= LAST_YEAR:
        raise ValueError(f"not between {FIRST_YEAR} and {LAST_YEAR}")
    return time


TimeIn = Annotated[
    datetime, AfterValidator(_in_our_time), Field(json_schema_extra={"pattern": r"^(19\d\d|2[01]\d\d|2200)-"})
]
"""A time at which a patient may have been seen."""


class LaboratoryIn(BaseModel):
    """What a laboratory says beside a value. ``haemolysed``: whether it reported haemolysis."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)  # of JSON: times are texts there

    unit: Annotated[
        Literal["mmol/L", "mEq/L"], Field(description="unit of the value; for potassium these two are equal")
    ]
    collected_at: Annotated[
        TimeIn, Field(description="when the blood was taken", examples=["2024-05-06T07:30:00+02:00"])
    ]
    haemolysed: bool


class FeedbackIn(LaboratoryIn):
    """A laboratory value that came after an estimate. ``patient`` is the caller's pseudonym of the patient, kept as a
    keyed hash that also holds the day; without it the value is kept and not counted."""

    estimate_id: Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="X-Estimate-ID of the estimate")]
    potassium: Annotated[float, Field(ge=0.5, le=15, allow_inf_nan=False, description="the value", examples=[5.9])]
    patient: Annotated[str | None, Field(min_length=1, max_length=200, examples=["study-0042"])] = None


class FeedbackOut(_Out):
    """A laboratory value that is kept. Not every value is ``counted`` in the metrics: ``reasons`` say why."""

    id: str
    estimate_id: str
    potassium_mmol_l: float
    minutes_after_ecg: float | None
    counted: bool
    reasons: list[str]


class AccuracyOut(_Out):
    """Errors of the estimate (estimate minus laboratory) and coverage of the marginal interval, over ``n`` pairs whose
    laboratory value lies in the region. ``level`` is what the intervals promise over all ECGs."""

    region: Literal["all", "many", "median", "few"]
    n: int
    mae_mmol_l: float | None
    bias_mmol_l: float | None
    coverage: float | None
    level: float | None


class ReliabilityOut(_Out):
    """A calibrated probability beside what happened: they agree when ``mean_p`` is near ``observed``."""

    comparator: str
    threshold_mmol_l: float
    n: int
    mean_p: float | None
    observed: float | None
    brier: float | None


class PredictionsOut(_Out):
    """The estimates beside the training labels; the distance is Wasserstein-1, as in Dist Loss, in mmol/L."""

    n: int
    mean_mmol_l: float | None
    training_mean_mmol_l: float
    quantiles_mmol_l: dict[str, float]
    wasserstein_mmol_l: float | None


class DriftOut(_Out):
    """A feature of the ECGs in the window beside the first ones that this model saw here. ``shift`` is their
    Wasserstein-1 distance over the standard deviation of the first ones: 0 is none."""

    feature: str
    n_reference: int
    n: int
    reference_mean: float | None
    mean: float | None
    shift: float | None


class MonitoringOut(_Out):
    """How the loaded model does here, over the last ``window_days``; of many estimates the newest 20,000."""

    model_sha256: str
    window_days: int
    selection: str
    n_estimates: int
    abstention_rate: float | None
    flag_rates: dict[str, float]
    predictions: PredictionsOut
    drift: list[DriftOut]
    accuracy: list[AccuracyOut]
    reliability: list[ReliabilityOut]
    not_counted: dict[str, int]
    disclaimer: str


class LeadQualityOut(_Out):
    """The quality of one lead."""

    lead: str
    grade: str
    flat: bool
    disconnected: bool
    inconsistent: bool
    clipped_fraction: float
    noise_uv: float
    wander_mv: float
    amplitude_mv: float


class QualityReportOut(_Out):
    """The signal quality of one ECG, lead by lead, without an estimate."""

    grade: str
    heart_rate_bpm: float | None
    n_beats: int
    flags: list[str]
    notes: list[str]
    leads: list[LeadQualityOut]
    disclaimer: str


class AuditEntryOut(_Out):
    """One link of the audit trail."""

    seq: int
    at: str
    actor: str
    action: str
    object: str
    request_id: str
    previous: str
    hash: str


class AuditOut(_Out):
    """Whether the trail is whole, and a part of it; ``next`` is the ``after`` of the next part."""

    n_entries: int
    head: str
    fault: str | None
    entries: list[AuditEntryOut]
    next: int | None
