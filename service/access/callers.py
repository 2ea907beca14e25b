"""From a key or token to who calls."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from service.access.oidc import Tokens
from service.settings import Settings, SettingsError
from service.storage import keys
from service.storage.keys import NO_KEY, Key, Scope
from service.storage.store import Store


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as the audit trail names them, and what they may do."""

    name: str
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        """Whether this is allowed."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    @property
    def sees_only(self) -> str | None:
        """The caller whose things this one sees; None for an administrator, who sees all."""
        return None if Scope.ADMIN in self.scopes else self.name


ANONYMOUS = Caller("anonymous", frozenset(Scope))


class Callers:
    """Every key and issuer that the settings and the store name."""

    def __init__(self, settings: Settings, store: Store | None) -> None:
        self._settings = settings
        self._store = store
        self._tokens = Tokens.from_settings(settings)
        self._from_file = _keys_of(settings.keys_file) if settings.keys_file else None
        self._any_made = False

    def is_open(self) -> bool:
        """Whether anyone may call without a key: there is none, and only this machine, or whoever the operator lets,
        reaches the service.

        Raises:
            StorageUnavailable: whether there is a key cannot be known; then nobody is let in.
        """
        return not self.is_guarded() and (self._settings.is_loopback or self._settings.allow_anonymous)

    def is_guarded(self) -> bool:
        """Whether a key was ever made, or an issuer is trusted; one that was made stays made.

        Raises:
            StorageUnavailable: it cannot be known.
        """
        if self._tokens is not None or self._from_file is not None:
            return True
        if self._store is not None and not self._any_made:
            self._any_made = keys.any_made(self._store)
        return self._any_made

    def find(self, token: str) -> Caller | None:
        """Who holds this key or token; None when it is not valid.

        Raises:
            StorageUnavailable: the keys cannot be read.
        """
        if token.count(".") == 2 and self._tokens is not None:
            named = self._tokens.verified(token)
            return Caller(*named) if named else None
        key = self._key(keys.id_of(token))
        return Caller(key.name, key.scopes) if key.opens(token, datetime.now(UTC)) else None

    def _key(self, key_id: str | None) -> Key:
        if key_id is None:
            return NO_KEY
        if self._from_file is not None and key_id in self._from_file:
            return self._from_file[key_id]
        return (keys.find(self._store, key_id) if self._store else None) or NO_KEY


def _keys_of(file: Path) -> dict[str, Key]:
    """The keys of a file, as ``python -m service keys line`` prints them.

    Raises:
        SettingsError: it cannot be read, or a line is none.
    """
    try:
        lines = [json.loads(line) for line in file.read_text().splitlines() if line.strip()]
        found = [
            Key(id=str(line["id"]), name=str(line["name"]), sha256=str(line["sha256"]), scopes=_scopes(line))
            for line in lines
        ]
    except OSError as error:
        raise SettingsError(f"ECG_KA_KEYS_FILE, {file}, cannot be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError):
        raise SettingsError(
            f"ECG_KA_KEYS_FILE, {file}, holds another line than python -m service keys line prints"
        ) from None
    if not found:
        raise SettingsError(f"ECG_KA_KEYS_FILE, {file}, holds no key; expected one a line")
    return {key.id: key for key in found}


def _scopes(line: dict[str, list[str]]) -> frozenset[Scope]:
    return frozenset(Scope(scope) for scope in line["scopes"])


def refuse_open_bind(settings: Settings, callers: Callers) -> None:
    """Let nothing start that strangers could use: a network address needs a key, an issuer, or the operator's word.

    A database that does not answer yet is no reason to refuse: until it does, nobody is let in.

    Raises:
        SettingsError: the address is not loopback and nothing guards it.
    """
    if settings.is_loopback or settings.allow_anonymous or callers.is_guarded():
        return
    raise SettingsError(
        f"ECG_KA_HOST is {settings.host} and there is no key: anyone who reaches it could use the service. Make a key "
        "(python -m service keys create NAME --scopes predict feedback, with ECG_KA_DATA on a volume that stays), or "
        "give ECG_KA_KEYS_FILE or ECG_KA_OIDC_*, or set ECG_KA_ALLOW_ANONYMOUS=1"
    )
