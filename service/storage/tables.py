"""The tables, as the newest migration leaves them."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator


class UtcTime(TypeDecorator[datetime]):
    """An instant. SQLite has no time zones: there it is kept in UTC without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database."""
        if value is None:
            return None
        in_utc = value.astimezone(UTC)
        return in_utc.replace(tzinfo=None) if dialect.name == "sqlite" else in_utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


METADATA = MetaData()

ESTIMATES = Table(
    "estimates",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("created_at", UtcTime, nullable=False, index=True),
    Column("source", String(16), nullable=False),
    Column("caller", String(200), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("model_sha256", String(64), nullable=False, index=True),
    Column("preprocessing_sha256", String(64), nullable=False),
    Column("input_sha256", String(64), nullable=False),
    Column("format", String(64), nullable=False),
    Column("ecg_at", UtcTime),
    Column("potassium_mmol_l", Float),
    Column("median_mmol_l", Float),
    Column("level", Float),
    Column("lower_mmol_l", Float),
    Column("upper_mmol_l", Float),
    Column("p_at_least_5_5", Float),
    Column("p_below_3_5", Float),
    Column("category", String(32)),
    Column("region", String(16)),
    Column("abstained", Boolean, nullable=False),
    Column("flags", JSON, nullable=False),
    Column("quality", String(16), nullable=False),
    Column("heart_rate_bpm", Float),
    Column("amplitude_mv", Float, nullable=False),
    Column("novelty", Float),
)

ECGS = Table(
    "ecgs",
    METADATA,
    Column("estimate_id", String(32), ForeignKey("estimates.id", ondelete="CASCADE"), primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

FEEDBACK = Table(
    "feedback",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("estimate_id", String(32), ForeignKey("estimates.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", UtcTime, nullable=False),
    Column("caller", String(200), nullable=False),
    Column("potassium_mmol_l", Float, nullable=False),
    Column("collected_at", UtcTime, nullable=False),
    Column("minutes_after_ecg", Float),
    Column("haemolysed", Boolean, nullable=False),
    Column("counted", Boolean, nullable=False),
    Column("reasons", JSON, nullable=False),
    Column("patient_day", String(64), unique=True),
)

BATCHES = Table(
    "batches",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("created_at", UtcTime, nullable=False, index=True),
    Column("finished_at", UtcTime),
    Column("caller", String(200), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("fields", JSON, nullable=False),
    Column("n_items", Integer, nullable=False),
)

ITEMS = Table(
    "batch_items",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("batch_id", String(32), ForeignKey("batches.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("state", String(8), nullable=False),
    Column("worker", String(100)),
    Column("attempts", Integer, nullable=False),
    Column("lease_until", UtcTime),
    Column("status", Integer),
    Column("estimate_id", String(32)),
    Column("answer", JSON),
    UniqueConstraint("batch_id", "position", name="uq_batch_items_position"),
    Index("ix_batch_items_state", "state", "id"),
)

WORKERS = Table(
    "workers",
    METADATA,
    Column("id", String(100), primary_key=True),
    Column("seen_at", UtcTime, nullable=False),
)

KEYS = Table(
    "api_keys",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime),
    Column("revoked_at", UtcTime),
)

REPLAYS = Table(
    "replays",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("resource_id", String(32), nullable=False),
    Column("created_at", UtcTime, nullable=False, index=True),
)

AUDIT = Table(
    "audit_entries",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", String(32), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("action", String(64), nullable=False),
    Column("object", String(200), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)

AUDIT_HEAD = Table(
    "audit_head",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
)
