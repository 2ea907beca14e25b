"""One database, SQLite or PostgreSQL: its engine, its transactions, and its migrations."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service.errors import StorageUnavailable
from service.settings import SettingsError

_LOG = logging.getLogger("service")
_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 0xEC6CA  # any fixed number: programs that start together migrate one after the other
_GONE = (OperationalError, InterfaceError, InternalError, PoolTimeout)
_SQLITE_WAIT_S = 10
_NOT_KEPT = "the database did not answer, or has no room; nothing was kept of this request. Try again in 5 s."
_POSTGRESQL = {
    "connect_timeout": 3,
    "tcp_user_timeout": 10_000,  # ms; a machine that vanished is noticed
    "options": "-c statement_timeout=20000 -c lock_timeout=10000",
}


class Database:
    """Transactions that either happen or raise ``StorageUnavailable``; it is migrated before the first of them."""

    def __init__(self, url: URL) -> None:
        self._engine = _engine(url)
        self._reader = self._engine.execution_options(reads_only=True)
        self._lock = threading.Lock()
        self._migrated = threading.Event()
        self._writing = threading.Lock()

    @property
    def is_sqlite(self) -> bool:
        """SQLite and not PostgreSQL."""
        return self._engine.dialect.name == "sqlite"

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction, committed at the end of the block; with SQLite no other writer runs beside it.

        Raises:
            StorageUnavailable: the database cannot be reached, is full, or took too long.
        """
        with self._guarded(), self._turn(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads and waits for no writer.

        Raises:
            StorageUnavailable: as for :meth:`write`.
        """
        with self._guarded(), self._reader.connect() as connection:
            yield connection

    def ping(self) -> None:
        """Ask it something.

        Raises:
            StorageUnavailable: it does not answer.
        """
        with self.read() as connection:
            connection.execute(text("SELECT 1"))

    def scrub(self, tables: tuple[str, ...]) -> None:
        """Have the bytes of deleted rows overwritten or given back, not only marked as free.

        Raises:
            StorageUnavailable: as for :meth:`write`.
        """
        # secure_delete has zeroed the pages of SQLite; its log still has the old ones
        statements = ["PRAGMA wal_checkpoint(TRUNCATE)"] if self.is_sqlite else [f"VACUUM {table}" for table in tables]
        outside = {"unbegun": True} if self.is_sqlite else {"isolation_level": "AUTOCOMMIT"}
        with self._guarded(), self._engine.connect().execution_options(**outside) as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def close(self) -> None:
        """Give every connection back."""
        self._engine.dispose()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            self._migrate_once()
            yield
        except _GONE as error:
            cause = type(error.orig).__name__ if isinstance(error, DBAPIError) else type(error).__name__
            _LOG.error("storage unavailable", extra={"data": {"cause": cause, "code": _code(error)}})
            raise StorageUnavailable(_NOT_KEPT) from None

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """With SQLite, wait for the other writers of this process here: one is woken as soon as another is done, while
        SQLite looks again after a sleep, and ever more seldom."""
        if not self.is_sqlite:
            yield
            return
        if not self._writing.acquire(timeout=_SQLITE_WAIT_S):
            raise StorageUnavailable(_NOT_KEPT)
        try:
            yield
        finally:
            self._writing.release()

    def _migrate_once(self) -> None:
        if self._migrated.is_set():
            return
        with self._lock:
            if self._migrated.is_set():
                return
            with self._engine.begin() as connection:
                if not self.is_sqlite:
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
                command.upgrade(alembic_config(connection), "head")
            self._migrated.set()


def alembic_config(connection: Connection) -> Config:
    """Alembic's settings for the migrations of this package on one connection."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def sqlite_url(file: Path) -> URL:
    """The address of a SQLite file, which is made when absent, readable by its owner alone."""
    os.close(os.open(file, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    return URL.create("sqlite", database=str(file))


def postgresql_url(given: str) -> URL:
    """The address of a PostgreSQL database, for its driver psycopg 3.

    Raises:
        SettingsError: it is none. The message does not repeat it, for it may hold a password.
    """
    try:
        url = make_url(given)
    except ArgumentError:
        url = URL.create("none")
    if url.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise SettingsError(
            "ECG_KA_DATABASE is no address of PostgreSQL; expected postgresql://user:password@host/name"
        )
    return url.set(drivername="postgresql+psycopg")


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, pool_size=10, hide_parameters=True, connect_args=_POSTGRESQL)
    engine = create_engine(url, pool_size=10, hide_parameters=True, connect_args={"timeout": _SQLITE_WAIT_S})
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions begin where SQLAlchemy says, tables are made inside them
    _write_ahead(connection)
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _write_ahead(connection: Any) -> None:
    """Have SQLite write ahead. For this lock alone it does not wait: at the first start several programs may ask."""
    deadline = time.monotonic() + _SQLITE_WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("unbegun"):
        return
    # A reader that becomes a writer midway would fail against another writer; whoever will write says so at once.
    connection.exec_driver_sql("BEGIN" if options.get("reads_only") else "BEGIN IMMEDIATE")


def _code(error: Exception) -> str | None:
    original = getattr(error, "orig", None)
    return getattr(original, "sqlstate", None) or getattr(original, "sqlite_errorname", None)
