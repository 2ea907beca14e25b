"""Estimates as they are kept: the numbers, the hashes of model and input, and nothing that names a patient."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Connection, insert, select

from ecg_ka import EcgRecord, Estimate
from service.errors import IdempotencyMismatch
from service.storage.audit import Deed
from service.storage.replays import once
from service.storage.store import FIRST_YEAR, LAST_YEAR, Act, Store, now
from service.storage.tables import ECGS, ESTIMATES

_ADD = insert(ESTIMATES)  # built once: most of what a transaction costs is SQLAlchemy building its statements


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the table ``estimates``, but for its id and who made it."""

    model_sha256: str
    preprocessing_sha256: str
    input_sha256: str
    format: str
    ecg_at: datetime | None
    potassium_mmol_l: float | None
    median_mmol_l: float | None
    level: float | None
    lower_mmol_l: float | None
    upper_mmol_l: float | None
    p_at_least_5_5: float | None
    p_below_3_5: float | None
    category: str | None
    region: str | None
    abstained: bool
    flags: list[str]
    quality: str
    heart_rate_bpm: float | None
    amplitude_mv: float
    novelty: float | None


def row_of(store: Store, record: EcgRecord, estimate: Estimate) -> Row:
    """What is kept of an estimate; ``amplitude_mv`` is the median over the leads of their range."""
    interval, region = estimate.interval, estimate.region
    chances = {(p.comparator, p.threshold_mmol_l): p.p for p in estimate.probabilities or ()}
    return Row(
        model_sha256=estimate.model.sha256,
        preprocessing_sha256=estimate.model.preprocessing_sha256,
        input_sha256=estimate.ecg.sha256,
        format=estimate.ecg.format,
        ecg_at=_instant(store, estimate.ecg.acquired_at),
        potassium_mmol_l=estimate.potassium_mmol_l,
        median_mmol_l=estimate.median_mmol_l,
        level=interval.level if interval else None,
        lower_mmol_l=interval.lower if interval else None,
        upper_mmol_l=interval.upper if interval else None,
        p_at_least_5_5=chances.get((">=", 5.5)),
        p_below_3_5=chances.get(("<", 3.5)),
        category=str(estimate.category) if estimate.category else None,
        region=region.name if region else None,
        abstained=estimate.abstained,
        flags=[str(flag) for flag in estimate.flags],
        quality=str(estimate.quality.grade),
        heart_rate_bpm=estimate.quality.heart_rate_bpm,
        amplitude_mv=float(np.median(np.ptp(record.signal_mv, axis=1))),
        novelty=estimate.novelty.distance if estimate.novelty else None,
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """One estimate to keep: who made it, its row, the hash of all that was sent, and the bytes of the ECG."""

    act: Act
    row: Row
    fingerprint: str
    content: bytes


def keep(store: Store, wanted: Sequence[Wanted]) -> list[str | IdempotencyMismatch]:
    """Keep estimates in one transaction; of each its id, or that its key came before with another request.

    Raises:
        StorageUnavailable: nothing was kept.
    """
    new: dict[str, Wanted] = {}
    with store.act() as connection:
        kept = [_id_of(connection, one, new) for one in wanted]
        if new:
            rows = [_values(one.act, one.row, "predict") | {"id": made} for made, one in new.items()]
            connection.execute(_ADD, rows)
        for made, one in new.items() if store.keeps_ecg else ():
            add_ecg(connection, made, one.content)
        deeds = (Deed(one.act.actor, "estimate.create", made, one.act.request_id) for made, one in new.items())
        store.record_all(connection, deeds)
    return kept


def _id_of(connection: Connection, one: Wanted, new: dict[str, Wanted]) -> str | IdempotencyMismatch:
    """The id under which one is kept already, or will be, as one of the new."""

    def make() -> str:
        made = uuid.uuid4().hex
        new[made] = one
        return made

    try:
        return once(connection, one.act, one.fingerprint, make)
    except IdempotencyMismatch as error:
        return error


def add(connection: Connection, act: Act, row: Row, source: str) -> str:
    """Insert one row; its new id."""
    made = uuid.uuid4().hex
    connection.execute(_ADD, _values(act, row, source) | {"id": made})
    return made


def _values(act: Act, row: Row, source: str) -> dict[str, object]:
    who = {"created_at": now(), "source": source, "caller": act.actor, "request_id": act.request_id}
    return {name: getattr(row, name) for name in Row.__dataclass_fields__} | who


def add_ecg(connection: Connection, estimate_id: str, content: bytes) -> None:
    """Keep the ECG beside its estimate."""
    connection.execute(insert(ECGS).values(estimate_id=estimate_id, content=content))


def recent(connection: Connection, model_sha256: str, since: datetime, limit: int) -> list[Row]:
    """The newest estimates of a model since then, newest first."""
    columns = [ESTIMATES.c[name] for name in Row.__dataclass_fields__]
    query = select(*columns).where(ESTIMATES.c.model_sha256 == model_sha256, ESTIMATES.c.created_at >= since)
    rows = connection.execute(query.order_by(ESTIMATES.c.created_at.desc()).limit(limit)).mappings()
    return [Row(**row) for row in rows]


def earliest(connection: Connection, model_sha256: str, limit: int) -> list[Row]:
    """The first estimates of a model that are still kept."""
    columns = [ESTIMATES.c[name] for name in Row.__dataclass_fields__]
    query = select(*columns).where(ESTIMATES.c.model_sha256 == model_sha256)
    rows = connection.execute(query.order_by(ESTIMATES.c.created_at).limit(limit)).mappings()
    return [Row(**row) for row in rows]


def _instant(store: Store, text: str | None) -> datetime | None:
    try:
        stated = datetime.fromisoformat(text or "")
    except ValueError:  # a file may state any time
        return None
    return store.instant(stated) if FIRST_YEAR <= stated.year <= LAST_YEAR else None
