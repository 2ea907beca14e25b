"""Everything that the first release keeps."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From an empty database."""
    _results()
    _batches()
    _access()
    op.create_index("ix_estimates_created_at", "estimates", ["created_at"])
    op.create_index("ix_estimates_model_sha256", "estimates", ["model_sha256"])
    op.create_index("ix_feedback_estimate_id", "feedback", ["estimate_id"])
    op.create_index("ix_batches_created_at", "batches", ["created_at"])
    op.create_index("ix_batch_items_state", "batch_items", ["state", "id"])
    op.create_index("ix_replays_created_at", "replays", ["created_at"])
    head = sa.table("audit_head", sa.column("id"), sa.column("seq"), sa.column("hash"))
    op.bulk_insert(head, [{"id": 1, "seq": 0, "hash": "0" * 64}])


def downgrade() -> None:
    """To an empty database."""
    for table in _TABLES:
        op.drop_table(table)


_TABLES = (
    "audit_head",
    "audit_entries",
    "replays",
    "api_keys",
    "workers",
    "batch_items",
    "batches",
    "feedback",
    "ecgs",
    "estimates",
)


def _results() -> None:
    op.create_table(
        "estimates",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("caller", sa.String(200), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("model_sha256", sa.String(64), nullable=False),
        sa.Column("preprocessing_sha256", sa.String(64), nullable=False),
        sa.Column("input_sha256", sa.String(64), nullable=False),
        sa.Column("format", sa.String(64), nullable=False),
        sa.Column("ecg_at", sa.DateTime(timezone=True)),
        sa.Column("potassium_mmol_l", sa.Float),
        sa.Column("median_mmol_l", sa.Float),
        sa.Column("level", sa.Float),
        sa.Column("lower_mmol_l", sa.Float),
        sa.Column("upper_mmol_l", sa.Float),
        sa.Column("p_at_least_5_5", sa.Float),
        sa.Column("p_below_3_5", sa.Float),
        sa.Column("category", sa.String(32)),
        sa.Column("region", sa.String(16)),
        sa.Column("abstained", sa.Boolean, nullable=False),
        sa.Column("flags", sa.JSON, nullable=False),
        sa.Column("quality", sa.String(16), nullable=False),
        sa.Column("heart_rate_bpm", sa.Float),
        sa.Column("amplitude_mv", sa.Float, nullable=False),
        sa.Column("novelty", sa.Float),
    )
    op.create_table(
        "ecgs",
        sa.Column("estimate_id", sa.String(32), sa.ForeignKey("estimates.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "feedback",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("estimate_id", sa.String(32), sa.ForeignKey("estimates.id", ondelete="CASCADE"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("caller", sa.String(200), nullable=False),
        sa.Column("potassium_mmol_l", sa.Float, nullable=False),
        sa.Column("collected_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("minutes_after_ecg", sa.Float),
        sa.Column("haemolysed", sa.Boolean, nullable=False),
        sa.Column("counted", sa.Boolean, nullable=False),
        sa.Column("reasons", sa.JSON, nullable=False),
        sa.Column("patient_day", sa.String(64), unique=True),
    )


def _batches() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("caller", sa.String(200), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("fields", sa.JSON, nullable=False),
        sa.Column("n_items", sa.Integer, nullable=False),
    )
    op.create_table(
        "batch_items",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("batch_id", sa.String(32), sa.ForeignKey("batches.id", ondelete="CASCADE"), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("worker", sa.String(100)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.Column("status", sa.Integer),
        sa.Column("estimate_id", sa.String(32)),
        sa.Column("answer", sa.JSON),
        sa.UniqueConstraint("batch_id", "position", name="uq_batch_items_position"),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.String(100), primary_key=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
    )


def _access() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
    )
    op.create_table(
        "replays",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("resource_id", sa.String(32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "audit_entries",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("object", sa.String(200), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
