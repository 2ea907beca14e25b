"""Everything that is kept, opened once at the start: database, spool, secret."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import SecretStr
from sqlalchemy import URL, Connection

from service.settings import Settings, SettingsError
from service.storage import audit
from service.storage.database import Database, postgresql_url, sqlite_url
from service.storage.spool import Spool

_SECRET_BYTES = 32
_MARKS = "audit_marks"
_LOG = logging.getLogger("service")
FIRST_YEAR, LAST_YEAR = 1900, 2200  # of what happens to patients; every database has room for them
OFF = "nothing is kept; batches, feedback and monitoring are off, estimates are not"


class NoStore(Exception):
    """Nothing can be kept; the message says why."""


@dataclass(frozen=True, slots=True)
class Act:
    """Who does something, in which request, and the hash of the ``Idempotency-Key`` if there is one."""

    actor: str
    request_id: str
    replay_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """What is kept and how. ``secret`` keys the hashes of pseudonyms and of the audit trail; it is not in the
    database, so that a copy of the database alone tells no patient and forges no trail."""

    database: Database
    spool: Spool
    secret: bytes
    zone: ZoneInfo
    retention_days: int
    keeps_ecg: bool

    @contextmanager
    def act(self) -> Iterator[Connection]:
        """A transaction that ends up in the audit trail: one at a time, for each entry builds on the last.

        Raises:
            StorageUnavailable: the database cannot be reached, is full, or took too long.
        """
        with self.database.write() as connection:
            audit.lock(connection)
            marks: list[str] = []
            connection.info[_MARKS] = marks
            yield connection
        for mark in marks:
            _LOG.info("audit", extra={"data": {"audit": mark}})

    def record(self, connection: Connection, act: Act, action: str, thing: str) -> audit.Entry:
        """Write that something was done into the audit trail, inside the transaction that does it; the log gets the
        mark of the entry once it is committed."""
        return self.record_all(connection, [audit.Deed(act.actor, action, thing, act.request_id)])[0]

    def record_all(self, connection: Connection, deeds: Iterable[audit.Deed]) -> list[audit.Entry]:
        """The same for several."""
        entries = audit.append(connection, self.secret, deeds)
        connection.info[_MARKS] += [entry.mark for entry in entries]
        return entries

    def instant(self, time: datetime) -> datetime:
        """A time with its zone: that of the settings where it names none."""
        return instant(time, self.zone)


def open_store(settings: Settings) -> Store:
    """The store of these settings; the database itself is first reached when it is first used.

    Raises:
        NoStore: they name no folder, or one that cannot be written.
        SettingsError: so it is although they name PostgreSQL, which is then meant to be there; or its address is none.
    """
    if settings.data is None:
        raise NoStore("ECG_KA_DATA is not set")
    try:
        secret = _prepared(settings.data)
        url = _url(settings.data, settings.database)
    except OSError as error:
        reason = f"ECG_KA_DATA, {settings.data}, cannot be written: {error.strerror}"
        if settings.database is not None:
            raise SettingsError(f"{reason}; expected a folder for the spool and the secret") from None
        raise NoStore(reason) from None
    return Store(
        database=Database(url),
        spool=Spool(settings.data / "spool"),
        secret=secret,
        zone=ZoneInfo(settings.time_zone),
        retention_days=settings.retention_days,
        keeps_ecg=settings.store_ecg,
    )


def _url(folder: Path, postgresql: SecretStr | None) -> URL:
    return postgresql_url(postgresql.get_secret_value()) if postgresql else sqlite_url(folder / "ecg_ka.sqlite3")


def instant(time: datetime, zone: ZoneInfo) -> datetime:
    """A time in UTC; one that names no zone is in this one."""
    return (time if time.tzinfo else time.replace(tzinfo=zone)).astimezone(UTC)


def now() -> datetime:
    """This instant, in UTC."""
    return datetime.now(UTC)


def _prepared(folder: Path) -> bytes:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "spool").mkdir(mode=0o700, exist_ok=True)
    return _secret(folder / "secret")


def _secret(path: Path) -> bytes:
    """The secret, made at the first start; whole or not there, whoever else starts at the same time."""
    draft = path.with_name(f".secret-{secrets.token_hex(8)}")
    if not path.exists():
        file = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
        with os.fdopen(file, "w") as stream:
            stream.write(secrets.token_hex(_SECRET_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # another program was first; its secret is the one
        finally:
            draft.unlink()
    secret = bytes.fromhex(path.read_text())
    if len(secret) < _SECRET_BYTES:
        raise SettingsError(f"{path} holds {len(secret)} bytes; expected {2 * _SECRET_BYTES} hexadecimal digits")
    return secret
