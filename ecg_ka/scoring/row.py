"""One ECG of an archive as a row of plain values: the same columns whatever became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

from ecg_ka.errors import one_line
from ecg_ka.estimate import Estimate, Interval, Probability
from ecg_ka.estimator import THRESHOLDS

Value = str | float | int | None
Row = list[Value]
"""Values in the order of :data:`COLUMNS`."""


class Kind(Enum):
    """What a column holds."""

    TEXT = "text"
    NUMBER = "number"


class Status(StrEnum):
    """What became of an ECG."""

    ESTIMATED = "estimated"
    WITHHELD = "withheld"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of every table."""

    name: str
    kind: Kind = Kind.TEXT


def _number(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, Kind.NUMBER) for name in names)


def _probability_name(comparator: str, threshold_mmol_l: float) -> str:
    side = {">=": "at_least", "<": "below"}[comparator]
    return f"p_{side}_{threshold_mmol_l:.1f}".replace(".", "_")


COLUMNS = (
    *map(Column, ("file", "status")),
    *_number("potassium_mmol_l", "median_mmol_l", "lower_mmol_l", "upper_mmol_l", "level"),
    *_number("label_conditional_lower_mmol_l", "label_conditional_upper_mmol_l", "epistemic_sd_mmol_l"),
    *_number(*(_probability_name(*threshold) for threshold in THRESHOLDS)),
    *map(Column, ("category", "bands", "severe_bands", "region")),
    *_number("few_shot_share", "novelty_p", "heart_rate_bpm", "qrs_ms"),
    *map(Column, ("signal_grade", "flags", "withheld_because", "notes", "ecg_format", "ecg_sha256", "acquired_at")),
    *_number("fs_hz", "duration_s", "window_start_s"),
    *map(Column, ("error", "reason", "model", "model_sha256", "notice")),
)
"""Of every table. ``error`` and ``reason`` tell why an ECG was refused; ``notice`` stands in every row, so that rows
that are copied elsewhere keep it."""

_PLACE = {column.name: place for place, column in enumerate(COLUMNS)}


def estimated_row(file: str, estimate: Estimate, always: dict[str, Value]) -> Row:
    """The row of an answer; ``always`` is what every row says about the model."""
    novelty, region = estimate.novelty, estimate.region
    status = Status.WITHHELD if estimate.abstained else Status.ESTIMATED
    values: dict[str, Value] = {
        "file": file,
        "status": status.value,
        "potassium_mmol_l": estimate.potassium_mmol_l,
        "median_mmol_l": estimate.median_mmol_l,
        "epistemic_sd_mmol_l": estimate.epistemic_sd_mmol_l,
        "category": estimate.category,
        "bands": _words(estimate.bands),
        "severe_bands": _words(estimate.severe_bands),
        "region": region.name if region else None,
        "few_shot_share": region.few_shot_share if region else None,
        "novelty_p": novelty.p_value if novelty else None,
        "heart_rate_bpm": estimate.quality.heart_rate_bpm,
        "qrs_ms": estimate.quality.qrs_ms,
        "signal_grade": estimate.quality.grade,
        "flags": _words(estimate.flags),
        "withheld_because": "; ".join(estimate.abstain_reasons) or None,
        "notes": "; ".join(estimate.ecg.notes) or None,
        "ecg_format": estimate.ecg.format,
        "ecg_sha256": estimate.ecg.sha256,
        "acquired_at": estimate.ecg.acquired_at,
        "fs_hz": estimate.ecg.fs_in_hz,
        "duration_s": estimate.ecg.duration_s,
        "window_start_s": estimate.ecg.window_start_s,
    }
    by_label = _interval("label_conditional_", estimate.interval_label_conditional)
    by_label.pop("label_conditional_level", None)
    return _row(values | _interval("", estimate.interval) | by_label | _probabilities(estimate.probabilities) | always)


def refused_row(file: str, error: str, reason: str, always: dict[str, Value]) -> Row:
    """The row of an ECG that has no answer: the name of the error, and what it says."""
    told = {"file": file, "status": Status.REFUSED.value, "error": error, "reason": reason}
    return _row({**told, **always})


def value_of(row: Row, name: str) -> Value:
    """The value of one column."""
    return row[_PLACE[name]]


def _row(values: dict[str, Value]) -> Row:
    row: Row = [None] * len(COLUMNS)
    for name, value in values.items():
        row[_PLACE[name]] = one_line(value) if isinstance(value, str) else value
    return row


def _interval(prefix: str, interval: Interval | None) -> dict[str, Value]:
    if interval is None:
        return {}
    return {
        f"{prefix}lower_mmol_l": interval.lower,
        f"{prefix}upper_mmol_l": interval.upper,
        f"{prefix}level": interval.level,
    }


def _probabilities(probabilities: Sequence[Probability] | None) -> dict[str, Value]:
    return {_probability_name(p.comparator, p.threshold_mmol_l): p.p for p in probabilities or ()}


def _words(values: Sequence[Any] | None) -> str | None:
    """Names in one cell; an empty set is an empty text, no set is None."""
    return None if values is None else " ".join(map(str, values))
