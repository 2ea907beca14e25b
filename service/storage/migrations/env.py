"""Runs the migrations on the connection that :meth:`service.storage.database.Database` hands over."""

from __future__ import annotations

from alembic import context

from service.storage.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
