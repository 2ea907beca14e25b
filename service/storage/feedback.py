"""Laboratory values that came later, each beside its estimate; which of them are fair to count."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, select

from service.errors import UnknownEstimate
from service.storage.replays import once
from service.storage.store import Act, Store, now
from service.storage.tables import ESTIMATES, FEEDBACK

MAX_APART = timedelta(minutes=60)
NO_ECG_TIME = "the ECG names no time"
TOO_FAR_APART = "the blood was not taken within 60 minutes of the ECG"
HAEMOLYSED = "the sample was haemolysed"
WITHHELD = "the estimate was withheld"
NO_PATIENT = "no pseudonym of the patient was sent"
NOT_FIRST = "another value of this patient counts already that day"
PAIRED = "another value counts already for this estimate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A laboratory value as it was sent; ``pseudonym`` is what the caller calls the patient."""

    estimate_id: str
    potassium_mmol_l: float
    collected_at: datetime
    haemolysed: bool
    pseudonym: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A laboratory value as it is kept; ``reasons`` say why it does not count."""

    id: str
    estimate_id: str
    potassium_mmol_l: float
    minutes_after_ecg: float | None
    counted: bool
    reasons: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """An estimate and the laboratory value that counts for it."""

    potassium_mmol_l: float
    estimate_mmol_l: float
    lower_mmol_l: float
    upper_mmol_l: float
    level: float
    p_at_least_5_5: float | None
    p_below_3_5: float | None


def keep(store: Store, act: Act, value: Value, fingerprint: str) -> Kept:
    """Keep one value.

    Raises:
        UnknownEstimate: there is no such estimate (any more).
        IdempotencyMismatch: the key of this request came before with another one.
        StorageUnavailable: nothing was kept.
    """
    with store.act() as connection:

        def make() -> str:
            made = _add(store, connection, act, value)
            store.record(connection, act, "feedback.create", made)
            return made

        made = once(connection, act, fingerprint, make)
        row = connection.execute(select(FEEDBACK).where(FEEDBACK.c.id == made)).mappings().first()
    if row is None:  # this request came before, and what it made was deleted with its estimate since
        raise UnknownEstimate("this value was kept, and deleted since with its estimate.")
    return Kept(**{name: row[name] for name in Kept.__dataclass_fields__})


def pairs(connection: Connection, model_sha256: str, since: datetime) -> list[Pair]:
    """The pairs that count, of a model and with an estimate since then."""
    columns = [ESTIMATES.c[name] for name in ("lower_mmol_l", "upper_mmol_l", "level", "p_at_least_5_5", "p_below_3_5")]
    query = (
        select(FEEDBACK.c.potassium_mmol_l, ESTIMATES.c.potassium_mmol_l.label("estimate_mmol_l"), *columns)
        .join(ESTIMATES, ESTIMATES.c.id == FEEDBACK.c.estimate_id)
        .where(FEEDBACK.c.counted, ESTIMATES.c.model_sha256 == model_sha256, ESTIMATES.c.created_at >= since)
    )
    return [Pair(**row) for row in connection.execute(query).mappings()]


def left_out(connection: Connection, model_sha256: str, since: datetime) -> dict[str, int]:
    """How many values do not count, by reason; one with two reasons is in both."""
    query = (
        select(FEEDBACK.c.reasons)
        .join(ESTIMATES, ESTIMATES.c.id == FEEDBACK.c.estimate_id)
        .where(~FEEDBACK.c.counted, ESTIMATES.c.model_sha256 == model_sha256, ESTIMATES.c.created_at >= since)
    )
    counts: dict[str, int] = {}
    for (reasons,) in connection.execute(query):
        for reason in reasons:
            counts[reason] = counts.get(reason, 0) + 1
    return counts


def _add(store: Store, connection: Connection, act: Act, value: Value) -> str:
    query = select(ESTIMATES.c.ecg_at, ESTIMATES.c.abstained).where(ESTIMATES.c.id == value.estimate_id)
    estimate = connection.execute(query).first()
    if estimate is None:
        raise UnknownEstimate("there is no such estimate; expected the X-Estimate-ID of one that is still kept.")
    collected_at = store.instant(value.collected_at)
    minutes = (collected_at - estimate.ecg_at).total_seconds() / 60 if estimate.ecg_at else None
    patient_day = _patient_day(store, act, value)
    held = {
        NO_ECG_TIME: minutes is None,
        TOO_FAR_APART: minutes is not None and abs(minutes) > MAX_APART.total_seconds() / 60,
        HAEMOLYSED: value.haemolysed,
        WITHHELD: bool(estimate.abstained),
        NO_PATIENT: patient_day is None,
        NOT_FIRST: patient_day is not None and _exists(connection, FEEDBACK.c.patient_day == patient_day),
        PAIRED: _exists(connection, (FEEDBACK.c.estimate_id == value.estimate_id) & FEEDBACK.c.counted),
    }
    reasons = [reason for reason, holds in held.items() if holds]
    made = uuid.uuid4().hex
    values: dict[str, Any] = {
        "id": made,
        "estimate_id": value.estimate_id,
        "created_at": now(),
        "caller": act.actor,
        "potassium_mmol_l": value.potassium_mmol_l,
        "collected_at": collected_at,
        "minutes_after_ecg": minutes,
        "haemolysed": value.haemolysed,
        "counted": not reasons,
        "reasons": reasons,
        "patient_day": None if reasons else patient_day,
    }
    connection.execute(insert(FEEDBACK).values(values))
    return made


def _patient_day(store: Store, act: Act, value: Value) -> str | None:
    """A keyed hash of caller, patient and day: it finds the second value of a day and tells no patient."""
    if value.pseudonym is None:
        return None
    day = store.instant(value.collected_at).astimezone(store.zone).date().isoformat()
    text = "\0".join(("patient-day", act.actor, day, value.pseudonym))
    return hmac.new(store.secret, text.encode(), hashlib.sha256).hexdigest()


def _exists(connection: Connection, condition: Any) -> bool:
    return connection.execute(select(FEEDBACK.c.id).where(condition).limit(1)).first() is not None
