"""Alembic migrations; a start brings the database to the newest one."""
