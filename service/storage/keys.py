"""API keys: the secret is shown once and only its hash is kept."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hmac import compare_digest

from sqlalchemy import Connection, insert, select, update

from service.storage.store import Act, Store, now
from service.storage.tables import KEYS

_TOKEN = re.compile(r"ecgka_([0-9a-f]{16})_[A-Za-z0-9_-]{43}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Scope(StrEnum):
    """What a caller may do; ``admin`` may do everything."""

    PREDICT = "predict"
    FEEDBACK = "feedback"
    ADMIN = "admin"


class InvalidKey(Exception):
    """A key cannot be made, or is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key as it is kept. Its secret has 256 random bits, so one plain SHA-256 hides it as well as a slow hash."""

    id: str
    name: str
    scopes: frozenset[Scope]
    sha256: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def opens(self, token: str, at: datetime) -> bool:
        """Whether this token is that key and it is valid; takes the same time for every wrong token."""
        is_same = compare_digest(digest(token), self.sha256)
        is_valid = self.revoked_at is None and (self.expires_at is None or at < self.expires_at)
        return is_same and is_valid


NO_KEY = Key(id="0" * 16, name="none", scopes=frozenset(), sha256="0" * 64)
"""Compared with when there is no key of an id, so that an unknown id takes as long as a wrong secret."""


def new_key(name: str, scopes: Iterable[str], valid_for: timedelta | None) -> tuple[str, Key]:
    """A token and the key to keep of it.

    Raises:
        InvalidKey: the name or a scope is not valid.
    """
    if not _NAME.fullmatch(name):
        raise InvalidKey(f"the name {name[:70]!r}; expected up to 64 letters, digits, dots, dashes, underscores")
    try:
        chosen = frozenset(Scope(scope) for scope in scopes)
    except ValueError as error:
        raise InvalidKey(f"{error}; expected {', '.join(Scope)}") from None
    if not chosen:
        raise InvalidKey(f"no scope; expected some of {', '.join(Scope)}")
    key_id = secrets.token_hex(8)
    token = f"ecgka_{key_id}_{secrets.token_urlsafe(32)}"
    expires_at = now() + valid_for if valid_for else None
    return token, Key(id=key_id, name=name, scopes=chosen, sha256=digest(token), expires_at=expires_at)


def digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def id_of(token: str) -> str | None:
    """The public part of a token, or None when it has not the form of one."""
    match = _TOKEN.fullmatch(token)
    return match[1] if match else None


def create(store: Store, act: Act, key: Key) -> None:
    """Keep a key under a name that no valid key has.

    Raises:
        InvalidKey: the name is taken.
    """
    with store.act() as connection:
        if any(other.name == key.name for other in _valid(connection)):
            raise InvalidKey(f"there is a valid key {key.name!r} already; expected another name, or keys rotate")
        _insert(connection, key)
        store.record(connection, act, "key.create", f"{key.id} {key.name}")


def rotate(store: Store, act: Act, name: str, overlap: timedelta) -> str:
    """A new token with the name, scopes and end of the valid key, which then ends after ``overlap``.

    Raises:
        InvalidKey: there is no valid key of this name.
    """
    with store.act() as connection:
        old = [key for key in _valid(connection) if key.name == name]
        if not old:
            raise InvalidKey(f"there is no valid key {name[:70]!r}; python -m service keys list shows them")
        end = old[-1].expires_at  # of a valid key, so it lies ahead
        token, key = new_key(name, old[-1].scopes, None if end is None else end - now())
        for earlier in old:
            soon = min(now() + overlap, earlier.expires_at or now() + overlap)
            connection.execute(update(KEYS).where(KEYS.c.id == earlier.id).values(expires_at=soon))
        _insert(connection, key)
        store.record(connection, act, "key.rotate", f"{key.id} {name}")
    return token


def revoke(store: Store, act: Act, name: str) -> int:
    """End every key of this name at once; how many there were."""
    with store.act() as connection:
        ended = connection.execute(
            update(KEYS).where(KEYS.c.name == name, KEYS.c.revoked_at.is_(None)).values(revoked_at=now())
        ).rowcount
        if ended:
            store.record(connection, act, "key.revoke", name)
    return ended


def listed(store: Store) -> list[Key]:
    """Every key that was ever made, oldest first."""
    with store.database.read() as connection:
        return _all(connection)


def find(store: Store, key_id: str) -> Key | None:
    """The key of an id."""
    with store.database.read() as connection:
        row = connection.execute(select(KEYS).where(KEYS.c.id == key_id)).mappings().first()
    return _key(dict(row)) if row else None


def any_made(store: Store) -> bool:
    """Whether a key was ever made: from then on the service asks for one, also when all have ended."""
    with store.database.read() as connection:
        return connection.execute(select(KEYS.c.id).limit(1)).first() is not None


def _insert(connection: Connection, key: Key) -> None:
    values = {"id": key.id, "name": key.name, "scopes": sorted(key.scopes), "sha256": key.sha256}
    connection.execute(insert(KEYS).values(values | {"created_at": now(), "expires_at": key.expires_at}))


def _all(connection: Connection) -> list[Key]:
    rows = connection.execute(select(KEYS).order_by(KEYS.c.created_at)).mappings()
    return [_key(dict(row)) for row in rows]


def _valid(connection: Connection) -> list[Key]:
    at = now()
    return [k for k in _all(connection) if k.revoked_at is None and (k.expires_at is None or at < k.expires_at)]


def _key(row: dict[str, object]) -> Key:
    del row["created_at"]
    return Key(**{**row, "scopes": frozenset(map(Scope, row["scopes"]))})  # type: ignore[arg-type, call-overload]
